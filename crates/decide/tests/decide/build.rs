//! One attempt that is allowed, in parts: every table changes one of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use kra_decide::{
    access::{
        Answer, Ask, Command, ExecAsk, Grant, Outcome, Request, Seal, Target, TargetKind, Use,
        Validity,
    },
    attempt::{Action, Attempt, Door, Exec},
    identity::{Approvers, Caller, NamePrefix, Person},
    ruling::Wanted,
    settings::{Rules, Settings},
    standing::Candidate,
    verdict::{Container, Miss, Pod, Workload},
};

/// The miss of a request that one approval would grant.
pub(crate) fn waiting(since: Timestamp) -> Miss {
    Miss::Waiting {
        since,
        wanted: Box::new(Wanted {
            needed: 1,
            ..Wanted::default()
        }),
    }
}

/// How long an unused request can be used, in all tables.
pub(crate) const UNUSED: Duration = Duration::from_hours(48);

/// When the attempt is made: the request was filed at 0 s and granted at 60 s.
pub(crate) const NOW: i64 = 120;

/// Seconds after some noon.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_435_200 + seconds).unwrap()
}

pub(crate) fn argv(arguments: &[&str]) -> Vec<String> {
    arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect()
}

pub(crate) fn person(name: &str, uid: Option<&str>) -> Person {
    Person {
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    }
}

pub(crate) fn request() -> Request {
    Request {
        uid: "request-1".to_owned(),
        namespace: "default".to_owned(),
        name: "access-exec-jane-7f3k".to_owned(),
        user: person("jane", Some("uid-jane")),
        groups: vec!["devs".to_owned()],
        created_by: Some(person("jane", Some("uid-jane"))),
        target: Target {
            kind: TargetKind::Pod,
            name: "box".to_owned(),
            uid: Some("pod-1".to_owned()),
        },
        ask: Ask::Exec(ExecAsk {
            container: Some("main".to_owned()),
            command: Command::Exactly(argv(&["cat", "/etc/hostname"])),
            stdin: false,
            tty: false,
        }),
        validity: Validity::Once,
        reason: None,
        keys: BTreeMap::new(),
        created: at(0),
        being_deleted: false,
        size: 100,
        uses: Vec::new(),
        denied: None,
        emergency: None,
        reviewed: None,
        seal: Seal::Good,
    }
}

pub(crate) fn grant() -> Grant {
    Grant {
        name: "grant-1".to_owned(),
        answer: Answer::Granted,
        by: Some(person("amy", Some("uid-amy"))),
        unprefixed: false,
        groups: Vec::new(),
        request_uid: Some("request-1".to_owned()),
        valid_for: None,
        reason: None,
        created: at(60),
        sealed_at: None,
        seal: Seal::Good,
        being_deleted: false,
    }
}

pub(crate) fn candidate() -> Candidate {
    Candidate {
        request: request(),
        grants: vec![grant()],
        has_all_grants: true,
    }
}

/// The same access, for an hour.
pub(crate) fn for_an_hour() -> Candidate {
    let mut candidate = candidate();
    candidate.request.validity = Validity::For(Duration::from_hours(1));
    candidate
}

/// The same access, to any pod of a deployment.
pub(crate) fn for_a_workload() -> Candidate {
    let mut candidate = candidate();
    candidate.request.target = Target {
        kind: TargetKind::Deployment,
        name: "nginx".to_owned(),
        uid: Some("deployment-1".to_owned()),
    };
    candidate
}

pub(crate) fn denied_grant() -> Grant {
    Grant {
        name: "deny-1".to_owned(),
        answer: Answer::Denied,
        created: at(90),
        ..grant()
    }
}

pub(crate) fn used(review_uid: &str) -> Vec<Use> {
    vec![use_of(Door::Exec, review_uid, "main")]
}

pub(crate) fn use_of(door: Door, review_uid: &str, container: &str) -> Use {
    Use {
        review_uid: review_uid.to_owned(),
        at: at(100),
        door,
        pod_uid: "pod-1".to_owned(),
        container: Some(container.to_owned()),
        outcome: Some(Outcome::Answered),
    }
}

/// What is run, to be changed by a table.
pub(crate) trait ExecMut {
    type Exec;
    fn exec(&mut self) -> &mut Self::Exec;
}

impl ExecMut for Attempt {
    type Exec = Exec;
    fn exec(&mut self) -> &mut Exec {
        match &mut self.action {
            Action::Exec(exec) => exec,
            other => panic!("no exec: {other:?}"),
        }
    }
}

impl ExecMut for Request {
    type Exec = ExecAsk;
    fn exec(&mut self) -> &mut ExecAsk {
        match &mut self.ask {
            Ask::Exec(exec) => exec,
            other => panic!("no exec: {other:?}"),
        }
    }
}

pub(crate) fn attempt() -> Attempt {
    Attempt {
        review_uid: "review-1".to_owned(),
        caller: Caller {
            username: "jane".to_owned(),
            uid: Some("uid-jane".to_owned()),
            groups: vec!["system:authenticated".to_owned()],
        },
        namespace: "default".to_owned(),
        pod: "box".to_owned(),
        action: Action::Exec(Exec {
            container: Some("main".to_owned()),
            command: argv(&["cat", "/etc/hostname"]),
            stdin: false,
            tty: false,
        }),
    }
}

pub(crate) fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: "nginx:1".to_owned(),
        running: true,
        main: true,
        ephemeral: None,
    }
}

/// The pod of the request, which also belongs to the deployment of [`for_a_workload`].
pub(crate) fn pod() -> Pod {
    Pod {
        uid: "pod-1".to_owned(),
        being_deleted: false,
        service_account: "web".to_owned(),
        containers: vec![container("main")],
        workloads: vec![Workload {
            kind: TargetKind::Deployment,
            uid: "deployment-1".to_owned(),
            service_account: "web".to_owned(),
            images: vec![("main".to_owned(), "nginx:1".to_owned())],
        }],
    }
}

pub(crate) fn rules() -> Rules {
    rules_with(|_| {})
}

/// The same with other settings, and no policies.
pub(crate) fn rules_with(change: impl FnOnce(&mut Settings)) -> Rules {
    let mut settings = Settings {
        allow_interactive: true,
        unused: UNUSED,
        prefix: NamePrefix::default(),
        approvers: Approvers::default(),
        requesters: Vec::new(),
    };
    change(&mut settings);
    Rules {
        settings: Arc::new(settings),
        policies: Arc::default(),
    }
}
