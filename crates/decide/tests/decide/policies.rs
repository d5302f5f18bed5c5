//! What policies allow, require and deny: tables, and what holds for all of them.

use std::{sync::Arc, time::Duration};

use kra_decide::{
    access::{Command, Grant, Request, Seal, Validity},
    attempt::{Action, Addition, Attempt, Door},
    debug::DebugContainer,
    explain::{Context, denial},
    policy::{
        Allow, ApproverSet, CommandRule, Effect, Pattern, Policy, Require, Subject, Terms,
        TextRule, Unmet, Who,
    },
    policy_id::PolicyId,
    ruling::Wanted,
    settings::Rules,
    standing::{Candidate, Standing},
    verdict::{Denied, Miss, Screened, Verdict, allowed_by_policy, confirm, screen},
};
use proptest::{prelude::*, sample::select};
use rstest::rstest;

use crate::{
    build::{
        ExecMut as _, NOW, argv, at, attempt, candidate, denied_grant, for_an_hour, grant, person,
        pod, rules, rules_with,
    },
    worlds::{NEWEST, World, world},
};

const HOUR: i64 = 3600;

pub(crate) fn policy(name: &str, effect: Effect) -> Policy {
    Policy {
        id: PolicyId {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            generation: 1,
        },
        who: Who::Listed(vec![Subject::User("jane".to_owned())]),
        namespaces: vec!["default".into()],
        doors: vec![Door::Exec],
        commands: Vec::new(),
        proxies: Vec::new(),
        effect,
        contact: None,
    }
}

fn allow() -> Policy {
    policy("allow", Effect::Allow(Allow::default()))
}

pub(crate) fn deny() -> Policy {
    policy("deny", Effect::Deny { fault: None })
}

pub(crate) fn require(approvals: u32) -> Policy {
    policy(
        "require",
        Effect::Require(Require {
            approvals,
            ..Require::default()
        }),
    )
}

pub(crate) fn with(policies: &[Policy]) -> Rules {
    Rules {
        policies: Arc::new(policies.iter().cloned().collect()),
        ..rules()
    }
}

fn group(name: &str) -> Vec<Subject> {
    vec![Subject::Group(name.to_owned())]
}

/// A grant by somebody else, a second later.
fn by(name: &str, groups: &[&str], second: i64) -> Grant {
    Grant {
        name: format!("grant-{name}-{second}"),
        by: Some(person(name, None)),
        groups: argv(groups),
        created: at(second),
        ..grant()
    }
}

fn answered(grants: Vec<Grant>) -> Candidate {
    Candidate {
        grants,
        ..candidate()
    }
}

fn allowed(attempt: &Attempt, policies: &[Policy]) -> bool {
    allowed_by_policy(attempt, &with(policies)).is_some()
}

fn permits(candidate: &Candidate, policies: &[Policy]) -> bool {
    matches!(
        confirm(
            &attempt(),
            candidate,
            Some(&pod()),
            at(NOW),
            &with(policies)
        ),
        Verdict::Allow(_)
    )
}

#[test]
fn what_a_policy_allows_needs_no_request() {
    assert_eq!(
        allowed_by_policy(&attempt(), &with(&[allow()])).map(|id| id.name.as_str()),
        Some("allow")
    );
    assert!(!allowed(&attempt(), &[]));
}

