//! Objects into values: every field that makes an object meaningless is named.

use std::time::Duration;

use decide::{
    access::{Answer, Ask, AttachAsk, Command, DebugAsk, ExecAsk, Seal, TargetKind, Validity},
    attempt::{Action, Attach, Attempt},
    copy::{Copy, Direction},
    debug::Profile,
    duration::DurationError,
};
use kra_api::{
    AccessGrant, AccessRequest, UserInfo,
    convert::{self, ConvertError},
    review::{
        Review, StrictAttachOptions, StrictExecOptions, StrictPortForwardOptions,
        StrictProxyOptions, decode,
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixtures;

fn request() -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1",
        "kind": "AccessRequest",
        "metadata": {
            "name": "access-1", "namespace": "default", "uid": "request-1", "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {
            "userInfo": {"username": "jane", "uid": "uid-jane"},
            "createdBy": {"username": "bot", "uid": ""},
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec", "name": "box", "namespace": "default", "uid": "pod-1",
            },
            "validFor": "1h30m",
            "execOptions": {"command": ["ls"], "container": "main", "stdin": true, "tty": true},
        },
        "status": {
            "uses": [{"reviewUID": "review-1", "at": "2026-11-23T12:01:00Z", "pod": "box", "podUID": "pod-1"}],
            "denied": {"by": "tom", "at": "2026-11-23T12:02:00Z", "reason": "no"},
        },
    })
}

fn grant() -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1",
        "kind": "AccessGrant",
        "metadata": {
            "name": "grant-1", "namespace": "default", "uid": "grant-uid", "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {"grantFor": "access-1", "grantedBy": {"username": "amy"}, "requestUID": "request-1", "validFor": "10m"},
        "status": "granted",
    })
}

fn owner(kind: &str, uid: &str) -> Value {
    json!({"apiVersion": "spreadgroup.com/v1", "kind": kind, "name": "access-1", "uid": uid})
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
}

fn converted(pointer: &str, value: Value) -> Result<decide::access::Request, ConvertError> {
    let mut object = request();
    set(&mut object, pointer, value);
    convert::request(
        &serde_json::from_value::<AccessRequest>(object).unwrap(),
        Seal::Good,
    )
}

fn converted_grant(pointer: &str, value: Value) -> Result<decide::access::Grant, ConvertError> {
    let mut object = grant();
    set(&mut object, pointer, value);
    convert::grant(
        &serde_json::from_value::<AccessGrant>(object).unwrap(),
        Seal::Good,
    )
}

#[test]
fn every_field_of_a_request_arrives() {
    let request = convert::request(
        &serde_json::from_value::<AccessRequest>(request()).unwrap(),
        Seal::Good,
    )
    .unwrap();
    assert_eq!(
        (request.uid.as_str(), request.name.as_str()),
        ("request-1", "access-1")
    );
    assert_eq!(request.user.uid.as_deref(), Some("uid-jane"));
    let filer = request.created_by.unwrap();
    assert_eq!((filer.name.as_str(), filer.uid), ("bot", None));
    assert_eq!(request.target.uid.as_deref(), Some("pod-1"));
    let exec = ExecAsk {
        container: Some("main".to_owned()),
        command: Command::Exactly(vec!["ls".to_owned()]),
        stdin: true,
        tty: true,
    };
    assert_eq!(
        (request.ask, request.being_deleted),
        (Ask::Exec(exec), false)
    );
    assert_eq!(request.validity, Validity::For(Duration::from_mins(90)));
    assert_eq!(request.created.to_string(), "2026-11-23T12:00:00Z");
    assert_eq!(request.uses[0].review_uid, "review-1");
    assert_eq!(request.denied.unwrap().by, "tom");
}

