//! Writes down of a single use that the review which spent it was answered: afterwards, in the
//! background, and so that no answer ever waits for it. A use without that is one whose server may
//! have died: a controller calls it lost.
//!
//! Nothing is decided by what is written here.

use std::convert::Infallible;

use api::{AccessRequestStatus, objects::Outcome};
use kube::Client;
use tokio::sync::mpsc;
use tracing::warn;

use super::statuses::{Which, amend_patiently};

/// A use that an allowed answer is given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentUse {
    /// Namespace of the request.
    pub namespace: String,
    /// Name of the request.
    pub request: String,
    /// UID of the request.
    pub request_uid: String,
    /// UID of the review that spent it.
    pub review_uid: String,
}

/// Writes outcomes.
#[derive(Clone)]
pub struct Outcomes {
    client: Client,
    open: mpsc::Sender<Infallible>,
}

/// What is not written yet.
#[derive(Debug)]
pub struct Unwritten(mpsc::Receiver<Infallible>);

impl Outcomes {
    /// With a client of its own: not that of decisions, which it could hold up.
    pub fn new(client: Client) -> (Self, Unwritten) {
        let (open, closed) = mpsc::channel(1);
        (Self { client, open }, Unwritten(closed))
    }

    /// Notes that the answer was handed over; returns at once.
    pub fn answered(&self, spent: SpentUse) {
        let Self { client, open } = self.clone();
        tokio::spawn(async move {
            let _open = open;
            let SpentUse {
                namespace,
                request,
                request_uid,
                review_uid,
            } = spent;
            let which = Which {
                namespace: &namespace,
                name: &request,
                uid: &request_uid,
            };
            if amend_patiently(&client, which, |status| answer(status, &review_uid))
                .await
                .is_err()
            {
                warn!(
                    uid = review_uid,
                    namespace, request, "cannot write down that a use was answered"
                );
            }
        });
    }
}

impl Unwritten {
    /// Completes when every [`Outcomes`] is gone, and all that it had to write is written or given
    /// up.
    pub async fn written(mut self) {
        let _nothing: Option<Infallible> = self.0.recv().await;
    }
}

/// Also over what was taken for lost meanwhile, by a clock that is ahead: it was answered, and that
/// is known here.
fn answer(status: &mut AccessRequestStatus, review_uid: &str) -> bool {
    let mut open = status
        .uses
        .iter_mut()
        .filter(|one| one.outcome != Some(Outcome::Answered));
    let Some(one) = open.find(|one| one.review_uid == review_uid) else {
        return false;
    };
    one.outcome = Some(Outcome::Answered);
    true
}
