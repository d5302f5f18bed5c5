//! The real kubectl: what it is run with, and how.

use std::io;
use std::process::Command;
use std::sync::Arc;

use crate::cluster::{Cluster, Way};
use crate::connect::destination::{self, DestinationError};
use crate::connect::flags::ConnectionFlags;
use crate::connect::kuberc;
use crate::connect::program::on_the_path;
use crate::target::place::Place;
use crate::terminal::lines::{Hint, Leads};
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

/// A command line of kubectl: what is run and what people are told to type lead to the same cluster,
/// namespace and account.
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
        "kuberc sets {flags} for {verb} of kubectl, which may lead to another cluster or user than the request was filed in. \
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

    /// The line as it is typed into a shell. Secrets are left out, and it is said which.
    pub fn shown(&self) -> String {
        leads(&self.way, &self.namespace, |leads| leads.line(&self.words))
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

/// A line that people are told to type, in this place.
pub fn told(cluster: &Cluster, hint: Hint, of: &str) -> String {
    leads(&cluster.way, &cluster.namespace, |leads| {
        hint.line(of, leads)
    })
}

/// A text of the server's in which lines stand, which lead here.
pub fn led(cluster: &Cluster, text: &str) -> String {
    leads(&cluster.way, &cluster.namespace, |leads| leads.lead(text))
}

fn leads<T>(way: &Way, namespace: &str, make: impl FnOnce(&Leads<'_>) -> T) -> T {
    let flags = ConnectionFlags {
        context: way.flags.context.clone().filter(|_| way.names_context),
        ..way.flags.clone()
    };
    make(&Leads {
        flags: &flags,
        namespace: Some(namespace),
    })
}

/// What kubectl is told to go to: as it was typed, or the pod that was chosen instead.
pub fn target(typed: &str, place: &Place, pinned: bool) -> String {
    if pinned {
        place.name.clone()
    } else {
        typed.to_owned()
    }
}
