//! Every way in which an attempt can miss, one at a time.

use std::time::Duration;

use kra_decide::{
    access::{
        Answer, Ask, AttachAsk, Command, DebugAsk, Denial, ExecAsk, Seal, TargetKind, Validity,
    },
    attempt::{Action, Addition, Attach, Attempt, Door},
    copy::{Copy, Direction},
    debug::DebugContainer,
    identity::{Approvers, NamePrefix},
    matching::Difference,
    standing::{Candidate, Standing},
    verdict::{
        Container, Denied, Miss, Permit, Pod, PodMiss, Screened, Spend, Verdict, confirm, screen,
    },
};
use rstest::rstest;

use crate::build::{
    ExecMut as _, NOW, argv, at, attempt, candidate, container, denied_grant, for_a_workload,
    for_an_hour, person, pod, rules, rules_with, use_of, used, waiting,
};

fn confirmed(attempt: &Attempt, candidate: &Candidate, pod: &Pod) -> Verdict {
    confirm(attempt, candidate, Some(pod), at(NOW), &rules())
}

fn permit(verdict: Verdict) -> Permit {
    match verdict {
        Verdict::Allow(permit) => permit,
        Verdict::Deny(denied) => panic!("denied: {denied:?}"),
    }
}

fn denied(verdict: Verdict) -> Denied {
    match verdict {
        Verdict::Allow(permit) => panic!("allowed: {permit:?}"),
        Verdict::Deny(denied) => denied,
    }
}

fn miss(verdict: Verdict) -> Miss {
    match denied(verdict) {
        Denied::Near { request, miss } => {
            assert_eq!(request, "access-exec-jane-7f3k");
            miss
        }
        other => panic!("names no miss: {other:?}"),
    }
}

#[test]
fn a_single_use_is_to_be_spent_first() {
    let permit = permit(confirmed(&attempt(), &candidate(), &pod()));
    assert_eq!(
        (permit.use_, permit.request_uid.as_str()),
        (Spend::SingleUse, "request-1")
    );
    assert_eq!(
        (permit.access.by, permit.access.grants),
        (argv(&["amy"]), argv(&["grant-1"]))
    );
}

#[test]
fn an_access_for_a_time_spends_nothing() {
    let permit = permit(confirmed(&attempt(), &for_an_hour(), &pod()));
    assert_eq!(
        (permit.use_, permit.access.until),
        (Spend::Nothing, at(60 + 3600))
    );
}

#[test]
fn the_review_that_spent_the_use_is_allowed_again() {
    let mut spent = candidate();
    spent.request.uses = used("review-1");
    assert_eq!(
        permit(confirmed(&attempt(), &spent, &pod())).use_,
        Spend::AlreadySpentByThisReview
    );
}

#[test]
fn the_review_that_spent_the_use_is_denied_once_its_grant_is_gone() {
    let mut spent = candidate();
    spent.request.uses = used("review-1");
    spent.grants.clear();
    assert!(matches!(
        miss(confirmed(&attempt(), &spent, &pod())),
        Miss::Over(Standing::Used { .. })
    ));
}

#[test]
fn a_use_spent_by_another_review_is_over() {
    let mut spent = candidate();
    spent.request.uses = used("review-0");
    assert!(matches!(
        miss(confirmed(&attempt(), &spent, &pod())),
        Miss::Over(Standing::Used { .. })
    ));
}

#[test]
fn only_the_first_use_counts() {
    let mut spent = candidate();
    spent.request.uses = [used("review-0"), used("review-1")].concat();
    assert!(matches!(
        miss(confirmed(&attempt(), &spent, &pod())),
        Miss::Over(Standing::Used { .. })
    ));
}

#[test]
fn a_workload_is_matched_by_uid() {
    let mut attempt = attempt();
    attempt.pod = "nginx-5d8-x2".to_owned();
    assert_eq!(
        permit(confirmed(&attempt, &for_a_workload(), &pod())).use_,
        Spend::SingleUse
    );
}

// F6, F10, F12, F14
#[rstest]
#[case::another_command(|attempt: &mut Attempt| attempt.exec().command = argv(&["id"]), &[Difference::Command])]
#[case::an_argument_more(
    |attempt: &mut Attempt| attempt.exec().command.push(String::new()), &[Difference::Command])]
#[case::an_argument_less(|attempt: &mut Attempt| attempt.exec().command.truncate(1), &[Difference::Command])]
#[case::an_argument_twice(
    |attempt: &mut Attempt| attempt.exec().command.push("/etc/hostname".to_owned()), &[Difference::Command])]
#[case::another_order(|attempt: &mut Attempt| attempt.exec().command.reverse(), &[Difference::Command])]
#[case::one_argument_of_two(
    |attempt: &mut Attempt| attempt.exec().command = argv(&["cat /etc/hostname"]), &[Difference::Command])]
