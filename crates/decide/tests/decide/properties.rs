//! What holds in every world.

use std::time::Duration;

use jiff::Timestamp;
use kra_decide::{
    access::{Answer, Ask, Command, Grant, Outcome, Request, Seal, TargetKind, Use, Validity},
    argv::quote_json,
    attempt::{Action, Door},
    copy::Direction,
    debug::DebugContainer,
    identity::Person,
    standing::{Candidate, Standing},
    text::safe,
    verdict::{Container, Denied, Pod, Screened, Spend, Verdict, Workload, screen},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::TestRunner,
};

use crate::{
    build::{UNUSED, at, denied_grant, use_of},
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
            if let Standing::Expired { at: end, .. } = candidate.standing(at(world.now), &world.rules) {
                let standing = candidate.standing(at(world.now + later), &world.rules);
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
            candidate.request.uses.insert(0, use_of(world.attempt.door(), "other", "another"));
        }
        prop_assert!(world.permits() || !spent.permits());
    }

    #[test]
    fn a_request_opens_its_own_door_only(world in world()) {
        for candidate in &world.candidates {
            let ask = &candidate.request.ask;
            let attaches = matches!(ask, Ask::Debug(ask) if ask.attach) && world.attempt.door() == Door::Attach;
            let allowed = matches!(world.confirm(candidate), Verdict::Allow(_));
            prop_assert!(!allowed || ask.door() == world.attempt.door() || attaches, "{:?}", ask);
        }
    }

    #[test]
    fn trying_less_is_never_denied_where_more_is_allowed(world in world()) {
        let mut less = world.clone();
        match &mut less.attempt.action {
            Action::Exec(exec) => (exec.stdin, exec.tty) = (false, false),
            Action::Attach(attach) => (attach.stdin, attach.tty) = (false, false),
            Action::Debug(addition) => (addition.container.stdin, addition.container.tty) = (false, false),
            Action::PortForward => {}
        }
        prop_assert!(!world.permits() || less.permits());
    }

    #[test]
    fn asking_for_less_never_allows(world in world()) {
        let mut less = world.clone();
        for candidate in &mut less.candidates {
            match &mut candidate.request.ask {
                Ask::Exec(ask) => (ask.stdin, ask.tty) = (false, false),
                Ask::Attach(ask) => (ask.stdin, ask.tty) = (false, false),
                Ask::Debug(ask) => (ask.container.stdin, ask.container.tty, ask.attach) = (false, false, false),
                Ask::Copy(_) | Ask::PortForward => {}
            }
        }
        prop_assert!(world.permits() || !less.permits());
    }

    #[test]
    fn switching_interactive_use_off_never_allows(mut world in world()) {
        world.allow_interactive(true);
        let mut off = world.clone();
        off.allow_interactive(false);
        prop_assert!(world.permits() || !off.permits());
    }

    // F6
    #[test]
    fn a_shorter_longer_or_turned_command_is_another(world in world(), change in any::<Index>(), word: String) {
        let mut other = world.clone();
        other.candidates.retain(|candidate| world.only(candidate).permits() && names_a_command(candidate));
        let commands = [&world, &other].map(World::command);
        if let (Some(argv), Some(_)) = (commands[0].clone(), commands[1].as_ref()) {
            let changed = changes(&argv, &word);
            let changed = &changed[change.index(changed.len())];
            other.set_command(changed.clone());
            prop_assert!(*changed == argv || !other.permits(), "{:?} passes for {:?}", changed, argv);
        }
    }

    #[test]
    fn fields_that_look_the_same_are_the_same(one in debug_containers(), other in debug_containers()) {
        for field in ["name", "image", "targetContainerName", "command", "args", "stdin", "tty", "env", "workingDir"] {
            let shown = [&one, &other].map(|container| safe(&container.field(field)));
            prop_assert_eq!(shown[0] == shown[1], said(&one, field) == said(&other, field), "{}", field);
        }
        // Whatever differs is named, and shows: less than was asked for is no difference.
        for field in one.differences(&other) {
            prop_assert_ne!(safe(&one.field(&field)), safe(&other.field(&field)));
        }
        let named = |container: &DebugContainer| DebugContainer { name: None, stdin: false, tty: false, ..container.clone() };
        prop_assert_eq!(named(&one).differences(&named(&other)).is_empty(), named(&one) == named(&other));
    }

    #[test]
    fn a_denial_names_the_nearest_miss(world in world()) {
        let screened = screen(&world.attempt, &world.candidates, at(world.now), &world.rules);
        if screened == Screened::Denied(Denied::NoRequest) {
            prop_assert!(!world.candidates.iter().any(|candidate| comes_near(&world, candidate)));
        }
    }

    #[test]
    fn what_is_known_of_a_use_gives_nothing_back(world in world(), outcome in select(vec![None, Some(Outcome::Answered), Some(Outcome::Lost)])) {
        let mut other = world.clone();
        let uses = other.candidates.iter_mut().flat_map(|candidate| &mut candidate.request.uses);
        uses.for_each(|one| one.outcome = outcome);
        prop_assert_eq!(world.permits(), other.permits());
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
                let noted = matches!(&candidate.request.ask, Ask::Debug(ask) if ask.attach)
                    && world.attempt.door() == Door::EphemeralContainers;
                let free = if once { is_question(&world, candidate) } else { !noted };
                prop_assert_eq!(permit.use_ == Spend::Nothing, free);
                let used = candidate.request.used(world.attempt.door()).is_some();
                prop_assert!(permit.use_ != Spend::SingleUse || !once || !used);
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
    assert!(
        (100..900).contains(&permitted),
        "{permitted} of 1000 are permitted"
    );
}