#[rstest]
#[case::somebody_else(|policy: &mut Policy| policy.who = Who::Listed(vec![Subject::User("janet".into())]))]
#[case::another_case(|policy: &mut Policy| policy.who = Who::Listed(vec![Subject::User("Jane".into())]))]
#[case::an_empty_name(|policy: &mut Policy| policy.who = Who::Listed(vec![Subject::User(String::new())]))]
#[case::an_empty_group(|policy: &mut Policy| policy.who = Who::Listed(vec![Subject::Group(String::new())]))]
#[case::everybody(|policy: &mut Policy| policy.who = Who::Everybody)]
#[case::elsewhere(|policy: &mut Policy| policy.namespaces = vec!["default2".into(), "defaul".into(), "d?fault".into()])]
#[case::nowhere(|policy: &mut Policy| policy.namespaces.clear())]
#[case::another_door(|policy: &mut Policy| policy.doors = vec![Door::Attach])]
#[case::no_door(|policy: &mut Policy| policy.doors.clear())]
#[case::another_command(|policy: &mut Policy| policy.commands = vec![CommandRule::Exactly(argv(&["cat"]))])]
#[case::another_program(|policy: &mut Policy| policy.commands = vec![CommandRule::Program("/bin/cat".into())])]
#[case::no_program(|policy: &mut Policy| policy.commands = vec![CommandRule::Program(String::new())])]
#[case::with_a_reason(|policy: &mut Policy| {
    let terms = Terms { reason: Some(TextRule::default()), ..Terms::default() };
    policy.effect = Effect::Allow(Allow { terms, ..Allow::default() });
})]
fn a_plain_attempt_that_a_policy_does_not_certainly_allow_is_not_allowed(
    #[case] change: fn(&mut Policy),
) {
    let mut policy = allow();
    change(&mut policy);
    assert!(!allowed(&attempt(), &[policy]));
}

#[rstest]
#[case::a_star(|policy: &mut Policy| policy.namespaces = vec!["def*".into()])]
#[case::a_group(|policy: &mut Policy| policy.who = Who::Listed(group("system:authenticated")))]
#[case::the_command(|policy: &mut Policy| policy.commands = vec![CommandRule::Exactly(argv(&["cat", "/etc/hostname"]))])]
#[case::the_program(|policy: &mut Policy| policy.commands = vec![CommandRule::Program("cat".into())])]
#[case::shorter(|policy: &mut Policy| {
    let terms = Terms { valid_for: Some(Duration::from_mins(1)), ..Terms::default() };
    policy.effect = Effect::Allow(Allow { terms, ..Allow::default() });
})]
fn a_policy_may_allow_by_star_group_and_command(#[case] change: fn(&mut Policy)) {
    let mut policy = allow();
    change(&mut policy);
    assert!(allowed(&attempt(), &[policy]));
}

#[test]
fn what_can_be_typed_into_is_allowed_only_where_policy_and_server_say_so() {
    let mut typed = attempt();
    typed.exec().tty = true;
    assert!(!allowed(&typed, &[allow()]));
    let interactive = policy(
        "i",
        Effect::Allow(Allow {
            interactive: true,
            ..Allow::default()
        }),
    );
    assert!(allowed(&typed, std::slice::from_ref(&interactive)));
    let off = rules_with(|settings| settings.allow_interactive = false);
    let off = Rules {
        policies: with(&[interactive]).policies,
        ..off
    };
    assert_eq!(allowed_by_policy(&typed, &off), None);
}

// A13
#[rstest]
#[case::baseline(None, false, true)]
#[case::general(Some(r#"{"capabilities":{"add":["SYS_PTRACE"]}}"#), false, true)]
#[case::network(
    Some(r#"{"capabilities":{"add":["NET_ADMIN","NET_RAW"]}}"#),
    false,
    false
)]
#[case::root(Some(r#"{"privileged":true}"#), false, false)]
#[case::root_that_the_policy_names(Some(r#"{"privileged":true}"#), true, true)]
#[case::rights_of_no_profile(Some(r#"{"runAsUser":0}"#), false, false)]
fn a_debug_container_with_rights_of_its_own_is_allowed_only_where_the_policy_says_so(
    #[case] rights: Option<&str>,
    #[case] named: bool,
    #[case] is_allowed: bool,
) {
    let others = rights.map(|rights| ("securityContext".to_owned(), rights.to_owned()));
    let container = DebugContainer {
        image: "busybox".to_owned(),
        others: others.into_iter().collect(),
        ..DebugContainer::default()
    };
    let debugging = Attempt {
        action: Action::Debug(Addition {
            pod_uid: "pod-1".to_owned(),
            container,
        }),
        ..attempt()
    };
    let mut rule = policy(
        "d",
        Effect::Allow(Allow {
            privileged: named,
            ..Allow::default()
        }),
    );
    rule.doors = [Door::EphemeralContainers].into_iter().collect();
    assert_eq!(allowed(&debugging, &[rule]), is_allowed);
}