#[rstest]
#[case("/metadata/uid", json!(null), "metadata.uid is missing")]
#[case("/metadata/uid", json!(""), "metadata.uid is missing")]
#[case("/metadata/name", json!(""), "metadata.name is missing")]
#[case("/metadata/namespace", json!(null), "metadata.namespace is missing")]
#[case("/metadata/creationTimestamp", json!(null), "metadata.creationTimestamp is missing")]
#[case("/spec/userInfo", json!(null), "userInfo.username is missing")]
#[case("/spec/userInfo/username", json!(""), "userInfo.username is missing")]
#[case("/spec/forObject/namespace", json!("prod"),
    "forObject.namespace is \"prod\", but a request acts in its own namespace \"default\" only")]
#[case("/spec/forObject/subResource", json!("attach"),
    "execOptions says nothing of \"attach\": leave it out, or name another forObject.subResource")]
#[case("/spec/forObject/subResource", json!("Exec"),
    "forObject.subResource \"Exec\" cannot be asked for: name \"exec\", \"attach\", \"portforward\" or \
     \"ephemeralcontainers\"")]
#[case("/spec/forObject/subResource", json!("proxy"),
    "forObject.subResource \"proxy\" cannot be asked for: name \"exec\", \"attach\", \"portforward\" or \
     \"ephemeralcontainers\"")]
#[case("/spec/attachOptions", json!({}),
    "attachOptions says nothing of \"exec\": leave it out, or name another forObject.subResource")]
#[case("/spec/portForwardOptions", json!({}),
    "portForwardOptions says nothing of \"exec\": leave it out, or name another forObject.subResource")]
#[case("/spec/ephemeralContainer", json!({"image": "x"}),
    "ephemeralContainer says nothing of \"exec\": leave it out, or name another forObject.subResource")]
#[case("/spec/attach", json!(true), "attach says nothing of \"exec\": leave it out, or name another forObject.subResource")]
#[case("/spec/copy", json!({"direction": "from", "path": "/x"}),
    "execOptions.command is not what kubectl cp runs for this copy: leave it and stdin out, the server writes it")]
#[case("/spec/forObject/resource/resource", json!("nodes"),
    "forObject.resource \"nodes\" of group \"\" cannot be asked for: \
     name a pod, deployment, statefulset, daemonset or job")]
#[case("/spec/forObject/resource/group", json!("evil.com"),
    "forObject.resource \"pods\" of group \"evil.com\" cannot be asked for: \
     name a pod, deployment, statefulset, daemonset or job")]
#[case("/spec/execOptions", json!(null),
    "execOptions.command is missing: name a command, or say anyCommand: true (--any-command)")]
#[case("/spec/execOptions/command", json!([]),
    "execOptions.command is missing: name a command, or say anyCommand: true (--any-command)")]
#[case("/spec/execOptions/command", json!(null),
    "execOptions.command is missing: name a command, or say anyCommand: true (--any-command)")]
#[case("/spec/anyCommand", json!(true), "execOptions.command and anyCommand: true exclude each other")]
#[case("/spec/validFor", json!("-1h"), "validFor: \"-1h\" is not a duration: write it like 90m, 1h30m or 45s")]
#[case("/spec/validFor", json!("0s"), "validFor: \"0s\" is not a valid duration: it must be greater than zero")]
#[case("/spec/validFor", json!("24h"), "validFor: \"24h\" is longer than the 12h that an access may last")]
fn a_request_that_means_nothing_says_why(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    assert_eq!(converted(pointer, value).unwrap_err().to_string(), text);
}

fn command_of(request: &decide::access::Request) -> Command {
    match &request.ask {
        Ask::Exec(exec) => exec.command.clone(),
        other @ (Ask::Copy(_) | Ask::Attach(_) | Ask::PortForward | Ask::Debug(_)) => {
            panic!("no exec: {other:?}")
        }
    }
}

#[test]
fn any_command_is_said_aloud() {
    let mut object = request();
    set(&mut object, "/spec/execOptions/command", json!(null));
    for (any, expected) in [
        (json!(true), Ok(Command::Any)),
        (json!(false), Err(ConvertError::NoCommand)),
        (json!(null), Err(ConvertError::NoCommand)),
    ] {
        set(&mut object, "/spec/anyCommand", any);
        let object: AccessRequest = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(
            convert::request(&object, Seal::Good).map(|request| command_of(&request)),
            expected
        );
    }
}

