//! From what is seen to what is told: log and metrics at once, Events and the condition of our pod
//! after that, since these wait for the API server.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::{error, warn};

use super::{
    exception::Exception,
    gauges::LockGauges,
    knowledge::{Knowledge, PartNews},
    part::{Part, PartKind},
    shipped,
    speaking::{self, LockSpeaker, Stands},
    watching,
};
use crate::clock::Clock;

/// Maximum number of observations that wait; the watches pause when it is reached.
const MAX_SIGHTS: usize = 64;
/// Maximum number of Events that wait; further ones are only logged.
const MAX_EVENTS: usize = 256;
/// How soon a condition that was not written is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// What watches and tells: see the module above.
pub struct Lock {
    /// What watches.
    pub client: Client,
    /// The server's namespace.
    pub namespace: String,
    /// What differs on purpose.
    pub exceptions: BTreeMap<Part, Exception>,
    /// The metrics.
    pub gauges: LockGauges,
    /// Publishes Events and the condition.
    pub speaker: LockSpeaker,
    /// The clock.
    pub clock: Clock,
}

/// Begins to watch all parts, and to tell. An exception for what is no part of the lock (of this
/// version) is told, and does nothing.
///
/// # Errors
/// What is shipped cannot be read: that is a fault of this program.
pub fn start(lock: Lock) -> Result<(), serde_json::Error> {
    let shipped = shipped::shipped()?;
    for part in lock
        .exceptions
        .keys()
        .filter(|part| !shipped.contains_key(*part))
    {
        warn!(%part, "--lock-exception names no part of the lock, and has no effect");
    }
    let knowledge = Knowledge::new(shipped, lock.exceptions.clone());
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(run(lock, knowledge)).await {
            error!(%error, "nobody notices any more when the lock is changed: restart this server");
        }
    });
    Ok(())
}

/// Never ends.
async fn run(lock: Lock, mut knowledge: Knowledge) {
    let Lock {
        client,
        namespace,
        gauges,
        speaker,
        clock,
        ..
    } = lock;
    let (sights, mut seen) = mpsc::channel(MAX_SIGHTS);
    let (events, published) = mpsc::channel(MAX_EVENTS);
    let (stands, standing) = watch::channel(Stands::Unknown);
    let watches = PartKind::ALL
        .map(|kind| watching::watch(&client, &namespace, kind, knowledge.names(kind), &sights));
    let telling = async {
        while let Some(sight) = seen.recv().await {
            for news in knowledge.take(sight) {
                tell(news, &gauges, &events);
            }
            knowledge
                .states()
                .for_each(|(part, state)| gauges.show(part, state));
            stands.send_replace(Stands::of(&knowledge));
        }
    };
    tokio::join!(
        join_all(watches),
        telling,
        publish(speaker, published, standing, clock)
    );
}

fn tell(news: PartNews, gauges: &LockGauges, events: &mpsc::Sender<PartNews>) {
    speaking::log(&news);
    if news.changed {
        gauges.changed();
    }
    let object = news.part.to_string();
    if news.is_event() && events.try_send(news).is_err() {
        error!(
            object,
            "too many Events about the lock wait: this one is left out"
        );
    }
}

/// Publishes what waits, and the condition; what could not be written is tried again.
async fn publish(
    mut speaker: LockSpeaker,
    mut events: mpsc::Receiver<PartNews>,
    mut standing: watch::Receiver<Stands>,
    clock: Clock,
) {
    loop {
        let stands = *standing.borrow_and_update();
        speaker.stand(stands, clock()).await;
        let next = async {
            tokio::select! { news = events.recv() => news, _ = standing.changed() => None }
        };
        if let Ok(Some(news)) = timeout(RETRY_INTERVAL, next).await {
            speaker.publish(&news).await;
        }
    }
}
