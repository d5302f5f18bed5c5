//! Why no request was filed.

use std::io;

use decide::duration::DurationError;
use decide::text::safe_word;

use super::waiting::WaitError;
use crate::cluster::ClusterError;
use crate::target::TargetError;
use crate::target::container::ContainerError;
use crate::target::place::PlaceError;
use crate::target::ports::PortError;

/// Why no request was filed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The target is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target is not there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// `--valid-for` is not a duration that we take.
    #[error("--valid-for: {0}")]
    ValidFor(#[source] DurationError),
    /// No command.
    #[error(
        "say which command to run: … -- COMMAND [ARGUMENTS…], or ask for any command with --any-command"
    )]
    NoCommand,
    /// A key without a value.
    #[error("--custom-key {}: write it as KEY=VALUE", safe_word(text))]
    CustomKey {
        /// What was typed.
        text: String,
    },
    /// A key with two values.
    #[error("--custom-key: {} is given twice", safe_word(key))]
    CustomKeyTwice {
        /// The key.
        key: String,
    },
    /// `port-forward` was asked for ports that are none.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A verb's own: it was asked for what cannot be asked for.
    #[error(transparent)]
    Verb(Box<dyn std::error::Error + Send + Sync>),
    /// It was not granted, or not waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// `why`, of a server that does not know it.
    #[error(
        "this server cannot explain: it is older than this plugin. Try the command itself: a denial says what is missing"
    )]
    NoExplanation,
    /// `--run` where nothing says what to run.
    #[error(
        "--run: nothing here says what kubectl would run (a command, a port, or the local side of a copy): leave it out"
    )]
    NothingToRun,
    /// `--wait` or `--run` where nothing is filed, or `--run` where the request is printed or
    /// somebody else's.
    #[error("{flag} cannot be combined with {other}: leave out one of them")]
    Together {
        /// The one.
        flag: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Something looks like a password.
    #[error("nothing was sent: {how}")]
    Secret {
        /// What would be a yes.
        how: &'static str,
    },
    /// Something between us and the store changed the request.
    #[error(
        "WHAT WAS STORED IS NOT WHAT YOU ASKED FOR: another admission webhook or policy of this cluster changed \
         accessrequest {request} ({differs}). {fate}. Tell whoever runs the cluster",
        differs = differs.join("; ")
    )]
    Altered {
        /// Name of the request.
        request: String,
        /// What differs.
        differs: Vec<String>,
        /// What became of it.
        fate: String,
    },
    /// The request could not be printed.
    #[error("cannot print the request")]
    Print(#[source] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

impl From<ContainerError> for AskError {
    fn from(error: ContainerError) -> Self {
        Self::Place(error.into())
    }
}

impl AskError {
    /// What the API server said, where it was the server who refused or could not be reached.
    pub fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Cluster(said) | Self::Place(PlaceError::Cluster(said)) = self {
            return Some(said);
        }
        None
    }
}
