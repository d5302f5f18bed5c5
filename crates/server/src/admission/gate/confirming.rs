//! Access by a request: what memory promises is read, and decided again.
//!
//! Nothing here allows by default: the only way to `AttemptOutcome::Allowed` is a permit that
//! [`decide::verdict::confirm`] gave on what was just read, after it was recorded and, if it is for
//! one use, spent.

use api::contract::decisions;
use decide::{
    access::{TargetKind, Validity},
    attempt::{Attempt, Door},
    settings::Rules,
    standing::Candidate,
    verdict::{self, Denied, Miss, Permit, Pod, PodMiss, Spend, Verdict},
};
use tracing::warn;

use super::{
    Gate, basis,
    outcome::{AttemptOutcome, Grounds},
    tried::Tried,
};
use crate::{
    admission::{Deadline, failure::Failure},
    cluster::{
        ledger::{self, LiveRequest, Spent},
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
pub(super) struct Confirmed {
    pub(super) permit: Permit,
    live: LiveRequest,
    pod: Pod,
    rules: Rules,
    /// Whether RBAC will let the caller through after us, where that was asked.
    has_right: Option<bool>,
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
pub(super) enum Confirmation {
    Permitted(Box<Confirmed>),
    Denied(Denied),
}

impl Gate {
    /// Reads the promising candidates and the pod from the API server, and decides again on what it
    /// says now.
    pub(super) async fn confirm(
        &self,
        tried: &Tried<'_>,
        promising: &[Candidate],
    ) -> Result<Confirmation, Failure> {
        let attempt = &tried.attempt;
        let Some(best) = promising.first() else {
            return Ok(Confirmation::Denied(Denied::NoRequest));
        };
        let workload = promising
            .iter()
            .any(|known| known.request.target.kind != TargetKind::Pod);
        let pod = pods::read(
            self.common.ledger.client(),
            &attempt.namespace,
            &attempt.pod,
            workload,
        );
        let first = async { Ok::<_, Failure>(Some(self.common.ledger.read(best).await?)) };
        // Asked beside the reads, where memory says that something would be spent.
        let right = Box::pin(async {
            if best.request.validity != Validity::Once {
                return Ok(None);
            }
            // Where it cannot be told, it is asked again before anything is spent.
            Ok(self.may_connect(tried).await.ok())
        });
        // Several clients' futures in one are larger than a stack likes.
        let pod = Box::pin(async { Ok(pod.await?) });
        let rules = Box::pin(async { Ok(self.common.live_rules().await?) });
        let (mut first, pod, rules, has_right) = tokio::try_join!(first, pod, rules, right)?;
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
                None => self.common.ledger.read(known).await?,
            };
            let Some(live) = live else { continue };
            match verdict::confirm(
                attempt,
                &live.candidate,
                pod.as_ref(),
                self.common.now(),
                &rules,
            ) {
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
                        has_right,
                    })));
                }
            }
        }
        Ok(Confirmation::Denied(nearest))
    }

    /// Records the intent, then spends the single use; in this order, so that nothing is used up
    /// unrecorded.
    pub(super) async fn carry_out(
        &self,
        tried: &Tried<'_>,
        confirmed: Confirmed,
    ) -> Result<AttemptOutcome, Failure> {
        let Tried {
            received,
            attempt,
            deadline,
            ..
        } = tried;
        let uid = &received.request().uid;
        // Nothing comes of a dry run, and so it costs nothing.
        let dry_run =
            attempt.door() == Door::EphemeralContainers && received.request().is_dry_run();
        let single = confirmed.permit.use_ == Spend::SingleUse && !dry_run;
        if single && !self.has_right(tried, &confirmed).await? {
            return Ok(AttemptOutcome::NoRight);
        }
        Failpoint::BeforeIntent.reached(uid).await;
        let basis = &basis::by_request(decisions::GRANTED, &confirmed.permit, &confirmed.live);
        self.record_allow(tried, basis).await?;
        Failpoint::AfterIntent.reached(uid).await;
        if single {
            self.spend(attempt, &confirmed, *deadline).await
        } else {
            let spent = confirmed
                .spent_before(attempt)
                .filter(|_| !received.request().is_dry_run());
            Ok(AttemptOutcome::Allowed(Grounds::Permit(
                Box::new(confirmed.permit),
                spent,
            )))
        }
    }

    async fn has_right(
        &self,
        tried: &Tried<'_>,
        confirmed: &Confirmed,
    ) -> Result<bool, kube::Error> {
        match confirmed.has_right {
            Some(has_right) => Ok(has_right),
            None => self.may_connect(tried).await,
        }
    }

    /// Whether RBAC will let the caller through after us: it is asked before anything is spent. Of
    /// an update it was asked before us.
    async fn may_connect(&self, tried: &Tried<'_>) -> Result<bool, kube::Error> {
        let (attempt, user) = (&tried.attempt, &tried.received.request().user_info);
        let door = attempt.door();
        if door == Door::EphemeralContainers {
            return Ok(true);
        }
        rights::has(
            self.common.ledger.client(),
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
    ) -> Result<AttemptOutcome, Failure> {
        if !deadline.allows_spend() {
            return Err(Failure::Late);
        }
        let use_ = ledger::use_of(attempt, &confirmed.pod.uid, self.common.now());
        let still = |candidate: &Candidate| {
            let verdict = verdict::confirm(
                attempt,
                candidate,
                Some(&confirmed.pod),
                self.common.now(),
                &confirmed.rules,
            );
            matches!(verdict, Verdict::Allow(_))
        };
        Failpoint::BeforeSpend.reached(&attempt.review_uid).await;
        match self
            .common
            .ledger
            .spend(&confirmed.live, &use_, still)
            .await?
        {
            Spent::Ours => {
                Failpoint::AfterSpend.reached(&attempt.review_uid).await;
                let spent = confirmed.spent(&attempt.review_uid);
                Ok(AttemptOutcome::Allowed(Grounds::Permit(
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
                Ok(AttemptOutcome::Denied(self.lost(attempt, confirmed).await?))
            }
        }
    }

    /// The miss of an attempt that another was faster than.
    async fn lost(&self, attempt: &Attempt, confirmed: &Confirmed) -> Result<Denied, kube::Error> {
        let Some(live) = self.common.ledger.read(&confirmed.live.candidate).await? else {
            return Ok(Denied::NoRequest);
        };
        let verdict = verdict::confirm(
            attempt,
            &live.candidate,
            Some(&confirmed.pod),
            self.common.now(),
            &confirmed.rules,
        );
        Ok(match verdict {
            Verdict::Deny(denied) => denied,
            Verdict::Allow(_) => Denied::NoRequest,
        })
    }
}

fn not_the_one(known: &Candidate) -> Denied {
    Denied::Near {
        request: known.request.name.clone(),
        miss: Miss::Pod(PodMiss::NotTheOne),
    }
}
