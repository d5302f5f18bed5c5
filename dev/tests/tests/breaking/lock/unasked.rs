//! An API server that asks nobody any more is noticed by the server itself.

use std::time::Duration;

use kra_tests::world::{eventually, within};

use serde_json::json;

use super::{Broken, GUARD, INTERLOCK, VALIDATING, forger::Forger, stored};

/// So long it may go unnoticed.
const NOTICED: Duration = Duration::from_mins(2);

impl Broken {
    /// Waits until both replicas say that they are asked: three proofs end an alarm, of another
    /// test's too.
    fn is_asked(&self) {
        within(
            NOTICED.saturating_mul(2),
            "both replicas know that they are asked",
            || self.asked() == "True True",
        );
    }

    /// What the canary has published.
    fn events(&self, reason: &str) -> String {
        let reason = format!("--field-selector=reason={reason}");
        self.admin(["get", "events", "-n", "kube-request-access", &reason])
            .text
    }
}

// K2, C13
#[test]
fn the_canary_tells_within_two_minutes_that_an_api_server_does_not_ask_and_when_it_asks_again() {
    let broken = Broken::new();
    broken.is_asked();
    let told = || {
        broken
            .world
            .server_log()
            .matches("an API server does not ask kube-request-access")
            .count()
    };
    let before = told();
    broken
        .installer(&["delete", INTERLOCK, VALIDATING])
        .works_with("deleted");
    eventually("open doors", || {
        broken.developer("jane").exec(&["date"]).success
    });
    within(NOTICED, "both replicas say that they are not asked", || {
        broken.asked() == "False False"
    });
    let log = broken.world.server_log();
    assert_eq!(told(), before + 2, "{log}");
    assert!(
        log.contains("404 pods \\\"canary_of_kube-request-access\\\" not found"),
        "{log}"
    );
    assert!(
        broken
            .events("NotAsked")
            .contains("does not ask this server"),
        "{}",
        broken.events("NotAsked")
    );
    let metrics = "/api/v1/namespaces/kube-request-access/services/https:kube-request-access:443/proxy/metrics";
    let metrics = broken.root().kubectl(["get", "--raw", metrics]).text;
    let shown = |name: &str, value: &str| {
        metrics
            .lines()
            .any(|line| line.starts_with(name) && line.ends_with(&format!("}} {value}")))
    };
    assert!(shown("kube_request_access_canary_asked{", "0"), "{metrics}");
    assert!(
        shown("kube_request_access_canary_unknown{", "0"),
        "{metrics}"
    );

    broken.mend();
    broken.is_asked();
    assert!(
        broken
            .events("AskedAgain")
            .contains("asks this server again")
    );
}

/// What the API server reads its webhooks and policies from.
const REGISTRATION: &str = "apiservice/v1.admissionregistration.k8s.io";
/// A watch of the API server's goes on for up to ten minutes before it lists anew.
const LISTED_ANEW: Duration = Duration::from_mins(12);

impl Broken {
    /// Has somebody else serve the API server's webhooks and policies, as an administrator does
    /// whom no guard hinders.
    fn forge(&self, forger: &Forger) {
        self.root().kubectl(["delete", GUARD]).works_with("deleted");
        let address = self.world.cluster.host_for_pods().to_string();
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "forger", "namespace": "default"},
            "spec": {"ports": [{"port": 443, "targetPort": forger.port}]},
        }));
        self.apply(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "forger", "namespace": "default", "labels": {"kubernetes.io/service-name": "forger"}},
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}], "ports": [{"name": "", "port": forger.port}],
        }));
        let service = json!({"namespace": "default", "name": "forger", "port": 443});
        let patch =
            json!({"spec": {"insecureSkipTLSVerify": true, "service": service}}).to_string();
        eventually("the guard is off", || {
            self.root()
                .kubectl(["patch", REGISTRATION, "--type=merge", "-p", &patch])
                .success
        });
    }
}

// K2, C13
#[test]
fn the_canary_tells_when_the_api_server_reads_its_webhooks_from_somebody_else() {
    if std::env::var_os("KRA_ALL").is_none() {
        eprintln!("skipped: it takes ten minutes, with --all");
        return;
    }
    let broken = Broken::new();
    let local = stored(broken.world, REGISTRATION);
    broken.is_asked();
    let forger = Forger::listen();
    broken.forge(&forger);
    // No one of ours has a line of it.
    let jane = broken.developer("jane");
    within(LISTED_ANEW, "an open door", || jane.exec(&["date"]).success);
    within(NOTICED, "both replicas say that they are not asked", || {
        broken.asked() == "False False"
    });
    assert!(
        broken
            .world
            .server_log()
            .contains("an API server does not ask kube-request-access")
    );

    broken
        .root()
        .kubectl(["delete", REGISTRATION])
        .works_with("deleted");
    broken
        .root()
        .kubectl_with(&local.to_string(), ["create", "-f", "-"])
        .works_with("created");
    drop(forger);
    within(LISTED_ANEW, "the gate", || {
        jane.exec(&["date"]).text.contains("you have not asked")
    });
    broken.mend();
    broken.is_asked();
}