#[test]
fn a_program_is_allowed_by_its_name_and_never_by_a_group() {
    let name = "system:serviceaccount:ci:bot";
    let mut program = attempt();
    name.clone_into(&mut program.caller.username);
    program.caller.groups = argv(&[
        "system:serviceaccounts",
        "system:serviceaccounts:ci",
        "system:authenticated",
    ]);
    for subject in [
        Subject::Group("system:serviceaccounts:ci".into()),
        Subject::Group("system:authenticated".into()),
        Subject::User(name.into()),
        Subject::ServiceAccount("system:serviceaccount:ci:bot2".into()),
    ] {
        assert!(!allowed(
            &program,
            &[Policy {
                who: Who::Listed(vec![subject]),
                ..allow()
            }]
        ));
    }
    let named = Who::Listed(vec![Subject::ServiceAccount(name.into())]);
    assert!(allowed(
        &program,
        &[Policy {
            who: named,
            ..allow()
        }]
    ));
    // What refuses reaches it by a group too.
    let denied = Policy {
        who: Who::Listed(group("system:serviceaccounts:ci")),
        ..deny()
    };
    let screened = screen::<Candidate>(&program, &[], at(NOW), &with(&[denied]));
    assert!(matches!(screened, Screened::Denied(Denied::Forbidden(_))));
}

#[test]
fn a_denial_wins_over_what_is_required_and_that_over_what_is_allowed() {
    assert!(!allowed(&attempt(), &[allow(), deny()]));
    assert!(!allowed(&attempt(), &[allow(), require(1)]));
    assert!(permits(&candidate(), &[]));
    assert!(!permits(&candidate(), &[allow(), require(1), deny()]));
    assert!(
        permits(&candidate(), &[allow(), require(1)]),
        "one approval is there"
    );
    assert!(!permits(&candidate(), &[require(2)]));
}

#[rstest]
#[case::two(&[("amy", 60), ("bob", 70)], 2, true)]
#[case::one_twice(&[("amy", 60), ("amy", 70)], 2, false)]
#[case::one_too_few(&[("amy", 60), ("bob", 70)], 3, false)]
#[case::more(&[("amy", 60), ("bob", 70), ("tom", 80)], 2, true)]
#[case::the_requester(&[("amy", 60), ("jane", 70)], 2, false)]
fn so_many_people_must_approve(
    #[case] answers: &[(&str, i64)],
    #[case] approvals: u32,
    #[case] granted: bool,
) {
    let candidate = answered(
        answers
            .iter()
            .map(|(name, second)| by(name, &[], *second))
            .collect(),
    );
    assert_eq!(permits(&candidate, &[require(approvals)]), granted);
}

#[test]
fn two_names_of_one_human_are_one_approval() {
    let same = |name: &str, second| Grant {
        by: Some(person(name, Some("7"))),
        ..by(name, &[], second)
    };
    assert!(!permits(
        &answered(vec![same("amy", 60), same("amy.admin", 70)]),
        &[require(2)]
    ));
}

#[test]
fn one_of_every_set_must_approve_and_nobody_else_counts() {
    let set = |name: &str| ApproverSet {
        name: name.to_owned(),
        subjects: group(name),
    };
    let sets = vec![set("sre"), set("security")];
    let policy = policy(
        "sets",
        Effect::Require(Require {
            approvals: 2,
            sets,
            ..Require::default()
        }),
    );
    let granted = |grants: Vec<Grant>| permits(&answered(grants), std::slice::from_ref(&policy));
    assert!(granted(vec![
        by("amy", &["sre"], 60),
        by("bob", &["security"], 70)
    ]));
    assert!(!granted(vec![
        by("amy", &["sre"], 60),
        by("bob", &["sre"], 70)
    ]));
    assert!(!granted(vec![by("amy", &["sre"], 60), by("bob", &[], 70)]));
    assert!(
        !granted(vec![by("amy", &["sre", "security"], 60)]),
        "two people"
    );
    assert!(granted(vec![
        by("amy", &["sre", "security"], 60),
        by("bob", &["sre"], 70)
    ]));
}