#[case::an_absolute_program(
    |attempt: &mut Attempt| attempt.exec().command[0] = "/bin/cat".to_owned(), &[Difference::Command])]
#[case::a_path_that_leads_to_the_same(
    |attempt: &mut Attempt| attempt.exec().command[1] = "/etc//hostname".to_owned(), &[Difference::Command])]
#[case::no_command(|attempt: &mut Attempt| attempt.exec().command.clear(), &[Difference::Command])]
#[case::another_container(
    |attempt: &mut Attempt| attempt.exec().container = Some("sidecar".to_owned()), &[Difference::Container])]
#[case::standard_input(|attempt: &mut Attempt| attempt.exec().stdin = true, &[Difference::Stdin])]
#[case::a_terminal(|attempt: &mut Attempt| attempt.exec().tty = true, &[Difference::Tty])]
#[case::everything(
    |attempt: &mut Attempt| {
        attempt.exec().command = argv(&["sh"]);
        attempt.exec().container = Some("sidecar".to_owned());
        (attempt.exec().stdin, attempt.exec().tty) = (true, true);
    },
    &[Difference::Command, Difference::Container, Difference::Stdin, Difference::Tty])]
fn what_differs_is_denied_and_named(
    #[case] change: fn(&mut Attempt),
    #[case] differences: &[Difference],
) {
    let mut attempt = attempt();
    change(&mut attempt);
    let granted = Box::new(candidate().request.ask);
    assert_eq!(
        miss(confirmed(&attempt, &candidate(), &pod())),
        Miss::Differs {
            differences: differences.to_vec(),
            granted
        }
    );
}

#[rstest]
#[case::no_standard_input(|candidate: &mut Candidate| candidate.request.exec().stdin = true)]
#[case::no_terminal(|candidate: &mut Candidate| candidate.request.exec().tty = true)]
#[case::any_command(|candidate: &mut Candidate| candidate.request.exec().command = Command::Any)]
#[case::no_uid_was_stored(|candidate: &mut Candidate| candidate.request.user.uid = None)]
#[case::no_filer_was_stored(|candidate: &mut Candidate| candidate.request.created_by = None)]
fn less_than_was_granted_is_allowed(#[case] change: fn(&mut Candidate)) {
    let mut candidate = candidate();
    change(&mut candidate);
    assert_eq!(
        permit(confirmed(&attempt(), &candidate, &pod())).use_,
        Spend::SingleUse
    );
}

// F4
#[test]
fn any_command_is_some_command() {
    let (mut candidate, mut attempt) = (candidate(), attempt());
    candidate.request.exec().command = Command::Any;
    attempt.exec().command.clear();
    let granted = Box::new(candidate.request.ask.clone());
    assert_eq!(
        miss(confirmed(&attempt, &candidate, &pod())),
        Miss::Differs {
            differences: vec![Difference::Command],
            granted
        }
    );
}

#[test]
fn a_stored_request_without_any_argument_matches_nothing() {
    let (mut candidate, mut attempt) = (candidate(), attempt());
    candidate.request.exec().command = Command::Exactly(Vec::new());
    attempt.exec().command.clear();
    assert!(matches!(
        miss(confirmed(&attempt, &candidate, &pod())),
        Miss::Differs { .. }
    ));
}

#[rstest]
#[case::gone(|_: &mut Candidate, pod: &mut Option<Pod>| *pod = None, PodMiss::NotTheOne)]
#[case::being_deleted(|_: &mut Candidate, pod: &mut Option<Pod>| change(pod, |pod| pod.being_deleted = true), PodMiss::NotTheOne)]
#[case::created_again_under_the_same_name(
    |_: &mut Candidate, pod: &mut Option<Pod>| change(pod, |pod| pod.uid = "pod-2".to_owned()), PodMiss::NotTheOne)]
#[case::never_stamped(|candidate: &mut Candidate, _: &mut Option<Pod>| candidate.request.target.uid = None, PodMiss::NotTheOne)]
#[case::container_not_running(
    |_: &mut Candidate, pod: &mut Option<Pod>| change(pod, |pod| pod.containers[0].running = false), PodMiss::NotRunning)]
#[case::container_gone(|_: &mut Candidate, pod: &mut Option<Pod>| change(pod, |pod| pod.containers.clear()), PodMiss::NotRunning)]
fn a_pod_that_is_not_the_granted_one_is_denied(
    #[case] arrange: fn(&mut Candidate, &mut Option<Pod>),
    #[case] expected: PodMiss,
) {
    let (mut candidate, mut pod) = (candidate(), Some(pod()));
    arrange(&mut candidate, &mut pod);
    let verdict = confirm(&attempt(), &candidate, pod.as_ref(), at(NOW), &rules());
    assert_eq!(miss(verdict), Miss::Pod(expected));
}