#[rstest]
#[case(json!("default"))]
#[case(json!(""))]
#[case(json!(null))]
fn a_request_acts_in_its_own_namespace(#[case] namespace: Value) {
    assert_eq!(
        converted("/spec/forObject/namespace", namespace)
            .unwrap()
            .namespace,
        "default"
    );
}

#[rstest]
#[case("", "pods", TargetKind::Pod)]
#[case("apps", "deployments", TargetKind::Deployment)]
#[case("apps", "statefulsets", TargetKind::StatefulSet)]
#[case("apps", "daemonsets", TargetKind::DaemonSet)]
#[case("batch", "jobs", TargetKind::Job)]
fn a_target_is_a_pod_or_a_workload(
    #[case] group: &str,
    #[case] resource: &str,
    #[case] kind: TargetKind,
) {
    let written = json!({"group": group, "version": "v1", "resource": resource});
    assert_eq!(
        converted("/spec/forObject/resource", written.clone())
            .unwrap()
            .target
            .kind,
        kind
    );
    assert_eq!(
        serde_json::to_value(convert::resource_of(kind)).unwrap(),
        written
    );
}

#[rstest]
#[case("/spec/forObject/uid", json!(""))]
#[case("/spec/forObject/uid", json!(null))]
fn an_empty_uid_is_none(#[case] pointer: &str, #[case] value: Value) {
    assert_eq!(converted(pointer, value).unwrap().target.uid, None);
}

// D20
#[rstest]
#[case::request(converted("/metadata/deletionTimestamp", json!("2026-11-23T12:01:00Z")).unwrap().being_deleted)]
#[case::grant(converted_grant("/metadata/deletionTimestamp", json!("2026-11-23T12:01:00Z")).unwrap().being_deleted)]
fn a_deletion_that_has_begun_counts(#[case] being_deleted: bool) {
    assert!(being_deleted);
}

#[test]
fn every_field_of_a_grant_arrives() {
    let grant = converted_grant("/spec/reason", json!("fine")).unwrap();
    assert_eq!(
        (grant.name.as_str(), grant.answer),
        ("grant-1", Answer::Granted)
    );
    assert_eq!(
        (grant.request_uid.as_deref(), grant.valid_for),
        (Some("request-1"), Some(Duration::from_mins(10)))
    );
    assert_eq!(
        (grant.by.unwrap().name.as_str(), grant.reason.as_deref()),
        ("amy", Some("fine"))
    );
}

#[rstest]
#[case("/status", json!(null), ConvertError::Missing { field: "status" })]
#[case("/metadata/uid", json!(""), ConvertError::Missing { field: "metadata.uid" })]
#[case("/metadata/creationTimestamp", json!(null), ConvertError::Missing { field: "metadata.creationTimestamp" })]
#[case("/spec/validFor", json!("1h1h"),
    ConvertError::Duration(DurationError::Malformed { text: "1h1h".to_owned() }))]
#[case("/metadata/ownerReferences", json!([owner("AccessRequest", "request-2")]),
    ConvertError::TwoRequests { uid: "request-1".to_owned(), owner: "request-2".to_owned() })]
fn a_grant_that_means_nothing_says_why(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] error: ConvertError,
) {
    assert_eq!(converted_grant(pointer, value), Err(error));
}