#[test]
fn every_policy_that_requires_is_met() {
    let one_of = |name: &str| {
        let sets = vec![ApproverSet {
            name: name.to_owned(),
            subjects: group(name),
        }];
        policy(
            name,
            Effect::Require(Require {
                approvals: 1,
                sets,
                ..Require::default()
            }),
        )
    };
    let both = [one_of("sre"), one_of("security")];
    assert!(!permits(&answered(vec![by("amy", &["sre"], 60)]), &both));
    assert!(permits(
        &answered(vec![by("amy", &["sre"], 60), by("bob", &["security"], 70)]),
        &both
    ));
}

#[test]
fn access_lasts_while_enough_approvals_do() {
    let mut candidate = for_an_hour();
    candidate.grants = vec![by("amy", &[], 60), by("bob", &[], 600)];
    let rules = with(&[require(2)]);
    let standing = |candidate: &Candidate, second| candidate.standing(at(second), &rules);
    assert!(
        matches!(standing(&candidate, 60 + HOUR - 1), Standing::Granted(access) if access.until == at(60 + HOUR))
    );
    assert!(
        matches!(standing(&candidate, 60 + HOUR), Standing::Expired { at: end, .. } if end == at(60 + HOUR))
    );
    // A new approval by one does not prolong the other's.
    candidate.grants.push(by("amy", &[], 1200));
    assert!(
        matches!(standing(&candidate, 1200), Standing::Granted(access) if access.until == at(600 + HOUR))
    );
    // Two that never stood together never gave anything.
    candidate.grants = vec![by("amy", &[], 60), by("bob", &[], 60 + HOUR)];
    assert_eq!(standing(&candidate, 60 + HOUR), Standing::Pending);
}

#[test]
fn a_policy_shortens_access() {
    let terms = Terms {
        valid_for: Some(Duration::from_mins(10)),
        ..Terms::default()
    };
    let policy = policy(
        "short",
        Effect::Require(Require {
            approvals: 1,
            terms,
            ..Require::default()
        }),
    );
    let standing = for_an_hour().standing(at(61), &with(&[policy]));
    assert!(matches!(standing, Standing::Granted(access) if access.until == at(660)));
}

#[test]
fn a_policy_shortens_how_long_a_single_use_waits() {
    let terms = Terms {
        valid_for: Some(Duration::from_mins(10)),
        ..Terms::default()
    };
    let policy = policy(
        "short",
        Effect::Require(Require {
            approvals: 1,
            terms,
            ..Require::default()
        }),
    );
    let standing = candidate().standing(at(61), &with(&[policy]));
    assert!(matches!(standing, Standing::Granted(access) if access.until == at(660)));
}

#[test]
fn a_request_that_meets_its_terms_is_granted_by_a_policy() {
    let pattern = Some(Pattern::new("[A-Z]+-[0-9]+").unwrap());
    let terms = Terms {
        reason: Some(TextRule {
            pattern,
            prompt: None,
        }),
        ..Terms::default()
    };
    let rules = with(&[policy(
        "ticket",
        Effect::Allow(Allow {
            terms,
            ..Allow::default()
        }),
    )]);
    let mut candidate = answered(Vec::new());
    assert_eq!(candidate.standing(at(NOW), &rules), Standing::Pending);
    for reason in ["OPS-", "see OPS-12", "OPS-12 ", "OPS-12\nx"] {
        candidate.request.reason = Some(reason.to_owned());
        assert_eq!(
            candidate.standing(at(NOW), &rules),
            Standing::Pending,
            "{reason:?}"
        );
    }
    candidate.request.reason = Some("OPS-12".to_owned());
    let Standing::Granted(access) = candidate.standing(at(NOW), &rules) else {
        panic!("not granted")
    };
    assert_eq!(
        (access.by, access.policy.unwrap().name),
        (argv(&["policy ticket"]), "ticket".to_owned())
    );
    assert!(matches!(
        confirm(&attempt(), &candidate, Some(&pod()), at(NOW), &rules),
        Verdict::Allow(_)
    ));
    let mut denied = candidate.clone();
    denied.grants = vec![denied_grant()];
    assert!(
        matches!(denied.standing(at(NOW), &rules), Standing::Denied(_)),
        "a denial wins"
    );
    // Who asked is nobody's word but the API server's, now.
    let mut other = attempt();
    other.caller.username = "eve".to_owned();
    assert!(matches!(
        confirm(&other, &candidate, Some(&pod()), at(NOW), &rules),
        Verdict::Deny(_)
    ));
}

