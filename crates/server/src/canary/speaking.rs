//! How the canary tells: a line of the log, an Event, and a condition of our own pod.

use api::contract::{conditions, reasons};
use decide::canary::{Finding, News};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{error, info};

use crate::cluster::own_pod::{Condition, OwnPod, publish};

/// The API server takes a kilobyte.
const MAX_NOTE_LEN: usize = 250;

/// See the module.
pub struct CanarySpeaker {
    recorder: Recorder,
    pod: OwnPod,
    /// What was last written into the condition.
    written: Option<Finding>,
}

impl CanarySpeaker {
    /// One that speaks of our own pod.
    pub fn new(recorder: Recorder, pod: OwnPod) -> Self {
        Self {
            recorder,
            pod,
            written: None,
        }
    }

    /// Tells of an API server.
    pub async fn tell(&mut self, news: News, address: &str, said: &str, silent: SignedDuration) {
        let seconds = silent.as_secs();
        match news {
            News::NotAsked => error!(
                address,
                said,
                seconds,
                "an API server does not ask kube-request-access: its doors may be open to everybody, unrecorded. See docs/incident.md, 4"
            ),
            News::Unknown => error!(
                address,
                said,
                seconds,
                "it is not known whether an API server asks kube-request-access. See docs/incident.md, 4"
            ),
            News::AskedAgain => info!(address, "an API server asks kube-request-access again"),
        }
        publish(
            &self.recorder,
            event(news, address, said),
            self.pod.reference().await,
        )
        .await;
    }

    /// Writes into our own pod how all API servers stand, where that has changed. What fails is
    /// tried at the next round.
    pub async fn stand(&mut self, stands: Finding, now: Timestamp) {
        if self.written == Some(stands) {
            return;
        }
        let (status, reason, message) = match stands {
            Finding::Asked => ("True", reasons::ASKED, "every API server asks this server"),
            Finding::NotAsked => (
                "False",
                reasons::NOT_ASKED,
                "an API server does not ask: see the log and docs/incident.md, 4",
            ),
            Finding::Unknown => (
                "Unknown",
                reasons::NOT_KNOWN,
                "it is not known of every API server whether it asks",
            ),
        };
        if self
            .pod
            .set(&Condition {
                type_: conditions::ASKED_BY_API_SERVERS,
                status,
                reason,
                message,
                now,
            })
            .await
        {
            self.written = Some(stands);
        }
    }
}

fn event(news: News, address: &str, said: &str) -> Event {
    let (type_, note) = match news {
        News::NotAsked => (
            EventType::Warning,
            format!("the API server at {address} does not ask this server: {said}"),
        ),
        News::Unknown => (
            EventType::Warning,
            format!("it is not known whether the API server at {address} asks this server: {said}"),
        ),
        News::AskedAgain => (
            EventType::Normal,
            format!("the API server at {address} asks this server again"),
        ),
    };
    let note = note.chars().take(MAX_NOTE_LEN).collect();
    Event {
        type_,
        reason: news.to_string(),
        note: Some(note),
        action: "Probe".to_owned(),
        secondary: None,
    }
}
