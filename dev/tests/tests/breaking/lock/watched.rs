//! Whoever may change policies can take the lock off: the API server asks nobody about them. But
//! the server sees it.

use std::time::{Duration, Instant};

use kra_tests::world::{PATIENCE, eventually, within};
use serde_json::{Value, json};

use super::{Broken, GUARD, INTERLOCK, VALIDATING, stored};

impl Broken {
    /// Waits until both replicas say that all is as it was installed.
    fn is_intact(&self) {
        let started = Instant::now();
        while self.intact() != "True True" {
            let log = self.world.server_log();
            let of_lock: Vec<&str> = log
                .lines()
                .filter(|line| line.contains("server::lock"))
                .collect();
            assert!(
                started.elapsed() < PATIENCE,
                "{} {of_lock:#?}",
                self.intact()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How often something was told by both replicas.
    fn told(&self, what: &str) -> usize {
        self.world.server_log().matches(what).count()
    }

    /// Events of our pods with this reason.
    fn told_events(&self, reason: &str) -> String {
        let reason = format!("--field-selector=reason={reason}");
        self.admin(["get", "events", "-n", "kube-request-access", &reason])
            .text
    }
}

// M1
#[test]
fn an_administrator_who_takes_the_guard_away_for_a_moment_and_narrows_the_lock_is_seen() {
    let broken = Broken::new();
    broken.is_intact();
    let (missing, differs) = (
        "a part of the lock is missing",
        "a part of the lock is not as it is shipped",
    );
    let (missed, differed) = (broken.told(missing), broken.told(differs));
    let changed = broken.told("a part of the lock was changed, and is now as it should be");
    let (root, jane) = (broken.root(), broken.developer("jane"));
    let guard = stored(broken.world, GUARD);

    // The guard's binding, for a moment.
    root.kubectl(["delete", GUARD]).works_with("deleted");
    // Both the webhook and the interlock look at our own namespace alone, where the canary tries.
    let narrowed: Value = json!({"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["kube-request-access"]},
    ]}});
    let patch = json!({"spec": {"matchResources": narrowed}}).to_string();
    root.kubectl(["patch", INTERLOCK, "--type=merge", "-p", &patch])
        .works_with("patched");
    let patch = json!([{"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": narrowed["namespaceSelector"]}]);
    eventually("the guard is off", || {
        root.kubectl(["patch", VALIDATING, "--type=json", "-p", &patch.to_string()])
            .success
    });
    root.kubectl_with(&guard.to_string(), ["create", "-f", "-"])
        .works_with("created");
    eventually("an open door", || jane.exec(&["date"]).success);

    // Every name is there again, and the canary would have its proofs.
    eventually("the log", || {
        broken.told(missing) == missed + 2 && broken.told(differs) == differed + 4
    });
    eventually("the log of what is back", || {
        broken.told("a part of the lock was changed, and is now as it should be") == changed + 2
    });
    eventually("the condition", || broken.intact() == "False False");
    let log = broken.world.server_log();
    assert!(
        log.contains("webhooks[0].namespaceSelector") && log.contains("spec.matchResources"),
        "{log}"
    );
    for reason in ["LockMissing", "LockDiffers", "LockChanged"] {
        eventually(reason, || {
            broken.told_events(reason).contains("kube-request-access")
        });
    }
    let metrics = "/api/v1/namespaces/kube-request-access/services/https:kube-request-access:443/proxy/metrics";
    let metrics = broken.admin(["get", "--raw", metrics]);
    metrics.works_with("kube_request_access_lock_changes_total");
    let shown = |binding: &str, value: u8| {
        let object =
            format!("object=\"ValidatingAdmissionPolicyBinding/kube-request-access-{binding}\"");
        metrics.works_with(&format!(
            "kube_request_access_lock_intact{{{object}}} {value}"
        ));
    };
    shown("interlock", 0);
    shown("guard", 1);
    broken.mend();
    broken.is_intact();
}

// M2
#[test]
fn an_administrator_who_takes_the_policies_of_policies_away_writes_none_all_the_same() {
    let broken = Broken::new();
    let (root, binding) = (
        broken.root(),
        "validatingadmissionpolicybinding/kube-request-access-policies",
    );
    let stored = stored(broken.world, binding);
    root.kubectl(["delete", binding]).works_with("deleted");
    let policy = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy", "metadata": {"name": "for-myself"},
        "spec": {
            "effect": "Allow", "subresources": ["exec"], "namespaces": [broken.namespace],
            "subjects": [{"kind": "User", "name": root.name}],
        },
    });
    let create = || root.kubectl_with(&policy.to_string(), ["create", "-f", "-"]);
    let own_words = "--policy-owner-user of the server";
    create().is_refused_with(own_words);
    broken
        .installer_with(&policy, "create")
        .works_with("created");
    // Until the API server knows that the binding is away, it is the binding that refuses.
    eventually("our own words", || {
        root.kubectl(["delete", "accesspolicy", "for-myself"])
            .text
            .contains(own_words)
    });
    create().is_refused_with(own_words);
    broken
        .installer(&["delete", "accesspolicy", "for-myself"])
        .works_with("deleted");
    root.kubectl_with(&stored.to_string(), ["create", "-f", "-"])
        .works_with("created");
    broken.is_intact();
}

