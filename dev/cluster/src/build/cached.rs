//! What is built, and where it is kept.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::BuildError;
use super::go;
use super::parts::{self, Group, Part};
use super::staging::Staging;
use crate::invoker::Invoker;
use crate::node::Node;
use crate::progress::{Progress, readable};
use crate::tools::Tool;

/// Where the built parts are. Directories a cluster does not need are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// etcd, kube-apiserver, kube-controller-manager, kubectl, kubelet.
    pub kubernetes: PathBuf,
    /// A static busybox, and its image `busybox.tar`.
    pub busybox: PathBuf,
    /// containerd, its shim, ctr, runc, the CNI plugins, pause, and pause's image `pause.tar`.
    pub runtime: Option<PathBuf>,
    /// The agent that runs pods as plain processes.
    pub localnode: Option<PathBuf>,
}

/// Builds whatever of a cluster is not in the cache yet. Another process that builds is waited for. Who
/// became root by sudo builds nothing, and leaves the cache as it is: they build it as themselves.
///
/// # Errors
/// When tools are missing (all are named, before anything is built) or building fails.
pub fn build(node: Node, progress: Progress) -> Result<Built, BuildError> {
    let cache = Cache::open()?;
    let groups: &[&Group] = match node {
        Node::Containers => &[&parts::KUBERNETES, &parts::BUSYBOX, &parts::RUNTIME],
        Node::LocalAgent => &[&parts::KUBERNETES, &parts::BUSYBOX, &parts::LOCALNODE],
        Node::Nothing => &[&parts::KUBERNETES],
    };
    let lacking = |cache: &Cache| {
        groups
            .iter()
            .copied()
            .filter(|group| !cache.dir(group).exists())
            .collect::<Vec<_>>()
    };
    let by_sudo = Invoker::by_sudo().is_some();
    if !lacking(&cache).is_empty() {
        if by_sudo {
            return Err(BuildError::AsRoot { how: HOW });
        }
        let lock = cache.lock(progress)?;
        build_all(&cache, &lacking(&cache), progress)?;
        drop(lock);
    }
    for group in groups.iter().filter(|_| !by_sudo) {
        cache.mark_used(group);
    }
    Ok(Built {
        kubernetes: cache.dir(&parts::KUBERNETES),
        busybox: cache.dir(&parts::BUSYBOX),
        runtime: (node == Node::Containers).then(|| cache.dir(&parts::RUNTIME)),
        localnode: (node == Node::LocalAgent).then(|| cache.dir(&parts::LOCALNODE)),
    })
}

fn build_all(cache: &Cache, groups: &[&Group], progress: Progress) -> Result<(), BuildError> {
    check_tools(groups)?;
    let mut count = Count {
        cache,
        progress,
        done: 0,
        total: groups.iter().map(|group| group.parts.len()).sum(),
    };
    if count.total > 1 && cache.durations().is_empty() {
        progress.say("Building a Kubernetes from source, once: about ten minutes on two cores.");
    }
    groups
        .iter()
        .try_for_each(|group| build_group(cache, group, &mut count))
}

fn check_tools(groups: &[&Group]) -> Result<(), BuildError> {
    let mut missing: Vec<String> = Vec::new();
    let tools = groups
        .iter()
        .flat_map(|group| group.parts)
        .flat_map(Part::tools)
        .copied();
    for found in tools
        .filter_map(Tool::missing)
        .chain(groups.iter().filter_map(|group| go::too_old(group.sources)))
    {
        if !missing.contains(&found) {
            missing.push(found);
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(BuildError::Tools { missing })
    }
}

fn build_group(cache: &Cache, group: &Group, count: &mut Count<'_>) -> Result<(), BuildError> {
    let staging = Staging::new(&cache.0, group.name, group.sources)?;
    for part in group.parts {
        count.part(part, || part.build(&staging))?;
    }
    staging.finish(&cache.dir(group))?;
    cache.remove_unused(group);
    Ok(())
}

/// Where in the whole build we are.
struct Count<'a> {
    cache: &'a Cache,
    progress: Progress,
    done: usize,
    total: usize,
}

impl Count<'_> {
    fn part(
        &mut self,
        part: &Part,
        build: impl FnOnce() -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        self.done = self.done.saturating_add(1);
        let last = self
            .cache
            .durations()
            .get(part.name)
            .map(|seconds| Duration::from_secs_f64(*seconds));
        let last = last
            .map(|last| format!(" (took {} last time)", readable(last)))
            .unwrap_or_default();
        let step = self.progress.long_step(&format!(
            "building {} of {}: {}{last}",
            self.done, self.total, part.name
        ));
        build()?;
        let took = step.done_as(&format!(
            "built {} of {}: {}",
            self.done, self.total, part.name
        ));
        self.cache.remember(part.name, took);
        Ok(())
    }
}

