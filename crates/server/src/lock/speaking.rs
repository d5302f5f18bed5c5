//! How the state of the lock is told: a line of the log, an Event, and a condition of our own pod.

use api::contract::{conditions, reasons};
use jiff::Timestamp;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{error, info, warn};

use super::knowledge::{Knowledge, PartNews, PartState};
use crate::cluster::own_pod::{Condition, OwnPod, publish};

/// How all parts stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// All are intact.
    Intact,
    /// Some are not seen.
    Unknown,
    /// Some are missing or differ.
    Changed,
}

impl Stands {
    /// How all parts stand.
    pub fn of(knowledge: &Knowledge) -> Self {
        let is =
            |wanted: fn(&PartState) -> bool| knowledge.states().any(|(_, state)| wanted(state));
        if is(|state| matches!(state, PartState::Missing | PartState::Differs(_))) {
            Self::Changed
        } else if is(|state| *state == PartState::Unknown) {
            Self::Unknown
        } else {
            Self::Intact
        }
    }
}

impl PartNews {
    /// Whether it is more than the first sight of what is as it should be.
    pub fn is_event(&self) -> bool {
        self.changed || self.state != PartState::Intact
    }
}

/// Writes the news into the log: in every line stands which version of the object it is about, so
/// that it shows later what was replaced while no server watched.
pub fn log(news: &PartNews) {
    let object = news.part.to_string();
    let digest = news.digest.as_deref().unwrap_or_default();
    let version = news.version.as_ref();
    let (uid, generation) = (
        version.map(|version| version.uid.as_str()),
        version.and_then(|version| version.generation),
    );
    let written = version.map(|version| version.written.as_str());
    match &news.state {
        PartState::Missing => error!(
            object,
            "a part of the lock is missing: doors may be open. See docs/incident.md, 5"
        ),
        PartState::Differs(places) => error!(
            object,
            places = places.join(", "),
            uid,
            generation,
            digest,
            written,
            "a part of the lock is not as it is shipped: doors may be open. See docs/incident.md, 5"
        ),
        PartState::Intact | PartState::Unknown if news.changed => warn!(
            object,
            uid,
            generation,
            digest,
            written,
            "a part of the lock was changed, and is now as it should be. See docs/incident.md, 5"
        ),
        PartState::Intact | PartState::Unknown => {
            info!(
                object,
                uid, generation, digest, written, "a part of the lock is as it should be"
            );
        }
    }
}

/// See the module.
pub struct LockSpeaker {
    recorder: Recorder,
    pod: OwnPod,
    written: Option<Stands>,
}

impl LockSpeaker {
    /// One that speaks of our own pod.
    pub fn new(recorder: Recorder, pod: OwnPod) -> Self {
        Self {
            recorder,
            pod,
            written: None,
        }
    }

    /// Publishes the news as an Event.
    pub async fn publish(&mut self, news: &PartNews) {
        let object = &news.part;
        let (reason, note) = match &news.state {
            PartState::Missing => ("LockMissing", format!("{object} is missing")),
            PartState::Differs(places) => (
                "LockDiffers",
                format!("{object} is not as it is shipped, at {}", places.join(", ")),
            ),
            PartState::Intact | PartState::Unknown => (
                "LockChanged",
                format!("{object} was changed, and is now as it should be"),
            ),
        };
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Watch".to_owned(),
            secondary: None,
        };
        publish(&self.recorder, event, self.pod.reference().await).await;
    }

    /// Writes into our own pod how all parts stand, where that has changed.
    pub async fn stand(&mut self, stands: Stands, now: Timestamp) {
        if self.written == Some(stands) {
            return;
        }
        let (status, reason, message) = match stands {
            Stands::Intact => (
                "True",
                reasons::INTACT,
                "policies and webhooks are as they are shipped",
            ),
            Stands::Changed => (
                "False",
                reasons::CHANGED,
                "a part of the lock is missing or changed: see the log and docs/incident.md, 5",
            ),
            Stands::Unknown => (
                "Unknown",
                reasons::NOT_KNOWN,
                "parts of the lock cannot be watched: see the log",
            ),
        };
        if self
            .pod
            .set(&Condition {
                type_: conditions::LOCK_INTACT,
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
