//! Turns at what an allow is read with: the request, its grants, the pod and the policies, as the API
//! server has them now. They may be large, and whoever asked for the request chose how large. So few
//! are read at once, and of one share fewer: nobody fills the memory by trying what they are granted
//! many times at once.
//!
//! A turn lasts for the reads alone. What comes behind them (the audit webhook, the write of a single
//! use) may be slow, and holds only what was kept of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use decide::identity::share;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of attempts of all shares that are confirmed at once.
const MAX_CONFIRMED: usize = 24;
/// Maximum number of attempts of one share.
const MAX_CONFIRMED_EACH: usize = 4;
/// Number of shares from which those that have no turn any more are forgotten.
const MANY_SHARES: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Turns {
    of_all: Arc<Semaphore>,
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn; over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            of_all: Arc::new(Semaphore::new(MAX_CONFIRMED)),
            shares: Mutex::default(),
        }
    }
}

impl Turns {
    /// Waits for a turn: among the attempts of one's own share first, so that no share keeps others
    /// from theirs. Whoever waits holds one of the places among the reviews, which are few for each
    /// share, and no longer than an attempt may take. `None`: never, for nobody closes these.
    pub(super) async fn take(&self, user: &str) -> Option<Turn> {
        let own = self.of_share(&share(user)).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.of_all).acquire_owned().await.ok()?;
        Some(Turn {
            _of_all: of_all,
            _own: own,
        })
    }

    fn of_share(&self, share: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = shares.get(share).and_then(Weak::upgrade) {
            return own;
        }
        if shares.len() >= MANY_SHARES {
            shares.retain(|_share, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(MAX_CONFIRMED_EACH));
        shares.insert(share.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    fn at_once(turns: &Turns, user: &str, times: usize) -> Vec<Turn> {
        (0..times)
            .filter_map(|_| unconstrained(turns.take(user)).now_or_never().flatten())
            .collect()
    }

    // M11
    #[tokio::test]
    async fn one_share_is_confirmed_a_few_times_at_once_and_others_beside_it() {
        let turns = Turns::default();
        let held = at_once(&turns, "mallory", 64);
        assert_eq!(held.len(), MAX_CONFIRMED_EACH);
        assert_eq!(at_once(&turns, "bob", 1).len(), 1);
        drop(held);
        assert_eq!(at_once(&turns, "mallory", 64).len(), MAX_CONFIRMED_EACH);
    }

    // M11
    #[tokio::test]
    async fn all_shares_together_have_a_bound() {
        let turns = Turns::default();
        let held: Vec<Turn> = (0..40)
            .flat_map(|n| at_once(&turns, &format!("user-{n}"), 64))
            .collect();
        assert_eq!(held.len(), MAX_CONFIRMED);
        drop(held);
        assert_eq!(at_once(&turns, "bob", 1).len(), 1);
    }

    #[tokio::test]
    async fn shares_without_a_turn_are_forgotten() {
        let turns = Turns::default();
        for n in 0..1000 {
            assert_eq!(at_once(&turns, &format!("user-{n}"), 1).len(), 1);
        }
        let known = turns.shares.lock().unwrap().len();
        assert!(known <= MANY_SHARES, "{known}");
    }

    #[tokio::test]
    async fn whoever_waits_for_their_own_turn_takes_none_of_the_others() {
        let turns = Turns::default();
        let _held = at_once(&turns, "mallory", 64);
        let mut waiting: Vec<_> = (0..64).map(|_| Box::pin(turns.take("mallory"))).collect();
        for one in &mut waiting {
            assert!(unconstrained(one.as_mut()).now_or_never().is_none());
        }
        let others: usize = (0..5)
            .map(|n| at_once(&turns, &format!("user-{n}"), 4).len())
            .sum();
        assert_eq!(others, MAX_CONFIRMED - MAX_CONFIRMED_EACH);
    }
}
