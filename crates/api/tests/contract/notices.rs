//! What notices say.

use std::path::Path;

use kra_api::{
    AccessRequest, AccessRequestStatus,
    notice::{Change, Notice},
};
use serde_json::{Value, json};

fn request(spec: &Value) -> AccessRequest {
    let mut object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "ask", "namespace": "shop", "uid": "u-1", "creationTimestamp": "2026-11-25T12:00:00Z"},
        "spec": {
            "userInfo": {"username": "jane"}, "createdBy": {"username": "jane"}, "reason": "INC-42: the shop is down",
            "forObject": {
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "exec", "name": "web", "namespace": "shop", "uid": "d-1",
            },
            "execOptions": {"container": "web", "command": ["ls", "-l"], "stdout": true},
        },
    });
    object["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn status(status: &Value) -> AccessRequestStatus {
    serde_json::from_value(status.clone()).unwrap()
}

fn told(change: Change, spec: &Value, new: &Value) -> Notice {
    Notice::of(
        change,
        &request(spec),
        &status(new),
        "prod",
        Some("https://requests.example/ask".to_owned()),
    )
}

#[test]
fn a_notice_has_all_that_an_approver_needs() {
    insta::assert_json_snapshot!(told(
        Change::Filed,
        &json!({}),
        &json!({"phase": "Pending"})
    ));
}

#[test]
fn the_documentation_shows_a_notice_and_names_every_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_to_string(root.join("docs/notices.md")).unwrap();
    let (_, example) = docs.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (_, fields) = docs.split_once("| field |").unwrap();
    let (fields, _) = fields.split_once("\n\n").unwrap();
    let notice = told(Change::Filed, &json!({}), &json!({"phase": "Pending"}));
    assert_eq!(
        serde_json::from_str::<Value>(example).unwrap(),
        serde_json::to_value(notice).unwrap()
    );
    let schema = schemars::schema_for!(Notice);
    for field in schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap()
        .keys()
    {
        assert!(fields.contains(&format!("`{field}`")), "{field}");
    }
}

#[test]
fn who_granted_it_and_until_when_is_told() {
    let granted = json!({"phase": "Granted", "grantedBy": ["amy", "bob"], "expiresAt": "2026-11-25T13:00:00.7Z"});
    insta::assert_json_snapshot!(told(
        Change::Granted,
        &json!({"validFor": "1h0m0s"}),
        &granted
    ));
}

#[test]
fn how_many_must_approve_is_told_before_the_reason_which_could_say_anything() {
    let reason = json!({"anyCommand": true, "execOptions": {"container": "web"}, "reason": "x. It needs 1 approval."});
    let notice = told(
        Change::Filed,
        &reason,
        &json!({"phase": "Pending", "approvals": 2}),
    );
    assert_eq!((notice.approvals, notice.any_command), (Some(2), true));
    assert!(
        notice
            .text
            .ends_with("ANY command. It needs 2 approvals. Reason: x. It needs 1 approval.."),
        "{}",
        notice.text
    );
    let one = told(Change::Revoked, &json!({}), &json!({"phase": "Pending"}));
    assert!(!one.text.contains("approvals") && !one.any_command);
}

/// Requests for each door, and some that somebody made up.
fn filed() -> Vec<Value> {
    let through = |door: &str| json!({"subResource": door, "name": "web-0", "resource": {"group": "", "version": "v1", "resource": "pods"}});
    vec![
        json!({"anyCommand": true, "execOptions": {"container": "web", "stdin": true, "tty": true}}),
        json!({"execOptions": {"container": "web", "command": ["psql", "--password=hunter2", "\u{1b}[31m\u{202e}"]}}),
        json!({"copy": {"direction": "to", "path": "dump.sql", "directory": "/tmp"}, "execOptions": {"container": "web"}}),
        json!({"copy": {"direction": "from", "path": "/var/log/x"}, "execOptions": {"container": "web"}}),
        json!({"forObject": through("attach"), "execOptions": {}, "attachOptions": {"container": "web", "stdin": true}}),
        json!({"forObject": through("portforward"), "execOptions": {}, "portForwardOptions": {"ports": [5432]}}),
        json!({"forObject": through("ephemeralcontainers"), "execOptions": {}, "ephemeralContainer": {"image": "busybox", "command": ["sh"]}}),
        json!({"forObject": through("ephemeralcontainers"), "execOptions": {}, "attach": true, "ephemeralContainer":
            {"image": "busybox", "targetContainerName": "web", "stdin": true, "env": [{"name": "A"}], "securityContext": {"privileged": true}}}),
        json!({"forObject": through("teleport")}),
        json!({"createdBy": {"username": "robot"}, "userInfo": {"username": "jane\n\u{202e}eve"}, "reason": "a\u{202e}b"}),
        json!({"userInfo": {"username": "jane asks for ls. Ignore this:", "groups": ["devs"]}, "customKeys": {"ticket": "OPS-7", "by": "x. Granted"}}),
    ]
}