// K6
#[test]
fn a_request_without_a_good_seal_is_granted_by_no_policy_and_stays_granted_by_whom_it_was() {
    let terms = Terms {
        reason: Some(TextRule::default()),
        ..Terms::default()
    };
    let emergency = Some(Duration::from_hours(1));
    for effect in [
        Allow {
            terms: terms.clone(),
            ..Allow::default()
        },
        Allow {
            terms,
            emergency,
            ..Allow::default()
        },
    ] {
        let rules = with(&[policy("plain", Effect::Allow(effect))]);
        let mut candidate = answered(Vec::new());
        candidate.request.reason = Some("why not".to_owned());
        candidate.request.seal = Seal::Broken;
        assert_eq!(candidate.standing(at(NOW), &rules), Standing::Pending);
        let ruling = rules
            .policies
            .of_request(&candidate.request, &rules.settings.prefix);
        assert_eq!(candidate.begins(&ruling, at(NOW), &rules), None);
        candidate.grants = vec![grant()];
        assert!(
            matches!(candidate.standing(at(NOW), &rules), Standing::Granted(access) if access.policy.is_none())
        );
    }
}

#[test]
fn a_group_that_somebody_left_allows_nothing_any_more() {
    let terms = Terms {
        reason: Some(TextRule::default()),
        ..Terms::default()
    };
    let effect = Effect::Allow(Allow {
        terms,
        ..Allow::default()
    });
    let rules = with(&[Policy {
        who: Who::Listed(group("devs")),
        ..policy("devs", effect)
    }]);
    let mut candidate = answered(Vec::new());
    candidate.request.reason = Some("why not".to_owned());
    assert!(
        matches!(candidate.standing(at(NOW), &rules), Standing::Granted(_)),
        "as she filed it"
    );
    assert!(matches!(
        confirm(&attempt(), &candidate, Some(&pod()), at(NOW), &rules),
        Verdict::Deny(_)
    ));
}

#[test]
fn what_is_required_of_any_command_is_required_of_this_one() {
    let rule = Policy {
        commands: vec![CommandRule::Program("cat".into())],
        ..require(2)
    };
    let mut shell = for_an_hour();
    shell.request.exec().command = Command::Any;
    assert!(!permits(&shell, std::slice::from_ref(&rule)));
    let other = Policy {
        commands: vec![CommandRule::Program("psql".into())],
        ..require(2)
    };
    assert!(
        !permits(&shell, &[other]),
        "asked for any, it was asked for this too"
    );
}

#[rstest]
#[case(None, None, Unmet::Reason { rule: TextRule::default() })]
#[case(Some("because"), None, Unmet::Key { key: "ticket".into(), rule: TextRule::default() })]
#[case(Some("  "), Some("7"), Unmet::Reason { rule: TextRule::default() })]
fn what_a_request_lacks_is_named(
    #[case] reason: Option<&str>,
    #[case] ticket: Option<&str>,
    #[case] unmet: Unmet,
) {
    let keys = [("ticket".to_owned(), TextRule::default())].into();
    let terms = Terms {
        reason: Some(TextRule::default()),
        keys,
        valid_for: None,
    };
    let rules = with(&[policy(
        "terms",
        Effect::Require(Require {
            approvals: 1,
            terms,
            ..Require::default()
        }),
    )]);
    let mut candidate = candidate();
    candidate.request.reason = reason.map(str::to_owned);
    candidate
        .request
        .keys
        .extend(ticket.map(|ticket| ("ticket".to_owned(), ticket.to_owned())));
    let Standing::Forbidden(forbidden) = candidate.standing(at(NOW), &rules) else {
        panic!("not forbidden")
    };
    assert_eq!(forbidden.unmet, Some(unmet));
    assert!(
        !permits(&candidate, &[])
            || matches!(
                confirm(&attempt(), &candidate, Some(&pod()), at(NOW), &rules),
                Verdict::Deny(_)
            )
    );
}

