//! What holds for every review, whatever it asks. Inputs that reach deeper are in dev/oracles.

use std::cell::Cell;

use axum::http::StatusCode;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::world::{Settings, World, recorded};

const NAMES: [&str; 12] = [
    "exec-websocket",
    "exec-stdin",
    "exec-raw-no-command",
    "attach-websocket",
    "portforward-websocket",
    "ephemeral-debug",
    "nodeproxy-exec-get",
    "accessrequest-create",
    "accessrequest-update",
    "accessrequest-deletecollection-1",
    "accessgrant-create",
    "accessgrant-delete",
];

/// A recorded review of which some fields are something else.
fn review() -> impl Strategy<Value = Value> {
    let values = select(vec![
        Value::Null,
        json!(""),
        json!("CONNECT"),
        json!("CREATE"),
        json!("exec"),
        json!("accessgrants"),
        json!("system:masters"),
        json!([]),
        json!({}),
        json!(1),
        json!(true),
    ]);
    let pointers = select(vec![
        "/request/operation",
        "/request/subResource",
        "/request/resource/resource",
        "/request/resource/group",
        "/request/name",
        "/request/namespace",
        "/request/object",
        "/request/oldObject",
        "/request/object/spec",
        "/request/userInfo/username",
        "/request/userInfo/groups/0",
        "/request/dryRun",
        "/request",
    ]);
    let version = prop_oneof![4 => Just("admission.k8s.io/v1"), 1 => select(vec!["admission.k8s.io/v1beta1", "v1", ""])];
    let uid = prop_oneof![4 => ".{1,40}".prop_map(Value::String), 1 => select(vec![json!(""), Value::Null, json!(7)])];
    let changes = prop::collection::vec((pointers, values), 0..3);
    (select(NAMES.to_vec()), version, uid, changes).prop_map(|(name, version, uid, changes)| {
        let mut review = recorded(name);
        review["apiVersion"] = json!(version);
        review["request"]["uid"] = uid;
        for (pointer, value) in changes {
            if let Some(field) = review.pointer_mut(pointer) {
                *field = value;
            }
        }
        review
    })
}

// C23
#[test]
fn a_validation_answers_its_own_review_in_v1_and_never_with_a_patch() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let world = World::granted_with(
        Settings {
            allow_interactive: true,
            ..Settings::default()
        },
        |request| {
            request["spec"]["validFor"] = json!("1h");
        },
    );
    let (answered, turned_away) = (Cell::new(0), Cell::new(0));
    proptest!(ProptestConfig::with_cases(300), |(review in review(), path in select(vec!["/", "/validate?timeout=5s"]))| {
        let said = runtime.block_on(world.post(path, review.to_string()));
        let uid = review["request"]["uid"].as_str().filter(|uid| !uid.is_empty());
        let is_one = review["apiVersion"] == "admission.k8s.io/v1" && uid.is_some();
        if said.status == StatusCode::OK {
            answered.set(answered.get() + 1);
            prop_assert!(is_one);
            let response = &said.body["response"];
            prop_assert_eq!(response["uid"].as_str(), uid);
            prop_assert_eq!(&said.body["apiVersion"], "admission.k8s.io/v1");
            prop_assert!(response.get("patch").is_none() && response.get("patchType").is_none());
            prop_assert!(response["allowed"].is_boolean());
        } else {
            turned_away.set(turned_away.get() + 1);
            prop_assert_eq!(said.status, StatusCode::BAD_REQUEST);
            prop_assert!(said.body.is_string(), "no review: {}", said.body);
        }
    });
    let (answered, turned_away) = (answered.get(), turned_away.get());
    assert!(
        answered > 30 && turned_away > 30,
        "{answered} were answered, {turned_away} turned away"
    );
}
