//! What the API server serves itself is served by nobody else: it asks itself for its webhooks and
//! policies.

use kra_tests::scene::Said;
use serde_json::{Value, json};

use super::{Broken, stored};

/// What the guard says of those who register servers.
const LOCAL: &str = "what the API server itself serves";
/// The API server's own account, as somebody with all rights plays it.
const API_SERVER: [&str; 2] = ["--as=system:apiserver", "--as-group=system:masters"];

/// An `APIService` that asks a Service of somebody's.
fn aggregated(group: &str, version: &str) -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}")},
        "spec": {
            "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "forger", "port": 443},
        },
    })
}

fn repoint(broken: &Broken, identity: &[&str], name: &str) -> Said {
    let patch = json!({
        "metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": null}},
        "spec": {
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "forger", "port": 443},
        },
    });
    let patch = patch.to_string();
    let words = ["patch", "apiservice", name, "--type=merge", "-p", &patch];
    broken.root().kubectl(identity.iter().chain(&words))
}

fn create(broken: &Broken, identity: &[&str], object: &Value) -> Said {
    broken.root().kubectl_with(
        &object.to_string(),
        identity.iter().chain(&["create", "-f", "-"]),
    )
}

// K2, K6
#[test]
fn nobody_but_an_installer_has_another_server_serve_what_the_api_server_serves() {
    let broken = Broken::new();
    let own = [
        "v1.admissionregistration.k8s.io",
        "v1.authorization.k8s.io",
        "v1.apiextensions.k8s.io",
        "v1.apps",
        "v1.",
    ];
    for name in own.iter().chain(&["v1.spreadgroup.com"]) {
        for identity in [&[][..], &API_SERVER] {
            repoint(&broken, identity, name).is_refused_with(LOCAL);
        }
    }
    for group in [
        "apps",
        "batch",
        "new",
        "admissionregistration.k8s.io",
        "new.k8s.io",
        "spreadgroup.com",
        "x.spreadgroup.com",
    ] {
        for identity in [&[][..], &API_SERVER] {
            create(&broken, identity, &aggregated(group, "v9")).is_refused_with(LOCAL);
        }
    }
    let near = ["x.metrics.k8s.io", "metrics.k8s.io.k8s.io"];
    for group in near {
        create(&broken, &[], &aggregated(group, "v9")).is_refused_with(LOCAL);
    }
}

// K2
#[test]
fn what_was_deleted_does_not_come_back_as_another_servers() {
    let broken = Broken::new();
    let name = "v1.batch";
    let whole = stored(broken.world, &format!("apiservice/{name}"));
    broken
        .root()
        .kubectl(["delete", "apiservice", name])
        .works_with("deleted");
    // The API server does not put back what it registers at its start, so the name is free.
    for identity in [&[][..], &API_SERVER] {
        create(&broken, identity, &aggregated("batch", "v1")).is_refused_with(LOCAL);
    }
    create(&broken, &[], &whole).works_with("created");
}

