//! A running development cluster of this checkout, as `.run/` remembers it: for `--detach`,
//! `--stop` and `create-user`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use cluster::{Cluster, ClusterError};

/// A session that was told to stop has this long.
const PATIENCE: Duration = Duration::from_mins(1);

/// `.run/`
#[derive(Debug, Clone)]
pub struct Session {
    dir: PathBuf,
}

/// Why a session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A file of it.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// None runs.
    #[error("nothing is running here: start it with ./scripts/run")]
    NotRunning,
    /// One runs already.
    #[error(
        "it is running already (process {pid}): use it with KUBECONFIG={kubeconfig}, or end it with ./scripts/run --stop"
    )]
    Running {
        /// Where its users are.
        kubeconfig: PathBuf,
        /// Its process.
        pid: u32,
    },
    /// It does not end.
    #[error("process {pid} does not end; kill it")]
    Stubborn {
        /// Its process.
        pid: u32,
    },
    /// Its cluster does not end.
    #[error("the cluster in {dir} is still there")]
    Remains {
        /// Its directory.
        dir: PathBuf,
    },
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Session {
    /// That of this checkout.
    pub fn here() -> Self {
        Self {
            dir: crate::checkout().join(".run"),
        }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The kubeconfig with all users.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// kubectl and the plugin.
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// What a detached session says.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The process that owns the cluster, while it lives.
    pub fn owner(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.dir.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        // Another process may have its number by now.
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command)
            .contains("kra-run")
            .then_some(pid)
    }

    /// Looks whether another may be started.
    ///
    /// # Errors
    /// One runs.
    pub fn must_be_free(&self) -> Result<(), SessionError> {
        match self.owner() {
            Some(pid) => Err(SessionError::Running {
                kubeconfig: self.kubeconfig(),
                pid,
            }),
            None => Ok(()),
        }
    }

    /// Makes this process the owner.
    ///
    /// # Errors
    /// Another process is.
    pub fn begin(&self) -> Result<(), SessionError> {
        self.must_be_free()?;
        for old in ["cluster", "ready"] {
            // Left by one that crashed, or not there.
            let _: io::Result<()> = fs::remove_file(self.dir.join(old));
        }
        self.write("pid", &std::process::id().to_string())
    }

    /// Remembers the cluster, and puts kubectl and the plugin where people find them.
    ///
    /// # Errors
    /// Files cannot be written.
    pub fn remember(&self, cluster: &Cluster, plugin: &Path) -> Result<(), SessionError> {
        self.write("cluster", &cluster.dir().display().to_string())?;
        lay_out(&self.bin(), cluster, plugin)
    }

    /// Says that everything is up.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(&self) -> Result<(), SessionError> {
        self.write("ready", "")
    }

    /// Whether everything is up.
    pub fn is_ready(&self) -> bool {
        self.dir.join("ready").exists()
    }

    /// The cluster that runs.
    ///
    /// # Errors
    /// None does.
    pub fn cluster(&self) -> Result<Cluster, SessionError> {
        let dir = fs::read_to_string(self.dir.join("cluster"))
            .map_err(|_none| SessionError::NotRunning)?;
        self.owner().ok_or(SessionError::NotRunning)?;
        Ok(Cluster::attach(Path::new(&dir))?)
    }

    /// Ends the session and forgets it, and waits until its cluster is gone. Answers whether one
    /// was running.
    ///
    /// # Errors
    /// It does not end, or its files stay.
    pub fn stop(&self) -> Result<bool, SessionError> {
        let owner = self.owner();
        // Also that of an owner that crashed: it is being removed.
        let cluster = fs::read_to_string(self.dir.join("cluster")).ok();
        if let Some(pid) = owner {
            end(pid, || self.owner() != Some(pid))?;
        }
        if let Some(dir) = cluster {
            let gone = wait_until(|| Cluster::attach(Path::new(&dir)).is_err());
            gone.map_err(|Late| SessionError::Remains { dir: dir.into() })?;
        }
        self.forget()?;
        Ok(owner.is_some())
    }

    /// Removes `.run/`.
    ///
    /// # Errors
    /// It stays.
    pub fn forget(&self) -> Result<(), SessionError> {
        match fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SessionError::File {
                path: self.dir.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &str, content: &str) -> Result<(), SessionError> {
        let path = self.dir.join(name);
        let failed = |source| SessionError::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&self.dir).map_err(failed)?;
        fs::write(&path, content).map_err(failed)
    }
}

/// Puts kubectl and the plugin into a directory.
///
/// # Errors
/// Files cannot be written.
pub fn lay_out(bin: &Path, cluster: &Cluster, plugin: &Path) -> Result<(), SessionError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SessionError::File { path, source }
    };
    fs::create_dir_all(bin).map_err(failed(bin))?;
    for (name, from) in [
        ("kubectl", cluster.kubectl_path()),
        ("kubectl-request", plugin.to_owned()),
    ] {
        let to = bin.join(name);
        let _absent: io::Result<()> = fs::remove_file(&to);
        fs::copy(&from, &to).map_err(failed(&to))?;
    }
    Ok(())
}

fn end(pid: u32, is_gone: impl Fn() -> bool) -> Result<(), SessionError> {
    let failed = |source| SessionError::File {
        path: PathBuf::from("kill"),
        source,
    };
    Command::new("kill")
        .arg(pid.to_string())
        .status()
        .map_err(failed)?;
    wait_until(is_gone).map_err(|Late| SessionError::Stubborn { pid })
}

/// Something did not happen in time.
struct Late;

fn wait_until(condition: impl Fn() -> bool) -> Result<(), Late> {
    let deadline = Instant::now().checked_add(PATIENCE);
    while !condition() {
        if deadline.is_none_or(|deadline| Instant::now() > deadline) {
            return Err(Late);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(dir: &tempfile::TempDir) -> Session {
        Session {
            dir: dir.path().join(".run"),
        }
    }

    #[test]
    fn without_a_session_there_is_nothing_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!session(&dir).stop().unwrap());
        assert!(matches!(
            session(&dir).cluster(),
            Err(SessionError::NotRunning)
        ));
    }

    #[test]
    fn what_a_crash_left_is_no_session_and_is_removed_by_stop() {
        let dir = tempfile::tempdir().unwrap();
        let session = session(&dir);
        // No process has this number: the kernel gives none above 2^22.
        session.write("pid", "4194305").unwrap();
        session.write("cluster", "/nowhere").unwrap();
        assert_eq!(session.owner(), None);
        assert!(!session.stop().unwrap());
        assert!(!session.dir().exists());
    }

    #[test]
    fn the_number_of_another_process_is_no_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        session(&dir).write("pid", &other.id().to_string()).unwrap();
        assert_eq!(session(&dir).owner(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
