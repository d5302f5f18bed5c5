//! What is where in a cluster's run directory, and the state another process attaches by.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::build::Built;
use crate::node::Node;

const LOGS: &str = "logs";
const KEEP_LOGS: &str = "keep-logs";

/// The directory of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    /// Makes the directory, only its owner's. It must not hold anything yet, except for the logs of
    /// a cluster that failed.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        let path = path.canonicalize()?;
        let dir = Self(path);
        dir.forget_kept_logs()?;
        if fs::read_dir(&dir.0)?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        // First of all: by this file the sweep knows that the directory is ours to remove.
        fs::write(dir.keeper(), crate::keeper_script::SCRIPT)?;
        for part in [dir.logs(), dir.pki(), dir.users()] {
            fs::create_dir(part)?;
        }
        Ok(dir)
    }

    fn forget_kept_logs(&self) -> io::Result<()> {
        let names: BTreeSet<_> = fs::read_dir(&self.0)?
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        if names == BTreeSet::from([KEEP_LOGS.into(), LOGS.into()]) {
            fs::remove_dir_all(self.logs())?;
            fs::remove_file(self.keep_logs())?;
        }
        Ok(())
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.join(LOGS)
    }

    /// Where it is, the logs outlive the cluster.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        self.join(KEEP_LOGS)
    }

    /// The script that cleans up.
    pub(crate) fn keeper(&self) -> PathBuf {
        self.join("keeper.sh")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.join("pki")
    }

    pub(crate) fn users(&self) -> PathBuf {
        self.join("users")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.join("cluster.json")
    }
}

/// What is fixed when a cluster starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Which of the machine's clusters this is; decides its addresses.
    pub(crate) number: u8,
    pub(crate) node: Node,
    pub(crate) api_port: u16,
    pub(crate) kubelet_port: u16,
    /// Where the workload's HTTP server listens.
    pub(crate) nginx_port: u16,
    pub(crate) built: Built,
}

impl State {
    /// The cgroup of the node, one name in all hierarchies.
    pub(crate) fn cgroup(&self) -> Option<String> {
        (self.node == Node::Containers).then(|| format!("kra-{}", self.number))
    }

    /// Written last: a state that can be read belongs to a cluster that is ready.
    pub(crate) fn write(&self, dir: &RunDir) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        crate::files::replace_private(&dir.state(), &text)
    }

    pub(crate) fn read(dir: &RunDir) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(dir.state())?).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_a_failed_start_make_way_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(LOGS)).unwrap();
        fs::write(dir.path().join(LOGS).join("etcd.log"), "failed").unwrap();
        fs::write(dir.path().join(KEEP_LOGS), "").unwrap();
        let made = RunDir::create(dir.path()).unwrap();
        assert!(!made.keep_logs().exists() && !made.logs().join("etcd.log").exists());
    }

    #[test]
    fn a_directory_that_holds_something_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("precious"), "").unwrap();
        assert_eq!(
            RunDir::create(dir.path()).unwrap_err().kind(),
            io::ErrorKind::DirectoryNotEmpty
        );
    }
}
