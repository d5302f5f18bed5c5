//! Worlds that are mostly right, so that both allows and every kind of denial come up often.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kra_decide::{
    access::{
        Answer, Ask, AttachAsk, Command, DebugAsk, Denial, Emergency, ExecAsk, Grant, Request,
        Seal, Target, TargetKind, Use, Validity,
    },
    attempt::{Action, Addition, Attach, Attempt, Door, Exec},
    copy::{Copy, Direction},
    debug::DebugContainer,
    identity::{Caller, NamePrefix, Person},
    policy_id::PolicyId,
    settings::{Rules, Settings},
    standing::Candidate,
    verdict::{Container, Pod, Screened, Verdict, Workload, confirm, screen},
};
use proptest::{prelude::*, sample::select};

use crate::build::{argv, at, rules_with};

/// Seconds beyond which nothing in a world was created.
pub(crate) const NEWEST: i64 = 300;

/// Everything a decision depends on.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) attempt: Attempt,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) pod: Option<Pod>,
    /// In seconds, as [`at`] has them.
    pub(crate) now: i64,
    pub(crate) rules: Rules,
}

impl World {
    pub(crate) fn allow_interactive(&mut self, allow: bool) {
        let settings = Settings {
            allow_interactive: allow,
            ..(*self.rules.settings).clone()
        };
        self.rules.settings = Arc::new(settings);
    }

    /// The whole decision, both steps.
    pub(crate) fn permits(&self) -> bool {
        match screen(&self.attempt, &self.candidates, at(self.now), &self.rules) {
            Screened::Denied(_) => false,
            Screened::Promising(candidates) => candidates
                .iter()
                .any(|candidate| matches!(self.confirm(candidate), Verdict::Allow(_))),
        }
    }

    /// The same world with one candidate only.
    pub(crate) fn only(&self, candidate: &Candidate) -> Self {
        Self {
            candidates: vec![candidate.clone()],
            ..self.clone()
        }
    }

    /// The command that is tried, where one is and somebody may run something.
    pub(crate) fn command(&self) -> Option<Vec<String>> {
        match &self.attempt.action {
            Action::Exec(exec) if !self.candidates.is_empty() => Some(exec.command.clone()),
            Action::Exec(_) | Action::Attach(_) | Action::PortForward | Action::Debug(_) => None,
        }
    }

    /// Tries another command instead.
    pub(crate) fn set_command(&mut self, command: Vec<String>) {
        if let Action::Exec(exec) = &mut self.attempt.action {
            exec.command = command;
        }
    }

    pub(crate) fn confirm(&self, candidate: &Candidate) -> Verdict {
        confirm(
            &self.attempt,
            candidate,
            self.pod.as_ref(),
            at(self.now),
            &self.rules,
        )
    }
}

/// Usually `right`, else one of `wrong`.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    right: T,
    wrong: &[T],
) -> impl Strategy<Value = T> + use<T> {
    prop_oneof![40 => Just(right), 1 => select(wrong.to_vec())]
}

fn text(right: &str, wrong: &[&str]) -> impl Strategy<Value = String> + use<> {
    mostly(right.to_owned(), &argv(wrong))
}

fn maybe(right: &str, wrong: &[&str]) -> impl Strategy<Value = Option<String>> + use<> {
    let wrong: Vec<Option<String>> = std::iter::once(None)
        .chain(wrong.iter().map(|&wrong| Some(wrong.to_owned())))
        .collect();
    mostly(Some(right.to_owned()), &wrong)
}

fn command(right: &[&str]) -> impl Strategy<Value = Vec<String>> + use<> {
    mostly(
        argv(right),
        &[
            argv(&["id"]),
            argv(&["cat"]),
            argv(&["cat", "/etc/hostname", ""]),
            Vec::new(),
        ],
    )
}

fn person(name: &'static str, uid: &'static str) -> impl Strategy<Value = Person> + use<> {
    (
        text(name, &["jane", "amy", "tom"]),
        maybe(uid, &["u-jane", "u-amy"]),
    )
        .prop_map(|(name, uid)| Person { name, uid })
}

