//! What a denied caller reads, word for word.

use kra_decide::{
    access::{Ask, Command, DebugAsk, Denial, ExecAsk, Outcome, Use},
    attempt::{Action, Addition, Attach, Attempt},
    copy::{Copy, Direction},
    debug::{DebugContainer, SECURITY_CONTEXT},
    explain::{Context, denial},
    matching::Difference,
    standing::Standing,
    text::is_hidden,
    verdict::{Denied, Miss, PodMiss},
};
use proptest::{prelude::*, sample::select};
use rstest::rstest;

use crate::build::{ExecMut as _, argv, at, attempt, used, waiting};

const DEV: Context<'static> = Context {
    cluster: "dev",
    now: jiff::Timestamp::constant(1_795_435_200 + 7200, 0),
};

fn near(miss: Miss) -> Denied {
    Denied::Near {
        request: "access-exec-jane-7f3k".to_owned(),
        miss,
    }
}

fn over(standing: Standing) -> Denied {
    near(Miss::Over(standing))
}

fn denied_by(reason: Option<&str>) -> Standing {
    Standing::Denied(Denial {
        by: "tom".to_owned(),
        at: at(6900),
        reason: reason.map(str::to_owned),
    })
}

fn taken(outcome: Option<Outcome>) -> Use {
    Use {
        outcome,
        ..used("review-0").remove(0)
    }
}

fn differs(differences: &[Difference], granted: &[&str]) -> Denied {
    near(Miss::Differs {
        differences: differences.to_vec(),
        granted: Box::new(exec_ask(Command::Exactly(argv(granted)))),
    })
}

fn exec_ask(command: Command) -> Ask {
    Ask::Exec(ExecAsk {
        container: None,
        command,
        stdin: false,
        tty: false,
    })
}

#[rstest]
#[case("interactive_off", Denied::InteractiveOff)]
#[case("no_request", Denied::NoRequest)]
#[case("waiting", near(waiting(at(6960))))]
#[case("denied", over(denied_by(None)))]
#[case("denied_with_reason", over(denied_by(Some("use the read replica"))))]
#[case(
    "denied_by_nobody_known",
    over(Standing::Denied(Denial { by: String::new(), at: at(6900), reason: None }))
)]
#[case("used", over(Standing::Used { last: used("review-0").remove(0), by: argv(&["amy"]) }))]
#[case("taken_just_now", over(Standing::Used { last: taken(None), by: argv(&["amy"]) }))]
#[case("taken_and_lost", over(Standing::Used { last: taken(Some(Outcome::Lost)), by: argv(&["amy"]) }))]
#[case("never_answered", over(Standing::Expired { at: at(3600), by: Vec::new() }))]
#[case("ended", over(Standing::Expired { at: at(7080), by: argv(&["amy", "bob"]) }))]
#[case("differs_in_command", differs(&[Difference::Command], &["cat", "/etc/passwd"]))]
#[case("differs_in_everything", differs(
    &[Difference::Command, Difference::Container, Difference::Stdin, Difference::Tty],
    &["ls", "-l", "it's"],
))]
#[case("another_pod", near(Miss::Pod(PodMiss::NotTheOne)))]
#[case("not_as_the_template", near(Miss::Pod(PodMiss::NotAsTheTemplate)))]
#[case("not_running", near(Miss::Pod(PodMiss::NotRunning)))]
fn a_denial_reads(#[case] name: &str, #[case] denied: Denied) {
    insta::assert_snapshot!(name, denial(&denied, &attempt(), DEV));
}

#[test]
fn an_attempt_without_a_command_reads() {
    let mut attempt = attempt();
    attempt.exec().command.clear();
    insta::assert_snapshot!(denial(&Denied::NoRequest, &attempt, DEV));
}

#[test]
fn an_attempt_with_everything_reads() {
    let mut attempt = attempt();
    attempt.exec().command = argv(&["sh", "-c", "echo 'it is' $(id)"]);
    (
        attempt.exec().stdin,
        attempt.exec().tty,
        attempt.exec().container,
    ) = (true, true, None);
    insta::assert_snapshot!(denial(
        &Denied::NoRequest,
        &attempt,
        Context { cluster: "", ..DEV }
    ));
}

fn tries(action: Action) -> Attempt {
    Attempt {
        action,
        ..attempt()
    }
}

