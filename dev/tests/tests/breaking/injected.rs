//! What goes wrong between the replicas and the API server: by a seed, and for each request by what
//! it is and how often it was sent before, so that the same seed gives the same again as far as the
//! machine allows.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The longest that a request is held up.
const LONGEST_DELAY_MS: u64 = 3_000;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Not passed on, and answered with this status.
    Refused(u16),
    /// Passed on, and answered with this status all the same.
    DoneButFails(u16),
    /// Answered with this status, and passed on so much later.
    DoneLater(u16, Duration),
    /// Passed on so much later.
    Delayed(Duration),
    /// The answer to a watch stalls so long after its first event.
    Stalled(Duration),
}

impl Fault {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Refused(409) => Some("409, not done"),
            Self::Refused(_) => Some("5xx, not done"),
            Self::DoneButFails(409) => Some("409, done"),
            Self::DoneButFails(_) => Some("5xx, done"),
            Self::DoneLater(..) => Some("5xx, done later"),
            Self::Delayed(_) => Some("delayed"),
            Self::Stalled(_) => Some("watch stalled"),
        }
    }
}

/// A source of faults.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    on: AtomicBool,
    counts: Mutex<HashMap<String, u64>>,
    injected: Mutex<BTreeMap<&'static str, u64>>,
}

impl Faults {
    /// Switched off.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            on: AtomicBool::new(false),
            counts: Mutex::default(),
            injected: Mutex::default(),
        }
    }

    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// How often each kind was injected.
    pub(crate) fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.injected.lock().unwrap().clone()
    }

    /// What goes wrong with this one.
    pub(crate) fn next(&self, method: &str, path: &str, is_watch: bool) -> Fault {
        if !self.on.load(Ordering::Relaxed) {
            return Fault::Nothing;
        }
        let key = format!("{method} {path} {is_watch}");
        let number = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        let mut hasher = DefaultHasher::new();
        (self.seed, &key, number).hash(&mut hasher);
        let fault = choose(
            &mut fastrand::Rng::with_seed(hasher.finish()),
            method,
            is_watch,
        );
        if let Some(name) = fault.name() {
            let mut injected = self.injected.lock().unwrap();
            let count = injected.entry(name).or_default();
            *count = count.saturating_add(1);
        }
        fault
    }
}

fn choose(random: &mut fastrand::Rng, method: &str, is_watch: bool) -> Fault {
    let dice = random.u32(0..100);
    let failure = [500, 502, 503, 504][random.usize(0..4)];
    let delay = Duration::from_millis(random.u64(50..LONGEST_DELAY_MS));
    match (method, dice) {
        (_, 0..40) if is_watch => Fault::Stalled(Duration::from_secs(random.u64(3..20))),
        _ if is_watch => Fault::Nothing,
        ("PUT", 0..8) => Fault::Refused(409),
        ("PUT", 8..13) => Fault::Refused(failure),
        ("PUT", 13..16) => Fault::DoneButFails(409),
        ("PUT", 16..22) => Fault::DoneButFails(failure),
        ("PUT", 22..27) => Fault::DoneLater(failure, delay),
        ("PUT", 27..32) => Fault::Delayed(delay),
        ("PUT", _) => Fault::Nothing,
        (_, 0..3) => Fault::Refused(failure),
        (_, 3..6) => Fault::Delayed(delay),
        _ => Fault::Nothing,
    }
}

/// `KRA_SEED`, or one of this run.
pub(crate) fn seed() -> u64 {
    std::env::var("KRA_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..))
}