fn exec() -> impl Strategy<Value = Exec> {
    (
        maybe("main", &["sidecar"]),
        command(&["cat", "/etc/hostname"]),
        mostly(false, &[true]),
        mostly(false, &[true]),
    )
        .prop_map(|(container, command, stdin, tty)| Exec {
            container,
            command,
            stdin,
            tty,
        })
}

/// Usually something that one of the asks below allows.
fn action() -> impl Strategy<Value = Action> {
    let attach = (
        maybe("main", &["sidecar", "debugger-1"]),
        mostly(false, &[true]),
        mostly(false, &[true]),
    )
        .prop_map(|(container, stdin, tty)| {
            Action::Attach(Attach {
                container,
                stdin,
                tty,
            })
        });
    let addition = (
        text("pod-1", &["pod-2"]),
        debug_container(Some("debugger-1")),
    )
        .prop_map(|(pod_uid, container)| Action::Debug(Addition { pod_uid, container }));
    let copied = select(vec![
        copy(Direction::To).command(),
        copy(Direction::From).command(),
        question(),
    ]);
    let copied = (copied, any::<bool>()).prop_map(|(command, stdin)| {
        Action::Exec(Exec {
            container: Some("main".to_owned()),
            command,
            stdin,
            tty: false,
        })
    });
    let to_debug = Just(Action::Attach(Attach {
        container: Some("debugger-1".to_owned()),
        stdin: true,
        tty: false,
    }));
    prop_oneof![4 => exec().prop_map(Action::Exec), 1 => copied, 1 => attach, 1 => Just(Action::PortForward),
        1 => addition, 1 => to_debug]
}

fn copy(direction: Direction) -> Copy {
    Copy {
        container: Some("main".to_owned()),
        direction,
        path: "/srv/x".to_owned(),
        directory: "/srv".to_owned(),
        no_preserve: false,
    }
}

fn question() -> Vec<String> {
    copy(Direction::To).question().unwrap()
}

fn debug_container(name: Option<&str>) -> impl Strategy<Value = DebugContainer> + use<> {
    let name = name.map(str::to_owned);
    let others = mostly(
        BTreeMap::new(),
        &[BTreeMap::from([("env".to_owned(), "[]".to_owned())])],
    );
    (
        text("busybox", &["evil"]),
        command(&["sh"]),
        mostly(true, &[false]),
        others,
    )
        .prop_map(move |(image, command, stdin, others)| DebugContainer {
            name: name.clone(),
            image,
            target: None,
            command,
            args: Vec::new(),
            stdin,
            tty: false,
            others,
        })
}

fn ask() -> impl Strategy<Value = Ask> {
    let command = prop_oneof![4 => command(&["cat", "/etc/hostname"]).prop_map(Command::Exactly), 1 => Just(Command::Any)];
    let exec = (
        maybe("main", &["sidecar"]),
        command,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(container, command, stdin, tty)| {
            Ask::Exec(ExecAsk {
                container,
                command,
                stdin,
                tty,
            })
        });
    let attach = (maybe("main", &["sidecar"]), any::<bool>(), any::<bool>()).prop_map(
        |(container, stdin, tty)| {
            Ask::Attach(AttachAsk {
                container,
                stdin,
                tty,
            })
        },
    );
    let debug = (debug_container(None), any::<bool>())
        .prop_map(|(container, attach)| Ask::Debug(DebugAsk { container, attach }));
    let copied = select(vec![copy(Direction::To), copy(Direction::From)]).prop_map(Ask::Copy);
    prop_oneof![4 => exec, 1 => copied, 1 => attach, 1 => Just(Ask::PortForward), 2 => debug]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let caller = (
        text("jane", &["tom", "oidc:jane", ""]),
        maybe("u-jane", &["u-amy"]),
    )
        .prop_map(|(username, uid)| Caller {
            username,
            uid,
            groups: Vec::new(),
        });
    (
        text("review-1", &["review-2"]),
        caller,
        text("default", &["prod"]),
        text("box", &["nginx-1"]),
        action(),
    )
        .prop_map(|(review_uid, caller, namespace, pod, action)| Attempt {
            review_uid,
            caller,
            namespace,
            pod,
            action,
        })
}

