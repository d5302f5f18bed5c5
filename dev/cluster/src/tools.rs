//! What this machine has and what it lacks.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user this process acts as.
pub(crate) fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid())
}

/// Where a command is, as the shell would find it.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A command something needs, and where people get it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) from: &'static str,
}

impl Tool {
    /// `None` when it is there, else what to install.
    pub(crate) fn missing(self) -> Option<String> {
        find(self.name)
            .is_none()
            .then(|| format!("{} ({})", self.name, self.from))
    }
}

/// Whether a command succeeds; its output goes nowhere.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("surely-no-such-command").is_none());
    }

    #[test]
    fn a_missing_tool_is_told_with_where_to_get_it() {
        let tool = Tool {
            name: "surely-no-such-command",
            from: "apt-get install nothing",
        };
        assert_eq!(
            tool.missing().unwrap(),
            "surely-no-such-command (apt-get install nothing)"
        );
    }
}
