//! Reviews: whatever the bytes are, what is allowed is what a short reference allows, nothing
//! panics, and every answer is to the review that was asked.

use std::thread_local;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    pod_update::{added, meaning},
    scene::{EARLIER, POD_UID, Said, Scene},
};

thread_local! {
    static SCENE: Scene = Scene::new();
}

/// Shows the bytes to `/validate` and to `/mutate`.
pub fn check(data: &[u8]) {
    let review: Value = serde_json::from_slice(data).unwrap_or_default();
    SCENE.with(|scene| {
        validated(&review, &scene.post("/validate?timeout=10s", data));
        mutated(&review, &scene.post("/mutate?timeout=10s", data));
    });
}

/// Whether the world allows what a review asks for, where it is one.
pub fn allows(data: &[u8]) -> bool {
    SCENE
        .with(|scene| scene.post("/validate?timeout=10s", data).body["response"]["allowed"] == true)
}

fn validated(review: &Value, said: &Said) {
    let Some(response) = answer(review, said) else {
        return;
    };
    assert!(
        response.get("patch").is_none() && response.get("patchType").is_none(),
        "a patch: {response}"
    );
    if response["allowed"] == true {
        assert!(
            reference(&review["request"]),
            "allowed: {}",
            review["request"]
        );
    }
}

fn mutated(review: &Value, said: &Said) {
    let Some(response) = answer(review, said) else {
        return;
    };
    let request = &review["request"];
    if response["allowed"] == true {
        let ours =
            request["resource"]["group"] == "spreadgroup.com" && request["operation"] == "CREATE";
        assert!(
            ours && response["patchType"] == "JSONPatch",
            "mutated: {request}"
        );
    } else {
        assert!(response.get("patch").is_none(), "denied with a patch");
    }
}

/// The answer to a review; `None` where it was turned away by HTTP.
fn answer<'a>(review: &Value, said: &'a Said) -> Option<&'a Value> {
    if said.status != StatusCode::OK {
        let known = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE].contains(&said.status);
        assert!(known, "{}: {}", said.status, said.body);
        return None;
    }
    assert_eq!(review["kind"], "AdmissionReview", "answered");
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1", "answered");
    assert_eq!(
        (&said.body["kind"], &said.body["apiVersion"]),
        (&review["kind"], &review["apiVersion"])
    );
    let response = &said.body["response"];
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert!(
        response["uid"].as_str().is_some_and(|uid| !uid.is_empty()),
        "{response}"
    );
    match response["allowed"].as_bool() {
        Some(true) => assert!(response.get("status").is_none(), "{response}"),
        Some(false) => {
            let status = &response["status"];
            let known = [
                (403, "Forbidden"),
                (413, "RequestEntityTooLarge"),
                (429, "TooManyRequests"),
            ];
            assert!(
                known
                    .iter()
                    .any(|(code, reason)| status["code"] == *code && status["reason"] == *reason),
                "{status}"
            );
            let message = status["message"].as_str().unwrap();
            // A panic becomes a denial, which the caller may read and a test may not.
            assert!(
                !message.is_empty() && !message.starts_with("kube-request-access failed"),
                "{message:?}"
            );
            shows(message);
        }
        None => panic!("neither allowed nor denied: {response}"),
    }
    Some(response)
}

/// What is read in a terminal must not steer it.
fn shows(message: &str) {
    let hidden = message
        .chars()
        .find(|&c| decide::text::is_hidden(c) && c != '\n');
    assert!(hidden.is_none(), "{hidden:?} in {message:?}");
}

/// A command that is granted: by user, pod, container (and whether it is the only one), argv
/// (`None`: any), and whether standard input may be passed on.
type Exec = (
    &'static str,
    &'static str,
    &'static str,
    bool,
    Option<&'static [&'static str]>,
    bool,
);

