//! A process of the cluster and its log.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of a log is worth showing when something fails.
const TAIL_LINES: usize = 12;

/// Why a component is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// It cannot be started.
    #[error("cannot start {name}")]
    Start {
        /// Which.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It has ended, which it never should.
    #[error("{name} ended by itself ({status}); the end of {log}:\n{tail}")]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
}

/// A running part of the cluster.
#[derive(Debug)]
pub(crate) struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Component {
    /// Starts `command`, its output going to `LOGS/NAME.log`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        logs: &Path,
    ) -> Result<Self, ComponentError> {
        let log = logs.join(format!("{name}.log"));
        let failed = |source| ComponentError::Start { name, source };
        let output = File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        without_proxies(command);
        // A group of its own: a ^C in the owner's terminal is the owner's business.
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name, child, log })
    }

    /// The name of its command.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the process has ended.
    pub(crate) fn check(&mut self) -> Result<(), ComponentError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(ComponentError::Ended {
                name: self.name,
                status,
                log: self.log.clone(),
                tail: tail(&self.log),
            }),
            Err(source) => Err(ComponentError::Start {
                name: self.name,
                source,
            }),
        }
    }

    /// Collects what the keeper has ended.
    pub(crate) fn reap(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A proxy meant for the internet would swallow what the API server sends to pods.
fn without_proxies(command: &mut Command) {
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
}

/// The last lines of a log, indented.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(TAIL_LINES).collect();
    lines
        .iter()
        .rev()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_ends_is_reported_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let mut component = Component::start(
            "thing",
            command.args(["-c", "echo no such flag; exit 3"]),
            dir.path(),
        )
        .unwrap();
        component.child.wait().unwrap();
        let error = component.check().unwrap_err().to_string();
        assert!(
            error.starts_with("thing ended by itself (exit status: 3)"),
            "{error}"
        );
        assert!(error.ends_with("    no such flag"), "{error}");
    }

    #[test]
    fn a_tail_is_the_end_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(
            &log,
            (0..100)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join("\n"),
        )
        .unwrap();
        assert!(tail(&log).starts_with("    88\n"));
        assert!(tail(&log).ends_with("    99"));
    }
}
