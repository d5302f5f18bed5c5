//! A denied attempt that waits for its grant, while kubectl waits for us (`--in-band-wait`).
//!
//! Whoever waits holds no place among the reviews, least of all one that a grant needs: there are
//! few places to wait in, and fewer for one person. Waiting decides nothing: what memory shows ends
//! the wait, and the attempt is then decided as any other, on live reads.

use std::convert::Infallible;

use api::{UserInfo, contract::audit_annotations::WAITED};
use decide::{
    attempt::Attempt,
    identity::Person,
    verdict::{Denied, Screened},
    waiting::{self, Wait},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    Gate,
    outcome::AttemptOutcome,
    places::{MayWait, Waiter},
    tried::Tried,
};
use crate::{
    admission::{Deadline, Decision, Received},
    controllers::filing::{Filed, Filing},
};

/// How many times a grant that memory shows is read live: what memory shows may be out of date.
const MAX_TRIES: usize = 5;

/// What ends a wait before its time: whoever asked is gone, or this server is to stop.
struct Interrupt<'a> {
    gone: &'a mut oneshot::Receiver<Infallible>,
    ready: watch::Receiver<bool>,
}

impl Interrupt<'_> {
    async fn comes(&mut self) {
        tokio::select! {
            _ = &mut *self.gone => {}
            // The sender lives as long as the server.
            _ = self.ready.wait_for(|ready| !ready) => {}
        }
    }
}

/// Why a wait ended.
enum Ended {
    /// Memory shows something else than when it began.
    Changed,
    /// Nothing came in time, or whoever waited is gone.
    Over,
    /// Somebody deleted the request.
    Deleted,
}

impl Gate {
    /// Whether a denied attempt may wait: for one that cannot be granted, or is answered already,
    /// there is nothing to wait for.
    pub(super) fn may_wait(
        &self,
        attempt: &Attempt,
        denied: &Denied,
        deadline: Deadline,
    ) -> Option<MayWait> {
        let waiting = self.waiting.as_ref()?;
        let wait = waiting::wait(attempt, denied, self.common.now())?;
        if let Wait::ForAnswer { since } = wait {
            waiting::remaining(since, deadline.window(), self.common.now())?;
        }
        let person = self.common.settings.prefix.person(&attempt.caller)?;
        if deadline.window().is_zero() || !*waiting.ready.borrow() {
            return None;
        }
        if wait == Wait::ForRequest
            && (waiting.was_vain(&person.name) || !self.could_be_filed(attempt, &person))
        {
            return None;
        }
        let place = waiting.place(&person.name)?;
        Some(MayWait {
            _place: place,
            person,
            denied: denied.clone(),
            wait,
        })
    }

    /// Whether a request could be filed for an attempt, for all that memory knows.
    fn could_be_filed(&self, attempt: &Attempt, person: &Person) -> bool {
        let rules = self.common.rules();
        let hers = self.common.index.candidates(&attempt.namespace, person);
        let open = hers
            .iter()
            .filter(|candidate| candidate.is_open(self.common.now(), &rules))
            .count();
        open < self.common.max_open_requests
            && waiting::could_be_filed(attempt, person, self.common.now(), &rules)
    }

    /// Waits until an attempt may be granted, or for as long as there is time, and then decides.
    /// `gone` ends with whoever asked.
    pub(in crate::admission) async fn wait(
        &self,
        received: &Received,
        waiter: Waiter,
        deadline: Deadline,
        gone: oneshot::Receiver<Infallible>,
    ) -> Decision {
        let Waiter {
            attempt,
            options,
            may,
        } = waiter;
        let tried = Tried {
            received,
            attempt,
            options,
            deadline,
        };
        let outcome = self.waited(&tried, may, gone).await;
        let Decision { answer, spent } = self.finish(&tried, outcome).await;
        Decision {
            answer: answer.annotated(WAITED, "true"),
            spent,
        }
    }