/// All commands that are granted.
pub const EXECS: [Exec; 11] = [
    ("jane", "nginx", "nginx", true, Some(&["date"]), false),
    (
        "jane",
        "nginx",
        "nginx",
        true,
        Some(&["cat", "/etc/hostname"]),
        false,
    ),
    ("jane", "nginx", "nginx", true, Some(&["uptime"]), false),
    ("jane", "nginx", "nginx", true, Some(&["hostname"]), false),
    (
        "jane",
        "nginx",
        "nginx",
        true,
        Some(&["test", "-d", "/srv/app-data/notes.txt"]),
        false,
    ),
    (
        "jane",
        "nginx",
        "nginx",
        true,
        Some(&["tar", "-xmf", "-", "-C", "/srv/app-data"]),
        true,
    ),
    (
        "jane",
        "nginx",
        "nginx",
        true,
        Some(&["tar", "cf", "-", "/etc/hostname"]),
        false,
    ),
    ("jane", "two", "a", false, None, true),
    (
        "jane",
        "web-5b6d-x4k2z",
        "nginx",
        true,
        Some(&["env"]),
        false,
    ),
    ("kim", "nginx", "nginx", true, Some(&["id"]), false),
    ("bob", "nginx", "nginx", true, Some(&["trap-bob"]), false),
];