fn change(pod: &mut Option<Pod>, change: impl Fn(&mut Pod)) {
    pod.iter_mut().for_each(change);
}

// D17
#[rstest]
#[case::of_no_workload(|_: &mut Candidate, pod: &mut Pod| pod.workloads.clear(), PodMiss::NotTheOne)]
#[case::of_a_workload_created_again(
    |_: &mut Candidate, pod: &mut Pod| pod.workloads[0].uid = "deployment-2".to_owned(), PodMiss::NotTheOne)]
#[case::of_another_kind_with_this_uid(
    |_: &mut Candidate, pod: &mut Pod| pod.workloads[0].kind = TargetKind::StatefulSet, PodMiss::NotTheOne)]
#[case::never_stamped(|candidate: &mut Candidate, _: &mut Pod| candidate.request.target.uid = None, PodMiss::NotTheOne)]
#[case::another_image(|_: &mut Candidate, pod: &mut Pod| pod.containers[0].image = "evil:1".to_owned(), PodMiss::NotAsTheTemplate)]
#[case::another_tag_in_the_template(
    |_: &mut Candidate, pod: &mut Pod| pod.workloads[0].images[0].1 = "nginx:2".to_owned(), PodMiss::NotAsTheTemplate)]
#[case::an_image_of_another_container(
    |_: &mut Candidate, pod: &mut Pod| pod.workloads[0].images[0].0 = "sidecar".to_owned(), PodMiss::NotAsTheTemplate)]
#[case::a_container_the_template_lacks(|_: &mut Candidate, pod: &mut Pod| pod.workloads[0].images.clear(), PodMiss::NotAsTheTemplate)]
#[case::another_service_account(
    |_: &mut Candidate, pod: &mut Pod| pod.service_account = "admin".to_owned(), PodMiss::NotAsTheTemplate)]
#[case::container_not_running(|_: &mut Candidate, pod: &mut Pod| pod.containers[0].running = false, PodMiss::NotRunning)]
fn a_pod_that_is_not_of_the_granted_workload_is_denied(
    #[case] arrange: fn(&mut Candidate, &mut Pod),
    #[case] expected: PodMiss,
) {
    let (mut candidate, mut pod) = (for_a_workload(), pod());
    arrange(&mut candidate, &mut pod);
    assert_eq!(
        miss(confirmed(&attempt(), &candidate, &pod)),
        Miss::Pod(expected)
    );
}

// F16
#[test]
fn an_unnamed_container_is_the_only_one() {
    let mut attempt = attempt();
    attempt.exec().container = None;
    assert_eq!(
        permit(confirmed(&attempt, &candidate(), &pod())).use_,
        Spend::SingleUse
    );
}

// F16
#[test]
fn an_unnamed_container_is_the_only_one_beside_init_and_ephemeral_ones() {
    let (mut attempt, mut pod) = (attempt(), pod());
    attempt.exec().container = None;
    let helper = kra_decide::verdict::Container {
        main: false,
        ..container("debugger")
    };
    pod.containers.insert(0, helper);
    assert_eq!(
        permit(confirmed(&attempt, &candidate(), &pod)).use_,
        Spend::SingleUse
    );
}

#[rstest]
#[case::gone(|_: &mut Pod| {}, true)]
#[case::there(|_: &mut Pod| {}, false)]
#[case::with_the_container_stopped(|pod: &mut Pod| pod.containers[0].running = false, false)]
#[case::without_the_container(|pod: &mut Pod| pod.containers.clear(), false)]
#[case::with_another_image(|pod: &mut Pod| pod.containers[0].image = "other:1".to_owned(), false)]
#[case::with_two_containers(|pod: &mut Pod| pod.containers.push(container("sidecar")), false)]
fn of_a_pod_that_was_not_granted_nothing_is_said(
    #[values(candidate(), for_a_workload())] candidate: Candidate,
    #[values(None, Some("main".to_owned()))] named: Option<String>,
    #[case] change: fn(&mut Pod),
    #[case] gone: bool,
) {
    let (mut attempt, mut other) = (
        attempt(),
        Pod {
            uid: "pod-2".to_owned(),
            workloads: Vec::new(),
            ..pod()
        },
    );
    attempt.exec().container = named;
    change(&mut other);
    let pod = (!gone).then_some(&other);
    let verdict = confirm(&attempt, &candidate, pod, at(NOW), &rules());
    assert_eq!(miss(verdict), Miss::Pod(PodMiss::NotTheOne));
}

