//! An attempt to get into a pod, through whichever door, from its review to its answer.
//!
//! Nothing here allows by default: the only ways to `Outcome::Allowed` are an always-allowed
//! caller, and a permit that [`decide::verdict::confirm`] gave on what was just read, after it was
//! recorded and, if it is for one use, spent.

use api::{ExecOptions, UserInfo, review::Review};
use decide::{
    attempt::{Attempt, Door},
    policy_id::PolicyId,
    record,
    settings::Rules,
    standing::Candidate,
    verdict::{self, Denied, Miss, Permit, Pod, PodMiss, Screened, Spend, Verdict},
};
use tokio::time::timeout_at;
use tracing::warn;

use super::{
    Admission, Deadline, Decision, Step, Waiter, basis,
    failure::Failure,
    outcome::{Basis, Outcome},
    recording::what,
    tried::{Tried, read},
};
use crate::{
    audit::Exec,
    cluster::{
        ledger::{self, Live, Spent},
        outcomes::SpentUse,
        pods,
        rights::{self, Right},
    },
    failpoints::Failpoint,
};

/// Maximum number of candidates that are read live before the attempt is denied: a user has few
/// grants for one command.
const MAX_READS: usize = 8;

/// A permit, and what it was confirmed on.
struct Confirmed {
    permit: Permit,
    live: Live,
    pod: Pod,
    rules: Rules,
}

impl Confirmed {
    /// The use of the request that this review spent.
    fn spent(&self, review_uid: &str) -> SpentUse {
        SpentUse {
            namespace: self.live.candidate.request.namespace.clone(),
            request: self.permit.request.clone(),
            request_uid: self.permit.request_uid.clone(),
            review_uid: review_uid.to_owned(),
        }
    }

    /// The use that this attempt spent when it was asked about before, be it under another review.
    fn spent_before(&self, attempt: &Attempt) -> Option<SpentUse> {
        match self.permit.use_ {
            Spend::AlreadySpentByThisReview => {
                let one = self.live.candidate.request.used(attempt.door())?;
                Some(self.spent(&one.review_uid))
            }
            Spend::SingleUse | Spend::Nothing => None,
        }
    }
}

/// What confirming came to.
enum Confirmation {
    Permitted(Box<Confirmed>),
    Denied(Denied),
}

impl Admission {
    /// Decides on an attempt, records it, and spends what it uses up; or says that it may wait, and
    /// records nothing yet.
    pub(super) async fn attempt(&self, review: &Review, door: Door, deadline: Deadline) -> Step {
        let (attempt, options) = match read(review, door) {
            Ok(read) => read,
            Err(unclear) => {
                let outcome = Outcome::Unclear(unclear);
                let untold = self
                    .record_denial(review, &ExecOptions::default(), &outcome, deadline)
                    .await;
                return self.conclude(review, None, outcome, untold.as_ref()).into();
            }
        };
        let tried = Tried {
            review,
            attempt,
            options,
            deadline,
        };
        let outcome = self.outcome_of(&tried).await;
        if let Outcome::Denied(denied) = &outcome
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
    pub(super) async fn outcome_of(&self, tried: &Tried<'_>) -> Outcome {
        match timeout_at(tried.deadline.decide_by(), self.decide(tried)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_elapsed) => Outcome::Failed(Failure::Timeout),
        }
    }

    /// Records a denial, and answers. What is allowed was recorded before.
    pub(super) async fn finish(&self, tried: &Tried<'_>, outcome: Outcome) -> Decision {
        let Tried {
            review,
            attempt,
            options,
            deadline,
        } = tried;
        let denied = !matches!(outcome, Outcome::Allowed(_));
        let untold = if denied {
            self.record_denial(review, options, &outcome, *deadline)
                .await
        } else {
            None
        };
        self.conclude(review, Some(attempt), outcome, untold.as_ref())
    }

