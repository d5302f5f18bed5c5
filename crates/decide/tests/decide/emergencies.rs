//! Policies for emergencies: what they give, and what a review is.

use std::time::Duration;

use jiff::Timestamp;
use kra_decide::{
    access::{Answer, Grant, Seal, Validity},
    identity::Approvers,
    lifecycle::{Keep, Plan, plan},
    policy::{Allow, Effect, Policy, Terms, TextRule},
    policy_id::PolicyId,
    ruling::Foretold,
    settings::Rules,
    standing::{Candidate, Standing},
    verdict::{Permit, Screened, Verdict, allowed_by_policy, confirm, screen},
};
use proptest::{prelude::*, sample::Index};
use rstest::rstest;

use crate::{
    build::{NOW, at, attempt, candidate, denied_grant, grant, person, pod, rules_with, used},
    policies::{deny, gets_in, governed, policy, require, with},
};

const KEEP: Keep = Keep {
    finished: Duration::from_hours(24),
};
const DAY: i64 = 24 * 3600;

fn granting(name: &str, emergency: Option<Duration>) -> Policy {
    let terms = Terms {
        reason: Some(TextRule::default()),
        ..Terms::default()
    };
    policy(
        name,
        Effect::Allow(Allow {
            terms,
            emergency,
            ..Allow::default()
        }),
    )
}

fn night() -> Policy {
    granting("night", Some(Duration::from_hours(24)))
}

/// Filed with a reason, and answered by nobody.
fn filed() -> Candidate {
    let mut candidate = Candidate {
        grants: Vec::new(),
        ..candidate()
    };
    candidate.request.reason = Some("the shop is down".to_owned());
    candidate
}

/// The same, once the status says that it is an emergency.
fn marked() -> Candidate {
    let mut candidate = filed();
    candidate.request.emergency = planned(&filed(), NOW, &[night()]).emergency;
    assert!(candidate.request.emergency.is_some());
    candidate
}

fn review() -> Grant {
    Grant {
        name: "review-1".to_owned(),
        answer: Answer::Reviewed,
        created: at(NOW),
        ..grant()
    }
}

fn planned(candidate: &Candidate, now: i64, policies: &[Policy]) -> Plan {
    plan(candidate, at(now), KEEP, &with(policies))
}

fn permit(candidate: &Candidate, policies: &[Policy]) -> Option<Permit> {
    match confirm(
        &attempt(),
        candidate,
        Some(&pod()),
        at(NOW),
        &with(policies),
    ) {
        Verdict::Allow(permit) => Some(permit),
        Verdict::Deny(_) => None,
    }
}

fn names(policies: &[PolicyId]) -> Vec<&str> {
    policies.iter().map(|policy| policy.name.as_str()).collect()
}

#[test]
fn an_emergency_is_granted_at_once_and_marked_with_the_policy_and_the_time_of_review() {
    let plan = planned(&filed(), NOW, &[night()]);
    assert!(matches!(&plan.standing, Standing::Granted(access) if access.by == ["policy night"]));
    let emergency = plan.emergency.unwrap();
    assert_eq!(
        emergency.policy,
        PolicyId {
            name: "night".into(),
            uid: "uid-night".into(),
            generation: 1
        }
    );
    assert_eq!(
        (emergency.since, emergency.review_by),
        (at(NOW), at(NOW + DAY))
    );
    assert_eq!(plan.look_again, Some(at(NOW + DAY)), "then it is overdue");
}

#[test]
fn it_opens_nothing_before_it_is_marked_nor_a_plain_attempt() {
    assert_eq!(
        filed().standing(at(NOW), &with(&[night()])),
        Standing::Pending
    );
    assert_eq!(permit(&filed(), &[night()]), None);
    assert_eq!(allowed_by_policy(&attempt(), &with(&[night()])), None);
    // Nor one that wants nothing said, should such a policy ever be made.
    let silent = policy(
        "silent",
        Effect::Allow(Allow {
            emergency: Some(Duration::from_hours(1)),
            ..Allow::default()
        }),
    );
    assert_eq!(allowed_by_policy(&attempt(), &with(&[silent])), None);
    let permit = permit(&marked(), &[night()]).unwrap();
    assert!(permit.emergency);
    assert_eq!(names(&permit.policies), ["night"]);
}

