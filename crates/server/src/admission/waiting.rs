//! A denied attempt that waits for its grant, while kubectl waits for us (`--in-band-wait`).
//!
//! Whoever waits holds no place among the reviews, least of all one that a grant needs: there are few places to wait in, and
//! fewer for one person. Waiting decides nothing: what memory shows ends the wait, and the attempt is then decided as any
//! other, on live reads.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use api::{ExecOptions, UserInfo, review::Review};
use decide::{
    attempt::Attempt,
    identity::Person,
    verdict::{self, Denied, Screened},
    waiting::{self, Wait},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{Admission, Deadline, Decision, door::Outcome};
use crate::controllers::filing::{Filed, Filer, Filing};

/// So many attempts may wait at once.
const MOST: usize = 32;
/// So many of one person.
const MOST_OF_ONE: usize = 4;
/// So often what memory shows is looked at live: what memory promises need not hold.
const TRIES: usize = 5;

/// Where attempts wait.
#[derive(Debug)]
pub struct Waiting {
    filer: Filer,
    /// How many attempts of whom wait now.
    taken: Arc<Mutex<HashMap<String, usize>>>,
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
    _place: Place,
    person: Person,
    denied: Denied,
    wait: Wait,
}

#[derive(Debug)]
struct Place {
    user: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Waiting {
    /// Places that are all free.
    pub fn new(filer: Filer) -> Self {
        Self { filer, taken: Arc::default() }
    }

    /// A place, if there is one for this person.
    fn place(&self, user: &str) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.values().fold(0_usize, |sum, of_one| sum.saturating_add(*of_one));
        let hers = taken.entry(user.to_owned()).or_default();
        if all >= MOST || *hers >= MOST_OF_ONE {
            return None;
        }
        *hers = hers.saturating_add(1);
        Some(Place { user: user.to_owned(), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hers) = taken.get_mut(&self.user) {
            *hers = hers.saturating_sub(1);
        }
        taken.retain(|_, of_one| *of_one > 0);
    }
}

/// Why a wait ended.
enum Ended {
    /// Memory shows something else than when it began.
    Changed,
    /// Nothing came in time, or whoever waited is gone.
    Over,
}

impl Admission {
    /// Whether a denied attempt may wait: for one that cannot be granted, or is answered already, there is nothing to wait
    /// for.
    pub(super) fn may_wait(&self, attempt: &Attempt, denied: &Denied, deadline: Deadline) -> Option<MayWait> {
        let waiting = self.waiting.as_ref()?;
        let wait = waiting::wait(attempt, denied, self.now())?;
        if let Wait::ForAnswer { since } = wait {
            waiting::remaining(since, deadline.window(), self.now())?;
        }
        let person = self.settings.prefix.person(&attempt.caller)?;
        if deadline.window().is_zero() || !self.settings.may_request(&person) {
            return None;
        }
        let place = waiting.place(&person.name)?;
        Some(MayWait { _place: place, person, denied: denied.clone(), wait })
    }

    /// Waits until an attempt may be granted, or for as long as there is time, and then decides. `gone` ends with whoever
    /// asked.
    pub(super) async fn wait(
        &self,
        review: &Review,
        waiter: Waiter,
        deadline: Deadline,
        mut gone: oneshot::Receiver<Infallible>,
    ) -> Decision {
        let Waiter { attempt, options, may } = waiter;
        let mut changes = self.index.changes();
        // What memory shows by now counts too.
        changes.mark_changed();
        let mut denied = may.denied.clone();
        if let Some(until) = self.until(&review.request.user_info, &attempt, &may, deadline, &mut gone).await {
            for _ in 0..TRIES {
                match self.changed(&attempt, &mut changes, until, &mut gone).await {
                    Ended::Over => break,
                    Ended::Changed => {}
                }
                let outcome = self.outcome_of(review, &attempt, &options, deadline).await;
                if let Outcome::Denied(still) = &outcome
                    && waiting::wait(&attempt, still, self.now()).is_some()
                {
                    denied = still.clone();
                    continue;
                }
                return self.after_waiting(review, &attempt, &options, outcome, deadline).await;
            }
        }
        drop(may);
        let denied = self.screened(&attempt).unwrap_or(denied);
        self.after_waiting(review, &attempt, &options, Outcome::Denied(denied), deadline).await
    }

    async fn after_waiting(
        &self,
        review: &Review,
        attempt: &Attempt,
        options: &ExecOptions,
        outcome: Outcome,
        deadline: Deadline,
    ) -> Decision {
        let Decision { answer, spent } = self.finish(review, attempt, options, outcome, deadline).await;
        Decision { answer: answer.annotated("waited", "true"), spent }
    }

    /// Until when there is something to wait for: a request is filed where there is none. `None`: nothing can come of it.
    async fn until(
        &self,
        user: &UserInfo,
        attempt: &Attempt,
        may: &MayWait,
        deadline: Deadline,
        gone: &mut oneshot::Receiver<Infallible>,
    ) -> Option<Instant> {
        let since = match may.wait {
            Wait::ForAnswer { since } => since,
            Wait::ForRequest => {
                let filing = self.filing(user, attempt, may);
                let filed = timeout_at(deadline.wait_until(), self.waiting.as_ref()?.filer.file(filing));
                let filed: Option<Filed> = tokio::select! {
                    biased;
                    _ = gone => None,
                    filed = filed => filed.ok().flatten(),
                };
                filed?.since
            }
        };
        let left = waiting::remaining(since, deadline.window(), self.now())?;
        Some(Instant::now().checked_add(left)?.min(deadline.wait_until()))
    }

    fn filing(&self, user: &UserInfo, attempt: &Attempt, may: &MayWait) -> Filing {
        let earlier = match &may.denied {
            Denied::Near { request, .. } => {
                let hers = self.index.candidates(&attempt.namespace, &may.person);
                hers.into_iter().map(|candidate| candidate.request).find(|one| one.name == *request).map(|one| one.uid)
            }
            Denied::NoRequest | Denied::InteractiveOff | Denied::Forbidden(_) => None,
        };
        Filing { attempt: attempt.clone(), user: user.clone(), person: may.person.clone(), earlier }
    }

    /// Completes when memory shows that there is something to decide.
    async fn changed(
        &self,
        attempt: &Attempt,
        changes: &mut watch::Receiver<()>,
        until: Instant,
        gone: &mut oneshot::Receiver<Infallible>,
    ) -> Ended {
        let different = async {
            while changes.changed().await.is_ok() {
                let waits = |denied| waiting::wait(attempt, &denied, self.now()).is_some();
                if !self.screened(attempt).is_some_and(waits) {
                    return Ended::Changed;
                }
            }
            Ended::Over
        };
        // In this order: of whoever is gone by the time that she is granted nothing is used up.
        tokio::select! {
            biased;
            _ = gone => Ended::Over,
            ended = timeout_at(until, different) => ended.unwrap_or(Ended::Over),
        }
    }

    /// Why memory denies an attempt; `None`: it promises something.
    pub(super) fn screened(&self, attempt: &Attempt) -> Option<Denied> {
        let candidates = match self.settings.prefix.person(&attempt.caller) {
            Some(person) => self.index.candidates(&attempt.namespace, &person),
            None => Vec::new(),
        };
        match verdict::screen(attempt, &candidates, self.now(), &self.rules()) {
            Screened::Denied(denied) => Some(denied),
            Screened::Promising(_) => None,
        }
    }
}
