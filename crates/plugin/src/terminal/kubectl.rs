//! The real kubectl: what it is run with, and how.

use std::io;
use std::process::Command;
use std::sync::Arc;

use decide::argv;

use crate::cluster::{Cluster, Way};
use crate::connect::destination::{self, DestinationError};
use crate::connect::flags::ConnectionFlags;
use crate::connect::kuberc;
use crate::connect::program::on_the_path;
use crate::target::place::Place;
use decide::text::safe;

/// Names the kubectl to run, where it is not the one on the PATH.
const KUBECTL: &str = "KUBECTL";

/// How a verb goes on once it is done itself.
#[derive(Debug)]
pub enum Next {
    /// Not at all.
    Done,
    /// As kubectl.
    Run(Box<Line>),
}

/// A command line of kubectl, and the one maker of them: what is run and what people are told to
/// type lead to the same cluster, namespace and account.
#[derive(Debug, Clone)]
pub struct Line {
    /// The verb, and everything behind it.
    words: Vec<String>,
    /// Where it leads.
    way: Arc<Way>,
    /// In which namespace.
    namespace: String,
}

/// Why kubectl did not run.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It would have led elsewhere.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The user's preferences would lead it elsewhere.
    #[error(
        "kuberc sets {flags} for 'kubectl {verb}', which may lead to another cluster or user than the request was filed in. \
         Nothing was run: take that out of kuberc, or run kubectl yourself"
    )]
    Defaults {
        /// What would be run.
        verb: String,
        /// Which flags have defaults.
        flags: String,
    },
    /// There is none on the PATH.
    #[error(
        "cannot run kubectl: none of the absolute directories on the PATH has it. Put it there, or name it in ${KUBECTL}"
    )]
    Missing,
    /// It cannot be started.
    #[error(
        "cannot run {}: {source}. Put kubectl on the PATH, or name it in ${KUBECTL}",
        safe(program)
    )]
    Start {
        /// What was started.
        program: String,
        /// Why it did not start.
        source: io::Error,
    },
}

impl Line {
    /// `kubectl` with these words, in this place.
    pub fn new(words: Vec<String>, cluster: &Cluster) -> Self {
        Self {
            words,
            way: Arc::clone(&cluster.way),
            namespace: cluster.namespace.clone(),
        }
    }

    /// All that kubectl is given. The context and the namespace are named, whichever are the current
    /// ones by the time that it runs.
    pub fn arguments(&self) -> Vec<String> {
        let flags = ConnectionFlags {
            namespace: Some(self.namespace.clone()),
            ..self.way.flags.clone()
        };
        flags
            .words()
            .into_iter()
            .chain(self.words.clone())
            .collect()
    }

    /// The line as it is typed into a shell. Secrets are left out: see [`Self::left_out`].
    pub fn shown(&self) -> String {
        // Behind the word for us stands our verb, and behind delete the resource.
        let verbs = match self.words.first().map(String::as_str) {
            Some("request" | "delete") => 2,
            Some(_) | None => 1,
        };
        let (verbs, rest) = self.words.split_at(verbs.min(self.words.len()));
        let flags = ConnectionFlags {
            namespace: None,
            context: self
                .way
                .flags
                .context
                .clone()
                .filter(|_| self.way.names_context),
            ..self.way.flags.clone()
        };
        let flags = flags.words().into_iter().filter(|word| !is_secret(word));
        let line: Vec<String> = std::iter::once("kubectl".to_owned())
            .chain(verbs.iter().cloned())
            .chain(["-n".to_owned(), self.namespace.clone()])
            .chain(flags)
            .chain(rest.iter().cloned())
            .collect();
        safe(&argv::shell_line(&line))
    }

    /// What must be added to the shown line, in words: ` (and your --token)`.
    pub fn left_out(&self) -> String {
        let words = self.way.flags.words();
        let secrets: Vec<&str> = words
            .iter()
            .filter(|word| is_secret(word))
            .filter_map(|word| word.split('=').next())
            .collect();
        if secrets.is_empty() {
            String::new()
        } else {
            format!(" (and your {})", secrets.join(" and "))
        }
    }

    /// Becomes kubectl, where the system can: then its terminal, its signals and its exit code are
    /// its own.
    #[cfg(unix)]
    pub fn run(&self) -> KubectlError {
        use std::os::unix::process::CommandExt as _;
        match self.command() {
            Ok((mut command, program)) => KubectlError::Start {
                source: command.exec(),
                program,
            },
            Err(error) => error,
        }
    }

    /// Runs kubectl to its end, and passes on its exit code.
    #[cfg(not(unix))]
    pub fn run(&self) -> KubectlError {
        let (mut command, program) = match self.command() {
            Ok(command) => command,
            Err(error) => return error,
        };
        match command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(source) => KubectlError::Start { source, program },
        }
    }

    /// The process, once it is sure that it leads where the request was filed.
    fn command(&self) -> Result<(Command, String), KubectlError> {
        match &self.way.destination {
            Some(destination) => destination.check(&self.way.flags)?,
            None if self.way.is_pod => destination::check_pod(&self.way.flags)?,
            None => {}
        }
        let verb = self.words.first().map(String::as_str).unwrap_or_default();
        let defaults = kuberc::connection_defaults(self.way.flags.kuberc.as_deref(), verb);
        if !defaults.is_empty() {
            return Err(KubectlError::Defaults {
                verb: verb.to_owned(),
                flags: defaults.join(", "),
            });
        }
        let named = std::env::var_os(KUBECTL).filter(|named| !named.is_empty());
        let program = match named {
            Some(named) => named,
            None => on_the_path("kubectl", std::env::var_os("PATH").as_deref())
                .ok_or(KubectlError::Missing)?
                .into(),
        };
        let mut command = Command::new(&program);
        command.args(self.arguments());
        Ok((command, program.to_string_lossy().into_owned()))
    }
}

/// A line that people are told to type, in this place, with what must be added to it.
pub fn told<S: AsRef<str>>(cluster: &Cluster, words: &[S]) -> String {
    let words = words.iter().map(|word| word.as_ref().to_owned()).collect();
    let line = Line::new(words, cluster);
    format!("{}{}", line.shown(), line.left_out())
}

/// Whether a word of the connection flags must not be shown.
fn is_secret(word: &str) -> bool {
    word.starts_with("--token=") || word.starts_with("--password=")
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
