//! An attempt to get into a pod, through whichever door, from its review to its answer.
//!
//! Nothing here allows by default: the only ways to `AttemptOutcome::Allowed` are an always-allowed
//! caller, a policy that needs no request, and a permit (see `confirming`), each after it was
//! recorded.

use api::{ExecOptions, contract::decisions};
use decide::{
    attempt::{Attempt, Door},
    policy_id::PolicyId,
    record,
    verdict::{self, Screened},
};
use tokio::time::timeout_at;

use super::{
    Gate, Waiter, basis,
    confirming::Confirmation,
    outcome::{AttemptOutcome, Grounds},
    recording::describe_action,
    tried::{Tried, read},
};
use crate::admission::{Deadline, Decision, Received, Step, failure::Failure};

impl Gate {
    /// Decides on an attempt, records it, and spends what it uses up; or says that it may wait, and
    /// records nothing yet.
    pub(in crate::admission) async fn attempt(
        &self,
        received: &Received,
        door: Door,
        deadline: Deadline,
    ) -> Step {
        let (attempt, options) = match read(received, door) {
            Ok(read) => read,
            Err(unclear) => {
                let outcome = AttemptOutcome::Unclear(unclear);
                let untold = self
                    .record_denial(received, &ExecOptions::default(), &outcome, deadline)
                    .await;
                return self
                    .conclude(received, None, outcome, untold.as_ref())
                    .into();
            }
        };
        let tried = Tried {
            received,
            attempt,
            options,
            deadline,
        };
        let outcome = self.outcome_of(&tried).await;
        if let AttemptOutcome::Denied(denied) = &outcome
            && let Some(may) = self.may_wait(&tried.attempt, denied, deadline)
        {
            return Step::Wait(Box::new(Waiter {
                attempt: tried.attempt,
                options: tried.options,
                may,
            }));
        }
        self.finish(&tried, outcome).await.into()
    }

    /// What an attempt comes to. Bounded, so that one that takes too long is recorded like any
    /// other.
    pub(super) async fn outcome_of(&self, tried: &Tried<'_>) -> AttemptOutcome {
        // Boxed: clients' futures are larger than a stack likes.
        let decision = Box::pin(self.decide(tried));
        match timeout_at(tried.deadline.decide_by(), decision).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => AttemptOutcome::Failed(failure),
            Err(_elapsed) => AttemptOutcome::Failed(Failure::Timeout),
        }
    }

    /// Records a denial, and answers. What is allowed was recorded before.
    pub(super) async fn finish(&self, tried: &Tried<'_>, outcome: AttemptOutcome) -> Decision {
        let Tried {
            received,
            attempt,
            options,
            deadline,
        } = tried;
        let denied = !matches!(outcome, AttemptOutcome::Allowed(_));
        let untold = if denied {
            self.record_denial(received, options, &outcome, *deadline)
                .await
        } else {
            None
        };
        self.conclude(received, Some(attempt), outcome, untold.as_ref())
    }

    async fn decide(&self, tried: &Tried<'_>) -> Result<AttemptOutcome, Failure> {
        let attempt = &tried.attempt;
        // What nobody approved must be read from the record: what does not stand there whole is not
        // run.
        let whole = record::is_whole(&describe_action(&attempt.action));
        if self.common.is_always_allowed(&attempt.caller) {
            if !whole {
                return Ok(AttemptOutcome::Unclear(too_long(attempt)));
            }
            let basis = &basis::by_policies(decisions::ALWAYS_ALLOWED, &[]);
            self.record_allow(tried, basis).await?;
            return Ok(AttemptOutcome::Allowed(Grounds::AlwaysAllowed));
        }
        if whole && let Some(policy) = self.policy(attempt).await? {
            let basis =
                &basis::by_policies(decisions::ALLOWED_BY_POLICY, std::slice::from_ref(&policy));
            self.record_allow(tried, basis).await?;
            return Ok(AttemptOutcome::Allowed(Grounds::Policy(policy)));
        }
        if let Screened::Denied(denied) = self.screened(attempt) {
            return Ok(AttemptOutcome::Denied(denied));
        }
        match self.confirm_in_turn(tried).await? {
            Confirmation::Denied(denied) => Ok(AttemptOutcome::Denied(denied)),
            // Nobody approved what a policy granted either.
            Confirmation::Permitted(confirmed)
                if !whole && confirmed.permit.access.grants.is_empty() =>
            {
                Ok(AttemptOutcome::Unclear(too_long(attempt)))
            }
            Confirmation::Permitted(confirmed) => self.carry_out(tried, *confirmed).await,
        }
    }

    /// Confirms an attempt that memory promises something. While it waits for its turn it holds
    /// nothing: what memory promises is looked up then.
    async fn confirm_in_turn(&self, tried: &Tried<'_>) -> Result<Confirmation, Failure> {
        let attempt = &tried.attempt;
        let turn = self.turns.take(&attempt.caller.username).await;
        let _turn = turn.ok_or(Failure::Late)?;
        match self.screened(attempt) {
            Screened::Denied(denied) => Ok(Confirmation::Denied(denied)),
            Screened::Promising(promising) => self.confirm(tried, &promising).await,
        }
    }

    /// What memory says of an attempt.
    pub(super) fn screened(&self, attempt: &Attempt) -> Screened {
        let candidates = match self.common.settings.prefix.person(&attempt.caller) {
            Some(person) => self.common.index.candidates(&attempt.namespace, &person),
            None => Vec::new(),
        };
        verdict::screen(
            attempt,
            &candidates,
            self.common.now(),
            &self.common.rules(),
        )
    }

    /// The policy by which an attempt needs no request: one that memory knows, and that still says
    /// so when it is read.
    async fn policy(&self, attempt: &Attempt) -> Result<Option<PolicyId>, Failure> {
        if verdict::allowed_by_policy(attempt, &self.common.rules()).is_none() {
            return Ok(None);
        }
        let rules = self.common.live_rules().await?;
        Ok(verdict::allowed_by_policy(attempt, &rules).cloned())
    }
}

fn too_long(attempt: &Attempt) -> String {
    format!(
        "this {} is too long to stand whole in the record (the maximum is {} bytes of JSON), so it is not allowed: send \
         what is long over standard input, or as a file",
        attempt.door().verb(),
        record::MAX_WHOLE_LEN
    )
}
