//! How the state of the lock is told: a line of the log, an Event, a condition of our own pod, metrics.

use jiff::Timestamp;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{error, warn};

use super::{
    gauges::Gauges,
    knowledge::{Knowledge, News, State},
};
use crate::cluster::own_pod::{Condition, OwnPod, publish};

/// The condition of our pod.
pub const CONDITION: &str = "spreadgroup.com/LockIntact";

/// See the module.
pub struct Speaker {
    recorder: Recorder,
    pod: OwnPod,
    gauges: Gauges,
    written: Option<Stands>,
}

/// How all parts stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Intact,
    Unknown,
    Changed,
}

impl Speaker {
    /// One that speaks of our own pod.
    pub fn new(recorder: Recorder, pod: OwnPod, gauges: Gauges) -> Self {
        Self { recorder, pod, gauges, written: None }
    }

    /// Tells of one part.
    pub async fn tell(&mut self, news: &News) {
        let object = news.part.to_string();
        let digest = news.digest.as_deref().unwrap_or_default();
        let (reason, type_, note) = match &news.state {
            State::Missing => {
                error!(object, "a part of the lock is missing: doors may be open. See docs/incident.md, 5");
                ("LockMissing", EventType::Warning, format!("{object} is missing"))
            }
            State::Differs(places) => {
                let places = places.join(", ");
                error!(
                    object,
                    places,
                    digest,
                    "a part of the lock is not as it is shipped: doors may be open. See docs/incident.md, 5"
                );
                ("LockDiffers", EventType::Warning, format!("{object} is not as it is shipped, at {places}"))
            }
            State::Intact | State::Unknown => {
                warn!(
                    object,
                    digest, "a part of the lock was changed, and is now as it should be. See docs/incident.md, 5"
                );
                ("LockChanged", EventType::Warning, format!("{object} was changed, and is now as it should be"))
            }
        };
        if news.changed {
            self.gauges.changed();
        }
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: "Watch".to_owned(), secondary: None };
        publish(&self.recorder, event, self.pod.reference().await).await;
    }

    /// Shows how all parts stand.
    pub async fn stand(&mut self, knowledge: &Knowledge, now: Timestamp) {
        for (part, state) in knowledge.states() {
            self.gauges.show(part, state);
        }
        let stands = together(knowledge);
        if self.written == Some(stands) {
            return;
        }
        let (status, reason, message) = match stands {
            Stands::Intact => ("True", "Intact", "policies and webhooks are as they are shipped"),
            Stands::Changed => {
                ("False", "Changed", "a policy or webhook is missing or changed: see the log and docs/incident.md, 5")
            }
            Stands::Unknown => ("Unknown", "NotKnown", "policies or webhooks cannot be watched: see the log"),
        };
        if self.pod.set(&Condition { type_: CONDITION, status, reason, message, now }).await {
            self.written = Some(stands);
        }
    }
}

fn together(knowledge: &Knowledge) -> Stands {
    let mut all = knowledge.states().map(|(_, state)| match state {
        State::Intact => Stands::Intact,
        State::Unknown => Stands::Unknown,
        State::Missing | State::Differs(_) => Stands::Changed,
    });
    let worse = |one, other| match (one, other) {
        (Stands::Changed, _) | (_, Stands::Changed) => Stands::Changed,
        (Stands::Unknown, _) | (_, Stands::Unknown) => Stands::Unknown,
        (Stands::Intact, Stands::Intact) => Stands::Intact,
    };
    all.by_ref().fold(Stands::Intact, worse)
}
