//! When something is down, the door is shut, and nothing else is; when it is back, nothing was
//! lost.

use std::time::{Duration, Instant};

use kra_tests::{
    processes::{current, fragile, like, server_log, signal},
    scene::Scene,
    world::eventually,
};
use run::local::Process;

/// Stopped by the kernel: it takes connections, and answers nobody.
struct Hung<'a>(&'a Process);

impl<'a> Hung<'a> {
    fn new(process: &'a Process) -> Self {
        signal(process, "-STOP");
        Self(process)
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

// I15
#[test]
fn a_hung_audit_refuses_within_seconds_and_costs_nothing() {
    let (world, _turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let granted = jane.ask(&[], &["date"]);
    amy.grant(&granted);
    let waiting = jane.ask(&[], &["ls"]);
    {
        let _hung = Hung::new(&world.installed.receivers[0]);
        let began = Instant::now();
        jane.exec_over_spdy(&["date"])
            .is_refused_with("nothing was allowed or used up");
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
        jane.exec(&["hostname"])
            .is_refused_with("what you ran is not what was granted");
        root.exec(&["date"])
            .is_refused_with("the audit or validation webhook failed");
        jane.asks(&[], &["hostname"])
            .is_refused_with("the audit or validation webhook failed");
        amy.kubectl(["request", "grant", &amy.exactly(&waiting), "--yes"])
            .is_refused_with("the audit or validation webhook failed");
        assert!(!scene.exists("accessgrant", &format!("grant-{waiting}")));
        assert_eq!(scene.uses(&granted), 0);
    }
    jane.exec(&["date"]).works_with("UTC");
}

#[test]
fn an_object_that_nobody_stamped_is_refused() {
    let (world, _turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    let configuration = ["mutatingwebhookconfiguration", "kube-request-access"];
    let stored = scene
        .admin(["get", configuration[0], configuration[1], "-o", "json"])
        .text;
    scene
        .admin(["delete", configuration[0], configuration[1]])
        .works_with("deleted");
    let asked = jane.asks(&[], &["ls"]);
    let granted = amy.kubectl(["request", "grant", &amy.exactly(&request), "--yes"]);
    let mut stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    stored["metadata"] =
        serde_json::json!({"name": configuration[1], "labels": stored["metadata"]["labels"]});
    scene.apply(&stored);
    asked.is_refused_with("is not what the server stamps");
    granted.is_refused_with("spec.grantedBy is not what the server stamps");
}

// D8, I1
#[test]
fn a_server_that_is_gone_shuts_only_the_door_and_nothing_is_lost_when_it_is_back() {
    let (world, mut turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let granted = jane.ask(&[], &["date"]);
    amy.grant(&granted);
    let waiting = jane.ask(&[], &["hostname"]);
    let server = current(world, &turn);
    let like_it = like(server, world);
    signal(server, "-KILL");

    jane.exec(&["date"])
        .is_refused_with("failed calling webhook");
    // Expected not stopped: here the API server shows her the secret path, which is to be replaced
    // then.
    jane.exec(&["date"])
        .is_refused_with(world.installed.review_path.as_deref().unwrap());
    root.exec(&["date"])
        .is_refused_with("failed calling webhook");
    jane.asks(&[], &["ls"])
        .is_refused_with("failed calling webhook");
    amy.kubectl(["request", "grant", &amy.exactly(&waiting), "--yes"])
        .is_refused_with("failed calling webhook");
    jane.kubectl(["delete", "acr", &granted])
        .is_refused_with("failed calling webhook");
    // The definition's own rule: it needs no server.
    let patch = r#"{"spec":{"execOptions":{"command":["sh"]}}}"#;
    root.kubectl(["patch", "acr", &granted, "--type=merge", "-p", patch])
        .is_refused_with("a request never changes");
    let patch = r#"{"status":"denied"}"#;
    let grant = format!("grant-{granted}");
    root.kubectl(["patch", "acg", &grant, "--type=merge", "-p", patch])
        .is_refused_with("never changes");

    scene.create_pod("another");
    scene.create_deployment("web");
    jane.kubectl(["get", "pods"]).works_with("another");

    *turn = Some(Process::start(like_it, server_log(world)).unwrap());
    eventually("the server's return", || {
        !jane.exec(&["ls"]).text.contains("failed calling webhook")
    });
    jane.exec(&["hostname"])
        .is_refused_with(&format!("your request {waiting} waits for a grant"));
    jane.exec(&["date"]).works_with("UTC");
    jane.exec(&["date"]).is_refused_with("was for one use");
    assert_eq!(scene.uses(&granted), 1);
}

// I9
#[test]
fn a_server_with_a_certificate_of_another_authority_is_not_believed() {
    let (world, _turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let configuration = ["validatingwebhookconfiguration", "kube-request-access"];
    let stored = scene
        .admin(["get", configuration[0], configuration[1], "-o", "json"])
        .text;
    let mut stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let trust = |bundle: &serde_json::Value| {
        let patch = serde_json::json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]);
        let patch = patch.to_string();
        scene
            .admin([
                "patch",
                configuration[0],
                configuration[1],
                "--type=json",
                "-p",
                &patch,
            ])
            .works_with("patched");
    };
    // Any certificate but the server's authority: the cluster's.
    let kubeconfig = std::fs::read_to_string(world.cluster.admin_kubeconfig()).unwrap();
    let kubeconfig: serde_json::Value = serde_json::from_str(&kubeconfig).unwrap();
    trust(&kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]);
    eventually("the other authority", || {
        jane.exec(&["ls"])
            .text
            .contains("signed by unknown authority")
    });
    let refused = jane.exec(&["date"]);
    trust(&stored["webhooks"][0]["clientConfig"]["caBundle"].take());
    refused.is_refused_with("failed calling webhook");
    assert_eq!(scene.uses(&request), 0);
    eventually("the server's own authority", || {
        jane.exec(&["ls"]).text.contains("what you ran is not")
    });
    jane.exec(&["date"]).works_with("UTC");
}
