//! What holds in every world.

use std::time::Duration;

use jiff::Timestamp;
use kra_decide::{
    access::{Answer, Candidate, Command, Grant, Standing, TargetKind, Validity},
    identity::Person,
    verdict::{Denied, Screened, Spend, Verdict, screen},
};
use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    build::{UNUSED, at, denied_grant},
    worlds::{NEWEST, World, world},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_order_of_candidates_never_matters(world in world(), shuffled in any::<prop::sample::Index>()) {
        let mut turned = world.candidates.clone();
        if !turned.is_empty() {
            turned.rotate_left(shuffled.index(world.candidates.len()));
        }
        let mut reversed = world.candidates.clone();
        reversed.reverse();
        let screened = |candidates: &[Candidate]| screen(&world.attempt, candidates, at(world.now), &world.rules);
        prop_assert_eq!(screened(&world.candidates), screened(&turned));
        prop_assert_eq!(screened(&world.candidates), screened(&reversed));
    }

    #[test]
    fn the_order_of_grants_changes_no_decision(world in world()) {
        let mut reversed = world.clone();
        reversed.candidates.iter_mut().for_each(|candidate| candidate.grants.reverse());
        prop_assert_eq!(world.permits(), reversed.permits());
    }

    #[test]
    fn taking_a_granted_grant_away_never_turns_deny_into_allow(world in world(), which in any::<Index>()) {
        let mut less = world.clone();
        for candidate in &mut less.candidates {
            let granted: Vec<usize> = positions(candidate, Answer::Granted);
            if !granted.is_empty() {
                candidate.grants.remove(granted[which.index(granted.len())]);
            }
        }
        prop_assert!(world.permits() || !less.permits());
    }

    #[test]
    fn time_alone_never_turns_deny_into_allow(mut world in world(), later in 0i64..1_000_000) {
        // Nothing is from the future: only then is time all that changes.
        world.now = world.now.max(NEWEST);
        let after = World { now: world.now + later, ..world.clone() };
        prop_assert!(world.permits() || !after.permits());
    }

    #[test]
    fn what_has_expired_stays_expired(mut world in world(), later in 0i64..1_000_000) {
        world.now = world.now.max(NEWEST);
        for candidate in &world.candidates {
            if let Standing::Expired { at: end, .. } = candidate.standing(at(world.now), UNUSED) {
                let standing = candidate.standing(at(world.now + later), UNUSED);
                prop_assert!(matches!(standing, Standing::Expired { at, .. } if at == end), "{:?}", standing);
            }
        }
    }

    #[test]
    fn a_denial_of_every_request_denies(mut world in world(), being_deleted: bool) {
        for candidate in &mut world.candidates {
            let request_uid = Some(candidate.request.uid.clone());
            candidate.grants.push(Grant { request_uid, being_deleted, ..denied_grant() });
        }
        prop_assert!(!world.permits());
    }

    #[test]
    fn one_more_denial_never_allows(world in world(), which in any::<Index>(), uid in "request-[0-9]") {
        let mut denied = world.clone();
        if !denied.candidates.is_empty() {
            let which = which.index(denied.candidates.len());
            denied.candidates[which].grants.push(Grant { request_uid: Some(uid), ..denied_grant() });
        }
        prop_assert!(world.permits() || !denied.permits());
    }

    #[test]
    fn deleting_a_request_or_a_grant_never_allows(world in world(), which in any::<Index>(), grant: bool) {
        let mut less = world.clone();
        for candidate in &mut less.candidates {
            if !grant {
                candidate.request.being_deleted = true;
            } else if !candidate.grants.is_empty() {
                let which = which.index(candidate.grants.len());
                candidate.grants[which].being_deleted = true;
            }
        }
        prop_assert!(world.permits() || !less.permits());
        prop_assert!(grant || !less.permits());
    }

    #[test]
    fn a_use_by_another_review_never_allows(world in world()) {
        let mut spent = world.clone();
        for candidate in &mut spent.candidates {
            candidate.request.uses.insert(0, kra_decide::access::Use { review_uid: "other".to_owned(), at: at(0) });
        }
        prop_assert!(world.permits() || !spent.permits());
    }

    #[test]
    fn a_denial_names_the_nearest_miss(world in world()) {
        let screened = screen(&world.attempt, &world.candidates, at(world.now), &world.rules);
        if screened == Screened::Denied(Denied::NoRequest) {
            prop_assert!(!world.candidates.iter().any(|candidate| comes_near(&world, candidate)));
        }
    }

    #[test]
    fn a_denial_speaks_of_the_callers_own_requests_only(world in world()) {
        let screened = screen(&world.attempt, &world.candidates, at(world.now), &world.rules);
        if let Screened::Denied(Denied::Near { request, .. }) = screened {
            let named = world.candidates.iter().find(|candidate| candidate.request.name == request).unwrap();
            prop_assert!(hers(&world, named));
        }
    }

    #[test]
    fn memory_promises_nothing_that_it_does_not_show(world in world()) {
        if let Screened::Promising(candidates) = screen(&world.attempt, &world.candidates, at(world.now), &world.rules) {
            prop_assert!(!candidates.is_empty());
            prop_assert!(candidates.iter().all(|candidate| world.candidates.contains(candidate)));
        }
    }

    #[test]
    fn access_is_confirmed_exactly_where_the_reference_says_so(world in world()) {
        for candidate in &world.candidates {
            let verdict = world.confirm(candidate);
            prop_assert_eq!(matches!(verdict, Verdict::Allow(_)), reference(&world, candidate), "{:?}", verdict);
        }
    }

    #[test]
    fn a_permit_is_for_the_request_that_was_read(world in world()) {
        for candidate in &world.candidates {
            if let Verdict::Allow(permit) = world.confirm(candidate) {
                prop_assert_eq!(&permit.request_uid, &candidate.request.uid);
                let once = candidate.request.validity == Validity::Once;
                prop_assert_eq!(permit.use_ == Spend::Nothing, !once);
                prop_assert_eq!(permit.use_ == Spend::SingleUse, once && candidate.request.uses.is_empty());
                prop_assert!(!permit.access.by.contains(&candidate.request.user.name));
            }
        }
    }
}

