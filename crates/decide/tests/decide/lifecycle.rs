//! What the controllers should make of a request in every phase.

use std::time::Duration;

use jiff::Timestamp;
use kra_decide::{
    lifecycle::{Keep, plan},
    standing::{Candidate, Standing},
};
use rstest::rstest;

use crate::build::{at, candidate, denied_grant, for_an_hour, rules, used};

const HOUR: i64 = 3600;
const UNUSED_ENDS: i64 = 48 * HOUR;
const KEEP: Keep = Keep {
    finished: Duration::from_hours(24),
};
const KEPT: i64 = 24 * HOUR;

fn unanswered() -> Candidate {
    Candidate {
        grants: Vec::new(),
        ..candidate()
    }
}

fn denied() -> Candidate {
    Candidate {
        grants: vec![denied_grant()],
        ..candidate()
    }
}

fn spent() -> Candidate {
    let mut candidate = candidate();
    candidate.request.uses = used("review-1");
    candidate
}

/// Used, and nobody knows whether that was answered.
fn taken() -> Candidate {
    let mut candidate = spent();
    candidate.request.uses[0].outcome = None;
    candidate
}

fn revoked() -> Candidate {
    let mut candidate = candidate();
    candidate.request.being_deleted = true;
    candidate
}

fn times(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.map(at)
}

#[rstest]
#[case::waits_until_it_lapses(unanswered(), 120, false, Some(UNUSED_ENDS), Some(UNUSED_ENDS))]
#[case::lapsed_is_deleted_at_once(unanswered(), UNUSED_ENDS, false, Some(UNUSED_ENDS), None)]
#[case::granted_once_is_bound_until_it_lapses(candidate(), 120, true, None, Some(UNUSED_ENDS))]
#[case::granted_once_and_lapsed_is_deleted_at_once(
    candidate(),
    UNUSED_ENDS,
    false,
    Some(UNUSED_ENDS),
    None
)]
#[case::granted_for_an_hour_is_bound_for_an_hour(for_an_hour(), 120, true, None, Some(60 + HOUR))]
#[case::ended_is_kept_for_the_record(
    for_an_hour(), 60 + HOUR, false, Some(60 + HOUR + KEPT), None)]
#[case::denied_is_kept_for_the_record(denied(), 120, false, Some(90 + KEPT), None)]
#[case::used_is_bound_while_rbac_is_asked(spent(), 120, true, Some(100 + KEPT), Some(160))]
#[case::used_is_unbound_after_a_minute(spent(), 160, false, Some(100 + KEPT), None)]
#[case::taken_is_looked_at_when_it_must_have_been_answered(taken(), 120, true, Some(100 + KEPT), Some(145))]
#[case::lost_is_bound_as_long_as_used(taken(), 145, true, Some(100 + KEPT), Some(160))]
#[case::revoked_is_left_to_its_deletion(revoked(), 120, false, None, None)]
fn a_request(
    #[case] candidate: Candidate,
    #[case] now: i64,
    #[case] bound: bool,
    #[case] delete_at: Option<i64>,
    #[case] look_again: Option<i64>,
) {
    let plan = plan(&candidate, at(now), KEEP, &rules());
    assert_eq!(plan.bound, bound, "bound");
    assert_eq!(plan.delete_at, times(delete_at), "delete_at");
    assert_eq!(plan.look_again, times(look_again), "look_again");
}

#[test]
fn a_use_of_which_nobody_says_that_it_was_answered_is_lost_in_the_end() {
    let lost = |candidate, now| plan(&candidate, at(now), KEEP, &rules()).lost;
    assert!(lost(taken(), 144).is_empty(), "it may still be answered");
    assert_eq!(lost(taken(), 145), ["review-1"]);
    assert!(lost(spent(), 1_000_000).is_empty(), "it was answered");
}

#[test]
fn a_denied_grant_binds_nobody_whatever_else_was_granted() {
    let mut both = candidate();
    both.grants.push(denied_grant());
    let plan = plan(&both, at(120), KEEP, &rules());
    assert!(matches!(plan.standing, Standing::Denied(_)) && !plan.bound);
}

#[test]
fn a_valid_access_is_not_cleaned_up_and_an_ended_one_is() {
    let clean = |now| {
        plan(&for_an_hour(), at(now), KEEP, &rules())
            .delete_at
            .is_some_and(|when| when <= at(now))
    };
    assert!(!clean(60 + HOUR - 1));
    assert!(clean(60 + HOUR + KEPT));
}
