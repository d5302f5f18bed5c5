//! What the manifests promise, where nothing else would notice that they no longer do.

use serde_json::Value;

const SERVER: &str = include_str!("../../../deploy/server.yaml");

/// The only object of a kind.
fn one(kind: &str) -> Option<Value> {
    let objects = SERVER.split("\n---\n").filter_map(|document| serde_saphyr::from_str::<Value>(document).ok());
    let mut found: Vec<Value> = objects.filter(|object| object["kind"] == kind).collect();
    found.pop().filter(|_| found.is_empty())
}

// M8
#[test]
fn nobody_puts_the_server_out_by_pods_of_their_own() {
    let deployment = one("Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(deployment["spec"]["replicas"].as_u64().unwrap() >= 2);
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    let resources = &pod["containers"][0]["resources"];
    assert!(resources["limits"]["memory"].is_string());
    assert_eq!(resources["requests"]["memory"], resources["limits"]["memory"]);
    assert_eq!(pod["topologySpreadConstraints"][0]["topologyKey"], "kubernetes.io/hostname");
    let budget = one("PodDisruptionBudget").unwrap();
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"]);
}