#[test]
fn the_worlds_are_worth_looking_at() {
    let mut runner = TestRunner::deterministic();
    let mut drawn = || world().new_tree(&mut runner).unwrap().current();
    let permitted = (0..1000).filter(|_| drawn().permits()).count();
    assert!((100..900).contains(&permitted), "{permitted} of 1000 are permitted");
}

fn positions(candidate: &Candidate, answer: Answer) -> Vec<usize> {
    let found = candidate.grants.iter().enumerate().filter(|(_, grant)| grant.answer == answer);
    found.map(|(position, _)| position).collect()
}

/// Whether a request is the caller's and may be about the pod.
fn hers(world: &World, candidate: &Candidate) -> bool {
    let (request, attempt) = (&candidate.request, &world.attempt);
    let stored = world.rules.prefix.stored(&attempt.caller.username);
    stored == Some(request.user.name.as_str())
        && (request.user.uid.is_none() || request.user.uid == attempt.caller.uid)
        && request.namespace == attempt.namespace
        && (request.target.kind != TargetKind::Pod || request.target.name == attempt.pod)
}

/// Whether there is something to say of a request: it is granted, or for exactly this.
fn comes_near(world: &World, candidate: &Candidate) -> bool {
    let standing = candidate.standing(at(world.now), UNUSED);
    let exactly = covers(world, candidate);
    let granted = matches!(standing, Standing::Granted(_));
    hers(world, candidate) && standing != Standing::Revoked && (granted || exactly)
}

fn covers(world: &World, candidate: &Candidate) -> bool {
    let (request, exec) = (&candidate.request, &world.attempt.exec);
    let command = match &request.command {
        Command::Any => true,
        Command::Exactly(argv) => !argv.is_empty() && *argv == exec.command,
    };
    let container = exec.container.is_none() || exec.container == request.container;
    command && container && (request.stdin || !exec.stdin) && (request.tty || !exec.tty)
}

/// The rule in one place, written without looking at the code: who, what, where, granted by somebody else and in
/// time, not spent.
fn reference(world: &World, candidate: &Candidate) -> bool {
    let (request, exec) = (&candidate.request, &world.attempt.exec);
    let interactive = !exec.stdin && !exec.tty || world.rules.allow_interactive;
    let final_no = request.being_deleted
        || request.denied.is_some()
        || candidate.grants.iter().any(|g| g.answer == Answer::Denied && names(g, candidate));
    let grants = || candidate.grants.iter().filter(|grant| is_good(grant, world, candidate));
    let in_time = grants().any(|grant| at(world.now) < ends(grant, candidate));
    let spent_here = request.uses.first().is_some_and(|spent| spent.review_uid == world.attempt.review_uid);
    let granted = match (request.validity, request.uses.is_empty()) {
        (Validity::For(_), _) | (Validity::Once, true) => in_time,
        (Validity::Once, false) => spent_here && grants().next().is_some(),
    };
    interactive && hers(world, candidate) && covers(world, candidate) && !final_no && granted && runs(world, candidate)
}

fn names(grant: &Grant, candidate: &Candidate) -> bool {
    grant.request_uid.as_deref() == Some(candidate.request.uid.as_str())
}

fn is_good(grant: &Grant, world: &World, candidate: &Candidate) -> bool {
    let request = &candidate.request;
    let same = |a: &Person, b: &Person| a.name == b.name || (a.uid.is_some() && a.uid == b.uid);
    let (Some(by), newest) = (&grant.by, at(world.now + 5)) else { return false };
    let involved = std::iter::once(&request.user).chain(&request.created_by).any(|person| same(by, person));
    let past = grant.created <= newest && request.created <= newest;
    grant.answer == Answer::Granted && names(grant, candidate) && !grant.being_deleted && !involved && past
}

fn ends(grant: &Grant, candidate: &Candidate) -> Timestamp {
    let (from, length) = match candidate.request.validity {
        Validity::Once => (candidate.request.created, UNUSED),
        Validity::For(duration) => (grant.created, duration),
    };
    (from + length).min(grant.created + grant.valid_for.unwrap_or(Duration::from_hours(9999)))
}

fn runs(world: &World, candidate: &Candidate) -> bool {
    let (Some(pod), target) = (&world.pod, &candidate.request.target) else { return false };
    let only: Vec<_> = pod.containers.iter().filter(|container| container.main).collect();
    let name = world.attempt.exec.container.clone().or((only.len() == 1).then(|| only[0].name.clone()));
    let Some(container) = pod.containers.iter().find(|c| Some(&c.name) == name.as_ref()) else { return false };
    let right = match target.kind {
        TargetKind::Pod => target.uid.as_ref() == Some(&pod.uid),
        kind => pod.workloads.iter().find(|w| w.kind == kind && Some(&w.uid) == target.uid.as_ref()).is_some_and(|w| {
            let image = (container.name.clone(), container.image.clone());
            w.service_account == pod.service_account && w.images.contains(&image)
        }),
    };
    let asked = name.is_some() && name == candidate.request.container;
    asked && right && container.running && !pod.being_deleted
}