#[test]
fn an_emergency_and_its_review_arrive() {
    let since = json!("2026-11-23T12:00:00Z");
    let policy = json!({"name": "night", "uid": "policy-1", "generation": 2});
    let emergency = json!({"policy": policy, "since": since, "reviewBy": "2026-11-24T12:00:00Z"});
    let request = converted("/status/emergency", emergency.clone()).unwrap();
    assert!(request.is_unreviewed());
    let one = request.emergency.unwrap();
    assert_eq!(
        (
            one.policy.name.as_str(),
            one.policy.uid.as_str(),
            one.policy.generation
        ),
        ("night", "policy-1", 2)
    );
    assert_eq!(one.review_by.to_string(), "2026-11-24T12:00:00Z");
    let status =
        json!({"emergency": emergency, "reviewed": {"by": "amy", "at": since, "reason": "fine"}});
    let request = converted("/status", status).unwrap();
    assert!(!request.is_unreviewed());
    assert_eq!(request.reviewed.unwrap().reason.as_deref(), Some("fine"));
}

#[test]
fn a_review_is_neither_a_grant_nor_a_denial_and_lasts_for_no_time() {
    let review = converted_grant("/status", json!("reviewed")).unwrap();
    assert_eq!((review.answer, review.valid_for), (Answer::Reviewed, None));
    let mut object = grant();
    set(&mut object, "/status", json!("reviewed"));
    set(
        &mut object,
        "/metadata/ownerReferences",
        json!([owner("AccessRequest", "request-2")]),
    );
    let two = convert::grant(
        &serde_json::from_value::<AccessGrant>(object).unwrap(),
        Seal::Good,
    );
    assert!(
        matches!(two, Err(ConvertError::TwoRequests { .. })),
        "{two:?}"
    );
}

#[test]
fn a_denial_counts_whatever_else_it_says() {
    let mut object = grant();
    set(&mut object, "/status", json!("denied"));
    set(&mut object, "/spec/validFor", json!("nonsense"));
    let denial = convert::grant(
        &serde_json::from_value::<AccessGrant>(object).unwrap(),
        Seal::Good,
    )
    .unwrap();
    assert_eq!((denial.answer, denial.valid_for), (Answer::Denied, None));
}

#[rstest]
#[case::both_the_same(json!("request-1"), json!([owner("AccessRequest", "request-1")]), Some("request-1"))]
#[case::the_uid_alone(json!("request-1"), json!([]), Some("request-1"))]
#[case::the_owner_alone(json!(null), json!([owner("AccessRequest", "request-1")]), Some("request-1"))]
#[case::an_empty_uid_and_the_owner(json!(""), json!([owner("AccessRequest", "request-1")]), Some("request-1"))]
#[case::another_owner_beside_it(
    json!(null), json!([owner("ConfigMap", "map-1"), owner("AccessRequest", "request-1")]), Some("request-1"))]
#[case::only_another_owner(json!(null), json!([owner("ConfigMap", "map-1")]), None)]
#[case::neither(json!(null), json!(null), None)]
fn the_request_that_was_read_is_named_by_uid_or_owner(
    #[case] uid: Value,
    #[case] owners: Value,
    #[case] meant: Option<&str>,
) {
    let mut object = grant();
    set(&mut object, "/spec/requestUID", uid);
    set(&mut object, "/metadata/ownerReferences", owners);
    let object: AccessGrant = serde_json::from_value(object).unwrap();
    assert_eq!(convert::meant_request(&object).unwrap().as_deref(), meant);
}

#[test]
fn a_grant_with_two_requests_for_owners_means_neither() {
    let mut object = grant();
    set(&mut object, "/spec/requestUID", json!(null));
    let owners = json!([
        owner("AccessRequest", "request-1"),
        owner("AccessRequest", "request-2")
    ]);
    set(&mut object, "/metadata/ownerReferences", owners);
    let error = convert::meant_request(&serde_json::from_value(object).unwrap()).unwrap_err();
    assert_eq!(
        error,
        ConvertError::TwoRequests {
            uid: "request-1".to_owned(),
            owner: "request-2".to_owned()
        }
    );
}

