//! Places for attempts that wait (see `waiting.rs`): there are few, and fewer for one person.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::ExecOptions;
use decide::{attempt::Attempt, identity::Person, verdict::Denied, waiting::Wait};
use tokio::{sync::watch, time::Instant};

use crate::controllers::filing::Filer;

/// Maximum number of attempts that wait at once.
const MAX_WAITING: usize = 32;
/// Maximum number of attempts of one person that wait at once.
const MAX_WAITING_OF_ONE: usize = 4;
/// Whoever waited in vain for a request to be filed, or had it deleted, waits for none so soon
/// again.
const VAIN_FOR: Duration = Duration::from_secs(10);

/// Where attempts wait.
#[derive(Debug)]
pub struct WaitingRoom {
    pub(super) filer: Filer,
    /// False once this server is to stop: then nobody waits any more.
    pub(super) ready: watch::Receiver<bool>,
    /// How many attempts of whom wait now.
    taken: Arc<Mutex<HashMap<String, usize>>>,
    /// For whom nothing came of filing, and when.
    vain: Mutex<HashMap<String, Instant>>,
}

/// An attempt that waits.
#[derive(Debug)]
pub struct Waiter {
    pub(super) attempt: Attempt,
    pub(super) options: ExecOptions,
    pub(super) may: MayWait,
}

/// What an attempt waits for, and as whom; the place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct MayWait {
    pub(super) _place: WaitingPlace,
    pub(super) person: Person,
    pub(super) denied: Denied,
    pub(super) wait: Wait,
}

#[derive(Debug)]
pub(super) struct WaitingPlace {
    user: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl WaitingRoom {
    /// Places that are all free.
    pub fn new(filer: Filer, ready: watch::Receiver<bool>) -> Self {
        Self {
            filer,
            ready,
            taken: Arc::default(),
            vain: Mutex::default(),
        }
    }

    /// Whether filing for this person came to nothing a moment ago.
    pub(super) fn was_vain(&self, user: &str) -> bool {
        let vain = self.vain.lock().unwrap_or_else(PoisonError::into_inner);
        vain.get(user).is_some_and(|at| at.elapsed() < VAIN_FOR)
    }

    pub(super) fn remember_vain(&self, user: &str) {
        let mut vain = self.vain.lock().unwrap_or_else(PoisonError::into_inner);
        vain.retain(|_, at| at.elapsed() < VAIN_FOR);
        vain.insert(user.to_owned(), Instant::now());
    }

    /// A place, if there is one for this person.
    pub(super) fn place(&self, user: &str) -> Option<WaitingPlace> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken
            .values()
            .fold(0_usize, |sum, of_one| sum.saturating_add(*of_one));
        let hers = taken.entry(user.to_owned()).or_default();
        if all >= MAX_WAITING || *hers >= MAX_WAITING_OF_ONE {
            return None;
        }
        *hers = hers.saturating_add(1);
        Some(WaitingPlace {
            user: user.to_owned(),
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hers) = taken.get_mut(&self.user) {
            *hers = hers.saturating_sub(1);
        }
        taken.retain(|_, of_one| *of_one > 0);
    }
}
