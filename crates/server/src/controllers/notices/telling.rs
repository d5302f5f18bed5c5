//! Takes what is to be told.

use std::{sync::Arc, time::Duration};

use api::{AccessRequest, AccessRequestStatus, UserInfo, notice::Change};
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use tracing::warn;

use super::{about::About, event::event, sending::NoticeLine};
use crate::{audit::Webhook, metrics::Metrics};

/// An alarm that was not taken for so long is told again, by whichever replica. Until then it is
/// with whoever told it first.
const RETELL_INTERVAL: Duration = Duration::from_mins(1);
/// The pauses between later attempts grow with its age, up to this.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// Takes notices, and sends them in the background.
#[derive(Debug, Clone)]
pub struct Notices {
    about: About,
    alarms: Arc<NoticeLine>,
    others: Arc<NoticeLine>,
    metrics: Metrics,
}

impl Notices {
    /// Begins to send to a webhook what it is told.
    pub fn start(webhook: &Arc<Webhook>, about: About, client: &Client, metrics: Metrics) -> Self {
        let (alarms, others) = (
            NoticeLine::new(metrics.clone()),
            NoticeLine::new(metrics.clone()),
        );
        for line in [&alarms, &others] {
            let (line, webhook, client) = (Arc::clone(line), Arc::clone(webhook), client.clone());
            tokio::spawn(async move { line.send(webhook, client).await });
        }
        Self {
            about,
            alarms,
            others,
            metrics,
        }
    }

    /// Tells of a change of the status; returns at once.
    pub fn tell(
        &self,
        object: &AccessRequest,
        old: &AccessRequestStatus,
        new: &AccessRequestStatus,
        now: Timestamp,
    ) {
        for change in Change::between(old, new) {
            self.put(change, object, new, now);
        }
    }

    /// Tells again of the alarms in the stored status that the receiver should have taken by now.
    /// Returns after what time to look again; `None`: it has taken all.
    pub fn tell_again(&self, object: &AccessRequest, now: Timestamp) -> Option<Duration> {
        let status = object.status.as_ref()?;
        let looks = status.untold().into_iter().map(|(alarm, since)| {
            let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            if let Some(left) = RETELL_INTERVAL
                .checked_sub(age)
                .filter(|left| !left.is_zero())
            {
                return left;
            }
            self.put(alarm.into(), object, status, now);
            age.div_f64(4.0).clamp(RETELL_INTERVAL, MAX_PAUSE)
        });
        looks.min()
    }

    fn put(
        &self,
        change: Change,
        object: &AccessRequest,
        status: &AccessRequestStatus,
        now: Timestamp,
    ) {
        match event(change, object, status, &self.about, now) {
            Ok(notice) => self.line(change).put(person(object), notice),
            Err(error) => {
                self.metrics.notice("dropped");
                warn!(
                    request = object.name_any(),
                    error = crate::chain(&error),
                    "a notice cannot be written"
                );
            }
        }
    }

    fn line(&self, change: Change) -> &NoticeLine {
        if change.alarm().is_some() {
            &self.alarms
        } else {
            &self.others
        }
    }
}

/// Whom the access is for, whoever filed the request: so many notices the person may cause.
fn person(object: &AccessRequest) -> &str {
    object
        .spec
        .user_info
        .as_ref()
        .map(UserInfo::name)
        .unwrap_or_default()
}