// F16
#[rstest]
#[case::of_two(|_: &mut Candidate, pod: &mut Pod| pod.containers.push(container("sidecar")))]
#[case::that_is_another(|_: &mut Candidate, pod: &mut Pod| pod.containers[0].name = "other".to_owned())]
#[case::where_none_was_asked_for(|candidate: &mut Candidate, _: &mut Pod| candidate.request.exec().container = None)]
#[case::of_none(|_: &mut Candidate, pod: &mut Pod| pod.containers.clear())]
fn an_unnamed_container_is_denied(#[case] arrange: fn(&mut Candidate, &mut Pod)) {
    let (mut attempt, mut candidate, mut pod) = (attempt(), candidate(), pod());
    attempt.exec().container = None;
    arrange(&mut candidate, &mut pod);
    let miss = miss(confirmed(&attempt, &candidate, &pod));
    assert!(
        matches!(miss, Miss::Differs { differences, .. } if differences == [Difference::Container])
    );
}

// H5
#[rstest]
#[case::by_name(person("jane", None))]
#[case::by_uid_under_another_name(person("janet", Some("uid-jane")))]
#[case::by_the_filer(person("bot", None))]
#[case::by_the_filer_under_another_name(person("robot", Some("uid-bot")))]
fn nobody_grants_her_own_request(#[case] by: kra_decide::identity::Person) {
    let mut candidate = candidate();
    candidate.request.created_by = Some(person("bot", Some("uid-bot")));
    candidate.grants[0].by = Some(by);
    assert_eq!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        waiting(at(0))
    );
}

#[rstest]
#[case::for_another_request_of_that_name(
    |candidate: &mut Candidate| candidate.grants[0].request_uid = Some("request-0".to_owned()))]
#[case::for_no_request_in_particular(|candidate: &mut Candidate| candidate.grants[0].request_uid = None)]
#[case::from_the_future(|candidate: &mut Candidate| candidate.grants[0].created = at(NOW + 6))]
#[case::for_a_request_from_the_future(|candidate: &mut Candidate| candidate.request.created = at(NOW + 6))]
#[case::being_deleted(|candidate: &mut Candidate| candidate.grants[0].being_deleted = true)]
#[case::by_nobody(|candidate: &mut Candidate| candidate.grants[0].by = None)]
fn a_grant_that_does_not_count_leaves_the_request_waiting(#[case] arrange: fn(&mut Candidate)) {
    let mut candidate = candidate();
    arrange(&mut candidate);
    let since = candidate.request.created;
    assert_eq!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        waiting(since)
    );
}

// E14
#[test]
fn a_clock_that_is_five_seconds_ahead_is_believed() {
    let mut candidate = candidate();
    (candidate.request.created, candidate.grants[0].created) = (at(NOW + 5), at(NOW + 5));
    assert_eq!(
        permit(confirmed(&attempt(), &candidate, &pod())).use_,
        Spend::SingleUse
    );
}

#[rstest]
#[case::before_the_grant(80)]
#[case::after_the_grant(30)]
fn a_denial_wins_whenever_it_came(#[case] granted: i64) {
    let mut candidate = candidate();
    candidate.grants[0].created = at(granted);
    candidate.grants.push(denied_grant());
    assert!(matches!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        Miss::Over(Standing::Denied(_))
    ));
}

// D30
#[test]
fn a_denial_in_the_status_outlives_its_grant() {
    let mut candidate = candidate();
    let denial = Denial {
        by: "tom".to_owned(),
        at: at(90),
        reason: None,
    };
    candidate.request.denied = Some(denial.clone());
    assert_eq!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        Miss::Over(Standing::Denied(denial))
    );
}

#[test]
fn a_denial_that_is_being_deleted_still_denies() {
    let mut candidate = candidate();
    let mut denial = denied_grant();
    denial.being_deleted = true;
    candidate.grants.push(denial);
    assert!(matches!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        Miss::Over(Standing::Denied(_))
    ));
}

#[test]
fn a_denial_of_another_request_of_that_name_denies_nothing() {
    let mut candidate = candidate();
    let mut other = denied_grant();
    other.request_uid = Some("request-0".to_owned());
    candidate.grants.push(other);
    assert_eq!(
        permit(confirmed(&attempt(), &candidate, &pod())).use_,
        Spend::SingleUse
    );
}

