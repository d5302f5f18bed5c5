//! Programs that are started by their names.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A program in the first absolute directory of the PATH that has it. A relative one, such as `.`, is
/// passed over: whoever writes there would choose what runs. Go refuses those, too (`exec.ErrDot`).
pub fn on_the_path(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = std::env::split_paths(path?).collect();
    directories
        .into_iter()
        .filter(|directory| directory.is_absolute())
        .flat_map(|directory| {
            extensions().map(move |extension| directory.join(named(name, &extension)))
        })
        .find(|program| is_executable(program))
}

fn named(name: &str, extension: &OsStr) -> OsString {
    let mut named = OsString::from(name);
    named.push(extension);
    named
}

#[cfg(unix)]
fn extensions() -> impl Iterator<Item = OsString> {
    std::iter::once(OsString::new())
}

#[cfg(not(unix))]
fn extensions() -> impl Iterator<Item = OsString> {
    let known = std::env::var("PATHEXT").unwrap_or_else(|_unset| ".COM;.EXE;.BAT;.CMD".to_owned());
    let known: Vec<OsString> = known.split(';').map(OsString::from).collect();
    std::iter::once(OsString::new()).chain(known)
}

#[cfg(unix)]
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    program
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(program: &Path) -> bool {
    program.is_file() && program.extension().is_some()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(directory: &Path, mode: u32) -> PathBuf {
        let program = directory.join("login");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        program
    }

    fn found(directories: &[&Path]) -> Option<PathBuf> {
        let path = std::env::join_paths(directories).unwrap();
        on_the_path("login", Some(&path))
    }

    // P22
    #[test]
    fn a_relative_directory_of_the_path_is_passed_over() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let there = program(one.path(), 0o755);
        assert_eq!(
            found(&[Path::new("."), Path::new(""), one.path()]),
            Some(there)
        );
        assert_eq!(
            found(&[Path::new("."), Path::new("src"), other.path()]),
            None
        );
    }

    #[test]
    fn what_cannot_be_executed_is_passed_over() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(one.path(), 0o644);
        let there = program(other.path(), 0o755);
        assert_eq!(found(&[one.path(), other.path()]), Some(there));
    }
}
