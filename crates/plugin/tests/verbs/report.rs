//! `kubectl request report`.

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use crate::fake::Fake;

const REPORT: &str = "/api/v1/namespaces/kube-request-access/secrets/kube-request-access-observed";
const BOT: &str = "system:serviceaccount:ci:bot";

fn stored(report: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "kube-request-access-observed", "namespace": "kube-request-access"},
        "data": {"report.json": base64::engine::general_purpose::STANDARD.encode(report.to_string())},
    })
}

fn seen(user: &str, door: &str, times: u64, more: &Value) -> Value {
    let mut one = json!({
        "user": user, "namespace": "shop", "resource": door, "times": times,
        "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T00:58:00Z",
    });
    one.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    one
}

fn observed() -> Fake {
    let mut node = seen(BOT, "nodes/proxy", 7, &json!({"path": "/metrics"}));
    node.as_object_mut().unwrap().remove("namespace");
    let report = json!({
        "since": "2026-01-01T00:00:00Z", "passed": 1204, "forgotten": 5,
        "forgottenOf": {"jane": 1, "mallory\u{1b}[A": 3},
        "stopped": [
            seen("jane", "pods/exec", 10, &json!({"command": ["sh"], "cut": true, "interactive": true})),
            seen("jane\u{1b}[31m", "pods/portforward", 1, &json!({})),
            seen("jane", "pods/portforward", 2, &json!({})),
            seen("mallory", "pods/exec", 1, &json!({"command": ["x\u{1b}[3A\u{1b}[J\nroot 309 \u{202e}"]})),
            seen(BOT, "pods/exec", 300, &json!({"command": ["pg_dump", "--password=hunter2", "shop"]})),
            seen(BOT, "pods/exec", 9, &json!({"command": ["date"]})),
            seen(BOT, "pods/exec", 1, &json!({"command": ["sh"], "cut": true})),
            seen(BOT, "pods/attach", 3, &json!({})),
            seen(BOT, "services/proxy", 5, &json!({"port": "9090", "path": "/metrics"})),
            seen(BOT, "services/proxy", 1, &json!({"port": "9090", "path": "/"})),
            seen(BOT, "pods/proxy", 1, &json!({"path": "/a/../b"})),
            node,
        ],
    });
    Fake::new().with(REPORT, stored(&report))
}

#[tokio::test]
async fn who_would_have_been_stopped_is_told_by_person_and_program() {
    let outcome = observed().run(&["report"], "").await;
    insta::assert_snapshot!(outcome.out);
    assert_eq!(
        outcome.err,
        "Policies for the ServiceAccounts, to review: kubectl request report -n default --policies --server-namespace=kube-request-access\n"
    );
}

#[tokio::test]
async fn policies_are_drafted_for_programs_only_and_what_none_can_allow_is_said() {
    let outcome = observed().run(&["report", "--policies"], "").await;
    insta::assert_snapshot!(outcome.out);
    assert_eq!(outcome.err, "");
}

#[tokio::test]
async fn a_draft_says_what_policy_test_understands() {
    let drafts = observed().run(&["report", "--policies"], "").await.out;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drafts.yaml");
    std::fs::write(&file, drafts).unwrap();
    let file = file.to_str().unwrap();
    let line = [
        "policy", "test", "-f", file, "--as", BOT, "-n", "shop", "--", "date",
    ];
    let outcome = Fake::new().run(&line, "").await;
    assert!(
        outcome.out.contains("Allow"),
        "{} {} {:?}",
        outcome.out,
        outcome.err,
        outcome.failure
    );
    let other = [
        "policy", "test", "-f", file, "--as", BOT, "-n", "shop", "--", "date", "-u",
    ];
    assert!(!Fake::new().run(&other, "").await.out.contains("Allow"));
}

#[tokio::test]
async fn no_draft_has_more_in_it_than_a_policy_takes() {
    let commands = (0..300).map(|n| {
        seen(
            BOT,
            "pods/exec",
            1,
            &json!({"command": ["echo", n.to_string()]}),
        )
    });
    let paths = (0..40).map(|n| {
        seen(
            BOT,
            "pods/proxy",
            1,
            &json!({"port": n.to_string(), "path": format!("/{n}")}),
        )
    });
    let report = json!({"stopped": commands.chain(paths).collect::<Vec<_>>()});
    let outcome = Fake::new()
        .with(REPORT, stored(&report))
        .run(&["report", "--policies"], "")
        .await;
    let drafts: Vec<Value> = serde_saphyr::from_multiple(&outcome.out).unwrap();
    let count = |list: &str| -> Vec<usize> {
        drafts
            .iter()
            .filter_map(|draft| Some(draft["spec"][list].as_array()?.len()))
            .collect()
    };
    assert_eq!(
        (count("commands"), count("proxies")),
        (vec![256, 44], vec![16, 16, 8])
    );
    let mut names: Vec<&str> = drafts
        .iter()
        .map(|draft| draft["metadata"]["name"].as_str().unwrap())
        .collect();
    names.dedup();
    assert_eq!(names.len(), 5);
}

#[tokio::test]
async fn a_script_gets_all_of_it() {
    let outcome = observed().run(&["report", "-o", "json"], "").await;
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["stopped"].as_array().unwrap().len(), 12);
    assert!(
        observed()
            .run(&["report", "-o", "yaml"], "")
            .await
            .out
            .contains("passed: 1204\n")
    );
}

#[tokio::test]
async fn where_nothing_was_observed_that_is_said() {
    let outcome = Fake::new().run(&["report"], "").await;
    assert_eq!((outcome.out.as_str(), outcome.failure), ("", None));
    assert!(
        outcome.err.starts_with("Nothing has been observed: "),
        "{}",
        outcome.err
    );
    let new = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}});
    assert_eq!(
        Fake::new().with(REPORT, new).run(&["report"], "").await.err,
        outcome.err
    );
}

#[tokio::test]
async fn what_is_no_report_and_what_may_not_be_read_is_an_error() {
    let spoiled = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"report.json": "Pw=="}});
    let outcome = Fake::new().with(REPORT, spoiled).run(&["report"], "").await;
    assert!(
        outcome
            .failure
            .unwrap()
            .contains("does not hold a report: delete it")
    );
    let outcome = Fake::new()
        .refusing(Method::GET, REPORT, 403, "no")
        .run(&["report"], "")
        .await;
    assert!(
        outcome
            .failure
            .unwrap()
            .starts_with("Error from server (Forbidden)")
    );
}