#[rstest]
#[case::another_namespace(|attempt: &mut Attempt| attempt.namespace = "prod".to_owned())]
#[case::another_pod(|attempt: &mut Attempt| attempt.pod = "box-2".to_owned())]
#[case::another_user(|attempt: &mut Attempt| attempt.caller.username = "tom".to_owned())]
#[case::the_name_in_another_case(|attempt: &mut Attempt| attempt.caller.username = "Jane".to_owned())]
#[case::the_name_from_another_authenticator(|attempt: &mut Attempt| attempt.caller.uid = Some("uid-2".to_owned()))]
#[case::the_name_without_its_uid(|attempt: &mut Attempt| attempt.caller.uid = None)]
#[case::no_name(|attempt: &mut Attempt| attempt.caller.username = String::new())]
fn what_is_not_about_the_callers_request_says_nothing_of_it(#[case] change: fn(&mut Attempt)) {
    let mut attempt = attempt();
    change(&mut attempt);
    assert_eq!(
        denied(confirmed(&attempt, &candidate(), &pod())),
        Denied::NoRequest
    );
}

#[test]
fn a_request_that_is_being_deleted_says_nothing() {
    let mut candidate = candidate();
    candidate.request.being_deleted = true;
    assert_eq!(
        denied(confirmed(&attempt(), &candidate, &pod())),
        Denied::NoRequest
    );
}

#[rstest]
#[case("oidc:jane", true)]
#[case("jane", false)]
#[case("oidc:oidc:jane", false)]
#[case("jane:oidc:", false)]
#[case("OIDC:jane", false)]
fn a_prefix_is_mandatory_where_it_is_configured(#[case] username: &str, #[case] allowed: bool) {
    let mut attempt = attempt();
    attempt.caller.username = username.to_owned();
    let rules = rules_with(|settings| settings.prefix = NamePrefix::new("oidc:"));
    let verdict = confirm(&attempt, &candidate(), Some(&pod()), at(NOW), &rules);
    assert_eq!(matches!(verdict, Verdict::Allow(_)), allowed);
}

#[rstest]
#[case::standard_input(true, false)]
#[case::a_terminal(false, true)]
fn interactive_use_is_denied_where_it_is_off_whatever_was_granted(
    #[case] stdin: bool,
    #[case] tty: bool,
) {
    let (mut attempt, mut candidate) = (attempt(), candidate());
    (attempt.exec().stdin, attempt.exec().tty) = (stdin, tty);
    (candidate.request.exec().stdin, candidate.request.exec().tty) = (true, true);
    let rules = rules_with(|settings| settings.allow_interactive = false);
    let screened = screen(&attempt, std::slice::from_ref(&candidate), at(NOW), &rules);
    assert_eq!(screened, Screened::Denied(Denied::InteractiveOff));
    assert_eq!(
        denied(confirm(&attempt, &candidate, Some(&pod()), at(NOW), &rules)),
        Denied::InteractiveOff
    );
}

#[test]
fn what_lasts_is_tried_before_what_is_used_up() {
    let (once, mut lasting) = (candidate(), for_an_hour());
    lasting.request.uid = "request-2".to_owned();
    lasting.grants[0].request_uid = Some("request-2".to_owned());
    let Screened::Promising(tried) = screen(&attempt(), &[once, lasting], at(NOW), &rules()) else {
        panic!("nothing is promising");
    };
    assert_eq!(
        tried
            .iter()
            .map(|candidate| candidate.request.uid.as_str())
            .collect::<Vec<_>>(),
        ["request-2", "request-1"]
    );
}

#[test]
fn a_later_request_that_was_granted_wins_over_an_earlier_one_that_was_not() {
    let (mut waiting, mut granted) = (candidate(), candidate());
    waiting.request.uid = "request-0".to_owned();
    granted.request.created = at(30);
    let screened = screen(&attempt(), &[waiting, granted.clone()], at(NOW), &rules());
    assert_eq!(screened, Screened::Promising(vec![granted]));
}

#[test]
fn a_request_that_waits_is_told_before_one_that_is_over() {
    let (mut waiting, mut over) = (candidate(), candidate());
    waiting.grants.clear();
    over.request.uid = "request-2".to_owned();
    over.request.created = at(30);
    over.request.denied = Some(Denial {
        by: "tom".to_owned(),
        at: at(40),
        reason: None,
    });
    let screened = screen(&attempt(), &[over, waiting], at(NOW), &rules());
    let miss = crate::build::waiting(at(0));
    assert_eq!(
        screened,
        Screened::Denied(Denied::Near {
            request: "access-exec-jane-7f3k".to_owned(),
            miss
        })
    );
}

#[rstest]
#[case::of_a_denial(Answer::Denied, None)]
#[case::of_a_grant_with_a_shorter_validity(Answer::Granted, Some(Duration::from_mins(1)))]
fn the_time_is_over_at_the_end(#[case] answer: Answer, #[case] valid_for: Option<Duration>) {
    let mut candidate = candidate();
    candidate.request.validity = Validity::For(Duration::from_hours(1));
    (candidate.grants[0].answer, candidate.grants[0].valid_for) = (answer, valid_for);
    assert!(matches!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        Miss::Over(_)
    ));
}