// K2
#[test]
fn the_group_of_a_definition_stays_with_the_api_server() {
    let broken = Broken::new();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.local.example.com"},
        "spec": {
            "group": "local.example.com", "scope": "Cluster",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    create(&broken, &[], &definition).works_with("created");
    // That the API server registers it shows that its own controller goes on.
    kra_tests::world::eventually("the registration", || {
        broken
            .admin(["get", "apiservice", "v1.local.example.com"])
            .success
    });
    repoint(&broken, &[], "v1.local.example.com").is_refused_with(LOCAL);
    broken
        .admin(["delete", "crd", "things.local.example.com"])
        .works_with("deleted");
    kra_tests::world::eventually("the end of the registration", || {
        !broken
            .admin(["get", "apiservice", "v1.local.example.com"])
            .success
    });
}

// K2
#[test]
fn servers_of_metrics_and_of_others_groups_are_installed_as_ever() {
    let broken = Broken::new();
    for (group, version) in [
        ("metrics.k8s.io", "v1beta1"),
        ("external.metrics.k8s.io", "v1beta1"),
        ("subresources.kubevirt.io", "v1"),
    ] {
        let name = format!("{version}.{group}");
        create(&broken, &[], &aggregated(group, version)).works_with("created");
        let patch = r#"{"spec":{"service":{"namespace":"default","name":"other","port":443}}}"#;
        broken
            .root()
            .kubectl(["patch", "apiservice", &name, "--type=merge", "-p", patch])
            .works_with("patched");
        // The API server says of each whether it answers.
        kra_tests::world::eventually("the status", || {
            let what = "jsonpath={.status.conditions[?(@.type=='Available')].status}";
            broken
                .admin(["get", "apiservice", &name, "-o", what])
                .text
                .contains("False")
        });
        broken
            .root()
            .kubectl(["delete", "apiservice", &name])
            .works_with("deleted");
    }
}

// K2
#[test]
fn an_installer_may_aggregate_whatever_they_like() {
    let broken = Broken::new();
    let object = aggregated("new.k8s.io", "v9");
    broken
        .installer_with(&object, "create")
        .works_with("created");
    // Nobody else changes where it leads.
    let patch = r#"{"spec":{"service":{"namespace":"default","name":"other","port":443}}}"#;
    broken
        .root()
        .kubectl([
            "patch",
            "apiservice",
            "v9.new.k8s.io",
            "--type=merge",
            "-p",
            patch,
        ])
        .is_refused_with(LOCAL);
    broken
        .root()
        .kubectl(["label", "apiservice", "v9.new.k8s.io", "some=label"])
        .works_with("labeled");
    broken
        .root()
        .kubectl(["delete", "apiservice", "v9.new.k8s.io"])
        .works_with("deleted");
}

// K6
#[test]
fn nobody_has_the_api_server_stop_serving_our_objects_in_its_own_name() {
    let broken = Broken::new();
    let name = "accessgrants.spreadgroup.com";
    let conditions = stored(
        broken.world,
        "customresourcedefinition/accessgrants.spreadgroup.com",
    )["status"]["conditions"]
        .clone();
    let change = |status: &str| {
        let mut conditions = conditions.clone();
        let established = conditions
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|one| one["type"] == "Established");
        established.unwrap()["status"] = json!(status);
        json!({"status": {"conditions": conditions}}).to_string()
    };
    let patch = |change: &str| {
        let words = [
            "patch",
            "customresourcedefinition",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            change,
        ];
        broken.root().kubectl(API_SERVER.iter().chain(&words))
    };
    patch(&change("False")).is_refused_with("only its installers may change it");
    patch(r#"{"status":{"conditions":null}}"#).is_refused_with("only its installers may change it");
    let renamed = r#"{"status":{"acceptedNames":{"plural":"others"}}}"#;
    patch(renamed).is_refused_with("only its installers may change it");
    // M9: no object of a definition that ends is created.
    let mut ending = conditions.as_array().unwrap().clone();
    ending.push(json!({"type": "Terminating", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}));
    patch(&json!({"status": {"conditions": ending}}).to_string())
        .is_refused_with("only its installers may change it");
    // The API server goes by the first condition of a type, and by the names that it accepted.
    let one = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let shadowed = [
        one("Established", "False"),
        one("NamesAccepted", "False"),
        one("NamesAccepted", "True"),
        one("Established", "True"),
    ];
    let unaccepted = [one("NamesAccepted", "False"), one("Established", "True")];
    let alone = [one("Established", "True")];
    let twice = [
        one("NamesAccepted", "True"),
        one("Established", "True"),
        one("Established", "True"),
    ];
    for conditions in [&shadowed[..], &unaccepted, &alone, &twice] {
        patch(&json!({"status": {"conditions": conditions}}).to_string())
            .is_refused_with("only its installers may change it");
    }
    // What it writes itself it may.
    patch(&change("True")).works_with("patched");
    let (mia, amy) = (broken.developer("mia"), broken.approver("amy"));
    let request = mia.ask(&[], &["date"]);
    amy.grant(&request);
    mia.exec(&["date"]).works_with("UTC");
}
