//! The real kubectl: what it is run with, and how.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use decide::argv;

use crate::cluster::Cluster;
use crate::target::place::Place;
use decide::text::safe;

/// Names the kubectl to run, where it is not the one on the PATH.
const KUBECTL: &str = "KUBECTL";

/// How a verb goes on once it is done itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Not at all.
    Done,
    /// As kubectl.
    Run(Line),
}

/// A command line of kubectl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The connection flags, as they were given to us.
    connection: Vec<String>,
    /// The verb, and everything behind it.
    words: Vec<String>,
    /// The namespace, for people.
    namespace: String,
}

/// Why kubectl did not run.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run {}: {source}. Put kubectl on the PATH, or name it in ${KUBECTL}",
    safe(program)
)]
pub struct KubectlError {
    program: String,
    source: io::Error,
}

impl Line {
    /// `kubectl` with these words, in the place that our own flags name.
    pub fn new(words: Vec<String>, cluster: &Cluster) -> Self {
        Self {
            connection: cluster.flags.clone(),
            words,
            namespace: cluster.namespace.clone(),
        }
    }

    /// All that kubectl is given.
    pub fn arguments(&self) -> Vec<String> {
        self.connection.iter().chain(&self.words).cloned().collect()
    }

    /// The line as it is typed into a shell. Connection flags are left out, for one of them may be
    /// a token.
    pub fn shown(&self) -> String {
        let (verb, rest) = self
            .words
            .split_first()
            .map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
        let mut line = vec!["kubectl", verb, "-n", &self.namespace];
        line.extend(rest.iter().map(String::as_str));
        safe(&argv::shell_line(&line))
    }

    /// Becomes kubectl, where the system can: then its terminal, its signals and its exit code are
    /// its own.
    #[cfg(unix)]
    pub fn run(&self) -> KubectlError {
        use std::os::unix::process::CommandExt as _;
        let (mut command, program) = self.command();
        KubectlError {
            source: command.exec(),
            program,
        }
    }

    /// Runs kubectl to its end, and passes on its exit code.
    #[cfg(not(unix))]
    pub fn run(&self) -> KubectlError {
        let (mut command, program) = self.command();
        match command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(source) => KubectlError { source, program },
        }
    }

    fn command(&self) -> (Command, String) {
        let named = std::env::var_os(KUBECTL).filter(|named| !named.is_empty());
        let program = named.unwrap_or_else(|| OsString::from("kubectl"));
        let mut command = Command::new(&program);
        command.args(self.arguments());
        (command, program.to_string_lossy().into_owned())
    }
}

/// What kubectl is told to go to: as it was typed, or the pod that was chosen instead.
pub fn target(typed: &str, place: &Place, pinned: bool) -> String {
    if pinned {
        place.name.clone()
    } else {
        typed.to_owned()
    }
}

/// Words of a command line, put together.
#[derive(Default)]
pub struct Words(Vec<String>);

impl Words {
    /// Begins with the verb of kubectl.
    pub fn of(verb: &str) -> Self {
        Self(vec![verb.to_owned()])
    }

    /// A flag, where it is given.
    #[must_use]
    pub fn flag(mut self, given: bool, flag: &str) -> Self {
        self.0.extend(given.then(|| flag.to_owned()));
        self
    }

    /// A flag with a value, where there is one, in one word: so that a value that begins with a
    /// dash stays one.
    #[must_use]
    pub fn value(mut self, flag: &str, value: Option<&str>) -> Self {
        self.0.extend(value.map(|value| format!("{flag}={value}")));
        self
    }

    /// Plain words.
    #[must_use]
    pub fn plain<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.0
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// A command behind two dashes, and the end. Nothing stands there where there is none.
    pub fn command(mut self, command: &[String]) -> Vec<String> {
        if !command.is_empty() {
            self.0.push("--".to_owned());
            self.0.extend_from_slice(command);
        }
        self.0
    }
}
