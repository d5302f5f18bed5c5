//! The bodies of webhooks: what the original sent, key for key and value for value.

use kra_api::{
    AccessGrant, AccessRequest, ExecOptions,
    payload::{
        AuditCreated, AuditExec, AuditGranted, Basis, ObjectRef, Validation, ValidationAnswer,
        Validity,
    },
};
use rstest::rstest;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::fixtures;

/// A recorded body, with the request as it came.
#[derive(Deserialize)]
struct Recorded {
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(alias = "Request")]
    request: Box<RawValue>,
    #[serde(default, alias = "AccessRequest")]
    access_request: Option<AccessRequest>,
    access_grant: Option<AccessGrant>,
    exec_options: Option<ExecOptions>,
    #[serde(default)]
    is_allowed: bool,
    #[serde(default)]
    is_admin: bool,
}

fn recorded(name: &str) -> (Value, Body) {
    let text = fixtures::read(&format!("recorded/{name}.json"));
    let value: Value = serde_json::from_str(&text).unwrap();
    (
        value["body"].clone(),
        serde_json::from_str::<Recorded>(&text).unwrap().body,
    )
}

/// Whether whoever reads `theirs` reads the same from `ours`: every value is there (null and absent
/// are one in Go), and nothing else but kind and version, which the original left out at times.
fn reads_the_same(theirs: &Value, ours: &Value, path: &str) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs.iter().filter(|(_, value)| !value.is_null()) {
                let ours = ours
                    .get(key)
                    .unwrap_or_else(|| panic!("{path}/{key} is missing"));
                reads_the_same(value, ours, &format!("{path}/{key}"));
            }
            let added: Vec<&String> = ours
                .keys()
                .filter(|key| !theirs.contains_key(*key))
                .collect();
            assert!(
                added
                    .iter()
                    .all(|key| *key == "kind" || *key == "apiVersion"),
                "{path} has {added:?} too"
            );
        }
        _ => assert_eq!(theirs, ours, "{path}"),
    }
}

#[rstest]
#[case("audit-exec-allowed")]
#[case("audit-exec-denied")]
#[case("audit-exec-admin")]
fn the_body_of_an_exec_is_that_of_the_original(#[case] name: &str) {
    let (theirs, body) = recorded(name);
    let ours = serde_json::to_value(AuditExec {
        request: &body.request,
        is_allowed: body.is_allowed,
        exec_options: &body.exec_options.unwrap(),
        is_admin: body.is_admin,
        basis: None,
    });
    reads_the_same(&theirs, &ours.unwrap(), "");
}

#[rstest]
#[case("audit-created")]
#[case("audit-created-any-command")]
fn the_body_of_a_new_request_is_that_of_the_original(#[case] name: &str) {
    let (theirs, body) = recorded(name);
    let ours = AuditCreated {
        request: &body.request,
        access_request: &body.access_request.unwrap(),
    };
    reads_the_same(&theirs, &serde_json::to_value(ours).unwrap(), "");
}

#[test]
fn the_body_of_a_grant_is_that_of_the_original() {
    let (theirs, body) = recorded("audit-granted");
    let ours = AuditGranted {
        request: &body.request,
        access_request: &body.access_request.unwrap(),
        access_grant: &body.access_grant.unwrap(),
    };
    reads_the_same(&theirs, &serde_json::to_value(ours).unwrap(), "");
}

#[test]
fn the_body_of_a_validation_is_that_of_the_original_with_its_capitals() {
    let (theirs, body) = recorded("validate");
    let ours = Validation {
        request: &body.request,
        access_request: &body.access_request.unwrap(),
    };
    let ours = serde_json::to_value(ours).unwrap();
    assert_eq!(
        ours.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["Request", "AccessRequest"]
    );
    reads_the_same(&theirs, &ours, "");
}

#[test]
fn the_options_are_there_for_every_door() {
    let (_, body) = recorded("audit-exec-allowed");
    let empty = ExecOptions::default();
    let ours = AuditExec {
        request: &body.request,
        is_allowed: false,
        exec_options: &empty,
        is_admin: false,
        basis: None,
    };
    assert_eq!(
        serde_json::to_value(ours).unwrap()["execOptions"],
        json!({})
    );
}

// K13
#[test]
fn what_an_attempt_was_decided_by_is_one_key_beside_those_of_the_original() {
    let (theirs, body) = recorded("audit-exec-allowed");
    let ask = ObjectRef {
        namespace: "default".to_owned(),
        name: "ask".to_owned(),
        uid: None,
    };
    let basis = Basis {
        decision: "granted".to_owned(),
        access_request: Some(ask.clone()),
        grants: vec![ask],
        approvers: vec!["amy".to_owned()],
        policies: Vec::new(),
        emergency: false,
    };
    let ours = AuditExec {
        request: &body.request,
        is_allowed: body.is_allowed,
        exec_options: &body.exec_options.unwrap(),
        is_admin: body.is_admin,
        basis: Some(&basis),
    };
    let mut ours = serde_json::to_value(ours).unwrap();
    let added = ours.as_object_mut().unwrap().remove("basis").unwrap();
    reads_the_same(&theirs, &ours, "");
    let ask = json!({"namespace": "default", "name": "ask"});
    let expected = json!({"decision": "granted", "accessRequest": ask, "grants": [ask], "approvers": ["amy"], "policies": [], "emergency": false});
    assert_eq!(added, expected);
}

#[rstest]
#[case(json!({"status": "valid"}), Validity::Valid, None)]
#[case(json!({"status": "valid", "message": ""}), Validity::Valid, Some(""))]
#[case(json!({"status": "invalid", "message": "no ticket"}), Validity::Invalid, Some("no ticket"))]
#[case(json!({"status": "invalid", "message": null, "more": 1}), Validity::Invalid, None)]
fn an_answer_is_read(
    #[case] answer: Value,
    #[case] status: Validity,
    #[case] message: Option<&str>,
) {
    let answer: ValidationAnswer = serde_json::from_value(answer).unwrap();
    assert_eq!(
        (answer.status, answer.message.as_deref()),
        (status, message)
    );
}

#[rstest]
#[case(json!({}))]
#[case(json!({"status": null}))]
#[case(json!({"status": "Valid"}))]
#[case(json!({"status": ""}))]
#[case(json!({"status": true}))]
#[case(json!({"message": "fine"}))]
#[case(json!([]))]
fn an_answer_that_does_not_say_valid_is_none(#[case] answer: Value) {
    assert!(serde_json::from_value::<ValidationAnswer>(answer).is_err());
}
