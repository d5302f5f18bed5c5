//! Why something is refused: because of what was asked, or because we could not do our part.
//!
//! The caller reads what she can act on; internals go to the log, under the review's uid.

use super::Received;
use api::{convert::ConvertError, review::Answer};
use decide::rules::Refusal;
use tracing::{error, info};

use crate::{
    audit::WebhookError,
    cluster::{ledger::SpendError, mutators::MutatorsError, policies::PoliciesError},
};

/// Why something is refused.
#[derive(Debug)]
pub enum Refused {
    /// Because of what was asked; the text says what to do.
    Because(String),
    /// Because we could not do our part.
    Failed(Failure),
}

/// What we could not do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Read from the API server.
    #[error("the API server could not be asked")]
    Api(#[from] kube::Error),
    /// Read the policies.
    #[error("the policies could not be read")]
    Policies(#[from] PoliciesError),
    /// Read who changes objects on their way.
    #[error("it is not known who changes objects on their way")]
    Mutators(#[from] MutatorsError),
    /// Post to a webhook.
    #[error("a webhook failed")]
    Webhook(#[from] WebhookError),
    /// Keep a record.
    #[error("a record could not be kept")]
    Keep(#[from] KeepError),
    /// Spend a single use.
    #[error("a single use could not be spent for certain")]
    Spend(#[from] SpendError),
    /// Begin in time.
    #[error("there was not enough time left")]
    Late,
    /// Finish in time.
    #[error("the decision took too long")]
    Timeout,
    /// Write a patch.
    #[error("the patch could not be written")]
    Patch(#[source] serde_json::Error),
}

/// Why a record could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The API server did not take it.
    #[error("the record of what was to be deleted could not be written")]
    Write(#[source] kube::Error),
    /// It did not answer.
    #[error("the record of what was to be deleted was not written in time")]
    Timeout,
}

impl Failure {
    /// What the caller reads.
    fn public(&self) -> &'static str {
        match self {
            Self::Api(_) | Self::Policies(_) | Self::Mutators(_) => {
                "the cluster could not be asked, so nothing was allowed or used up"
            }
            Self::Webhook(WebhookError::File(_)) => {
                "the audit could not be written, so nothing was allowed; a single use may be lost"
            }
            Self::Webhook(_) => {
                "the audit or validation webhook failed, so nothing was allowed or used up"
            }
            Self::Keep(_) => {
                "the record of what you delete could not be kept, so nothing was deleted"
            }
            Self::Spend(_) => {
                "your single use could not be recorded for certain, so nothing was allowed, and it may be lost"
            }
            Self::Timeout => {
                "it took too long, so nothing was allowed; a single use that was being recorded may be lost"
            }
            Self::Late => {
                "there was not enough time left to do it safely, so nothing was allowed or used up"
            }
            Self::Patch(_) => "the object could not be completed, so nothing was stored",
        }
    }

    /// The text for the caller, with the id under which the log has the cause.
    pub fn text(&self, review_uid: &str) -> String {
        format!(
            "{} (id {review_uid}).\nTry again; if it stays so, give the id to your administrators.",
            self.public()
        )
    }
}

impl Refused {
    /// Refused because of what was asked.
    pub fn because(text: impl Into<String>) -> Self {
        Self::Because(text.into())
    }
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// A refusal because of a text or bound.
pub fn refusal(refusal: &Refusal) -> Refused {
    Refused::Because(refusal.to_string())
}

/// A refusal because an object makes no sense.
pub fn nonsense(error: &ConvertError) -> Refused {
    Refused::Because(error.to_string())
}

/// A refusal because an object cannot be read.
pub fn unreadable(error: &serde_json::Error) -> Refused {
    Refused::Because(format!("the object cannot be read: {error}"))
}

/// The answer to a write of one of our objects. `is_written` says whether what changes nothing
/// stands in the log by itself: whoever is refused can be so without end.
pub fn answer(
    received: &Received,
    result: Result<Answer, Refused>,
    is_written: impl FnOnce(&'static str, &str) -> bool,
) -> Answer {
    let request = received.request();
    let (uid, user) = (&request.uid, &received.caller.username);
    let (kind, name) = (
        &request.kind.kind,
        request.name.as_deref().unwrap_or_default(),
    );
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let operation = format!("{:?}", request.operation);
    match result {
        Ok(answer) => {
            let written = !request.is_dry_run() || is_written("dry-run", name);
            if written {
                info!(
                    uid,
                    user,
                    operation,
                    kind,
                    namespace,
                    name,
                    dry_run = request.is_dry_run(),
                    "admitted"
                );
            }
            answer
        }
        Err(Refused::Because(text)) => {
            if is_written("refused", &text) {
                info!(
                    uid,
                    user,
                    operation,
                    kind,
                    namespace,
                    name,
                    text,
                    decision = "denied",
                    "refused"
                );
            }
            Answer::deny(uid, text)
        }
        Err(Refused::Failed(failure)) => {
            let error = crate::chain(&failure);
            if is_written("failed", &error) {
                error!(
                    uid,
                    user, operation, kind, namespace, name, error, "failed, and refused"
                );
            }
            Answer::deny(uid, failure.text(uid))
        }
    }
}

/// Says that something has not the seal that `/mutate` writes.
pub(super) fn unsealed(what: &str) -> Refused {
    Refused::because(format!(
        "the {what} is not sealed as the server does it: is its MutatingWebhookConfiguration installed, and does no other \
         webhook change the object after it?"
    ))
}

pub(super) fn unstamped(field: &str) -> Refused {
    Refused::because(format!(
        "spec.{field} is not what the server stamps: is its MutatingWebhookConfiguration installed, \
         and does no other webhook change the object after it?"
    ))
}