    /// What an attempt comes to after its wait.
    async fn waited(
        &self,
        tried: &Tried<'_>,
        may: MayWait,
        mut gone: oneshot::Receiver<Infallible>,
    ) -> AttemptOutcome {
        let attempt = &tried.attempt;
        let Some(waiting) = &self.waiting else {
            return AttemptOutcome::Denied(may.denied);
        };
        let mut interrupt = Interrupt {
            gone: &mut gone,
            ready: waiting.ready.clone(),
        };
        let mut changes = self.common.index.changes();
        // What memory shows by now counts too.
        changes.mark_changed();
        let mut denied = may.denied.clone();
        if let Some(until) = self.until(tried, &may, &mut interrupt).await {
            for _ in 0..MAX_TRIES {
                match self
                    .changed(attempt, &mut changes, until, &mut interrupt)
                    .await
                {
                    Ended::Over => break,
                    Ended::Deleted => {
                        waiting.remember_vain(&may.person.name);
                        break;
                    }
                    Ended::Changed => {}
                }
                let outcome = self.outcome_of(tried).await;
                let AttemptOutcome::Denied(still) = &outcome else {
                    return outcome;
                };
                if waiting::wait(attempt, still, self.common.now()).is_none() {
                    return outcome;
                }
                denied = still.clone();
            }
        }
        AttemptOutcome::Denied(self.denied_by_memory(attempt).unwrap_or(denied))
    }

    /// Until when there is something to wait for: a request is filed where there is none. `None`:
    /// nothing can come of it.
    async fn until(
        &self,
        tried: &Tried<'_>,
        may: &MayWait,
        interrupt: &mut Interrupt<'_>,
    ) -> Option<Instant> {
        let Tried {
            received,
            attempt,
            deadline,
            ..
        } = tried;
        let since = match may.wait {
            Wait::ForAnswer { since } => since,
            Wait::ForRequest => {
                let waiting = self.waiting.as_ref()?;
                let filed =
                    waiting
                        .filer
                        .file(self.filing(&received.request().user_info, attempt, may));
                let filed = tokio::select! {
                    biased;
                    () = interrupt.comes() => None,
                    filed = timeout_at(deadline.wait_until(), filed) => filed.ok().flatten(),
                };
                let Some(Filed { since, .. }) = filed else {
                    waiting.remember_vain(&may.person.name);
                    return None;
                };
                since
            }
        };
        let left = waiting::remaining(since, deadline.window(), self.common.now())?;
        Some(Instant::now().checked_add(left)?.min(deadline.wait_until()))
    }

    fn filing(&self, user: &UserInfo, attempt: &Attempt, may: &MayWait) -> Filing {
        let earlier = match &may.denied {
            Denied::Near { request, .. } => {
                let hers = self
                    .common
                    .index
                    .candidates(&attempt.namespace, &may.person);
                hers.iter()
                    .map(|candidate| &candidate.request)
                    .find(|one| one.name == *request)
                    .map(|one| one.uid.clone())
            }
            Denied::NoRequest | Denied::InteractiveOff | Denied::Forbidden(_) => None,
        };
        Filing {
            attempt: attempt.clone(),
            user: user.clone(),
            person: may.person.clone(),
            earlier,
        }
    }

    /// Completes when memory shows that there is something to decide.
    async fn changed(
        &self,
        attempt: &Attempt,
        changes: &mut watch::Receiver<()>,
        until: Instant,
        interrupt: &mut Interrupt<'_>,
    ) -> Ended {
        let mut policies = self.common.policies.changes();
        let mut shown = false;
        let different = async {
            loop {
                tokio::select! {
                    known = changes.changed() => if known.is_err() { return Ended::Over },
                    known = policies.changed() => if known.is_err() { return Ended::Over },
                }
                match self.denied_by_memory(attempt) {
                    Some(Denied::NoRequest) if shown => return Ended::Deleted,
                    Some(denied)
                        if waiting::wait(attempt, &denied, self.common.now()).is_some() =>
                    {
                        shown |= matches!(denied, Denied::Near { .. });
                    }
                    _ => return Ended::Changed,
                }
            }
        };
        // In this order: of whoever is gone by the time that she is granted nothing is used up.
        tokio::select! {
            biased;
            () = interrupt.comes() => Ended::Over,
            ended = timeout_at(until, different) => ended.unwrap_or(Ended::Over),
        }
    }

    /// Why memory denies an attempt; `None`: it promises something.
    fn denied_by_memory(&self, attempt: &Attempt) -> Option<Denied> {
        match self.screened(attempt) {
            Screened::Denied(denied) => Some(denied),
            Screened::Promising(_) => None,
        }
    }
}
