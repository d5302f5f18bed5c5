//! Whoever called us by sudo. What is built or fetched is so as they: compilers, build scripts and package
//! managers never run as root, which is for the node alone.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::tools;

/// A user who became root by sudo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invoker {
    uid: u32,
    gid: u32,
}

impl Invoker {
    /// Who called us by sudo. `None`: this is not root, or nobody else has become it.
    pub fn by_sudo() -> Option<Self> {
        let id = |name| std::env::var(name).ok();
        Self::of(
            tools::uid(),
            id("SUDO_UID").as_deref(),
            id("SUDO_GID").as_deref(),
        )
    }

    fn of(acting_as: u32, user: Option<&str>, group: Option<&str>) -> Option<Self> {
        let invoker = Self {
            uid: user?.parse().ok()?,
            gid: group?.parse().ok()?,
        };
        (acting_as == 0 && invoker.uid != 0).then_some(invoker)
    }

    /// Makes a directory or file theirs.
    ///
    /// # Errors
    /// It is not there.
    pub fn owns(self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
    }

    fn home(self) -> Option<String> {
        let said = Command::new("getent")
            .args(["passwd", &self.uid.to_string()])
            .output()
            .ok()?;
        let entry = String::from_utf8(said.stdout).ok()?;
        entry.trim().split(':').nth(5).map(str::to_owned)
    }
}

/// A command that builds or fetches: as whoever called us by sudo, where somebody did.
pub fn builder(program: impl AsRef<OsStr>) -> Command {
    let Some(invoker) = Invoker::by_sudo() else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", invoker.uid))
        .arg(format!("--regid={}", invoker.gid))
        .args(["--init-groups", "--"])
        .arg(program);
    if let Some(home) = invoker.home() {
        // sudo has a PATH of its own, without what is in their home.
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env(
                "PATH",
                format!("{home}/.cargo/bin:{path}:/usr/local/go/bin"),
            )
            .env("HOME", home);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    // P13
    #[test]
    fn who_became_root_by_sudo_is_known() {
        let invoker = Some(Invoker {
            uid: 1000,
            gid: 100,
        });
        for (acting_as, user, group, expected) in [
            (0, Some("1000"), Some("100"), invoker),
            (1000, Some("1000"), Some("100"), None),
            (0, None, None, None),
            (0, Some("0"), Some("0"), None),
            (0, Some("x"), Some("100"), None),
        ] {
            assert_eq!(
                Invoker::of(acting_as, user, group),
                expected,
                "{acting_as} {user:?}"
            );
        }
    }
}
