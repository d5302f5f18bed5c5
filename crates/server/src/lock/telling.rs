//! From what is seen to what is told.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use kube::Client;
use tokio::{sync::mpsc, time::timeout};
use tracing::error;

use super::{
    exception::Exception,
    knowledge::Knowledge,
    part::{Kind, Part},
    shipped,
    speaking::Speaker,
    watching,
};
use crate::clock::Clock;

/// So many sights wait at the most; then the watches do.
const QUEUE: usize = 64;
/// How soon a condition that was not written is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// What watches and tells: see the module above.
pub struct Lock {
    /// What watches.
    pub client: Client,
    /// What differs on purpose.
    pub exceptions: BTreeMap<Part, Exception>,
    /// How it tells.
    pub speaker: Speaker,
    /// The clock.
    pub clock: Clock,
}

/// Begins to watch all parts, and to tell.
///
/// # Errors
/// What is shipped cannot be read: that is a fault of this program.
pub fn start(lock: Lock) -> Result<(), serde_json::Error> {
    let knowledge = Knowledge::new(shipped::shipped()?, lock.exceptions.clone());
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(run(lock, knowledge)).await {
            error!(%error, "nobody notices any more when the lock is changed: restart this server");
        }
    });
    Ok(())
}

/// Never ends.
async fn run(mut lock: Lock, mut knowledge: Knowledge) {
    let (sights, mut seen) = mpsc::channel(QUEUE);
    let watches = Kind::ALL.map(|kind| watching::watch(&lock.client, kind, knowledge.names(kind), &sights));
    let telling = async {
        loop {
            // What could not be written is written later, though nothing more is seen.
            match timeout(AGAIN, seen.recv()).await {
                Ok(Some(sight)) => {
                    for news in knowledge.take(sight) {
                        lock.speaker.tell(&news).await;
                    }
                }
                Ok(None) => return,
                Err(_elapsed) => {}
            }
            // Of a list each part is a sight: what they come to together is said once.
            if seen.is_empty() {
                lock.speaker.stand(&knowledge, (lock.clock)()).await;
            }
        }
    };
    tokio::join!(join_all(watches), telling);
}