fn added(change: fn(&mut DebugContainer)) -> Action {
    let mut container = DebugContainer {
        name: Some("debugger-x4k2z".to_owned()),
        image: "busybox".to_owned(),
        target: Some("main".to_owned()),
        command: argv(&["sh"]),
        stdin: true,
        tty: true,
        ..DebugContainer::default()
    };
    container.others.insert(
        SECURITY_CONTEXT.to_owned(),
        r#"{"capabilities":{"add":["SYS_PTRACE"]}}"#.to_owned(),
    );
    change(&mut container);
    Action::Debug(Addition {
        pod_uid: "pod-1".to_owned(),
        container,
    })
}

fn copies(command: &[&str], stdin: bool) -> Action {
    let mut attempt = attempt();
    (attempt.exec().command, attempt.exec().stdin) = (argv(command), stdin);
    attempt.action
}

#[rstest]
#[case("attach", Action::Attach(Attach { container: Some("main".to_owned()), stdin: true, tty: true }))]
#[case("port_forward", Action::PortForward)]
#[case("debug", added(|_| ()))]
#[case("debug_named_and_privileged", added(|container| {
    container.name = Some("mine".to_owned());
    container.others.insert(SECURITY_CONTEXT.to_owned(), r#"{"privileged":true}"#.to_owned());
}))]
#[case("debug_that_flags_cannot_say", added(|container| {
    container.others.insert("volumeMounts".to_owned(), r#"[{"mountPath":"/host","name":"x"}]"#.to_owned());
}))]
#[case("cp_into_a_pod", copies(&["tar", "-xmf", "-", "-C", "/srv"], true))]
#[case("cp_out_of_a_pod", copies(&["tar", "cf", "-", "/etc/hostname"], false))]
fn a_denial_of_another_door_reads(#[case] name: &str, #[case] action: Action) {
    insta::assert_snapshot!(name, denial(&Denied::NoRequest, &tries(action), DEV));
}

#[test]
fn a_copy_into_another_directory_reads() {
    let copy = Copy {
        container: Some("main".to_owned()),
        direction: Direction::To,
        path: "/srv/app".to_owned(),
        directory: "/srv".to_owned(),
        no_preserve: false,
    };
    let denied = near(Miss::Differs {
        differences: vec![Difference::Command],
        granted: Box::new(Ask::Copy(copy)),
    });
    let sent = tries(copies(&["tar", "-xmf", "-", "-C", "/srv/app"], true));
    insta::assert_snapshot!(denial(&denied, &sent, DEV));
}

#[test]
fn a_debug_container_that_differs_reads() {
    let (Action::Debug(asked), sent) = (
        added(|_| ()),
        added(|container| {
            container.image = "evil".to_owned();
            container.others.clear();
        }),
    ) else {
        panic!("not a debug container");
    };
    let granted = Box::new(Ask::Debug(DebugAsk {
        container: asked.container,
        attach: true,
    }));
    let differences = ["image", SECURITY_CONTEXT]
        .map(|field| Difference::Field(field.to_owned()))
        .to_vec();
    insta::assert_snapshot!(denial(
        &near(Miss::Differs {
            differences,
            granted
        }),
        &tries(sent),
        DEV
    ));
}

#[test]
fn long_commands_that_differ_read() {
    let mut attempt = attempt();
    attempt.exec().command = argv(&["sh", "-c", &"x".repeat(1100)]);
    let granted = ["sh", "-c", &"y".repeat(1100), "more"];
    insta::assert_snapshot!(denial(
        &differs(&[Difference::Command], &granted),
        &attempt,
        DEV
    ));
}

#[rstest]
#[case::one_long_argument(vec!["x".repeat(1025)])]
#[case::many_short_ones(vec!["x".to_owned(); 1025])]
#[case::many_empty_ones(vec![String::new(); 1025])]
#[case::quotes_that_grow_when_quoted(vec!["'".repeat(1024)])]
#[case::what_does_not_show(argv(&["echo", "\u{202e}"]))]
#[case::a_line_break(argv(&["sh", "-c", "ls\nid"]))]
fn a_command_that_is_not_repeated_is_to_be_typed_again(#[case] command: Vec<String>) {
    let mut attempt = attempt();
    attempt.exec().command = command;
    let text = denial(&Denied::NoRequest, &attempt, DEV);
    assert!(
        text.contains("type your line again with `kubectl request exec`"),
        "{text}"
    );
    assert!(!text.contains("xx") && text.len() < 400, "{text}");
}