/// The directory that is kept over builds.
struct Cache(PathBuf);

impl Cache {
    fn open() -> Result<Self, BuildError> {
        let dir = dir().ok_or(BuildError::NoCache)?;
        if Invoker::by_sudo().is_none() {
            // What is run from here as root, nobody else may write.
            let mut private = fs::DirBuilder::new();
            let made = private.recursive(true).mode(0o700).create(&dir);
            made.map_err(|source| BuildError::File {
                path: dir.clone(),
                source,
            })?;
        }
        Ok(Self(dir))
    }

    fn dir(&self, group: &Group) -> PathBuf {
        self.0.join(format!("{}-{}", group.name, group.key()))
    }

    fn lock(&self, progress: Progress) -> Result<File, BuildError> {
        let path = self.0.join("build.lock");
        let failed = |source| BuildError::File {
            path: path.clone(),
            source,
        };
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let step =
                    progress.long_step("waiting for another process that builds the cluster");
                file.lock().map_err(failed)?;
                step.done();
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(file)
    }

    /// The time of the last use is the time of a file in the directory. Best effort, as is the
    /// removal it serves.
    fn mark_used(&self, group: &Group) {
        drop(fs::write(self.dir(group).join(USED), ""));
    }

    /// Removes other versions of a group that nobody has used for long.
    fn remove_unused(&self, group: &Group) {
        let others = fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let others = others.filter(|dir| is_version_of(dir, group.name) && *dir != self.dir(group));
        for dir in others.filter(|dir| was_last_used_before(dir, KEPT_UNUSED)) {
            drop(fs::remove_dir_all(dir));
        }
    }

    fn durations(&self) -> BTreeMap<String, f64> {
        let text = fs::read(self.0.join("durations.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Only a convenience for the next build: not keeping it is no failure.
    fn remember(&self, part: &str, took: Duration) {
        let mut durations = self.durations();
        durations.insert(part.to_owned(), took.as_secs_f64());
        if let Ok(text) = serde_json::to_vec(&durations) {
            drop(fs::write(self.0.join("durations.json"), text));
        }
    }
}

/// What builds the cluster, without starting one.
const HOW: &str = "cargo run -p kra-cluster -- build";
const USED: &str = "last-used";
/// How long a version stays in the cache that nobody uses.
const KEPT_UNUSED: Duration = Duration::from_hours(30 * 24);

fn is_version_of(dir: &Path, group: &str) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(group)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|key| key.len() == parts::KEY_LENGTH)
}

fn was_last_used_before(dir: &Path, age: Duration) -> bool {
    let used = fs::metadata(dir.join(USED)).and_then(|file| file.modified());
    used.is_ok_and(|used| used.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Where built clusters are kept: `$KRA_CACHE`, or `kube-request-access` in the user's cache
/// directory.
pub fn dir() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let dir = variable("KRA_CACHE").or_else(|| Some(cache()?.join("kube-request-access")))?;
    std::path::absolute(dir).ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn mk_version(cache: &Cache, name: &str, age: Duration) -> PathBuf {
        let dir = cache.0.join(name);
        fs::create_dir(&dir).unwrap();
        let used = File::create(dir.join(USED)).unwrap();
        used.set_modified(SystemTime::now().checked_sub(age).unwrap())
            .unwrap();
        dir
    }

    #[test]
    fn versions_long_unused_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache(dir.path().to_owned());
        let old = KEPT_UNUSED.saturating_add(Duration::from_hours(1));
        let unused = mk_version(&cache, "busybox-0123456789abcdef", old);
        let kept = [
            mk_version(&cache, "busybox-fedcba9876543210", Duration::ZERO),
            mk_version(&cache, &format!("busybox-{}", parts::BUSYBOX.key()), old),
            mk_version(&cache, "runtime-0123456789abcdef", old),
            mk_version(&cache, "clusters", old),
        ];
        cache.remove_unused(&parts::BUSYBOX);
        assert!(!unused.exists());
        assert!(kept.iter().all(|dir| dir.exists()));
    }

    #[test]
    fn an_unfinished_build_leaves_nothing_that_looks_finished() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache(dir.path().to_owned());
        drop(Staging::new(&cache.0, parts::RUNTIME.name, parts::RUNTIME.sources).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