#[test]
fn of_two_denials_in_one_second_the_same_is_told_in_any_order() {
    let (mut one, mut other) = (candidate(), candidate());
    let by = |name: &str| kra_decide::access::Grant {
        name: format!("deny-{name}"),
        by: Some(person(name, None)),
        ..denied_grant()
    };
    one.grants = vec![by("amy"), by("tom")];
    other.grants = vec![by("tom"), by("amy")];
    assert_eq!(
        confirmed(&attempt(), &one, &pod()),
        confirmed(&attempt(), &other, &pod())
    );
}

fn ephemeral(name: Option<&str>) -> DebugContainer {
    DebugContainer {
        name: name.map(str::to_owned),
        image: "busybox".to_owned(),
        target: Some("main".to_owned()),
        stdin: true,
        ..DebugContainer::default()
    }
}

/// A debug container that its user attaches to, granted once.
fn to_debug() -> Candidate {
    let mut candidate = candidate();
    candidate.request.ask = Ask::Debug(DebugAsk {
        container: ephemeral(None),
        attach: true,
    });
    candidate
}

fn adds(pod_uid: &str, name: &str) -> Attempt {
    let container = ephemeral(Some(name));
    Attempt {
        action: Action::Debug(Addition {
            pod_uid: pod_uid.to_owned(),
            container,
        }),
        ..attempt()
    }
}

fn attaches(container: &str, stdin: bool) -> Attempt {
    Attempt {
        action: Action::Attach(Attach {
            container: Some(container.to_owned()),
            stdin,
            tty: false,
        }),
        ..attempt()
    }
}

fn pod_with_debugger(name: &str) -> Pod {
    let mut pod = pod();
    let debugger = Container {
        ephemeral: Some(ephemeral(Some(name))),
        main: false,
        ..container(name)
    };
    pod.containers.push(debugger);
    pod
}

fn every_ask() -> Vec<Ask> {
    let container = Some("main".to_owned());
    let exec = ExecAsk {
        container: container.clone(),
        command: Command::Any,
        stdin: true,
        tty: true,
    };
    let copy = |direction| Copy {
        container: container.clone(),
        direction,
        path: "/srv/x".to_owned(),
        directory: "/srv".to_owned(),
        no_preserve: false,
    };
    vec![
        Ask::Exec(exec),
        Ask::Copy(copy(Direction::To)),
        Ask::Copy(copy(Direction::From)),
        Ask::Attach(AttachAsk {
            container: container.clone(),
            stdin: true,
            tty: true,
        }),
        Ask::PortForward,
        Ask::Debug(DebugAsk {
            container: ephemeral(None),
            attach: false,
        }),
    ]
}

// A4
#[test]
fn a_grant_for_one_door_opens_no_other() {
    let actions = [
        attempt().action,
        attaches("main", false).action,
        Action::PortForward,
        adds("pod-1", "debugger-1").action,
    ];
    for ask in every_ask() {
        for action in &actions {
            let attempt = Attempt {
                action: action.clone(),
                ..attempt()
            };
            if attempt.door() == ask.door() {
                continue;
            }
            let mut candidate = candidate();
            candidate.request.ask = ask.clone();
            let verdict = confirmed(&attempt, &candidate, &pod_with_debugger("debugger-1"));
            assert_eq!(denied(verdict), Denied::NoRequest, "{ask:?} {action:?}");
        }
    }
}

#[test]
fn a_copy_is_a_question_that_costs_nothing_and_a_command_that_is_the_use() {
    let mut candidate = candidate();
    candidate.request.ask = every_ask().remove(1);
    let run = |command: &[&str], stdin: bool| {
        let mut attempt = attempt();
        (attempt.exec().command, attempt.exec().stdin) = (argv(command), stdin);
        attempt
    };
    let rules = rules_with(|settings| settings.allow_interactive = false);
    let verdict = |attempt: &Attempt, candidate: &Candidate| {
        confirm(attempt, candidate, Some(&pod()), at(NOW), &rules)
    };
    let (question, unpack) = (
        run(&["test", "-d", "/srv/x"], false),
        run(&["tar", "-xmf", "-", "-C", "/srv"], true),
    );
    assert_eq!(permit(verdict(&question, &candidate)).use_, Spend::Nothing);
    assert_eq!(permit(verdict(&unpack, &candidate)).use_, Spend::SingleUse);
    for (command, stdin) in [
        (&["tar", "-xmf", "-", "-C", "/"][..], true),
        (&["test", "-d", "/etc"], false),
        (&["test", "-d", "/srv/x"], true),
        (&["tar", "cf", "-", "/srv/x"], false),
    ] {
        denied(verdict(&run(command, stdin), &candidate));
    }
    candidate.request.uses = used("review-0");
    denied(verdict(&question, &candidate));
    denied(verdict(&unpack, &candidate));
}

