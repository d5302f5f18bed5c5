//! The status of a request: where it stands, for people and for `kubectl wait`.

use std::time::Duration;

use api::{
    AccessRequest, AccessRequestStatus, Phase, PolicyRef,
    contract::{
        conditions::{DENIED, EXPIRED, GRANTED, LOST, REVIEWED, SEALED, USED},
        reasons::{self, AWAITED, NO_SEAL, NOT_ANSWERED, OVERDUE},
    },
    objects::{Denied, Emergency, Outcome, Reviewed, Use},
};
use decide::{
    access::{self},
    explain,
    lifecycle::{self, Plan, Unsealed},
    policy_id::PolicyId,
    standing::{Access, Standing},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Api, ResourceExt as _, api::PostParams};
use tracing::warn;

use super::{ControllerContext, bindings, events, observe};
use crate::{cluster::index::Key, metrics::Metrics};

/// How far the clocks of replicas may differ: within that, what one of them has written because of
/// the time is not taken back. Beyond it, a status heals by itself once the clock is right.
const MAX_SKEW: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of grants that the message of `Sealed` names.
const MAX_NAMES: usize = 4;

/// Why a request could not be brought into order now.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server did not take or give something.
    #[error("the API server could not be asked")]
    Api(#[from] kube::Error),
    /// The API server took the status, and stored something else.
    #[error(
        "the status was written, but something changed what is never taken back in it (such as uses, a denial or an emergency) on its way: look for \
         mutating webhooks and policies that reach accessrequests/status"
    )]
    NotStored,
}

impl ReconcileError {
    /// Whether somebody else wrote first.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_conflict())
    }
}

/// Brings a request into order. Answers after what time to look again, where nothing else happens.
///
/// # Errors
/// The API server did not answer, or somebody else wrote first.
pub async fn reconcile(
    request: &Key,
    context: &ControllerContext,
) -> Result<Option<Duration>, ReconcileError> {
    let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), &request.namespace);
    let Some(object) = api.get_opt(&request.name).await? else {
        return Ok(None);
    };
    let Some(live) = observe::with_grants(context, object).await? else {
        return Ok(None);
    };
    let now = (context.clock)();
    let untold = context
        .notices
        .as_ref()
        .and_then(|notices| notices.tell_again(&live.object, now));
    let plan = lifecycle::plan(&live.candidate, now, context.keep, &context.rules());
    // A denial must reach the status even where the role cannot be bound.
    let bound = bindings::reconcile(&live.candidate.request, &plan, context).await;
    let usable = *bound.as_ref().unwrap_or(&false);
    let old = live.object.status.clone().unwrap_or_default();
    let ahead = Ahead {
        moments: lifecycle::moments(&live.candidate, &context.rules()),
        at: |at| lifecycle::plan(&live.candidate, at, context.keep, &context.rules()),
    };
    let new = settled(&old, &plan, usable, now, &ahead);
    if new != old && plan.standing != Standing::Revoked {
        tell_of_lost(&live.object, &plan);
        count_unsealed(&old, &plan.unsealed, &context.metrics);
        if write(&live.object, new.clone(), context).await? {
            events::tell(&context.recorder, &live.object, &old, &new);
            if let Some(notices) = &context.notices {
                notices.tell(&live.object, &old, &new, now);
            }
        }
    }
    bound?;
    Ok(next(&plan, usable, untold, now))
}

/// When to look again: when time alone changes something, when an alarm that was not told is told
/// again, or soon where RBAC does not know of a binding yet.
fn next(plan: &Plan, usable: bool, untold: Option<Duration>, now: Timestamp) -> Option<Duration> {
    if !usable {
        return Some(Duration::from_secs(1));
    }
    let changes = plan
        .look_again
        .and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let wait = changes.into_iter().chain(untold).min();
    wait.map(|wait| wait.saturating_add(Duration::from_millis(50)))
}