/// Commands that are nearly `argv`.
fn changes(argv: &[String], word: &str) -> Vec<Vec<String>> {
    let mut all = vec![
        argv.iter().rev().cloned().collect(),
        vec![argv.join(" ")],
        Vec::new(),
    ];
    for at in 0..=argv.len() {
        let (before, after) = argv.split_at(at);
        all.push(before.to_vec());
        all.push(after.to_vec());
        all.push([before, &[word.to_owned()], after].concat());
        all.push([before, &[String::new()], after].concat());
        all.push([before, argv, after].concat());
    }
    all
}

/// Whether a request is for one command, or for those of one copy.
fn names_a_command(candidate: &Candidate) -> bool {
    match &candidate.request.ask {
        Ask::Exec(ask) => ask.command != Command::Any,
        Ask::Copy(_) => true,
        Ask::Attach(_) | Ask::PortForward | Ask::Debug(_) => false,
    }
}

/// Containers that are alike, with texts that look alike.
fn debug_containers() -> impl Strategy<Value = DebugContainer> {
    let text = || {
        prop_oneof![
            Just("a".to_owned()),
            Just("nothing".to_owned()),
            "[\\\\\"u0061{},\u{200b}\u{455}]{0,3}"
        ]
    };
    let texts = || prop::collection::vec(text(), 0..3);
    let maybe = || prop::option::of(text());
    let others = prop::collection::btree_map(
        "env|workingDir",
        text().prop_map(|text| quote_json(&text)),
        0..3,
    );
    (
        maybe(),
        text(),
        maybe(),
        texts(),
        texts(),
        any::<(bool, bool)>(),
        others,
    )
        .prop_map(
            |(name, image, target, command, args, (stdin, tty), others)| DebugContainer {
                name,
                image,
                target,
                command,
                args,
                stdin,
                tty,
                others,
            },
        )
}

/// What a field says, with its type.
fn said(container: &DebugContainer, field: &str) -> String {
    match field {
        "name" => format!("{:?}", container.name),
        "image" => container.image.clone(),
        "targetContainerName" => format!("{:?}", container.target),
        "command" => format!("{:?}", container.command),
        "args" => format!("{:?}", container.args),
        "stdin" => container.stdin.to_string(),
        "tty" => container.tty.to_string(),
        other => format!("{:?}", container.others.get(other)),
    }
}