#[test]
fn an_exec_that_unpacks_is_interactive_unless_a_copy_was_granted() {
    let (mut candidate, mut attempt) = (candidate(), attempt());
    (
        candidate.request.exec().command,
        candidate.request.exec().stdin,
    ) = (Command::Any, true);
    attempt.exec().command = argv(&["tar", "-xmf", "-", "-C", "/"]);
    attempt.exec().stdin = true;
    let rules = rules_with(|settings| settings.allow_interactive = false);
    denied(confirm(&attempt, &candidate, Some(&pod()), at(NOW), &rules));
}

#[test]
fn a_debug_container_is_added_once_and_attached_to_once() {
    let mut candidate = to_debug();
    let pod = pod_with_debugger("debugger-1");
    assert_eq!(
        denied(confirmed(&attaches("debugger-1", true), &candidate, &pod)),
        Denied::NoRequest,
        "not yet added"
    );
    assert_eq!(
        permit(confirmed(&adds("pod-1", "debugger-1"), &candidate, &pod)).use_,
        Spend::SingleUse
    );

    candidate.request.uses = vec![use_of(Door::EphemeralContainers, "review-0", "debugger-1")];
    let again = permit(confirmed(&adds("pod-1", "debugger-1"), &candidate, &pod));
    assert_eq!(
        again.use_,
        Spend::AlreadySpentByThisReview,
        "the API server asks again under another review"
    );
    let another = miss(confirmed(&adds("pod-1", "debugger-2"), &candidate, &pod));
    assert!(
        matches!(another, Miss::Over(Standing::Used { .. })),
        "{another:?}"
    );
    assert_eq!(
        permit(confirmed(&attaches("debugger-1", true), &candidate, &pod)).use_,
        Spend::SingleUse
    );
    assert_eq!(
        denied(confirmed(&attaches("main", true), &candidate, &pod)),
        Denied::NoRequest
    );

    candidate
        .request
        .uses
        .push(use_of(Door::Attach, "review-9", "debugger-1"));
    let attached = miss(confirmed(&attaches("debugger-1", true), &candidate, &pod));
    assert!(
        matches!(attached, Miss::Over(Standing::Used { .. })),
        "{attached:?}"
    );
}

#[test]
fn a_debug_container_that_was_never_stored_is_not_added_later() {
    let mut candidate = to_debug();
    candidate.request.uses = vec![use_of(Door::EphemeralContainers, "review-0", "debugger-1")];
    let verdict = |now: i64| {
        confirm(
            &adds("pod-1", "debugger-1"),
            &candidate,
            Some(&pod()),
            at(now),
            &rules(),
        )
    };
    assert_eq!(
        permit(verdict(100 + 59)).use_,
        Spend::AlreadySpentByThisReview
    );
    assert!(matches!(
        miss(verdict(100 + 60)),
        Miss::Over(Standing::Used { .. })
    ));
}

#[test]
fn a_container_of_the_same_name_in_another_pod_of_the_workload_is_somebody_elses() {
    let mut candidate = for_a_workload();
    candidate.request.ask = Ask::Debug(DebugAsk {
        container: ephemeral(None),
        attach: true,
    });
    let mut elsewhere = use_of(Door::EphemeralContainers, "review-0", "debugger-1");
    elsewhere.pod_uid = "pod-2".to_owned();
    candidate.request.uses = vec![elsewhere];
    let verdict = confirmed(
        &attaches("debugger-1", true),
        &candidate,
        &pod_with_debugger("debugger-1"),
    );
    assert_eq!(miss(verdict), Miss::Pod(PodMiss::NotTheOne));
}

#[test]
fn for_a_time_too_its_user_attaches_only_to_what_was_added_under_the_request() {
    let mut candidate = to_debug();
    candidate.request.validity = Validity::For(Duration::from_hours(1));
    let pod = pod_with_debugger("debugger-1");
    assert_eq!(
        denied(confirmed(&attaches("debugger-1", true), &candidate, &pod)),
        Denied::NoRequest
    );
    assert_eq!(
        permit(confirmed(&adds("pod-1", "debugger-1"), &candidate, &pod)).use_,
        Spend::SingleUse
    );
    candidate.request.uses = vec![use_of(Door::EphemeralContainers, "review-0", "debugger-1")];
    assert_eq!(
        permit(confirmed(&attaches("debugger-1", true), &candidate, &pod)).use_,
        Spend::Nothing
    );
    assert_eq!(
        permit(confirmed(&adds("pod-1", "debugger-2"), &candidate, &pod)).use_,
        Spend::SingleUse
    );
    candidate.request.uses = (0..16)
        .map(|number| {
            use_of(
                Door::EphemeralContainers,
                "review-0",
                &format!("debugger-{number}"),
            )
        })
        .collect();
    let more = miss(confirmed(&adds("pod-1", "debugger-x"), &candidate, &pod));
    assert!(
        matches!(more, Miss::Over(Standing::Used { .. })),
        "{more:?}"
    );
}