#[test]
fn without_a_reason_it_waits_for_an_approval() {
    let mut silent = filed();
    silent.request.reason = None;
    let plan = planned(&silent, NOW, &[night()]);
    assert_eq!((plan.standing, plan.emergency), (Standing::Pending, None));
}

#[rstest]
#[case::another_policy(filed(), vec![night(), granting("plain", None)])]
#[case::an_approver(Candidate { grants: vec![grant()], ..filed() }, vec![night()])]
#[case::nothing_for_it_is_denied(Candidate { grants: vec![denied_grant()], ..filed() }, vec![night()])]
#[case::nothing_for_a_policy_denies(filed(), vec![night(), deny()])]
#[case::nothing_for_a_policy_requires(filed(), vec![night(), require(1)])]
fn what_something_else_decides_is_no_emergency(
    #[case] candidate: Candidate,
    #[case] policies: Vec<Policy>,
) {
    assert_eq!(planned(&candidate, NOW, &policies).emergency, None);
}

#[test]
fn what_is_over_or_used_does_not_become_one() {
    let mut spent = filed();
    spent.request.uses = used("review-0");
    assert_eq!(planned(&spent, NOW, &[night()]).emergency, None);
    let mut short = filed();
    short.request.validity = Validity::For(Duration::from_mins(1));
    assert_eq!(
        planned(&short, 61, &[night()]).emergency,
        None,
        "its time would be over at once"
    );
}

#[test]
fn the_mark_stays_as_it_was_whatever_the_policies_say_later() {
    let mark = marked().request.emergency;
    let later = Policy {
        id: PolicyId {
            generation: 2,
            ..night().id
        },
        ..night()
    };
    for policies in [vec![], vec![deny()], vec![later.clone()]] {
        assert_eq!(planned(&marked(), 2 * NOW, &policies).emergency, mark);
    }
    assert_eq!(
        permit(&marked(), &[]),
        None,
        "the policy is gone, and gives nothing"
    );
    assert_eq!(
        permit(&marked(), &[later]).unwrap().policies[0].generation,
        2,
        "the record has it as it is now"
    );
}

#[test]
fn what_was_spent_names_the_policy_still() {
    let mut spent = marked();
    spent.request.uses = used("review-1");
    assert_eq!(
        names(&permit(&spent, &[night()]).unwrap().policies),
        ["night"]
    );
}

#[test]
fn what_is_required_is_named_with_the_grant() {
    let policies = [
        require(1),
        Policy {
            id: PolicyId {
                name: "z".into(),
                ..night().id
            },
            ..require(1)
        },
    ];
    let granted = Candidate {
        grants: vec![grant()],
        ..filed()
    };
    let permit = permit(&granted, &policies).unwrap();
    assert_eq!(
        (names(&permit.policies), permit.emergency),
        (vec!["require", "z"], false)
    );
}

fn reviewed_by(candidate: &Candidate, rules: &Rules) -> Option<String> {
    candidate
        .reviewed(at(NOW), rules)
        .map(|reviewed| reviewed.by)
}

#[rstest]
#[case::unsealed(|review: &mut Grant| review.seal = Seal::Broken)]
#[case::by_the_requester(|review: &mut Grant| review.by = Some(person("jane", None)))]
#[case::by_nobody(|review: &mut Grant| review.by = None)]
#[case::of_another_request(|review: &mut Grant| review.request_uid = Some("request-2".into()))]
#[case::being_deleted(|review: &mut Grant| review.being_deleted = true)]
#[case::from_the_future(|review: &mut Grant| review.created = at(NOW + 60))]
#[case::that_grants(|review: &mut Grant| review.answer = Answer::Granted)]
#[case::an_unsealed_denial(|review: &mut Grant| (review.answer, review.seal) = (Answer::Denied, Seal::Broken))]
fn what_is_no_good_answer_reviews_nothing(#[case] change: fn(&mut Grant)) {
    let mut candidate = marked();
    candidate.grants = vec![review()];
    assert_eq!(reviewed_by(&candidate, &with(&[])).as_deref(), Some("amy"));
    change(&mut candidate.grants[0]);
    assert_eq!(reviewed_by(&candidate, &with(&[])), None);
}

