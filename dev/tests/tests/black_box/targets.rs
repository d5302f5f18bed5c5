//! Which pod, which container.

use serde_json::json;

use kra_tests::{scene::Scene, world};

// D15
#[test]
fn a_re_created_pod_inherits_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["hostname"]));
    jane.exec(&["hostname"]).works_with("box");
    scene
        .admin(["delete", "pod", "-n", &scene.namespace, "box"])
        .works_with("deleted");
    scene.create_pod("box");
    jane.exec(&["hostname"])
        .is_refused_with("was granted for another pod: this one is not it, or is gone");
}

#[test]
fn a_request_for_a_workload_survives_its_pods_and_covers_no_other() {
    let scene = Scene::new(world::standing());
    scene.create_deployment("web");
    scene.create_deployment("other");
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let ask = [
        "request",
        "exec",
        "--valid-for",
        "1h",
        "deploy/web",
        "--",
        "hostname",
    ];
    let request = jane.kubectl(ask).request();
    let stored = scene.get("accessrequest", &request);
    assert_eq!(
        stored["spec"]["forObject"]["resource"],
        json!({"group": "apps", "version": "v1", "resource": "deployments"})
    );
    amy.grant(&request);
    jane.kubectl(["exec", "deploy/web", "--", "hostname"])
        .works_with("web-");
    scene
        .admin([
            "rollout",
            "restart",
            "-n",
            &scene.namespace,
            "deployment/web",
        ])
        .works_with("restarted");
    scene.rolled_out("web");
    jane.kubectl(["exec", "deploy/web", "--", "hostname"])
        .works_with("web-");
    jane.kubectl(["exec", "deploy/other", "--", "hostname"])
        .is_refused_with("for another pod");
    jane.exec(&["hostname"]).is_refused_with("for another pod");

    let pinned = jane
        .kubectl([
            "request",
            "exec",
            "--pin-pod",
            "deploy/other",
            "--",
            "hostname",
        ])
        .request();
    let stored = scene.get("accessrequest", &pinned);
    assert_eq!(stored["spec"]["forObject"]["resource"]["resource"], "pods");
}

#[test]
fn what_does_not_exist_cannot_be_asked_for() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    jane.kubectl(["request", "exec", "nothing", "--", "date"])
        .is_refused_with("not found");
    jane.kubectl(["request", "exec", "deploy/nothing", "--", "date"])
        .is_refused_with("not found");
    jane.kubectl(["request", "exec", "box", "-c", "nothing", "--", "date"])
        .is_refused_with("nothing");
    jane.kubectl(["request", "exec", "svc/box", "--", "date"])
        .is_refused_with("svc");
}

// F16
#[test]
fn other_people_other_containers_and_other_pods_are_not_covered() {
    let scene = Scene::new(world::standing());
    scene.create_pod("other");
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let request = jane.ask(&[], &["hostname"]);
    amy.grant(&request);
    bob.exec(&["hostname"])
        .is_refused_with("you have not asked");
    jane.exec_in("other", &["hostname"])
        .is_refused_with("you have not asked");
    jane.kubectl(["exec", "box", "-c", "side", "--", "hostname"])
        .is_refused_with("another container");
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["hostname"]).works_with("box");
}

// E10
#[test]
fn a_container_that_does_not_run_costs_nothing() {
    let scene = Scene::new(world::standing());
    let container = |name: &str, command: &[&str]| json!({"name": name, "image": "localhost/busybox:1", "imagePullPolicy": "Never", "command": command});
    scene.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "half", "namespace": scene.namespace},
        "spec": {"nodeName": "127.0.0.1", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [
            container("main", &["true"]), container("side", &["sleep", "100000"]),
        ]},
    }));
    let ended =
        "jsonpath={.status.containerStatuses[?(@.name==\"main\")].state.terminated.exitCode}";
    world::eventually("the container's end", || {
        scene
            .admin(["get", "pod", "-n", &scene.namespace, "half", "-o", ended])
            .text
            == "0"
    });
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane
        .kubectl(["request", "exec", "half", "-c", "main", "--", "date"])
        .request();
    amy.grant(&request);
    jane.exec_in("half", &["date"])
        .is_refused_with("the container does not run; nothing was used up");
    assert_eq!(scene.uses(&request), 0);
}

#[test]
fn a_pinned_request_is_for_that_pod_only() {
    let scene = Scene::new(world::standing());
    scene.create_deployment("web");
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let ask = [
        "request",
        "exec",
        "--pin-pod",
        "--valid-for",
        "1h",
        "deploy/web",
        "--",
        "hostname",
    ];
    let request = jane.kubectl(ask).request();
    let pod = scene.get("accessrequest", &request)["spec"]["forObject"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    amy.grant(&request);
    jane.kubectl(["exec", "deploy/web", "--", "hostname"])
        .works_with(&pod);
    scene
        .admin([
            "rollout",
            "restart",
            "-n",
            &scene.namespace,
            "deployment/web",
        ])
        .works_with("restarted");
    scene.rolled_out("web");
    jane.kubectl(["exec", "deploy/web", "--", "hostname"])
        .is_refused_with("you have not asked");
}

#[test]
fn what_fails_in_the_container_is_used_up_once_and_told_as_kubectl_does() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["sh", "-c", "echo seen; exit 7"]);
    amy.grant(&request);
    jane.exec(&["sh", "-c", "echo seen; exit 7"])
        .is_refused_with("command terminated with exit code 7");
    assert_eq!(scene.uses(&request), 1);
    jane.exec(&["sh", "-c", "echo seen; exit 7"])
        .is_refused_with("was for one use");
}