#[test]
fn a_use_of_a_door_that_another_version_knows_uses_a_debug_request_up() {
    let mut candidate = to_debug();
    candidate.request.uses = vec![use_of(Door::Exec, "review-0", "main")];
    let verdict = confirmed(&adds("pod-1", "debugger-1"), &candidate, &pod());
    assert!(matches!(miss(verdict), Miss::Over(Standing::Used { .. })));
}

// H7
#[test]
fn a_request_in_a_programs_name_gives_nothing_unless_it_is_listed() {
    let bot = "system:serviceaccount:dev:default";
    let (mut candidate, mut attempt) = (candidate(), attempt());
    candidate.request.user = person(bot, None);
    attempt.caller.username = bot.to_owned();
    assert_eq!(
        denied(confirmed(&attempt, &candidate, &pod())),
        Denied::NoRequest
    );
    let rules = rules_with(|settings| settings.requesters = vec![bot.to_owned()]);
    permit(confirm(&attempt, &candidate, Some(&pod()), at(NOW), &rules));
}

#[test]
fn a_grant_by_somebody_in_no_approver_group_grants_nothing_whoever_sealed_it() {
    let approvers = Approvers {
        groups: Some(vec!["sre".to_owned()]),
        programs: Vec::new(),
    };
    let rules = rules_with(|settings| settings.approvers = approvers);
    let mut candidate = candidate();
    let verdict =
        |candidate: &Candidate| confirm(&attempt(), candidate, Some(&pod()), at(NOW), &rules);
    assert_eq!(miss(verdict(&candidate)), waiting(at(0)));
    candidate.grants[0].groups = vec!["sre".to_owned()];
    permit(verdict(&candidate));
}

#[test]
fn nobody_attaches_to_a_container_that_only_has_the_name_of_the_one_that_was_asked_for() {
    let mut candidate = to_debug();
    candidate.request.uses = vec![use_of(Door::EphemeralContainers, "review-0", "debugger-1")];
    let mut other = pod_with_debugger("debugger-1");
    other.containers[1].ephemeral.as_mut().unwrap().image = "another".to_owned();
    let differs = miss(confirmed(&attaches("debugger-1", true), &candidate, &other));
    assert!(matches!(differs, Miss::Differs { .. }), "{differs:?}");
    let mut main = pod();
    main.containers.push(container("debugger-1"));
    let differs = miss(confirmed(&attaches("debugger-1", true), &candidate, &main));
    assert!(matches!(differs, Miss::Differs { .. }), "{differs:?}");
}

// D15
#[test]
fn a_debug_container_for_a_pod_that_was_re_created_meanwhile_is_denied() {
    let verdict = confirmed(&adds("pod-0", "debugger-1"), &to_debug(), &pod());
    assert_eq!(miss(verdict), Miss::Pod(PodMiss::NotTheOne));
}

#[rstest]
#[case::exec(every_ask().remove(0), attempt().action)]
#[case::attach(every_ask().remove(3), attaches("main", true).action)]
#[case::port_forward(Ask::PortForward, Action::PortForward)]
#[case::debug(every_ask().remove(5), adds("pod-1", "debugger-1").action)]
fn a_grant_whose_seal_is_broken_grants_nothing(#[case] ask: Ask, #[case] action: Action) {
    let (mut candidate, attempt) = (
        candidate(),
        Attempt {
            action,
            ..attempt()
        },
    );
    candidate.request.ask = ask;
    permit(confirmed(&attempt, &candidate, &pod()));
    candidate.grants[0].seal = Seal::Broken;
    assert_eq!(
        miss(confirmed(&attempt, &candidate, &pod())),
        waiting(at(0))
    );
}

#[test]
fn a_denial_counts_even_where_its_seal_is_broken() {
    let mut candidate = candidate();
    candidate.grants.push(kra_decide::access::Grant {
        seal: Seal::Broken,
        ..denied_grant()
    });
    assert!(matches!(
        miss(confirmed(&attempt(), &candidate, &pod())),
        Miss::Over(Standing::Denied(_))
    ));
}

#[test]
fn a_grant_that_was_stored_again_lasts_no_longer_than_the_first() {
    let mut candidate = for_an_hour();
    candidate.grants[0].sealed_at = Some(at(NOW - 3599));
    candidate.grants[0].created = at(NOW);
    let permit = permit(confirmed(&attempt(), &candidate, &pod()));
    assert_eq!(permit.access.until, at(NOW + 1));
}