/// Whether a request may be allowed in the [`crate::scene`].
fn reference(request: &Value) -> bool {
    let (user, options) = (&request["userInfo"], &request["object"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = [
        &request["operation"],
        &request["resource"]["group"],
        &request["resource"]["resource"],
    ]
    .map(text);
    let admin = user["groups"]
        .as_array()
        .is_some_and(|groups| groups.contains(&json!("system:masters")));
    let on = |name: &str, pod: &str| {
        request["namespace"] == "default" && request["name"] == pod && user["username"] == name
    };
    let falsy = |field: &str| options[field].is_null() || options[field] == false;
    let container = |name: &str, only: bool| match text(&options["container"]).as_str() {
        "" => only && (options["container"].is_null() || options["container"] == ""),
        named => named == name,
    };
    let known = |kind: &str, fields: &[&str]| {
        let of_kind = options["kind"] == kind && options["apiVersion"] == "v1";
        let all = ["kind", "apiVersion"]
            .iter()
            .chain(fields)
            .copied()
            .collect::<Vec<_>>();
        of_kind
            && options
                .as_object()
                .is_some_and(|o| o.keys().all(|key| all.contains(&key.as_str())))
    };
    let streams = ["stdin", "stdout", "stderr", "tty", "container"];
    match (
        what.each_ref().map(String::as_str),
        text(&request["subResource"]).as_str(),
    ) {
        (["CONNECT", "", "pods" | "services" | "nodes"], "proxy") => admin,
        (["CONNECT", "", "pods"], "exec" | "attach" | "portforward")
        | (["UPDATE", "", "pods"], "ephemeralcontainers")
            if admin =>
        {
            true
        }
        (["CONNECT", "", "pods"], "exec") => {
            let granted = |(name, pod, named, only, argv, stdin): &Exec| {
                let kim = *name != "kim" || user["uid"] == "u-kim";
                let spent = *argv != Some(&["hostname"]) || request["uid"] == EARLIER;
                let argv = argv.is_none_or(|argv| options["command"] == json!(argv));
                on(name, pod)
                    && container(named, *only)
                    && argv
                    && kim
                    && spent
                    && (*stdin || falsy("stdin"))
            };
            known("PodExecOptions", &[&streams[..], &["command"]].concat())
                && falsy("tty")
                && EXECS.iter().any(granted)
        }
        (["CONNECT", "", "pods"], "attach") => {
            let to_nginx = container("nginx", true) && falsy("stdin");
            let to = to_nginx || container("live", false);
            known("PodAttachOptions", &streams) && on("jane", "nginx") && to && falsy("tty")
        }
        (["CONNECT", "", "pods"], "portforward") => {
            known("PodPortForwardOptions", &["ports"]) && on("jane", "nginx")
        }
        (["UPDATE", "", "pods"], "ephemeralcontainers") => on("jane", "nginx") && debugs(request),
        (["CREATE", "spreadgroup.com", "accessrequests"], "") => files(request, admin),
        (["CREATE", "spreadgroup.com", "accessgrants"], "") => answers(request),
        (
            [
                "UPDATE",
                "spreadgroup.com",
                "accessrequests" | "accessgrants",
            ],
            "",
        ) => keeps(request),
        (
            [
                "DELETE",
                "spreadgroup.com",
                "accessrequests" | "accessgrants",
            ],
            "",
        ) => removes(request, admin),
        _ => false,
    }
}

/// The debugger that was granted is added, and nothing else.
fn debugs(request: &Value) -> bool {
    let Some(container) = added(&request["oldObject"], &request["object"]) else {
        return false;
    };
    let mut container = meaning(container);
    let fields = container.as_object_mut().unwrap();
    fields.retain(|key, value| key != "name" && (key != "stdin" || *value != true));
    let granted = json!({"image": "busybox", "command": ["sh"], "targetContainerName": "nginx",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
    container == granted && request["oldObject"]["metadata"]["uid"] == POD_UID
}

/// A new request says who files it and for whom, names a pod by its UID, and hangs on nothing.
fn files(request: &Value, admin: bool) -> bool {
    let (caller, object) = (&request["userInfo"]["username"], &request["object"]);
    let (spec, target) = (&object["spec"], &object["spec"]["forObject"]);
    let target = (
        target["resource"]["resource"].as_str(),
        target["name"].as_str(),
        target["uid"].as_str(),
    );
    let exists = [
        (Some("pods"), Some("nginx"), Some(POD_UID)),
        (Some("pods"), Some("two"), Some("two-1")),
        (Some("pods"), Some("web-5b6d-x4k2z"), Some("web-1")),
        (Some("deployments"), Some("web"), Some("deploy-1")),
    ];
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let free =
        empty(&object["metadata"]["finalizers"]) && empty(&object["metadata"]["ownerReferences"]);
    let who = spec["createdBy"]["username"] == *caller
        && (admin || spec["userInfo"]["username"] == *caller);
    who && exists.contains(&target) && free && spec["forObject"]["subResource"] != "proxy"
}

/// Somebody else answers a request that is open, under her own name and with its UID.
fn answers(request: &Value) -> bool {
    let (caller, object) = (
        request["userInfo"]["username"].as_str().unwrap_or_default(),
        &request["object"],
    );
    let name = object["spec"]["grantFor"].as_str().unwrap_or_default();
    let over = ["hostname", "trap-denied", "trap-gone", ""].contains(&name);
    let expired = name == "trap-expired" && object["status"] == "granted";
    let bobs = ["open", "trap-bob"].contains(&name);
    let own = caller == "jane" || (caller == "kim" && name == "id") || (caller == "bob" && bobs);
    let uid = json!(format!("{name}-1"));
    let read = object["spec"]["requestUID"] == uid
        || object["metadata"]["ownerReferences"][0]["uid"] == uid;
    let signed = object["spec"]["grantedBy"]["username"] == *caller
        && !caller.starts_with("system:serviceaccount:");
    signed
        && read
        && !over
        && !expired
        && !own
        && (object["status"] == "granted" || object["status"] == "denied")
}

/// An update leaves the content, and what deletion depends on, as they were.
fn keeps(request: &Value) -> bool {
    let (old, new) = (&request["oldObject"], &request["object"]);
    let list = |object: &Value, field: &str| {
        object["metadata"][field]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let lists = ["finalizers", "ownerReferences"]
        .iter()
        .all(|field| list(old, field).len() == list(new, field).len());
    let status =
        request["resource"]["resource"] == "accessrequests" || old["status"] == new["status"];
    let controller = request["userInfo"]["username"]
        .as_str()
        .is_some_and(|name| name.starts_with("system:"));
    old["spec"] == new["spec"] && status && (lists || controller)
}

/// Whoever deletes has a say: hers and not denied, or an approver's who has nothing to do with it,
/// or the system's.
fn removes(request: &Value, admin: bool) -> bool {
    let (caller, old) = (
        request["userInfo"]["username"].as_str().unwrap_or_default(),
        &request["oldObject"],
    );
    let system = caller.starts_with("system:");
    let is_grant = request["resource"]["resource"] == "accessgrants";
    let her_denied_request = !is_grant
        && old["spec"]["userInfo"]["username"] == *caller
        && ((old["metadata"]["name"] == "trap-denied"
            && old["metadata"]["namespace"] == "default")
            || !old["status"]["denied"].is_null());
    let her_denial = request["namespace"] == "default"
        && is_grant
        && caller == "jane"
        && old["status"] == "denied"
        && old["spec"]["grantFor"] == "trap-denied";
    admin || system || !(her_denied_request || her_denial)
}
