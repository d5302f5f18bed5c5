//! What the manifests promise, where nothing else would notice that they no longer do.

use std::collections::BTreeSet;

use serde_json::Value;

const SERVER: &str = include_str!("../../../deploy/server.yaml");
const LOCK: [&str; 5] = [
    include_str!("../../../deploy/lock/bypass.yaml"),
    include_str!("../../../deploy/lock/guard.yaml"),
    include_str!("../../../deploy/lock/interlock.yaml"),
    include_str!("../../../deploy/lock/mutators.yaml"),
    include_str!("../../../deploy/lock/policies.yaml"),
];

/// The only object of a kind.
fn one(kind: &str) -> Option<Value> {
    let objects = SERVER
        .split("\n---\n")
        .filter_map(|document| serde_saphyr::from_str::<Value>(document).ok());
    let mut found: Vec<Value> = objects.filter(|object| object["kind"] == kind).collect();
    found.pop().filter(|_| found.is_empty())
}

// M8
#[test]
fn nobody_puts_the_server_out_by_pods_of_their_own() {
    let deployment = one("Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(deployment["spec"]["replicas"].as_u64().unwrap() >= 2);
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    let resources = &pod["containers"][0]["resources"];
    assert!(resources["limits"]["memory"].is_string());
    assert_eq!(
        resources["requests"]["memory"],
        resources["limits"]["memory"]
    );
    assert_eq!(
        pod["topologySpreadConstraints"][0]["topologyKey"],
        "kubernetes.io/hostname"
    );
    let budget = one("PodDisruptionBudget").unwrap();
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"]);
}

/// The resources that the rules of a policy are for.
fn resources(policy: &Value) -> BTreeSet<String> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let rules = list(policy.pointer("/spec/matchConstraints/resourceRules"));
    let named: Vec<Value> = rules
        .iter()
        .flat_map(|rule| list(rule.get("resources")))
        .collect();
    let named = named.iter();
    named
        .filter_map(|resource| Some(resource.as_str()?.to_owned()))
        .collect()
}

// M10
#[test]
fn whatever_the_bypass_opens_its_stamp_sees() {
    let documents = LOCK.iter().flat_map(|manifest| manifest.split("\n---\n"));
    let policies = documents.filter_map(|document| serde_saphyr::from_str::<Value>(document).ok());
    let policies: Vec<Value> = policies
        .filter(|object| object["kind"] == "ValidatingAdmissionPolicy")
        .collect();
    let named = |name: &str| {
        policies
            .iter()
            .find(|policy| policy["metadata"]["name"] == name)
            .unwrap()
    };
    let stamped = resources(named("kube-request-access-bypass"));
    let mut opened = 0;
    for policy in &policies {
        let text = policy.to_string();
        if !text.contains("kube-request-access:bypass'") {
            continue;
        }
        opened += 1;
        let variables = policy["spec"]["variables"].as_array().into_iter().flatten();
        let limited = variables
            .filter(|variable| variable["name"] == "mayBypass")
            .map(|variable| {
                let expression = variable["expression"].as_str().unwrap_or_default();
                let list = expression
                    .split_once("request.resource.resource in [")
                    .map(|(_, list)| list)
                    .unwrap_or_default();
                list.split('\'')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect::<BTreeSet<_>>()
            });
        let reached = limited
            .reduce(|_, last| last)
            .unwrap_or_else(|| resources(policy));
        let unseen: Vec<_> = reached.difference(&stamped).collect();
        assert!(
            !reached.is_empty() && unseen.is_empty(),
            "{} opens {unseen:?} unseen",
            policy["metadata"]["name"]
        );
    }
    assert_eq!(opened, 4, "bypass, guard, interlock, mutators");
}