    async fn decide(&self, tried: &Tried<'_>) -> Result<Outcome, Failure> {
        let Tried {
            review,
            attempt,
            options,
            deadline,
        } = tried;
        // What nobody approved must be read from the record: what does not stand there whole is not
        // run.
        let whole = record::is_whole(&what(&attempt.action));
        if self.is_always_allowed(&attempt.caller) {
            if !whole {
                return Ok(Outcome::Unclear(too_long(attempt)));
            }
            let basis = &basis::by_policies("always-allowed", &[]);
            self.record(
                review,
                &Exec {
                    allowed: true,
                    always_allowed: true,
                    options,
                    basis,
                },
                *deadline,
            )
            .await?;
            return Ok(Outcome::Allowed(Basis::AlwaysAllowed));
        }
        if whole && let Some(policy) = self.policy(attempt).await? {
            let basis = &basis::by_policies("allowed-by-policy", std::slice::from_ref(&policy));
            self.record(
                review,
                &Exec {
                    allowed: true,
                    always_allowed: false,
                    options,
                    basis,
                },
                *deadline,
            )
            .await?;
            return Ok(Outcome::Allowed(Basis::Policy(policy)));
        }
        let promising = match self.screened(attempt) {
            Screened::Denied(denied) => return Ok(Outcome::Denied(denied)),
            Screened::Promising(promising) => promising,
        };
        match self.confirm(attempt, &promising).await? {
            Confirmation::Denied(denied) => Ok(Outcome::Denied(denied)),
            // Nobody approved what a policy granted either.
            Confirmation::Permitted(confirmed)
                if !whole && confirmed.permit.access.grants.is_empty() =>
            {
                Ok(Outcome::Unclear(too_long(attempt)))
            }
            Confirmation::Permitted(confirmed) => self.carry_out(tried, *confirmed).await,
        }
    }

    /// What memory says of an attempt.
    pub(super) fn screened(&self, attempt: &Attempt) -> Screened {
        let candidates = match self.settings.prefix.person(&attempt.caller) {
            Some(person) => self.index.candidates(&attempt.namespace, &person),
            None => Vec::new(),
        };
        verdict::screen(attempt, &candidates, self.now(), &self.rules())
    }

    /// The policy by which an attempt needs no request: one that memory knows, and that still says
    /// so when it is read.
    async fn policy(&self, attempt: &Attempt) -> Result<Option<PolicyId>, Failure> {
        if verdict::allowed_by_policy(attempt, &self.rules()).is_none() {
            return Ok(None);
        }
        let rules = self.live_rules().await?;
        Ok(verdict::allowed_by_policy(attempt, &rules).cloned())
    }

    /// Reads the promising candidates and the pod from the API server, and decides again on what it
    /// says now.
    async fn confirm(
        &self,
        attempt: &Attempt,
        promising: &[Candidate],
    ) -> Result<Confirmation, Failure> {
        let Some(best) = promising.first() else {
            return Ok(Confirmation::Denied(Denied::NoRequest));
        };
        let workload = promising
            .iter()
            .any(|known| known.request.target.kind != decide::access::TargetKind::Pod);
        let pod = pods::read(
            self.ledger.client(),
            &attempt.namespace,
            &attempt.pod,
            workload,
        );
        let first = async { Ok::<_, Failure>(Some(self.ledger.read(best).await?)) };
        // Three clients' futures in one are larger than a stack likes.
        let pod = Box::pin(async { Ok(pod.await?) });
        let rules = Box::pin(async { Ok(self.live_rules().await?) });
        let (mut first, pod, rules) = tokio::try_join!(first, pod, rules)?;
        // Of many workloads' requests only those of this pod are worth a read.
        let meant = |known: &&Candidate| {
            pod.as_ref()
                .is_some_and(|pod| verdict::is_meant(&known.request.target, pod))
        };
        let worth = promising
            .iter()
            .take(1)
            .chain(promising.iter().skip(1).filter(meant))
            .take(MAX_READS);
        let mut nearest = Denied::NoRequest;
        for known in worth {
            let live = match first.take() {
                Some(live) => live,
                None => self.ledger.read(known).await?,
            };
            let Some(live) = live else { continue };
            match verdict::confirm(attempt, &live.candidate, pod.as_ref(), self.now(), &rules) {
                Verdict::Deny(denied) => nearest = denied,
                Verdict::Allow(permit) => {
                    let Some(pod) = pod else {
                        return Ok(Confirmation::Denied(not_the_one(known)));
                    };
                    return Ok(Confirmation::Permitted(Box::new(Confirmed {
                        permit,
                        live,
                        pod,
                        rules,
                    })));
                }
            }
        }
        Ok(Confirmation::Denied(nearest))
    }

