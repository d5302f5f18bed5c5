//! Why a verb failed, and how that is told.

use std::io;

use crate::answer::{AnswerError, RemoveError};
use crate::ask::AskError;
use crate::cluster::said::Told;
use crate::cluster::{self, ClusterError};
use crate::connect::ConnectError;
use crate::look::list::ListError;
use crate::look::policy::PolicyError;
use crate::look::report::ReportError;
use crate::look::show::ShowError;
use crate::look::whoami::WhoamiError;
use crate::terminal::exit::Exit;

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no cluster to talk to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No request was filed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// `list` failed.
    #[error(transparent)]
    List(#[from] ListError),
    /// `show` failed.
    #[error(transparent)]
    Show(#[from] ShowError),
    /// `grant`, `deny` or `review` failed.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// `revoke` or `withdraw` failed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// `whoami` failed.
    #[error(transparent)]
    Whoami(#[from] WhoamiError),
    /// `policy test` failed, or found something.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// `report` failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// `completion` failed.
    #[error("cannot write to the terminal")]
    Completion(#[source] io::Error),
}

impl Failure {
    /// The line that tells it, as kubectl would: what the API server said stands alone, all else
    /// behind `error: `.
    pub fn line(&self) -> String {
        Told::line(self)
    }

    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ask(AskError::Wait(error)) => error.exit(),
            Self::Ask(AskError::Together { .. } | AskError::NothingToRun) => Exit::Usage,
            Self::Connect(_)
            | Self::Ask(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Answer(_)
            | Self::Remove(_)
            | Self::Whoami(_)
            | Self::Policy(_)
            | Self::Report(_)
            | Self::Completion(_) => Exit::Error,
        }
    }

    /// Whether nobody reads what is written any more: `kubectl request list | head -1`.
    pub fn is_broken_pipe(&self) -> bool {
        cluster::causes(self)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Told for Failure {
    fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Ask(error) = self {
            return error.said_by_cluster();
        }
        if let Self::List(ListError::Cluster(said))
        | Self::Show(ShowError::Cluster(said))
        | Self::Remove(RemoveError::Cluster(said))
        | Self::Whoami(WhoamiError::Cluster(said))
        | Self::Report(ReportError::Cluster(said))
        | Self::Answer(AnswerError::Cluster(said)) = self
        {
            return Some(said);
        }
        None
    }
}
