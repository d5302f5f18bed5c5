//! The clusters of this machine: who has which number, and what dead ones left behind.
//!
//! An entry is a file, locked by the cluster's owner and its keeper for as long as one of them
//! lives. An entry that can be locked therefore belongs to nobody, and what it names is swept away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::subnet::{NUMBERS, Route, Subnet};

/// Why a cluster got no number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry cannot be used.
    #[error("cannot use {path}, where this machine's clusters are registered")]
    Use {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// All numbers are taken.
    #[error("no addresses are left for another cluster: 10.{first}.0.0/16 to 10.{last}.0.0/16 are all in use", first = NUMBERS.start(), last = NUMBERS.end())]
    Full,
}

/// What an entry says, for the sweep.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Estate {
    run: PathBuf,
    cgroup: Option<String>,
}

/// A number that is this process's own until dropped (the keeper holds it longer).
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: u8,
    pub(crate) path: PathBuf,
    lock: File,
}

/// Where the entries are.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    dir: PathBuf,
}

impl Registry {
    /// The registry of the machine for root, of the user otherwise.
    pub(crate) fn of_this_machine() -> Result<Self, RegistryError> {
        let uid = crate::tools::uid();
        let dir = if uid == 0 {
            "/run/kra-cluster".into()
        } else {
            std::env::temp_dir().join(format!("kra-cluster-{uid}"))
        };
        Self::in_dir(dir)
    }

    fn in_dir(dir: PathBuf) -> Result<Self, RegistryError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        match made.and_then(|()| fs::metadata(&dir)) {
            // Others could plant entries in a directory of theirs, and have us remove what these
            // name.
            Ok(found) if found.uid() == crate::tools::uid() => Ok(Self { dir }),
            Ok(_) => Err(RegistryError::Use {
                path: dir,
                source: io::ErrorKind::PermissionDenied.into(),
            }),
            Err(source) => Err(RegistryError::Use { path: dir, source }),
        }
    }

    /// Takes a number whose addresses no live cluster and no route of the machine uses.
    pub(crate) fn take(&self, routes: &[Route]) -> Result<Entry, RegistryError> {
        for number in NUMBERS {
            if Subnet(number).is_routed(routes) {
                continue;
            }
            let path = self.dir.join(number.to_string());
            let failed = |source| RegistryError::Use {
                path: path.clone(),
                source,
            };
            match lock(&path, true).map_err(failed)? {
                // One that says something has leftovers that could not be swept yet.
                Some(lock) if lock.metadata().map_err(failed)?.len() == 0 => {
                    return Ok(Entry { number, path, lock });
                }
                Some(_) | None => {}
            }
        }
        Err(RegistryError::Full)
    }

    /// Removes what clusters have left whose owner and keeper are gone. Best effort: what cannot be
    /// read or removed stays.
    pub(crate) fn sweep(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(Some(mut lock)) = lock(&path, false) {
                match estate(&mut lock) {
                    Some(estate) => sweep(&estate, &path),
                    None => drop(fs::remove_file(&path)),
                }
            }
        }
    }

    /// Whether the cluster with this number is the one in `run`, and has an owner or a keeper.
    pub(crate) fn is_alive(&self, number: u8, run: &Path) -> bool {
        let Ok(mut entry) = File::open(self.dir.join(number.to_string())) else {
            return false;
        };
        let is_held = matches!(entry.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held && estate(&mut entry).is_some_and(|estate| estate.run == run)
    }
}

impl Entry {
    /// Says what belongs to this number, before any of it is made.
    pub(crate) fn describe(
        &mut self,
        run: &Path,
        cgroup: Option<&str>,
    ) -> Result<(), RegistryError> {
        let estate = Estate {
            run: run.to_owned(),
            cgroup: cgroup.map(ToOwned::to_owned),
        };
        let path = self.path.clone();
        let failed = |source| RegistryError::Use { path, source };
        serde_json::to_vec(&estate)
            .map_err(io::Error::other)
            .and_then(|text| self.lock.write_all(&text))
            .map_err(failed)
    }

    /// A second handle, which keeps the lock as long as its holder lives.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.lock.try_clone()
    }
}

/// Locks an entry, unless somebody holds it. One that was removed between opening and locking is
/// nobody's.
fn lock(path: &Path, create: bool) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(is_still_there(&file, path).then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    let inode = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(ours), Ok(theirs)) if inode(&ours) == inode(&theirs))
}

fn estate(file: &mut File) -> Option<Estate> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn sweep(estate: &Estate, entry: &Path) {
    let swept = Command::new("sh")
        .args(["-c", crate::keeper_script::SCRIPT, "keeper.sh", "sweep"])
        .arg(&estate.run)
        .arg(estate.cgroup.as_deref().unwrap_or("-"))
        .arg(entry)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    // Whatever is still there is tried again at the next start.
    drop(swept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_registry() -> (tempfile::TempDir, Registry) {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::in_dir(dir.path().join("registry")).unwrap();
        (dir, registry)
    }

    #[test]
    fn two_live_clusters_get_different_numbers() {
        let (_dir, registry) = mk_registry();
        let mut first = registry.take(&[]).unwrap();
        let second = registry.take(&[]).unwrap();
        assert_ne!(first.number, second.number);
        first.describe(Path::new("/run/dir"), None).unwrap();
        assert!(registry.is_alive(first.number, Path::new("/run/dir")));
        assert!(!registry.is_alive(first.number, Path::new("/another")));
    }

    #[test]
    fn the_number_of_a_cluster_of_which_nothing_was_made_is_taken_again() {
        let (_dir, registry) = mk_registry();
        let first = registry.take(&[]).unwrap();
        let number = first.number;
        drop(first);
        assert_eq!(registry.take(&[]).unwrap().number, number);
    }

    #[test]
    fn what_a_dead_cluster_left_is_swept_and_what_a_live_one_has_stays() {
        let (dir, registry) = mk_registry();
        let run = |name: &str| {
            let run = dir.path().join(name);
            fs::create_dir(&run).unwrap();
            fs::write(run.join("keeper.sh"), "").unwrap();
            run
        };
        let (dead, live) = (run("dead"), run("live"));
        let mut first = registry.take(&[]).unwrap();
        let mut second = registry.take(&[]).unwrap();
        first.describe(&dead, None).unwrap();
        second.describe(&live, None).unwrap();
        drop(first);
        registry.sweep();
        assert!(!dead.exists());
        assert!(live.exists());
    }

    #[test]
    fn a_directory_no_cluster_has_made_is_never_swept() {
        let (dir, registry) = mk_registry();
        let precious = dir.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let mut entry = registry.take(&[]).unwrap();
        entry.describe(&precious, None).unwrap();
        drop(entry);
        registry.sweep();
        assert!(precious.exists());
    }
}
