//! What `revoke` and `withdraw` have in common: what they delete is exactly what was read.

use std::io;

use api::{AccessRequest, Phase};

use crate::answer::named::{AnotherUid, BadName};
use crate::cluster::said::Told;
use crate::cluster::{Cluster, ClusterError};
use crate::describe::summary;
use crate::terminal::kubectl;
use crate::terminal::lines::Hint;

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Not the name of any request.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// `revoke` of what gives no access.
    #[error("request {name} gives no access: it is {}. Nothing was deleted{hint}", phase.to_lowercase())]
    NotGranted {
        /// Name of the request.
        name: String,
        /// Where it stands.
        phase: &'static str,
        /// What to do instead.
        hint: String,
    },
    /// `revoke` or `withdraw` of an emergency before its review.
    #[error(
        "request {name} is an emergency that nobody has reviewed, and stays until then. Nothing was deleted. To end the \
         access, whoever may answer requests types: {line}"
    )]
    Unreviewed {
        /// Name of the request.
        name: String,
        /// What denies it.
        line: String,
    },
    /// `withdraw` of what is answered.
    #[error("request {name} is {} already. Nothing was deleted{hint}", phase.to_lowercase())]
    NotPending {
        /// Name of the request.
        name: String,
        /// Where it stands.
        phase: &'static str,
        /// What to do instead.
        hint: String,
    },
    /// `withdraw` of somebody else's.
    #[error(
        "request {name} is {whose}'s, and you are {me}: only who asked withdraws it. To refuse it: {line}"
    )]
    Another {
        /// Name of the request.
        name: String,
        /// Whose it is.
        whose: String,
        /// Who we are.
        me: String,
        /// What refuses it.
        line: String,
    },
    /// Somebody granted it again at the same moment.
    #[error(
        "request {name} gives access still: {left} grants were stored meanwhile. To end it for good: {line}"
    )]
    Left {
        /// Name of the request.
        name: String,
        /// How many.
        left: usize,
        /// What ends it for good.
        line: String,
    },
    /// Not the one that was named.
    #[error(transparent)]
    AnotherUid(#[from] AnotherUid),
    /// Another took its name meanwhile.
    #[error("request {name} changed while it was read; nothing was deleted. See '{list}'")]
    Changed {
        /// Name of the request.
        name: String,
        /// What tells what there is now.
        list: String,
    },
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

impl Told for RemoveError {
    fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Cluster(said) = self {
            Some(said)
        } else {
            None
        }
    }
}

/// What came of a deletion; that it is gone already is as good.
///
/// # Errors
/// When the server refuses, or what is there is another object of the same name.
pub fn deleted(
    name: &str,
    answer: Result<(), ClusterError>,
    cluster: &Cluster,
) -> Result<(), RemoveError> {
    match answer {
        Err(ClusterError::Refused(status)) if status.code == 409 => Err(RemoveError::Changed {
            name: name.to_owned(),
            list: kubectl::told(cluster, Hint::ListAfterDeleting, ""),
        }),
        Err(error) if !error.is_not_found() => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where a request stands.
pub fn stands(request: &AccessRequest) -> (Phase, &'static str) {
    let phase = request.phase();
    (phase, summary::phase(request))
}