fn standing() -> impl Strategy<Value = Standing> {
    let by = || prop::collection::vec(any::<String>(), 0..4);
    prop_oneof![
        (any::<String>(), any::<Option<String>>(), -9000i64..9000).prop_map(
            |(by, reason, when)| Standing::Denied(Denial {
                by,
                at: at(when),
                reason
            })
        ),
        by().prop_map(|by| Standing::Used {
            last: used("review-0").remove(0),
            by
        }),
        (by(), -9_000_000i64..9000).prop_map(|(by, when)| Standing::Expired { at: at(when), by }),
        Just(Standing::Revoked),
        Just(Standing::Pending),
    ]
}

fn miss() -> impl Strategy<Value = Miss> {
    use Difference::{Container, Stdin, Tty};
    let differences =
        prop::sample::subsequence(vec![Difference::Command, Container, Stdin, Tty], 1..=4);
    let granted = prop_oneof![long_argv().prop_map(Command::Exactly), Just(Command::Any)];
    prop_oneof![
        (-9_000_000i64..9000).prop_map(|since| waiting(at(since))),
        standing().prop_map(Miss::Over),
        (differences, granted).prop_map(|(differences, granted)| Miss::Differs {
            differences,
            granted: Box::new(exec_ask(granted))
        }),
        select(vec![
            PodMiss::NotTheOne,
            PodMiss::NotAsTheTemplate,
            PodMiss::NotRunning
        ])
        .prop_map(Miss::Pod),
    ]
}

fn long_argv() -> impl Strategy<Value = Vec<String>> {
    let argument = prop_oneof![
        3 => any::<String>(),
        3 => "[a-z'\\\\ ]{0,9}",
        1 => "[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}-\u{202e}]{0,9}",
        1 => "x{900,1100}",
    ];
    prop::collection::vec(argument, 0..6)
}

/// Who a denial speaks to: the names of her own request are names that the API server took.
fn told() -> impl Strategy<Value = (Denied, Attempt)> {
    let free = (any::<String>(), any::<String>(), any::<Option<String>>());
    let nothing = (
        prop_oneof![Just(Denied::InteractiveOff), Just(Denied::NoRequest)],
        free,
    );
    let near = ("[a-z][a-z0-9.-]{0,40}", miss())
        .prop_map(|(request, miss)| Denied::Near { request, miss });
    let near = (
        near,
        (
            "[a-z][a-z0-9-]{0,20}",
            any::<String>(),
            any::<Option<String>>(),
        ),
    );
    let exec = (long_argv(), any::<bool>(), any::<bool>());
    (prop_oneof![nothing, near], exec).prop_map(
        |((denied, (namespace, pod, container)), (command, stdin, tty))| {
            let mut attempt = Attempt {
                namespace,
                pod,
                ..attempt()
            };
            (attempt.exec().container, attempt.exec().command) = (container, command);
            (attempt.exec().stdin, attempt.exec().tty) = (stdin, tty);
            (denied, attempt)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_denial_has_at_most_six_lines_and_hides_nothing((denied, attempt) in told()) {
        let text = denial(&denied, &attempt, DEV);
        prop_assert!((1..=6).contains(&text.lines().count()), "{}", text);
        let hidden = text.chars().find(|&c| c != '\n' && is_hidden(c));
        prop_assert_eq!(hidden, None, "{:?}", text);
        prop_assert!(text.lines().all(|line| !line.trim().is_empty()), "{}", text);
    }

    #[test]
    fn the_line_to_paste_runs_what_was_tried(command in prop::collection::vec("[ -~]{0,20}", 1..4)) {
        let mut attempt = attempt();
        attempt.exec().command.clone_from(&command);
        let text = denial(&Denied::NoRequest, &attempt, DEV);
        let line = text.lines().nth(1).unwrap();
        let words = words(line.trim_start());
        let (before, after) = words.split_at(8);
        prop_assert_eq!(before, argv(&["kubectl", "request", "exec", "-n", "default", "box", "-c", "main"]));
        prop_assert_eq!(&after[0], "--");
        prop_assert_eq!(&after[1..], command.as_slice());
    }
}

/// The words of a line with single quotes and backslashes, as a POSIX shell sees them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut chars) =
        (Vec::new(), None::<String>, false, line.chars());
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            '\\' if !quoted => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