fn positions(candidate: &Candidate, answer: Answer) -> Vec<usize> {
    let found = candidate
        .grants
        .iter()
        .enumerate()
        .filter(|(_, grant)| grant.answer == answer);
    found.map(|(position, _)| position).collect()
}

/// Whether a request is the caller's and may be about the pod.
fn hers(world: &World, candidate: &Candidate) -> bool {
    let (request, attempt) = (&candidate.request, &world.attempt);
    let stored = world.rules.settings.prefix.stored(&attempt.caller.username);
    stored == Some(request.user.name.as_str())
        && (request.user.uid.is_none() || request.user.uid == attempt.caller.uid)
        && request.namespace == attempt.namespace
        && (request.target.kind != TargetKind::Pod || request.target.name == attempt.pod)
}

/// Whether there is something to say of a request: it is granted, or for exactly this.
fn comes_near(world: &World, candidate: &Candidate) -> bool {
    let standing = candidate.standing(at(world.now), &world.rules);
    let exactly = covers(world, candidate);
    let granted = matches!(standing, Standing::Granted(_));
    let same_door = candidate.request.ask.door() == world.attempt.door();
    let typed =
        world.attempt.action.takes_input() && !matches!(candidate.request.ask, Ask::Copy(_));
    let possible = world.rules.settings.allow_interactive || !typed;
    hers(world, candidate)
        && same_door
        && possible
        && standing != Standing::Revoked
        && (granted || exactly)
}

/// Whether what is tried is what was asked for, as far as memory can tell.
fn covers(world: &World, candidate: &Candidate) -> bool {
    let wanted = |container: &Option<String>, asked: &Option<String>| {
        container.is_none() || container == asked
    };
    match (&candidate.request.ask, &world.attempt.action) {
        (Ask::Exec(ask), Action::Exec(exec)) => {
            let command = match &ask.command {
                Command::Any => !exec.command.is_empty(),
                Command::Exactly(argv) => !argv.is_empty() && *argv == exec.command,
            };
            command
                && wanted(&exec.container, &ask.container)
                && (ask.stdin || !exec.stdin)
                && (ask.tty || !exec.tty)
        }
        (Ask::Copy(copy), Action::Exec(exec)) => {
            let packs = copy.direction == Direction::From
                && exec.command == ["tar", "cf", "-", copy.path.as_str()];
            let to = copy.direction == Direction::To;
            let unpacks = to && exec.command == ["tar", "-xmf", "-", "-C", copy.directory.as_str()];
            let command = (packs && !exec.stdin) || unpacks || is_question(world, candidate);
            command && !exec.tty && wanted(&exec.container, &copy.container)
        }
        (Ask::Attach(ask), Action::Attach(attach)) => {
            wanted(&attach.container, &ask.container)
                && (ask.stdin || !attach.stdin)
                && (ask.tty || !attach.tty)
        }
        (Ask::PortForward, Action::PortForward) => true,
        (Ask::Debug(ask), Action::Debug(added)) => {
            is_what_was_asked_for(&ask.container, &added.container)
        }
        (Ask::Debug(ask), Action::Attach(attach)) => {
            ask.attach
                && (ask.container.stdin || !attach.stdin)
                && (ask.container.tty || !attach.tty)
        }
        _ => false,
    }
}

fn is_what_was_asked_for(asked: &DebugContainer, there: &DebugContainer) -> bool {
    let as_asked = DebugContainer {
        stdin: there.stdin,
        tty: there.tty,
        name: there.name.clone(),
        ..asked.clone()
    };
    as_asked == *there && (asked.stdin || !there.stdin) && (asked.tty || !there.tty)
}

