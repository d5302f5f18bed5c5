//! Writes down of a single use that the review which spent it was answered: afterwards, in the background, and so that
//! no answer ever waits for it. A use without that is one whose server may have died: a controller calls it lost.
//!
//! Nothing is decided by what is written here.

use std::{convert::Infallible, time::Duration};

use api::{AccessRequest, objects::Outcome};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// So long it is tried.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two tries; each is twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(50);

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
            if timeout(PATIENCE, write(&client, &spent)).await.is_err() {
                let SpentUse { namespace, request, review_uid, .. } = spent;
                warn!(uid = review_uid, namespace, request, "cannot write down that a use was answered");
            }
        });
    }
}

impl Unwritten {
    /// Completes when every [`Outcomes`] is gone, and all that it had to write is written or given up.
    pub async fn written(mut self) {
        let _nothing: Option<Infallible> = self.0.recv().await;
    }
}

async fn write(client: &Client, spent: &SpentUse) {
    let api: Api<AccessRequest> = Api::namespaced(client.clone(), &spent.namespace);
    let mut pause = PAUSE;
    while let Err(error) = try_to_write(&api, spent).await {
        debug!(uid = spent.review_uid, error = crate::chain(&error), "not written yet");
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(Duration::from_secs(1));
    }
}

/// Once, on what is stored now: other uses, a denial, and all else in the status stay as they are.
async fn try_to_write(api: &Api<AccessRequest>, spent: &SpentUse) -> Result<(), kube::Error> {
    let Some(mut object) = api.get_opt(&spent.request).await? else { return Ok(()) };
    if object.metadata.uid.as_ref() != Some(&spent.request_uid) {
        return Ok(());
    }
    let uses = object.status.iter_mut().flat_map(|status| &mut status.uses);
    let Some(one) = uses.into_iter().find(|one| one.review_uid == spent.review_uid) else { return Ok(()) };
    // Also what was taken for lost meanwhile, by a clock that is ahead: it was answered, and that is known here.
    if one.outcome == Some(Outcome::Answered) {
        return Ok(());
    }
    one.outcome = Some(Outcome::Answered);
    match api.replace_status(&spent.request, &PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