#[test]
fn every_door_has_its_sentence() {
    let sentences: Vec<String> = filed()
        .iter()
        .map(|spec| told(Change::Filed, spec, &json!({})).text)
        .collect();
    insta::assert_snapshot!(sentences.join("\n"));
    assert!(
        sentences
            .iter()
            .all(|text| !text.contains(['\n', '\u{1b}', '\u{202e}']) && !text.contains("hunter2"))
    );
}

#[test]
fn every_end_has_its_sentence() {
    let policy = json!({"grantedBy": ["policy low-risk"], "grantedByPolicy": {"name": "low-risk", "uid": "p-1", "generation": 2}});
    let denied = json!({"denied": {"by": "amy", "at": "2026-11-25T12:30:00Z", "reason": "use the dashboard"}});
    let emergency = json!({"emergency": {"policy": {"name": "night", "uid": "p-1", "generation": 2},
        "since": "2026-11-25T12:00:00Z", "reviewBy": "2026-11-26T12:00:00Z"}});
    let mut reviewed = emergency.clone();
    reviewed["reviewed"] =
        json!({"by": "amy", "at": "2026-11-25T13:00:00Z", "reason": "a remark for the record"});
    let nothing = json!({});
    let cases = [
        (Change::Granted, &policy),
        (Change::Revoked, &nothing),
        (Change::Denied, &denied),
        (Change::Used, &nothing),
        (Change::Expired, &nothing),
        (Change::Lost, &nothing),
        (Change::Emergency, &emergency),
        (Change::Overdue, &emergency),
        (Change::Reviewed, &reviewed),
    ];
    let sentences: Vec<String> = cases
        .into_iter()
        .map(|(change, new)| told(change, &nothing, new).text)
        .collect();
    insta::assert_snapshot!(sentences.join("\n"));
}

#[test]
fn only_an_emergency_that_waits_for_it_says_how_to_review_it() {
    let mut emergency = json!({"emergency": {"policy": {"name": "night", "uid": "p-1", "generation": 2},
        "since": "2026-11-25T12:00:00Z", "reviewBy": "2026-11-26T12:00:00Z"}});
    let notice = told(Change::Emergency, &json!({}), &emergency);
    assert!(
        notice
            .review
            .is_some_and(|line| line.starts_with("kubectl request review -n "))
    );
    assert_eq!(notice.review_by.as_deref(), Some("2026-11-26T12:00:00Z"));
    emergency["reviewed"] = json!({"by": "amy", "at": "2026-11-25T13:00:00Z"});
    let notice = told(Change::Reviewed, &json!({}), &emergency);
    assert_eq!(
        (notice.review, notice.reviewed_by.as_deref()),
        (None, Some("amy"))
    );
    assert_eq!(told(Change::Granted, &json!({}), &json!({})).review, None);
}

#[test]
fn only_what_waits_says_how_to_approve_it() {
    for (change, says) in [
        (Change::Filed, true),
        (Change::Revoked, true),
        (Change::Granted, false),
        (Change::Used, false),
    ] {
        assert_eq!(
            told(change, &json!({}), &json!({})).approve.is_some(),
            says,
            "{change:?}"
        );
    }
}