// M1
#[test]
fn a_change_that_looks_like_a_default_or_was_undone_while_nobody_watched_is_seen() {
    let broken = Broken::new();
    broken.is_intact();
    let root = broken.root();
    let log = || broken.world.server_log();
    // What keys of labels are called says nothing.
    let patch = r#"{"spec":{"matchResources":{"objectSelector":{"matchLabels":{"matchPolicy":"Equivalent"}}}}}"#;
    let status = "validatingadmissionpolicybinding/kube-request-access-status";
    let whole = stored(broken.world, status);
    root.kubectl(["patch", status, "--type=merge", "-p", patch])
        .works_with("patched");
    eventually("the condition", || broken.intact() == "False False");
    assert!(log().contains("spec.matchResources"), "{}", log());
    root.kubectl(["delete", status]).works_with("deleted");
    root.kubectl_with(&whole.to_string(), ["create", "-f", "-"])
        .works_with("created");
    broken.is_intact();

    // While the servers may not watch, all of it comes off and is put back as it was.
    let role = stored(broken.world, "clusterrolebinding/kube-request-access");
    root.kubectl(["delete", "clusterrolebinding", "kube-request-access"])
        .works_with("deleted");
    within(Duration::from_mins(2), "blindness", || {
        broken.intact() == "Unknown Unknown"
    });
    let guard = stored(broken.world, GUARD);
    let told = || {
        let is_it = |line: &&str| {
            line.contains("was changed, and is now") && line.contains("kube-request-access-guard")
        };
        log().lines().filter(is_it).count()
    };
    let before = told();
    root.kubectl(["delete", GUARD]).works_with("deleted");
    root.kubectl_with(&guard.to_string(), ["create", "-f", "-"])
        .works_with("created");
    root.kubectl_with(&role.to_string(), ["create", "-f", "-"])
        .works_with("created");
    within(
        Duration::from_mins(2),
        "both replicas see that it is another one",
        || told() == before + 2,
    );
}

// M1
#[test]
fn what_the_lock_stands_on_is_watched_too() {
    let broken = Broken::new();
    broken.is_intact();
    let told = |object: &str| {
        let is_it = |line: &&str| line.contains(object) && line.contains("a part of the lock");
        broken.world.server_log().lines().filter(is_it).count()
    };
    let trusted = "ConfigMap/kube-request-access-trusted-mutators";
    let before = told(trusted);
    let binding = "validatingadmissionpolicybinding/kube-request-access-trusted";
    let whole = stored(broken.world, binding);
    broken
        .root()
        .kubectl(["delete", binding])
        .works_with("deleted");
    let patch = |data: &str| {
        let words = [
            "patch",
            "configmap",
            "-n",
            "kube-request-access",
            "kube-request-access-trusted-mutators",
            "-p",
            data,
        ];
        broken.root().kubectl(words)
    };
    eventually("the policy is off", || {
        patch(r#"{"data":{"MutatingWebhookConfiguration.m":"me"}}"#).success
    });
    broken
        .root()
        .kubectl_with(&whole.to_string(), ["create", "-f", "-"])
        .works_with("created");
    eventually("both replicas tell", || told(trusted) == before + 2);

    let definition = "CustomResourceDefinition/accessgrants.spreadgroup.com";
    let before = told(definition);
    let names = r#"{"spec":{"names":{"shortNames":["acg","other"]}}}"#;
    broken
        .installer(&[
            "patch",
            "crd",
            "accessgrants.spreadgroup.com",
            "--type=merge",
            "-p",
            names,
        ])
        .works_with("patched");
    eventually("both replicas tell", || {
        told(definition) == before + 2 && broken.intact() == "False False"
    });
    broken
        .installer(&[
            "patch",
            "crd",
            "accessgrants.spreadgroup.com",
            "--type=merge",
            "-p",
            r#"{"spec":{"names":{"shortNames":["acg"]}}}"#,
        ])
        .works_with("patched");
    broken
        .installer(&[
            "patch",
            "configmap",
            "-n",
            "kube-request-access",
            "kube-request-access-trusted-mutators",
            "-p",
            r#"{"data":null}"#,
        ])
        .works_with("patched");
    broken.is_intact();
}