fn is_question(world: &World, candidate: &Candidate) -> bool {
    match (&candidate.request.ask, &world.attempt.action) {
        (Ask::Copy(copy), Action::Exec(exec)) => {
            copy.direction == Direction::To
                && exec.command == ["test", "-d", copy.path.as_str()]
                && !exec.stdin
                && !exec.tty
        }
        _ => false,
    }
}

/// The rule in one place, written without looking at the code: who, what, where, granted by
/// somebody else and in time, not spent.
fn reference(world: &World, candidate: &Candidate) -> bool {
    let request = &candidate.request;
    let typed = world.attempt.action.takes_input() && !matches!(request.ask, Ask::Copy(_));
    let final_no = request.being_deleted
        || request.denied.is_some()
        || candidate
            .grants
            .iter()
            .any(|g| g.answer == Answer::Denied && names(g, candidate));
    let grants = || {
        candidate
            .grants
            .iter()
            .filter(|grant| is_good(grant, world, candidate))
    };
    let in_time = grants().any(|grant| at(world.now) < ends(grant, candidate));
    let granted = match request.validity {
        Validity::For(_) => in_time && is_known(world, candidate),
        Validity::Once => unspent(world, candidate, in_time, grants().next().is_some()),
    };
    (!typed || world.rules.settings.allow_interactive)
        && hers(world, candidate)
        && covers(world, candidate)
        && !final_no
        && granted
        && runs(world, candidate)
}

/// Of an access for a time: its user attaches to what was added under it and to nothing else.
fn is_known(world: &World, candidate: &Candidate) -> bool {
    match (&candidate.request.ask, &world.attempt.action) {
        (Ask::Debug(_), Action::Attach(attach)) => {
            was_added(world, candidate, attach.container.as_deref())
        }
        _ => true,
    }
}

/// Whether this request added a container of this name to the pod as it is.
fn was_added(world: &World, candidate: &Candidate, name: Option<&str>) -> bool {
    let pod = world.pod.as_ref().map(|pod| pod.uid.as_str());
    candidate.request.uses.iter().any(|one| {
        one.door == Door::EphemeralContainers
            && name.is_some()
            && one.container.as_deref() == name
            && Some(one.pod_uid.as_str()) == pod
    })
}

/// Of a single use: whether it is there, or was taken by this very attempt and its grant is still
/// there.
fn unspent(world: &World, candidate: &Candidate, in_time: bool, granted: bool) -> bool {
    let (request, attempt) = (&candidate.request, &world.attempt);
    let first = |door| request.uses.iter().find(|one| one.door == door);
    let by_this = |one: &Use| one.review_uid == attempt.review_uid;
    let added = first(Door::EphemeralContainers);
    match (&request.ask, &attempt.action) {
        (Ask::Copy(_), _) if is_question(world, candidate) => in_time && request.uses.is_empty(),
        (Ask::Debug(ask), Action::Debug(addition)) => {
            let others = request
                .uses
                .iter()
                .any(|one| one.door != Door::EphemeralContainers);
            let used_up = if ask.attach {
                others
            } else {
                !request.uses.is_empty()
            };
            let soon = |one: &Use| at(world.now) < one.at + Duration::from_mins(1);
            let same = |one: &Use| {
                one.pod_uid == addition.pod_uid
                    && one.container == addition.container.name
                    && soon(one)
            };
            added.map_or(!used_up, same) && if used_up { granted } else { in_time }
        }
        (Ask::Debug(_), Action::Attach(attach)) => {
            let to_it = was_added(world, candidate, attach.container.as_deref());
            let other = request.uses.iter().find(|one| one.door == Door::Exec);
            match (first(Door::Attach), other) {
                (Some(one), _) => to_it && by_this(one) && granted,
                (None, other) => to_it && other.is_none() && in_time,
            }
        }
        _ => request
            .uses
            .first()
            .map_or(in_time, |one| by_this(one) && granted),
    }
}