#[test]
fn only_who_may_answer_and_did_not_file_reviews() {
    let mut candidate = marked();
    candidate.grants = vec![review()];
    let oncall = rules_with(|settings| {
        settings.approvers = Approvers {
            groups: Some(vec!["leads".to_owned()]),
            ..Approvers::default()
        };
    });
    assert_eq!(reviewed_by(&candidate, &oncall), None);
    candidate.request.created_by = Some(person("amy", None));
    assert_eq!(reviewed_by(&candidate, &with(&[])), None);
}

#[test]
fn a_late_denial_ends_it_and_is_a_review() {
    let mut candidate = marked();
    candidate.grants = vec![denied_grant()];
    assert_eq!(permit(&candidate, &[night()]), None);
    assert_eq!(reviewed_by(&candidate, &with(&[])).as_deref(), Some("amy"));
    candidate.request.emergency = None;
    assert_eq!(
        reviewed_by(&candidate, &with(&[])),
        None,
        "of what is no emergency there is no review"
    );
}

#[rstest]
#[case::once_used(|candidate: &mut Candidate| candidate.request.uses = used("review-1"))]
#[case::when_it_is_over(|_: &mut Candidate| {})]
#[case::denied(|candidate: &mut Candidate| candidate.grants = vec![Grant { seal: Seal::Broken, ..denied_grant() }])]
fn it_is_kept_until_it_is_reviewed_and_then_for_the_record(#[case] change: fn(&mut Candidate)) {
    let (mut candidate, long_after) = (marked(), 30 * DAY);
    change(&mut candidate);
    let unreviewed = planned(&candidate, long_after, &[night()]);
    assert_eq!((unreviewed.delete_at, unreviewed.reviewed), (None, None));
    candidate.grants.push(Grant {
        created: at(long_after),
        ..review()
    });
    let told = planned(&candidate, long_after, &[night()]);
    assert_eq!(
        told.delete_at, None,
        "the status does not have the review yet"
    );
    candidate.request.reviewed = told.reviewed;
    let kept = planned(&candidate, long_after, &[night()]).delete_at;
    assert_eq!(kept, Some(at(long_after + DAY)));
}

#[test]
fn what_would_become_of_it_is_foretold() {
    let rules = with(&[night()]);
    let (request, prefix) = (filed().request, &rules.settings.prefix);
    let ruling = rules.policies.of_request(&request, prefix);
    let Foretold::Granted(granting) = ruling.outcome(&request, prefix) else {
        panic!("not granted")
    };
    assert_eq!(granting.review_within, Some(Duration::from_hours(24)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_review_changes_no_verdict(
        world in governed(), which in any::<Index>(), by in "amy|jane|tom", seconds in -300i64..300, good: bool, first: bool,
    ) {
        let mut reviewed = world.clone();
        if reviewed.candidates.is_empty() {
            return Ok(());
        }
        let index = which.index(reviewed.candidates.len());
        let candidate = &mut reviewed.candidates[index];
        let review = Grant {
            request_uid: Some(candidate.request.uid.clone()),
            by: Some(person(&by, None)),
            seal: if good { Seal::Good } else { Seal::Broken },
            created: at(seconds),
            ..review()
        };
        candidate.grants.insert(if first { 0 } else { candidate.grants.len() }, review);
        let now: Timestamp = at(world.now);
        let (before, after) = (&world.candidates[index], &reviewed.candidates[index]);
        prop_assert_eq!(before.standing(now, &world.rules), after.standing(now, &world.rules));
        prop_assert_eq!(world.confirm(before), world.confirm(after));
        prop_assert_eq!(gets_in(&world), gets_in(&reviewed));
        let denied = |candidates: &[Candidate]| match screen(&world.attempt, candidates, now, &world.rules) {
            Screened::Denied(denied) => Some(denied),
            Screened::Promising(_) => None,
        };
        prop_assert_eq!(denied(&world.candidates), denied(&reviewed.candidates));
    }

    #[test]
    fn a_policy_for_emergencies_opens_nothing_that_is_not_marked(mut world in governed()) {
        for candidate in &mut world.candidates {
            candidate.request.emergency = None;
        }
        let ordinary = |policy: &Policy| !matches!(&policy.effect, Effect::Allow(allow) if allow.emergency.is_some());
        let mut without = world.clone();
        without.rules.policies = std::sync::Arc::new(world.rules.policies.iter().filter(|p| ordinary(p)).cloned().collect());
        prop_assert_eq!(gets_in(&world), gets_in(&without));
    }
}