/// A PUT with uid and resourceVersion, so that a use that was spent meanwhile is never overwritten.
/// False: the request is gone. What is stored is compared with what was written: another admission
/// webhook could take a denial out.
async fn write(
    object: &AccessRequest,
    status: AccessRequestStatus,
    context: &ControllerContext,
) -> Result<bool, ReconcileError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), namespace);
    let object = AccessRequest {
        status: Some(status),
        ..object.clone()
    };
    match api
        .replace_status(name, &PostParams::default(), &object)
        .await
    {
        Ok(stored) if is_kept(&object, &stored) => Ok(true),
        Ok(_changed) => Err(ReconcileError::NotStored),
        // Deleted meanwhile: nothing to bring into order any more.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether what is never taken back is stored as it was written. It is compared as JSON, where
/// times have whole seconds.
fn is_kept(written: &AccessRequest, stored: &AccessRequest) -> bool {
    let record = |object: &AccessRequest| {
        let AccessRequestStatus {
            uses,
            denied,
            emergency,
            reviewed,
            notified,
            ..
        } = object.status.as_ref()?;
        serde_json::to_value((uses, denied, emergency, reviewed, notified)).ok()
    };
    record(written).is_some_and(|written| record(stored) == Some(written))
}

/// What another replica sees whose clock is ahead of ours.
struct Ahead<F> {
    /// When time alone changes something, in order.
    moments: Vec<Timestamp>,
    /// What is to be made of the request at such a time.
    at: F,
}

/// The new status. Where the old one is what time alone will soon make of the request, a replica
/// whose clock is ahead of ours has written it, and it stays: else the two would write in turns for
/// as long as their clocks differ. Whatever else changed is written all the same.
fn settled<F: Fn(Timestamp) -> Plan>(
    old: &AccessRequestStatus,
    plan: &Plan,
    usable: bool,
    now: Timestamp,
    ahead: &Ahead<F>,
) -> AccessRequestStatus {
    let new = status(old, plan, usable, now);
    if new == *old {
        return new;
    }
    let latest = now.checked_add(MAX_SKEW).unwrap_or(now);
    let moments = ahead.moments.iter().copied();
    let later: Vec<AccessRequestStatus> = moments
        .filter(|at| *at > now && *at <= latest)
        .map(|at| status(old, &(ahead.at)(at), usable, at))
        .collect();
    let find =
        |is: &dyn Fn(&AccessRequestStatus) -> bool| later.iter().find(|one| is(one)).cloned();
    let same = find(&|one| one == old);
    let as_far = || find(&|one| stage(one) == stage(old)).filter(|_| stage(&new) != stage(old));
    same.or_else(as_far).unwrap_or(new)
}

/// How far time has brought a request.
fn stage(status: &AccessRequestStatus) -> (Option<Phase>, Option<&Time>, bool) {
    let overdue =
        |condition: &Condition| condition.type_ == REVIEWED && condition.reason == OVERDUE;
    (
        status.phase,
        status.expires_at.as_ref(),
        status.conditions.iter().any(overdue),
    )
}

/// The new status, with the old one's uses, denial, emergency, review and told alarms: none is ever
/// taken back.
fn status(
    old: &AccessRequestStatus,
    plan: &Plan,
    usable: bool,
    now: Timestamp,
) -> AccessRequestStatus {
    let denied = match &plan.standing {
        Standing::Denied(denial) => Some(Denied {
            by: denial.by.clone(),
            at: Time(denial.at),
            reason: denial.reason.clone(),
        }),
        Standing::Pending
        | Standing::Granted(_)
        | Standing::Used { .. }
        | Standing::Expired { .. }
        | Standing::Forbidden(_)
        | Standing::Revoked => old.denied.clone(),
    };
    let (phase, granted_by, expires_at) = show_standing(&plan.standing, usable);
    let uses = old
        .uses
        .iter()
        .map(|one| with_outcome(one, plan))
        .collect::<Vec<_>>();
    let emergency = old
        .emergency
        .clone()
        .or_else(|| plan.emergency.clone().map(emergency));
    let reviewed = old
        .reviewed
        .clone()
        .or_else(|| plan.reviewed.clone().map(reviewed));
    let mut conditions = conditions(old, &uses, phase, &plan.standing, now);
    conditions.extend(
        emergency
            .as_ref()
            .map(|emergency| review(old, emergency, reviewed.as_ref(), now)),
    );
    conditions.extend(unsealed(old, &plan.unsealed, now));
    AccessRequestStatus {
        phase: Some(phase),
        conditions,
        uses,
        denied,
        granted_by,
        granted_by_policy: granted_by_policy(&plan.standing),
        emergency,
        reviewed,
        approvals: Some(plan.approvals).filter(|approvals| *approvals > 1),
        expires_at: expires_at.map(Time),
        notified: old.notified.clone(),
    }
}

fn granted_by_policy(standing: &Standing) -> Option<PolicyRef> {
    let Standing::Granted(Access {
        policy: Some(policy),
        ..
    }) = standing
    else {
        return None;
    };
    Some(policy_ref((**policy).clone()))
}

fn policy_ref(
    PolicyId {
        name,
        uid,
        generation,
    }: PolicyId,
) -> PolicyRef {
    PolicyRef {
        name,
        uid,
        generation,
    }
}

fn emergency(one: access::Emergency) -> Emergency {
    Emergency {
        policy: policy_ref(one.policy),
        since: Time(one.since),
        review_by: Time(one.review_by),
    }
}

fn reviewed(one: access::Reviewed) -> Reviewed {
    Reviewed {
        by: one.by,
        at: Time(one.at),
        reason: one.reason,
    }
}

/// A use, called lost where the plan says so. It stays a use.
fn with_outcome(one: &Use, plan: &Plan) -> Use {
    let lost = one.outcome.is_none() && plan.lost.contains(&one.review_uid);
    Use {
        outcome: if lost {
            Some(Outcome::Lost)
        } else {
            one.outcome
        },
        ..one.clone()
    }
}

/// Before it is written, so that none is ever lost in silence; several replicas may say it of the
/// same review.
fn tell_of_lost(object: &AccessRequest, plan: &Plan) {
    let all = object.status.iter().flat_map(|status| &status.uses);
    for one in all.filter(|one| one.outcome.is_none() && plan.lost.contains(&one.review_uid)) {
        let user = object
            .spec
            .user_info
            .as_ref()
            .map(api::UserInfo::name)
            .unwrap_or_default();
        let (namespace, request) = (object.namespace().unwrap_or_default(), object.name_any());
        let (uid, at, pod) = (&one.review_uid, one.at.0, &one.pod);
        warn!(
            target: "audit",
            uid, user, namespace, pod, request, %at, decision = "lost",
            "a single use was taken, and for all that is known its review was not answered: it is not given back"
        );
    }
}

fn show_standing(standing: &Standing, usable: bool) -> (Phase, Vec<String>, Option<Timestamp>) {
    match standing {
        // The binding is on its way.
        Standing::Granted(access) if !usable => (
            Phase::Pending,
            access.by.iter().take(64).cloned().collect(),
            Some(access.until),
        ),
        Standing::Granted(access) => (
            Phase::Granted,
            access.by.iter().take(64).cloned().collect(),
            Some(access.until),
        ),
        Standing::Pending | Standing::Revoked => (Phase::Pending, Vec::new(), None),
        Standing::Denied(_) | Standing::Forbidden(_) => (Phase::Denied, Vec::new(), None),
        Standing::Used { by, .. } => (Phase::Used, by.iter().take(64).cloned().collect(), None),
        Standing::Expired { at, by } => (
            Phase::Expired,
            by.iter().take(64).cloned().collect(),
            Some(*at),
        ),
    }
}

fn conditions(
    old: &AccessRequestStatus,
    uses: &[Use],
    phase: Phase,
    standing: &Standing,
    now: Timestamp,
) -> Vec<Condition> {
    let all = [
        (GRANTED, phase == Phase::Granted),
        (DENIED, phase == Phase::Denied),
        (USED, phase == Phase::Used),
        (EXPIRED, phase == Phase::Expired),
    ];
    // `Granted` always stands there, to be waited for; the others once they are true.
    let shown = all.into_iter().filter(|(kind, is)| *kind == GRANTED || *is);
    let reason = format!("{phase:?}");
    let shown = shown.map(|(kind, is)| condition(old, kind, is, &reason, &message(standing), now));
    shown.chain(lost(old, uses, now)).collect()
}

/// That uses are lost, for whoever waits for what she ran.
fn lost(old: &AccessRequestStatus, uses: &[Use], now: Timestamp) -> Option<Condition> {
    let mut lost = uses
        .iter()
        .filter(|one| one.outcome == Some(Outcome::Lost))
        .map(|one| one.at.0.to_string());
    let first = lost.next()?;
    let times = lost.fold(first, |times, at| format!("{times}, {at}"));
    let message = format!(
        "the use taken at {times} may have been lost: the server stopped before it could answer, or not in time. It is not \
         given back; ask again"
    );
    Some(condition(old, LOST, true, NOT_ANSWERED, &message, now))
}

/// That something would count if it were sealed, for whoever wonders why it does not.
fn unsealed(old: &AccessRequestStatus, unsealed: &Unsealed, now: Timestamp) -> Option<Condition> {
    let request = unsealed.request.then(|| {
        "this request has no good seal: it can be denied, and no policy or approver grants it. File it anew".to_owned()
    });
    let grants = unsealed.grants.iter().take(MAX_NAMES).map(|name| {
        format!(
            "accessgrant {name} has no good seal, and grants nothing. Delete it, and grant anew"
        )
    });
    let found: Vec<String> = request.into_iter().chain(grants).collect();
    let message = format!(
        "{}. What has none was written past the server, or sealed under a key that is gone",
        found.join(". ")
    );
    (!found.is_empty()).then(|| condition(old, SEALED, false, NO_SEAL, &message, now))
}

/// Counts what was found without a good seal for the first time.
fn count_unsealed(old: &AccessRequestStatus, unsealed: &Unsealed, metrics: &Metrics) {
    if old
        .conditions
        .iter()
        .any(|condition| condition.type_ == SEALED)
    {
        return;
    }
    unsealed
        .grants
        .iter()
        .for_each(|_| metrics.broken_seal("accessgrants"));
    if unsealed.request {
        metrics.broken_seal("accessrequests");
    }
}

/// Whether an emergency was reviewed, and whether it is too late. What was remarked is not repeated
/// here.
fn review(
    old: &AccessRequestStatus,
    emergency: &Emergency,
    reviewed: Option<&Reviewed>,
    now: Timestamp,
) -> Condition {
    let by = emergency.review_by.0;
    let (is, reason, message) = match reviewed {
        Some(reviewed) => (
            true,
            reasons::REVIEWED,
            format!("reviewed by {} at {}", reviewed.by, reviewed.at.0),
        ),
        None if by <= now => (
            false,
            OVERDUE,
            format!("nobody reviewed this emergency until {by}"),
        ),
        None => (false, AWAITED, format!("to be reviewed until {by}")),
    };
    condition(old, REVIEWED, is, reason, &message, now)
}

fn condition(
    old: &AccessRequestStatus,
    kind: &str,
    is: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    let status = if is { "True" } else { "False" };
    let before = old
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: before.map_or(Time(now), |condition| {
            condition.last_transition_time.clone()
        }),
        observed_generation: None,
    }
}

