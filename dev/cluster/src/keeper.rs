//! The process that outlives a cluster's owner and cleans up, however the owner ends.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::registry::Entry;
use crate::run_dir::RunDir;
use crate::wait;

/// The environment variable by which the keeper knows processes that no namespace holds together:
/// the run directory.
pub(crate) const MARK: &str = "KRA_CLUSTER_RUN";

/// How long ending everything may take before the owner no longer waits for it. The keeper goes on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// It cannot be started.
    #[error("cannot start the process that cleans up after the cluster")]
    Start {
        /// Why.
        source: io::Error,
    },
    /// It is not done yet.
    #[error("the cluster in {run} is still being removed; process {pid} is at it")]
    Slow {
        /// The cluster.
        run: PathBuf,
        /// The keeper.
        pid: u32,
    },
}

/// The owner's hold on its cluster. While the pipe to the keeper is open, the cluster lives.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    run: PathBuf,
}

impl Keeper {
    /// Starts the keeper of the cluster in `dir`, and with it `init` (a script of the run
    /// directory) in namespaces of its own.
    pub(crate) fn start(
        dir: &RunDir,
        cgroup: Option<&str>,
        entry: &Entry,
        init: Option<&Init<'_>>,
    ) -> Result<Self, KeeperError> {
        let lock = entry
            .share()
            .map_err(|source| KeeperError::Start { source })?;
        // A session of its own: it survives the end of the owner's terminal.
        let mut command = Command::new("setsid");
        command
            .arg("sh")
            .arg(dir.keeper())
            .arg("hold")
            .arg(dir.path())
            .arg(cgroup.unwrap_or("-"))
            .arg(&entry.path);
        if let Some(init) = init {
            command.arg(init.script).envs(init.env.iter().copied());
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(lock)
            .spawn()
            .map_err(|source| KeeperError::Start { source })?;
        Ok(Self {
            child,
            run: dir.path().to_owned(),
        })
    }

    /// Whether the keeper runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets go and waits until nothing is left.
    pub(crate) fn end(&mut self) -> Result<(), KeeperError> {
        drop(self.child.stdin.take());
        let ended = wait::until(PATIENCE, || !matches!(self.child.try_wait(), Ok(None)));
        if ended {
            Ok(())
        } else {
            Err(KeeperError::Slow {
                run: self.run.clone(),
                pid: self.child.id(),
            })
        }
    }
}

/// The first process of the node's namespaces.
pub(crate) struct Init<'a> {
    pub(crate) script: &'a Path,
    pub(crate) env: &'a [(&'a str, &'a Path)],
}