    /// Records the intent, then spends the single use; in this order, so that nothing is used up
    /// unrecorded.
    async fn carry_out(&self, tried: &Tried<'_>, confirmed: Confirmed) -> Result<Outcome, Failure> {
        let Tried {
            review,
            attempt,
            options,
            deadline,
        } = tried;
        let uid = &review.request.uid;
        // Nothing comes of a dry run, and so it costs nothing.
        let dry_run = attempt.door() == Door::EphemeralContainers && review.request.is_dry_run();
        let single = confirmed.permit.use_ == Spend::SingleUse && !dry_run;
        if single && !self.may_connect(&review.request.user_info, attempt).await? {
            return Ok(Outcome::NoRight);
        }
        Failpoint::BeforeIntent.reached(uid).await;
        let basis = &basis::by_request("granted", &confirmed.permit, &confirmed.live);
        self.record(
            review,
            &Exec {
                allowed: true,
                always_allowed: false,
                options,
                basis,
            },
            *deadline,
        )
        .await?;
        Failpoint::AfterIntent.reached(uid).await;
        if single {
            self.spend(attempt, &confirmed, *deadline).await
        } else {
            let spent = confirmed
                .spent_before(attempt)
                .filter(|_| !review.request.is_dry_run());
            Ok(Outcome::Allowed(Basis::Permit(
                Box::new(confirmed.permit),
                spent,
            )))
        }
    }

    /// Whether RBAC will let the caller through after us: it is asked before anything is spent. Of
    /// an update it was asked before us.
    async fn may_connect(&self, user: &UserInfo, attempt: &Attempt) -> Result<bool, kube::Error> {
        let door = attempt.door();
        if door == Door::EphemeralContainers {
            return Ok(true);
        }
        rights::has(
            self.ledger.client(),
            user,
            &attempt.namespace,
            Right::Door {
                pod: &attempt.pod,
                door,
            },
        )
        .await
    }

    async fn spend(
        &self,
        attempt: &Attempt,
        confirmed: &Confirmed,
        deadline: Deadline,
    ) -> Result<Outcome, Failure> {
        if !deadline.allows_spend() {
            return Err(Failure::Late);
        }
        let use_ = ledger::use_of(attempt, &confirmed.pod.uid, self.now());
        let still = |candidate: &Candidate| {
            let verdict = verdict::confirm(
                attempt,
                candidate,
                Some(&confirmed.pod),
                self.now(),
                &confirmed.rules,
            );
            matches!(verdict, Verdict::Allow(_))
        };
        Failpoint::BeforeSpend.reached(&attempt.review_uid).await;
        match self.ledger.spend(&confirmed.live, &use_, still).await? {
            Spent::Ours => {
                Failpoint::AfterSpend.reached(&attempt.review_uid).await;
                let spent = confirmed.spent(&attempt.review_uid);
                Ok(Outcome::Allowed(Basis::Permit(
                    Box::new(confirmed.permit.clone()),
                    Some(spent),
                )))
            }
            Spent::Lost => {
                warn!(
                    uid = attempt.review_uid,
                    request = confirmed.permit.request,
                    "another attempt was first"
                );
                Ok(Outcome::Denied(self.lost(attempt, confirmed).await?))
            }
        }
    }

    /// The miss of an attempt that another was faster than.
    async fn lost(&self, attempt: &Attempt, confirmed: &Confirmed) -> Result<Denied, kube::Error> {
        let Some(live) = self.ledger.read(&confirmed.live.candidate).await? else {
            return Ok(Denied::NoRequest);
        };
        let verdict = verdict::confirm(
            attempt,
            &live.candidate,
            Some(&confirmed.pod),
            self.now(),
            &confirmed.rules,
        );
        Ok(match verdict {
            Verdict::Deny(denied) => denied,
            Verdict::Allow(_) => Denied::NoRequest,
        })
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

fn not_the_one(known: &Candidate) -> Denied {
    Denied::Near {
        request: known.request.name.clone(),
        miss: Miss::Pod(PodMiss::NotTheOne),
    }
}
