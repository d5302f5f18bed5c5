//! `kubectl cp`, which is exec: the commands that it runs, derived from what it copies.
//!
//! Into a pod it first asks `test -d PATH`, then unpacks what it sends; where the first is refused
//! it takes the path for a file. Out of a pod it packs (kubectl 1.37, `pkg/cmd/cp/cp.go`). One
//! request stands for all of it.

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The container.
    pub container: Option<String>,
    /// Into the pod or out of it.
    pub direction: Direction,
    /// The path in the container, as kubectl sends it: without a trailing slash.
    pub path: String,
    /// Into a pod: the directory in which files are unpacked.
    pub directory: String,
    /// Into a pod: whether owners and permissions are left behind (`--no-preserve`).
    pub no_preserve: bool,
}

/// Which way is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Into the pod: whoever does so can write any file below the directory.
    To,
    /// Out of the pod.
    From,
}

impl self::Copy {
    /// The command that copies, which uses the request up.
    pub fn command(&self) -> Vec<String> {
        let words: &[&str] = match (self.direction, self.no_preserve) {
            (Direction::From, _) => &["tar", "cf", "-", &self.path],
            (Direction::To, false) => &["tar", "-xmf", "-", "-C", &self.directory],
            (Direction::To, true) => &[
                "tar",
                "--no-same-permissions",
                "--no-same-owner",
                "-xmf",
                "-",
                "-C",
                &self.directory,
            ],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// The question that goes before it, which uses nothing up.
    pub fn question(&self) -> Option<Vec<String>> {
        let words = ["test", "-d", &self.path];
        (self.direction == Direction::To)
            .then(|| words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Whether files are unpacked where kubectl would: in the path where that is a directory, else
    /// beside it.
    pub fn is_consistent(&self) -> bool {
        let sent = self.path == trim(&self.path) && !self.path.is_empty();
        sent && (self.direction == Direction::From
            || self.directory == clean(&self.path)
            || self.directory == parent(&self.path))
    }
}

/// Whether a command is the one that unpacks what `kubectl cp` sends.
pub fn is_unpack(command: &[String]) -> bool {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["tar", "-xmf", "-", "-C", _]
            | [
                "tar",
                "--no-same-permissions",
                "--no-same-owner",
                "-xmf",
                "-",
                "-C",
                _
            ]
    )
}

/// The path that a command packs, as `kubectl cp` does.
pub fn packed(command: &[String]) -> Option<&str> {
    match command {
        [tar, create, out, path] if tar == "tar" && create == "cf" && out == "-" => Some(path),
        _ => None,
    }
}

/// A path in a container as kubectl sends it: separators of Windows turned, one trailing slash
/// gone.
pub fn sent(path: &str) -> String {
    trim(path).replace('\\', "/")
}

fn trim(path: &str) -> &str {
    if path == "/" {
        path
    } else {
        path.strip_suffix('/').unwrap_or(path)
    }
}

/// The directory in which files are unpacked where `path` is one (Go's `path.Clean`).
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// The directory in which files are unpacked where `path` is the file itself (Go's `path.Dir`).
pub fn parent(path: &str) -> String {
    let directory = path
        .rfind('/')
        .and_then(|slash| path.get(..=slash))
        .unwrap_or_default();
    clean(directory)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn into(path: &str, directory: &str) -> super::Copy {
        super::Copy {
            container: None,
            direction: Direction::To,
            path: path.to_owned(),
            directory: directory.to_owned(),
            no_preserve: false,
        }
    }

    // From Go's documentation of path.Clean and path.Dir, and its tests.
    #[rstest]
    #[case("", ".", ".")]
    #[case("/", "/", "/")]
    #[case("a", "a", ".")]
    #[case("/a/b", "/a/b", "/a")]
    #[case("a/b/../c", "a/c", "a")]
    #[case("/../a", "/a", "/")]
    #[case("../../a", "../../a", "../..")]
    #[case("//a//b", "/a/b", "/a")]
    #[case("a/./b", "a/b", "a")]
    #[case("abc/def/..", "abc", "abc/def")]
    fn paths_are_cleaned_as_go_does(
        #[case] path: &str,
        #[case] cleaned: &str,
        #[case] directory: &str,
    ) {
        assert_eq!(
            (clean(path), parent(path)),
            (cleaned.to_owned(), directory.to_owned())
        );
    }

    #[rstest]
    #[case::beside_it("/srv/app/notes.txt", "/srv/app", true)]
    #[case::into_it("/srv/app", "/srv/app", true)]
    #[case::elsewhere("/srv/app/notes.txt", "/etc", false)]
    #[case::above("/srv/app/notes.txt", "/srv", false)]
    #[case::a_trailing_slash_that_kubectl_never_sends("/srv/app/", "/srv/app", false)]
    #[case::nothing("", ".", false)]
    fn files_are_unpacked_at_the_path_or_beside_it(
        #[case] path: &str,
        #[case] directory: &str,
        #[case] is: bool,
    ) {
        assert_eq!(into(path, directory).is_consistent(), is);
    }

    #[test]
    fn the_commands_are_those_of_kubectl() {
        let copy = into("/srv/app-data/notes.txt", "/srv/app-data");
        assert_eq!(copy.command(), ["tar", "-xmf", "-", "-C", "/srv/app-data"]);
        assert_eq!(
            copy.question().unwrap(),
            ["test", "-d", "/srv/app-data/notes.txt"]
        );
        assert!(is_unpack(&copy.command()));
        assert!(is_unpack(
            &super::Copy {
                no_preserve: true,
                ..copy.clone()
            }
            .command()
        ));
        let out = super::Copy {
            direction: Direction::From,
            ..copy
        };
        assert_eq!(packed(&out.command()), Some("/srv/app-data/notes.txt"));
        assert_eq!(out.question(), None);
    }

    #[rstest]
    #[case(&["tar", "-xmf", "-", "-C", "/", "--to-command=sh"])]
    #[case(&["tar", "-xf", "-", "-C", "/"])]
    #[case(&["sh"])]
    fn another_command_is_no_copy(#[case] command: &[&str]) {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        assert!(!is_unpack(&command));
    }
}
