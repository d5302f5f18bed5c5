//! Keeps what observe mode saw in a Secret (see [`api::report`]): every few seconds what came since
//! is added to what is there. Attempts never wait for it, and where it cannot be written, it is
//! tried again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::report::{KEY, NAME, Observed, Report};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, warn};

/// Maximum number of attempts that wait to be counted; `api::report` bounds the size of each.
const MAX_QUEUED: usize = 1024;
/// How often the report is written.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// The namespace of a server that is not told its own.
const NAMESPACE: &str = "kube-request-access";

/// Where attempts are handed over.
#[derive(Debug, Clone)]
pub struct Observations {
    queue: mpsc::Sender<Report>,
    left_out: Arc<AtomicU64>,
}

/// What was handed over.
#[derive(Debug)]
pub struct Seen {
    queue: mpsc::Receiver<Report>,
    /// How many attempts had no place in the queue, and are not told yet.
    left_out: Arc<AtomicU64>,
}

impl Observations {
    /// One, and what it hands over.
    pub fn new() -> (Self, Seen) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let left_out = Arc::<AtomicU64>::default();
        (
            Self {
                queue: sender,
                left_out: Arc::clone(&left_out),
            },
            Seen {
                queue: receiver,
                left_out,
            },
        )
    }

    /// Counts an attempt; returns at once.
    pub fn saw(&self, attempt: Observed, passes: bool, at: Timestamp) {
        if let Err(error) = self.queue.try_send(Report::of(attempt, passes, at)) {
            debug!(%error, "an attempt in observe mode is counted, and not told of");
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Seen {
    /// Whether nothing waits to be counted.
    pub fn is_empty(&mut self) -> bool {
        self.queue.is_empty()
    }
}

/// The namespace of the server, by the name of its own account.
pub fn namespace(own_name: &str) -> &str {
    own_name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split(':').next())
        .unwrap_or(NAMESPACE)
}

/// Writes what is handed over, until nobody can hand anything over any more and the last of it is
/// written.
pub async fn run(mut seen: Seen, client: Client, namespace: String) {
    let api: Api<Secret> = Api::namespaced(client, &namespace);
    let mut ticks = interval(WRITE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unwritten = Report::default();
    let mut new = Vec::new();
    loop {
        let is_over = tokio::select! {
            count = seen.queue.recv_many(&mut new, MAX_QUEUED) => count == 0,
            _ = ticks.tick() => {
                unwritten = write(&api, unwritten).await;
                false
            }
        };
        let left_out = Report::of_forgotten(seen.left_out.swap(0, Ordering::Relaxed));
        unwritten = Report::all([unwritten, left_out].into_iter().chain(new.drain(..)));
        if is_over {
            write(&api, unwritten).await;
            return;
        }
    }
}

/// Adds to what is there; answers with what could not be written.
async fn write(api: &Api<Secret>, unwritten: Report) -> Report {
    if unwritten == Report::default() {
        return unwritten;
    }
    match try_to_write(api, &unwritten).await {
        Ok(()) => Report::default(),
        Err(error) => {
            warn!(
                error = crate::chain(&error),
                "cannot write down what observe mode saw; trying again"
            );
            unwritten
        }
    }
}

/// Once. Of two replicas at the same time one gets a conflict, and tries again later.
async fn try_to_write(api: &Api<Secret>, unwritten: &Report) -> Result<(), kube::Error> {
    // An installation brings it, empty: so this server needs no right to create Secrets.
    let mut object = api.get(NAME).await?;
    let text = object
        .data
        .as_ref()
        .and_then(|data| data.get(KEY))
        .map_or(b"".as_slice(), |text| &text.0);
    // What somebody spoiled is begun anew.
    let there: Report = serde_json::from_slice(text).unwrap_or_default();
    object.data = Some(data(&Report::all([there, unwritten.clone()]))?);
    api.replace(NAME, &PostParams::default(), &object)
        .await
        .map(drop)
}

fn data(report: &Report) -> Result<BTreeMap<String, ByteString>, kube::Error> {
    let text = serde_json::to_vec(report).map_err(kube::Error::SerdeError)?;
    Ok(BTreeMap::from([(KEY.to_owned(), ByteString(text))]))
}