fn names(grant: &Grant, candidate: &Candidate) -> bool {
    grant.request_uid.as_deref() == Some(candidate.request.uid.as_str())
}

fn is_good(grant: &Grant, world: &World, candidate: &Candidate) -> bool {
    let request = &candidate.request;
    let same = |a: &Person, b: &Person| a.name == b.name || (a.uid.is_some() && a.uid == b.uid);
    let (Some(by), newest) = (&grant.by, at(world.now + 5)) else {
        return false;
    };
    let involved = std::iter::once(&request.user)
        .chain(&request.created_by)
        .any(|person| same(by, person));
    let past = grant.created <= newest && request.created <= newest;
    let valid =
        grant.answer == Answer::Granted && grant.seal == Seal::Good && names(grant, candidate);
    valid && !grant.being_deleted && !involved && past
}

fn ends(grant: &Grant, candidate: &Candidate) -> Timestamp {
    let since = grant.sealed_at.unwrap_or(grant.created).min(grant.created);
    let (from, length) = match candidate.request.validity {
        Validity::Once => (candidate.request.created, UNUSED),
        Validity::For(duration) => (since, duration),
    };
    (from + length).min(since + grant.valid_for.unwrap_or(Duration::from_hours(9999)))
}

fn runs(world: &World, candidate: &Candidate) -> bool {
    let (Some(pod), request) = (&world.pod, &candidate.request) else {
        return false;
    };
    let main: Vec<_> = pod
        .containers
        .iter()
        .filter(|container| container.main)
        .collect();
    let only = || (main.len() == 1).then(|| main[0].name.clone());
    let named = |name: &Option<String>| {
        pod.containers
            .iter()
            .find(|c| Some(&c.name) == name.as_ref())
    };
    let right = |containers: &[&Container]| match request.target.kind {
        TargetKind::Pod => request.target.uid.as_ref() == Some(&pod.uid),
        kind => {
            let meant =
                |w: &&Workload| w.kind == kind && Some(&w.uid) == request.target.uid.as_ref();
            let image =
                |w: &Workload, c: &Container| w.images.contains(&(c.name.clone(), c.image.clone()));
            let template = |w: &Workload| {
                w.service_account == pod.service_account
                    && containers.iter().all(|container| image(w, container))
            };
            pod.workloads.iter().find(meant).is_some_and(template)
        }
    };
    let one = |tried: &Option<String>, asked: &Option<String>| {
        let name = tried.clone().or_else(only);
        named(&name)
            .is_some_and(|container| name == *asked && right(&[container]) && container.running)
    };
    let whole = || right(&main) && main.iter().any(|container| container.running);
    let there = match (&request.ask, &world.attempt.action) {
        (Ask::Exec(ask), Action::Exec(exec)) => one(&exec.container, &ask.container),
        (Ask::Copy(copy), Action::Exec(exec)) => one(&exec.container, &copy.container),
        (Ask::Attach(ask), Action::Attach(attach)) => one(&attach.container, &ask.container),
        (Ask::PortForward, Action::PortForward) => whole(),
        (Ask::Debug(_), Action::Debug(addition)) => addition.pod_uid == pod.uid && whole(),
        (Ask::Debug(ask), Action::Attach(attach)) => {
            named(&attach.container).is_some_and(|container| {
                let ephemeral = container.ephemeral.as_ref();
                let same =
                    ephemeral.is_some_and(|there| is_what_was_asked_for(&ask.container, there));
                same && container.running && belongs(pod, request)
            })
        }
        _ => false,
    };
    there && !pod.being_deleted
}

/// Whether a pod is the one that is meant: its ephemeral containers stand in no template.
fn belongs(pod: &Pod, request: &Request) -> bool {
    match request.target.kind {
        TargetKind::Pod => request.target.uid.as_ref() == Some(&pod.uid),
        kind => pod
            .workloads
            .iter()
            .any(|w| w.kind == kind && Some(&w.uid) == request.target.uid.as_ref()),
    }
}