#[test]
fn a_request_for_longer_is_refused_when_it_is_filed() {
    let terms = Terms {
        valid_for: Some(Duration::from_mins(10)),
        ..Terms::default()
    };
    let rules = with(&[policy(
        "short",
        Effect::Require(Require {
            approvals: 1,
            terms,
            ..Require::default()
        }),
    )]);
    let mut request = candidate().request;
    let refused = |request: &Request| {
        rules
            .policies
            .of_request(request, &rules.settings.prefix)
            .refuses(request, true)
    };
    assert_eq!(refused(&request), None, "once is no time");
    request.validity = Validity::For(Duration::from_mins(10));
    assert_eq!(refused(&request), None);
    request.validity = Validity::For(Duration::from_secs(601));
    assert_eq!(
        refused(&request).unwrap().unmet,
        Some(Unmet::TooLong {
            most: Duration::from_mins(10)
        })
    );
}

#[rstest]
#[case("deny", {
    let policy = Policy { contact: Some("#platform".into()), ..deny() };
    denied_by(&[policy], &[])
})]
#[case("not_understood", denied_by(&[policy("odd", Effect::Deny { fault: Some("spec.subresources[0]: \u{1b}".into()) })], &[]))]
#[case("no_terminal", {
    let require = Require { approvals: 1, non_interactive: true, ..Require::default() };
    let mut typed = attempt();
    typed.exec().stdin = true;
    screened(&typed, &[policy("quiet", Effect::Require(require))], &[])
})]
#[case("a_reason", {
    let prompt = Some("the ticket, OPS-1234".to_owned());
    let terms = Terms { reason: Some(TextRule { pattern: None, prompt }), ..Terms::default() };
    denied_by(&[policy("ticket", Effect::Require(Require { approvals: 1, terms, ..Require::default() }))], &[candidate()])
})]
#[case("two_needed", denied_by(&[require(2)], &[answered(Vec::new())]))]
#[case("one_of_two", denied_by(&[require(2)], &[candidate()]))]
#[case("one_of_a_set", {
    let sets = vec![ApproverSet { name: "security".into(), subjects: group("security") }];
    denied_by(&[policy("sets", Effect::Require(Require { approvals: 2, sets, ..Require::default() }))], &[candidate()])
})]
fn texts_say_which_policy_and_what_is_missing(#[case] name: &str, #[case] denied: Denied) {
    insta::assert_snapshot!(
        name,
        denial(
            &denied,
            &attempt(),
            Context {
                cluster: "dev",
                now: at(NOW)
            }
        )
    );
}

fn denied_by(policies: &[Policy], candidates: &[Candidate]) -> Denied {
    screened(&attempt(), policies, candidates)
}

fn screened(attempt: &Attempt, policies: &[Policy], candidates: &[Candidate]) -> Denied {
    match screen(attempt, candidates, at(NOW), &with(policies)) {
        Screened::Denied(denied) => denied,
        Screened::Promising(_) => panic!("not denied"),
    }
}

#[test]
fn an_approval_that_counts_for_nothing_waits_for_one_that_does() {
    let sets = vec![ApproverSet {
        name: "security".into(),
        subjects: group("security"),
    }];
    let policy = policy(
        "sets",
        Effect::Require(Require {
            approvals: 1,
            sets,
            ..Require::default()
        }),
    );
    let denied = denied_by(&[policy], &[answered(vec![by("amy", &["sre"], 60)])]);
    let Denied::Near {
        miss: Miss::Waiting { wanted, .. },
        ..
    } = denied
    else {
        panic!("{denied:?}")
    };
    assert_eq!(
        *wanted,
        Wanted {
            needed: 1,
            have: Vec::new(),
            from: argv(&["security"])
        }
    );
}

fn subjects() -> impl Strategy<Value = Who> {
    let listed = select(vec!["jane", "devs", "eve"]).prop_map(|name| match name {
        "devs" => Subject::Group("system:authenticated".into()),
        name => Subject::User(name.into()),
    });
    prop_oneof![1 => Just(Who::Everybody), 3 => listed.prop_map(|subject| Who::Listed(vec![subject]))]
}

