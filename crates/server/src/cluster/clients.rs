//! Clients of the API server, each for one purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::{Client, Config, client::ClientBuilder, runtime::watcher};
use tokio::time::Instant;
use tower::util::MapResponseLayer;

/// How long a watch may stay silent: it asks the API server to end it after this time, and begins
/// anew.
pub const WATCH_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon a watch that cannot begin is tried again.
pub const WATCH_RETRY: Duration = Duration::from_secs(5);

/// How many objects a list brings at once. A page is read as a whole before anything of it is left
/// out, several times over while it is decoded, and each object may be as large as users make it.
pub const PAGE: u32 = 10;
/// The same of grants, which approvers write.
pub const GRANTS_PAGE: u32 = 25;

/// How everything is watched.
pub fn watching() -> watcher::Config {
    let seconds = u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(30);
    watcher::Config::default().timeout(seconds).page_size(PAGE)
}

/// The clients.
#[derive(Clone)]
pub struct Clients {
    /// For reviews: no retry (kube's would repeat a 504 for minutes, and turn our own spend into a
    /// lost race).
    pub decisions: Client,
    /// For the watch on requests.
    pub requests: Client,
    /// For the watch on grants: each answer is a sign of life of that watch, and of no other.
    pub grants: Client,
    /// For controllers: kube's defaults.
    pub controllers: Client,
    /// When the watch on grants, by which denials come, last heard of the API server.
    pub pulse: Pulse,
}

impl Clients {
    /// Sets up all of them.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        let mut decisions = config.clone();
        decisions.default_retry = false;
        let pulse = Pulse::new();
        let beat = pulse.clone();
        let grants = ClientBuilder::try_from(config.clone())?
            .with_layer(&MapResponseLayer::new(
                move |response: http::Response<_>| {
                    if response.status().is_success() {
                        beat.beat();
                    }
                    response
                },
            ))
            .build();
        let requests = Client::try_from(config.clone())?;
        Ok(Self {
            decisions: Client::try_from(decisions)?,
            requests,
            grants,
            controllers: Client::try_from(config)?,
            pulse,
        })
    }
}

/// When a watch last heard of the API server.
#[derive(Debug, Clone)]
pub struct Pulse {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
    /// Whether a list is being read: each page is a sign of life, and what is new may stand on the
    /// last one.
    is_listing: Arc<AtomicBool>,
    /// Whether the watch failed, and there was no sign of life since.
    is_lost: Arc<AtomicBool>,
}

impl Pulse {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Arc::new(AtomicU64::new(0)),
            is_listing: Arc::new(AtomicBool::new(false)),
            is_lost: Arc::new(AtomicBool::new(false)),
        }
    }

    /// A sign of life.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Ordering::Relaxed);
        self.is_lost.store(false, Ordering::Relaxed);
    }

    /// Tells that the watch failed: whatever was heard before says nothing of what came since.
    pub fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Tells that a list begins, or is complete.
    pub fn lists(&self, begins: bool) {
        self.is_listing.store(begins, Ordering::Relaxed);
    }

    /// Whether something may have happened that the watch has not shown: it failed, a list is not
    /// complete yet, or there was no sign for longer than a live watch can be silent.
    pub fn is_weak(&self) -> bool {
        let is_blind = [&self.is_listing, &self.is_lost];
        if is_blind.iter().any(|flag| flag.load(Ordering::Relaxed)) {
            return true;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
            > WATCH_TIMEOUT.saturating_add(Duration::from_secs(5))
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}