fn message(standing: &Standing) -> String {
    let by = |by: &[String]| by.join(", ");
    match standing {
        Standing::Pending => "nobody has answered yet".to_owned(),
        Standing::Revoked => "it is being deleted".to_owned(),
        Standing::Granted(access) => {
            format!("granted by {} until {}", by(&access.by), access.until)
        }
        Standing::Denied(denial) => format!("denied by {}", denial.by),
        Standing::Forbidden(forbidden) => explain::forbids(forbidden),
        Standing::Used { last, .. } => format!("used at {}", last.at),
        Standing::Expired { at, by: nobody } if nobody.is_empty() => {
            format!("nobody answered until {at}")
        }
        Standing::Expired { at, .. } => format!("ended at {at}"),
    }
}

#[cfg(test)]
mod tests {
    use decide::{access::Denial, standing::Access};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000_i64.saturating_add(second)).unwrap()
    }

    fn plan(standing: Standing) -> Plan {
        Plan {
            standing,
            bound: false,
            approvals: 1,
            delete_at: None,
            lost: Vec::new(),
            emergency: None,
            reviewed: None,
            unsealed: Unsealed::default(),
            look_again: None,
        }
    }

    fn granted() -> Standing {
        Standing::Granted(Access {
            until: at(60),
            since: at(0),
            by: vec!["amy".into()],
            grants: vec!["g".into()],
            policy: None,
        })
    }

    fn used() -> AccessRequestStatus {
        let one = Use {
            review_uid: "r".into(),
            at: Time(at(0)),
            pod: "p".into(),
            pod_uid: "u".into(),
            sub_resource: None,
            container: None,
            outcome: None,
        };
        AccessRequestStatus {
            uses: vec![one],
            ..AccessRequestStatus::default()
        }
    }

    #[test]
    fn a_use_and_a_denial_are_never_taken_back() {
        let denied = Denied {
            by: "ann".into(),
            at: Time(at(0)),
            reason: None,
        };
        let old = AccessRequestStatus {
            denied: Some(denied),
            ..used()
        };
        for standing in [
            Standing::Pending,
            granted(),
            Standing::Expired {
                at: at(1),
                by: vec![],
            },
        ] {
            let new = status(&old, &plan(standing), true, at(2));
            assert_eq!(
                (new.uses, new.denied),
                (old.uses.clone(), old.denied.clone())
            );
        }
    }

    #[test]
    fn a_lost_use_stays_used_and_says_so_once() {
        let lost = Plan {
            lost: vec!["r".into()],
            ..plan(granted())
        };
        let new = status(&used(), &lost, true, at(60));
        assert_eq!(
            new.uses,
            [Use {
                outcome: Some(Outcome::Lost),
                ..used().uses[0].clone()
            }]
        );
        let condition = new
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Lost")
            .unwrap();
        assert!(
            condition
                .message
                .contains("may have been lost: the server stopped before it could answer")
        );
        assert_eq!(status(&new, &plan(granted()), true, at(90)), new);
    }

    #[test]
    fn what_was_answered_is_not_lost_whatever_a_late_plan_says() {
        let mut answered = used();
        answered.uses[0].outcome = Some(Outcome::Answered);
        let new = status(
            &answered,
            &Plan {
                lost: vec!["r".into()],
                ..plan(granted())
            },
            true,
            at(60),
        );
        assert_eq!(new.uses, answered.uses);
        assert!(
            new.conditions
                .iter()
                .all(|condition| condition.type_ != "Lost")
        );
    }

    #[test]
    fn a_denial_reaches_the_status_with_its_reason() {
        let denial = Denial {
            by: "ann".into(),
            at: at(1),
            reason: Some("not today".into()),
        };
        let new = status(
            &AccessRequestStatus::default(),
            &plan(Standing::Denied(denial)),
            true,
            at(2),
        );
        assert_eq!(new.phase, Some(Phase::Denied));
        assert_eq!(new.denied.unwrap().reason.as_deref(), Some("not today"));
    }

    #[test]
    fn a_granted_request_waits_until_its_binding_is_known() {
        let waiting = status(
            &AccessRequestStatus::default(),
            &plan(granted()),
            false,
            at(2),
        );
        assert_eq!(waiting.phase, Some(Phase::Pending));
        assert_eq!(waiting.conditions[0].status, "False");
        let usable = status(&waiting, &plan(granted()), true, at(3));
        assert_eq!(usable.phase, Some(Phase::Granted));
        assert_eq!(
            (
                usable.conditions[0].type_.as_str(),
                usable.conditions[0].status.as_str()
            ),
            ("Granted", "True")
        );
        assert_eq!(usable.expires_at, Some(Time(at(60))));
    }

    fn in_an_emergency() -> Plan {
        let policy = PolicyId {
            name: "night".into(),
            uid: "p".into(),
            generation: 2,
        };
        let emergency = access::Emergency {
            policy,
            since: at(0),
            review_by: at(3600),
        };
        Plan {
            emergency: Some(emergency),
            ..plan(granted())
        }
    }

    fn reviewed_condition(status: &AccessRequestStatus) -> (&str, &str) {
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == REVIEWED)
            .unwrap();
        (&condition.status, &condition.reason)
    }

    #[test]
    fn an_emergency_and_its_review_are_never_taken_back_nor_changed() {
        let marked = status(
            &AccessRequestStatus::default(),
            &in_an_emergency(),
            true,
            at(0),
        );
        assert_eq!(marked.emergency.as_ref().unwrap().policy.generation, 2);
        assert_eq!(reviewed_condition(&marked), ("False", "Awaited"));
        assert_eq!(status(&marked, &in_an_emergency(), true, at(60)), marked);
        let overdue = status(&marked, &in_an_emergency(), true, at(3600));
        assert_eq!(reviewed_condition(&overdue), ("False", "Overdue"));
        let by = |name: &str| {
            Some(access::Reviewed {
                by: name.into(),
                at: at(4000),
                reason: Some("a secret".into()),
            })
        };
        let reviewed = status(
            &overdue,
            &Plan {
                reviewed: by("amy"),
                ..in_an_emergency()
            },
            true,
            at(4000),
        );
        assert_eq!(reviewed_condition(&reviewed), ("True", "Reviewed"));
        assert!(
            reviewed
                .conditions
                .iter()
                .all(|condition| !condition.message.contains("secret"))
        );
        let mut other = in_an_emergency();
        other.emergency.as_mut().unwrap().policy.generation = 3;
        for plan in [
            plan(Standing::Pending),
            other,
            Plan {
                reviewed: by("bob"),
                ..plan(granted())
            },
        ] {
            let later = status(&reviewed, &plan, true, at(5000));
            assert_eq!(
                (&later.emergency, &later.reviewed),
                (&marked.emergency, &reviewed.reviewed)
            );
        }
    }

    #[test]
    fn what_did_not_change_is_not_written_again() {
        let once = status(&used(), &plan(granted()), true, at(2));
        assert_eq!(status(&once, &plan(granted()), true, at(30)), once);
    }
}