fn target() -> impl Strategy<Value = Target> {
    let pod = (
        text("box", &["nginx-1"]),
        maybe("pod-1", &["pod-2", "deployment-1"]),
    )
        .prop_map(|(name, uid)| Target {
            kind: TargetKind::Pod,
            name,
            uid,
        });
    let kind = mostly(
        TargetKind::Deployment,
        &[
            TargetKind::StatefulSet,
            TargetKind::DaemonSet,
            TargetKind::Job,
        ],
    );
    let workload =
        (kind, maybe("deployment-1", &["deployment-2", "pod-1"])).prop_map(|(kind, uid)| Target {
            kind,
            name: "nginx".to_owned(),
            uid,
        });
    prop_oneof![2 => pod, 1 => workload]
}

fn validity() -> impl Strategy<Value = Validity> {
    prop_oneof![
        Just(Validity::Once),
        (1u64..7200).prop_map(|seconds| Validity::For(Duration::from_secs(seconds))),
        Just(Validity::For(Duration::from_hours(12))),
    ]
}

/// Before most attempts, up to [`NEWEST`].
fn created() -> impl Strategy<Value = i64> {
    prop_oneof![20 => -300i64..0, 1 => 0..=NEWEST]
}

fn uses() -> impl Strategy<Value = Vec<Use>> {
    let doors = [
        (Door::Exec, "main"),
        (Door::EphemeralContainers, "debugger-1"),
        (Door::Attach, "debugger-1"),
    ];
    let one = (
        select(argv(&["review-1", "review-2"])),
        select(doors.to_vec()),
    )
        .prop_map(|(review_uid, (door, name))| Use {
            review_uid,
            at: at(0),
            door,
            pod_uid: "pod-1".to_owned(),
            container: Some(name.to_owned()),
            outcome: None,
        });
    prop_oneof![8 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
}

fn denial() -> impl Strategy<Value = Option<Denial>> {
    mostly(
        None,
        &[Some(Denial {
            by: "tom".to_owned(),
            at: at(0),
            reason: None,
        })],
    )
}

fn emergency() -> impl Strategy<Value = Option<Emergency>> {
    let some = Emergency {
        policy: PolicyId::default(),
        since: at(0),
        review_by: at(3600),
    };
    prop_oneof![2 => Just(None), 1 => Just(Some(some))]
}

fn request(uid: String) -> impl Strategy<Value = Request> {
    let who = (
        person("jane", "u-jane"),
        prop::option::of(person("jane", "u-jane")),
        text("default", &["prod"]),
    );
    let what = (target(), ask());
    let state = (
        validity(),
        created(),
        mostly(false, &[true]),
        uses(),
        (denial(), emergency()),
    );
    (who, what, state).prop_map(move |(who, what, state)| {
        let (person, created_by, namespace) = who;
        let (target, ask) = what;
        let (validity, created, being_deleted, uses, (denied, emergency)) = state;
        let (uid, name, created) = (uid.clone(), format!("access-{uid}"), at(created));
        Request {
            uid,
            namespace,
            name,
            user: person,
            groups: Vec::new(),
            created_by,
            target,
            ask,
            validity,
            reason: None,
            keys: BTreeMap::new(),
            created,
            being_deleted,
            size: 100,
            uses,
            denied,
            emergency,
            reviewed: None,
            seal: Seal::Good,
        }
    })
}

fn grant(request_uid: &str) -> impl Strategy<Value = Grant> + use<> {
    let valid_for =
        prop_oneof![3 => Just(None), 1 => (1u64..7200).prop_map(|s| Some(Duration::from_secs(s)))];
    let seal = (
        mostly(Seal::Good, &[Seal::Broken]),
        prop::option::of(created()),
    );
    let rest = (valid_for, created(), mostly(false, &[true]), seal);
    let answer = prop_oneof![60 => Just(Answer::Granted), 1 => Just(Answer::Denied), 1 => Just(Answer::Reviewed)];
    let by = prop_oneof![20 => person("amy", "u-amy").prop_map(Some), 1 => Just(None)];
    (
        "grant-[a-z]{8}",
        answer,
        by,
        maybe(request_uid, &["request-9"]),
        rest,
    )
        .prop_map(
            |(
                name,
                answer,
                by,
                request_uid,
                (valid_for, created, being_deleted, (seal, sealed_at)),
            )| Grant {
                name,
                answer,
                by,
                unprefixed: false,
                groups: Vec::new(),
                request_uid,
                valid_for,
                reason: None,
                created: at(created),
                sealed_at: sealed_at.map(at),
                seal,
                being_deleted,
            },
        )
}

pub(crate) fn candidate(uid: String) -> impl Strategy<Value = Candidate> {
    let grants = prop::collection::vec(grant(&uid), 0..4);
    (request(uid), grants).prop_map(|(request, grants)| Candidate {
        request,
        grants,
        has_all_grants: true,
    })
}

fn container(name: &'static str) -> impl Strategy<Value = Container> + use<> {
    (
        text("nginx:1", &["evil:1"]),
        mostly(true, &[false]),
        mostly(true, &[false]),
    )
        .prop_map(move |(image, running, main)| Container {
            name: name.to_owned(),
            image,
            running,
            main,
            ephemeral: None,
        })
}

fn pod() -> impl Strategy<Value = Option<Pod>> {
    let containers = prop_oneof![
        6 => (container("main")).prop_map(|main| vec![main]),
        1 => (container("sidecar"), container("main")).prop_map(|(sidecar, main)| vec![sidecar, main]),
        1 => (container("sidecar")).prop_map(|sidecar| vec![sidecar]),
    ];
    let debugger = debug_container(Some("debugger-1")).prop_map(|container| Container {
        name: "debugger-1".to_owned(),
        image: container.image.clone(),
        running: true,
        main: false,
        ephemeral: Some(container),
    });
    let containers = (containers, prop::option::of(debugger)).prop_map(|(containers, debugger)| {
        containers.into_iter().chain(debugger).collect::<Vec<_>>()
    });
    let workload = (
        text("deployment-1", &["deployment-2"]),
        text("web", &["admin"]),
    )
        .prop_map(|(uid, account)| Workload {
            kind: TargetKind::Deployment,
            uid,
            service_account: account,
            images: vec![("main".to_owned(), "nginx:1".to_owned())],
        });
    let pod = (
        text("pod-1", &["pod-2"]),
        mostly(false, &[true]),
        containers,
        prop::collection::vec(workload, 0..3),
    )
        .prop_map(|(uid, being_deleted, containers, workloads)| Pod {
            uid,
            being_deleted,
            service_account: "web".to_owned(),
            containers,
            workloads,
        });
    prop_oneof![20 => pod.prop_map(Some), 1 => Just(None)]
}

fn rules() -> impl Strategy<Value = Rules> {
    (mostly(true, &[false]), text("", &["oidc:"])).prop_map(|(allow_interactive, prefix)| {
        rules_with(|settings| {
            settings.allow_interactive = allow_interactive;
            settings.prefix = NamePrefix::new(prefix);
        })
    })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let candidates = (0usize..4).prop_flat_map(|count| {
        (0..count)
            .map(|number| candidate(format!("request-{number}")).boxed())
            .collect::<Vec<_>>()
    });
    (
        attempt(),
        candidates,
        pod(),
        prop_oneof![4 => 0i64..600, 1 => 0i64..200_000],
        rules(),
    )
        .prop_map(|(attempt, candidates, pod, now, rules)| World {
            attempt,
            candidates,
            pod,
            now,
            rules,
        })
}
