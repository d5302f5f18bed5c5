//! Every change of the webhook configuration that would open a door shuts all of them.

use std::time::{Duration, Instant};

use kra_tests::world::{eventually, within};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Broken, SHUT, VALIDATING};

// C3
#[rstest]
#[case::ignored_failures("/webhooks/0/failurePolicy", json!("Ignore"))]
#[case::exact_matches("/webhooks/0/matchPolicy", json!("Exact"))]
#[case::a_selector_of_objects("/webhooks/0/objectSelector", json!({"matchLabels": {"a": "b"}}))]
#[case::a_selector_of_namespaces("/webhooks/0/namespaceSelector", json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}))]
#[case::other_namespaces("/webhooks/0/namespaceSelector", json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["kube-request-access", "other"]}]}))]
#[case::our_own_namespace_left_out("/webhooks/0/namespaceSelector", json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["scene-1", "default"]}]}))]
#[case::all_other_namespaces("/webhooks/0/namespaceSelector", json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["other"]}]}))]
#[case::a_namespace_with_labels("/webhooks/0/namespaceSelector", json!({"matchLabels": {"a": "b"}}))]
#[case::grants_of_some_namespaces("/webhooks/1/namespaceSelector", json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["other"]}]}))]
#[case::a_path_that_looks_on("/webhooks/0/clientConfig/service/path", json!("/observe/8eae7a48d8b4d8a0d3f7e2c5b9a16f04"))]
#[case::no_nodes("/webhooks/0/rules/0/scope", json!("Namespaced"))]
#[case::a_door_less("/webhooks/0/rules/0/resources", json!(["pods/exec"]))]
#[case::a_rule_less("/webhooks/0/rules/1", Value::Null)]
#[case::a_wider_condition("/webhooks/0/matchConditions/0/expression", json!("request.userInfo.username == 'nobody'"))]
#[case::another_condition("/webhooks/0/matchConditions/-", json!({"name": "never", "expression": "false"}))]
#[case::another_path("/webhooks/0/clientConfig/service/path", json!("/mutate"))]
#[case::another_service("/webhooks/0/clientConfig/service/name", json!("forger"))]
#[case::a_url("/webhooks/0/clientConfig", json!({"url": "https://127.0.0.1:1/validate"}))]
#[case::grants_unseen("/webhooks/1", Value::Null)]
#[case::some_grants_unseen("/webhooks/1/rules/0/operations", json!(["DELETE"]))]
#[case::grants_of_some_unseen("/webhooks/1/matchConditions", json!([{"name": "some", "expression": "false"}]))]
fn a_configuration_that_was_changed_shuts_the_doors_within_seconds(
    #[case] path: &str,
    #[case] value: Value,
) {
    let broken = Broken::new();
    let operation = if value.is_null() {
        "remove"
    } else if path.ends_with('-') {
        "add"
    } else {
        "replace"
    };
    let operation = if path == "/webhooks/1/matchConditions" {
        "add"
    } else {
        operation
    };
    let patch = json!([{"op": operation, "path": path, "value": value}]).to_string();
    broken
        .installer(&["patch", VALIDATING, "--type=json", "-p", &patch])
        .works_with("patched");
    let jane = broken.developer("jane");
    within(Duration::from_secs(10), "the interlock", || {
        jane.exec(&["date"]).text.contains(SHUT)
    });
}

#[test]
fn the_order_of_the_entries_does_not_matter_to_the_interlock() {
    let broken = Broken::new();
    let mut turned = broken.whole[0].clone();
    turned["webhooks"].as_array_mut().unwrap().reverse();
    broken
        .installer_with(&turned, "replace")
        .works_with("replaced");
    let jane = broken.developer("jane");
    // As long as the interlock takes to see a change.
    let started = Instant::now();
    eventually("a while", || {
        jane.exec(&["date"]).is_refused_with("you have not asked");
        started.elapsed() > Duration::from_secs(3)
    });
}