/// What is shown of answers is what counts of them: the plugin and the server ask the same
/// function.
#[rstest]
#[case::of_its_uid("granted", json!("request-1"), json!([]), true)]
#[case::of_its_owner("granted", json!(null), json!([owner("AccessRequest", "request-1")]), true)]
#[case::of_an_earlier_one("granted", json!("request-0"), json!([]), false)]
#[case::of_nothing("granted", json!(null), json!([]), false)]
#[case::planted_with_two("granted", json!("request-1"), json!([owner("AccessRequest", "request-2")]), false)]
#[case::denied_whatever_else_it_says("denied", json!("request-1"), json!([owner("AccessRequest", "request-2")]), true)]
fn an_answer_is_to_the_request_that_the_server_counts_it_for(
    #[case] status: &str,
    #[case] uid: Value,
    #[case] owners: Value,
    #[case] is: bool,
) {
    let mut object = grant();
    set(&mut object, "/status", json!(status));
    set(&mut object, "/spec/requestUID", uid);
    set(&mut object, "/metadata/ownerReferences", owners);
    let mut asked = request();
    set(&mut asked, "/metadata/uid", json!("request-1"));
    let (object, asked): (AccessGrant, AccessRequest) = (
        serde_json::from_value(object).unwrap(),
        serde_json::from_value(asked).unwrap(),
    );
    assert_eq!(convert::is_answer_to(&object, &asked), is);
}

#[rstest]
#[case("Granted")]
#[case("")]
#[case("approved")]
fn another_answer_is_not_read(#[case] status: &str) {
    let mut object = grant();
    set(&mut object, "/status", json!(status));
    assert!(serde_json::from_value::<AccessGrant>(object).is_err());
}

/// A request with another spec, for the same pod.
fn asks(door: &str, more: &Value) -> Result<Ask, ConvertError> {
    let mut object = request();
    set(&mut object, "/spec/forObject/subResource", json!(door));
    set(&mut object, "/spec/execOptions", json!(null));
    for (field, value) in more.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    convert::request(
        &serde_json::from_value::<AccessRequest>(object).unwrap(),
        Seal::Good,
    )
    .map(|request| request.ask)
}