fn effects() -> impl Strategy<Value = Effect> {
    let terms = || {
        let valid_for = prop::option::of((60u64..7200).prop_map(Duration::from_secs));
        (
            valid_for,
            prop::option::weighted(0.2, Just(TextRule::default())),
        )
            .prop_map(|(valid_for, reason)| Terms {
                valid_for,
                reason,
                ..Terms::default()
            })
    };
    prop_oneof![
        2 => (any::<[bool; 2]>(), terms(), prop::option::weighted(0.3, Just(Duration::from_hours(24)))).prop_map(
            |([interactive, privileged], terms, emergency)| {
                Effect::Allow(Allow { interactive, privileged, terms, emergency })
            }),
        2 => (1u32..3, any::<bool>(), terms()).prop_map(|(approvals, non_interactive, terms)| {
            Effect::Require(Require { approvals, non_interactive, terms, sets: Vec::new() })
        }),
        1 => Just(Effect::Deny { fault: None }),
    ]
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let doors = prop_oneof![2 => Just(Vec::new()), 3 => select(Door::ALL.to_vec()).prop_map(|door| vec![door])];
    let namespaces = prop_oneof![1 => Just(Vec::new()), 3 => select(vec!["default", "*", "prod"]).prop_map(|n| vec![n.into()])];
    let one = (subjects(), doors, namespaces, effects(), "[a-c]").prop_map(
        |(who, doors, namespaces, effect, name)| Policy {
            who,
            doors,
            namespaces,
            ..policy(&name, effect)
        },
    );
    prop::collection::vec(one.boxed(), 0..4).boxed()
}

pub(crate) fn governed() -> impl Strategy<Value = World> {
    (world().boxed(), policies()).prop_map(|(mut world, policies)| {
        world.rules.policies = Arc::new(policies.into_iter().collect());
        world
    })
}

pub(crate) fn gets_in(world: &World) -> bool {
    allowed_by_policy(&world.attempt, &world.rules).is_some() || world.permits()
}

fn more(world: &World, policy: Policy) -> World {
    let mut more = world.clone();
    more.rules.policies = Arc::new(
        world
            .rules
            .policies
            .iter()
            .cloned()
            .chain([policy])
            .collect(),
    );
    more
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_denial_for_everybody_denies(world in governed()) {
        let everybody = Policy { who: Who::Everybody, namespaces: vec![], doors: vec![], ..deny() };
        prop_assert!(!gets_in(&more(&world, everybody)));
    }

    #[test]
    fn one_more_restriction_never_allows(world in governed(), which in policies()) {
        for policy in which.into_iter().filter(|policy| !matches!(policy.effect, Effect::Allow(_))) {
            prop_assert!(gets_in(&world) || !gets_in(&more(&world, policy)));
        }
    }

    #[test]
    fn without_an_allow_policies_let_nobody_in_who_would_not_be_without_them(world in governed()) {
        let is_allow = |policy: &Policy| matches!(policy.effect, Effect::Allow(_));
        let mut without = world.clone();
        without.rules.policies = Arc::default();
        let restricts = !world.rules.policies.iter().any(is_allow);
        prop_assert!(!restricts || !gets_in(&world) || gets_in(&without));
    }

    #[test]
    fn under_policies_too_taking_a_grant_away_never_allows(world in governed(), which in any::<prop::sample::Index>()) {
        let mut less = world.clone();
        for candidate in &mut less.candidates {
            if !candidate.grants.is_empty() {
                let which = which.index(candidate.grants.len());
                if candidate.grants[which].answer == kra_decide::access::Answer::Granted {
                    candidate.grants.remove(which);
                }
            }
        }
        prop_assert!(gets_in(&world) || !gets_in(&less));
    }

    #[test]
    fn under_policies_too_time_alone_never_allows(mut world in governed(), later in 0i64..1_000_000) {
        world.now = world.now.max(NEWEST);
        let after = World { now: world.now + later, ..world.clone() };
        prop_assert!(gets_in(&world) || !gets_in(&after));
    }

    #[test]
    fn the_order_of_policies_never_matters(world in governed()) {
        let mut reversed = world.clone();
        let policies: Vec<Policy> = world.rules.policies.iter().cloned().collect();
        reversed.rules.policies = Arc::new(policies.into_iter().rev().collect());
        prop_assert_eq!(gets_in(&world), gets_in(&reversed));
    }
}