#[test]
fn every_door_has_a_request_of_its_own() {
    let container = || Some("main".to_owned());
    assert_eq!(
        asks(
            "attach",
            &json!({"attachOptions": {"container": "main", "stdin": true}})
        ),
        Ok(Ask::Attach(AttachAsk {
            container: container(),
            stdin: true,
            tty: false
        }))
    );
    assert_eq!(
        asks(
            "portforward",
            &json!({"portForwardOptions": {"ports": [80]}})
        ),
        Ok(Ask::PortForward)
    );
    let copy = Copy {
        container: container(),
        direction: Direction::To,
        path: "/srv/x".to_owned(),
        directory: "/srv".to_owned(),
        no_preserve: false,
    };
    let asked = json!({"direction": "to", "path": "/srv/x", "directory": "/srv"});
    for command in [json!(null), json!(["tar", "-xmf", "-", "-C", "/srv"])] {
        let options = json!({"container": "main", "command": command, "stdin": true});
        assert_eq!(
            asks("exec", &json!({"copy": asked, "execOptions": options})),
            Ok(Ask::Copy(copy.clone()))
        );
    }
    let debug = asks(
        "ephemeralcontainers",
        &json!({"attach": true, "ephemeralContainer": {"image": "busybox", "command": ["sh"], "stdin": true,
            "targetContainerName": "main", "imagePullPolicy": "Always",
            "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}}),
    );
    let Ok(Ask::Debug(DebugAsk {
        container,
        attach: true,
    })) = debug
    else {
        panic!("{debug:?}")
    };
    assert_eq!(
        (container.name.as_deref(), container.image.as_str()),
        (None, "busybox")
    );
    assert_eq!(container.profile(), Some(Profile::General));
    assert_eq!(
        asks("ephemeralcontainers", &json!({})),
        Err(ConvertError::Missing {
            field: "ephemeralContainer"
        })
    );
}

#[test]
fn the_profiles_of_kubectl_debug_are_compared_as_they_are_stored() {
    let stored = [
        (
            json!({"capabilities": {"add": ["SYS_PTRACE"]}}),
            Profile::General,
        ),
        (json!(null), Profile::Baseline),
        (
            json!({"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": false,
                "seccompProfile": {"type": "RuntimeDefault"}}),
            Profile::Restricted,
        ),
        (
            json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}),
            Profile::Netadmin,
        ),
        (json!({"privileged": true}), Profile::Sysadmin),
    ];
    for (context, profile) in stored {
        let asked = asks(
            "ephemeralcontainers",
            &json!({"ephemeralContainer": {"image": "x", "securityContext": context}}),
        );
        let Ok(Ask::Debug(ask)) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!(ask.container.profile(), Some(profile));
    }
}

fn attempt(review: &Review) -> Result<Attempt, ConvertError> {
    let request = &review.request;
    let options = StrictExecOptions::decode(request.object.as_deref().unwrap()).unwrap();
    let caller = convert::caller(&request.user_info);
    convert::attempt(request, caller, convert::exec(options))
}

#[test]
fn an_attempt_is_what_the_review_says() {
    let review = decode(fixtures::read("reviews/exec-stdin.json").as_bytes()).unwrap();
    let attempt = attempt(&review).unwrap();
    assert_eq!(
        (attempt.caller.username.as_str(), attempt.namespace.as_str()),
        ("jane", "default")
    );
    assert_eq!(attempt.review_uid, review.request.uid);
    let Action::Exec(exec) = attempt.action else {
        panic!("no exec")
    };
    assert!(exec.stdin && !exec.command.is_empty());
}

#[test]
fn the_options_of_other_doors_are_what_clients_send() {
    let object = |name: &str| {
        let review = decode(fixtures::read(&format!("reviews/{name}.json")).as_bytes()).unwrap();
        review.request.object.unwrap()
    };
    for (name, stdin) in [
        ("attach-websocket", false),
        ("attach-spdy", false),
        ("attach-stdin", true),
    ] {
        let options = StrictAttachOptions::decode(&object(name)).unwrap();
        let attach = Attach {
            container: Some("nginx".to_owned()),
            stdin,
            tty: false,
        };
        assert_eq!(convert::attach(options), Action::Attach(attach), "{name}");
    }
    for name in [
        "portforward-websocket",
        "portforward-spdy",
        "portforward-service",
    ] {
        assert_eq!(
            StrictPortForwardOptions::decode(&object(name))
                .unwrap()
                .ports,
            None,
            "{name}"
        );
    }
    let named = StrictPortForwardOptions::decode(&object("portforward-query-ports")).unwrap();
    assert_eq!(named.ports, Some(vec![8080, 9090]));
    for (name, kind, path) in [
        ("podproxy-get", "PodProxyOptions", "/x"),
        ("serviceproxy-post", "ServiceProxyOptions", "/a/b"),
        (
            "nodeproxy-exec-post",
            "NodeProxyOptions",
            "/run/default/nginx/nginx",
        ),
    ] {
        assert_eq!(
            StrictProxyOptions::decode(&object(name), kind)
                .unwrap()
                .path
                .as_deref(),
            Some(path),
            "{name}"
        );
        assert!(StrictProxyOptions::decode(&object(name), "OtherOptions").is_err());
    }
}

#[rstest]
#[case("name")]
#[case("namespace")]
fn an_attempt_at_no_pod_is_refused(#[case] field: &'static str) {
    let mut review = fixtures::json("reviews/exec-websocket.json");
    review["request"][field] = json!("");
    let review = decode(review.to_string().as_bytes()).unwrap();
    assert_eq!(attempt(&review), Err(ConvertError::Missing { field }));
}

#[test]
fn somebody_without_a_name_is_nobody() {
    assert_eq!(convert::person(&UserInfo::default()), None);
    let named = UserInfo {
        username: Some("jane".to_owned()),
        uid: Some(String::new()),
        ..UserInfo::default()
    };
    assert_eq!(convert::person(&named).unwrap().uid, None);
}
