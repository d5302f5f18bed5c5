//! Doors that are not ours: what SECURITY.md says is not stopped goes through, so that a change of
//! that is noticed. And those who seem to belong to the system, and have to ask like anybody.

use rstest::rstest;
use serde_json::json;

use super::{NOT_ASKED, owner};
use kra_tests::{
    scene::{IMAGE, NODE, Scene},
    world,
};

// A15, A16
#[test]
fn kubectl_debug_that_makes_another_pod_is_not_stopped_and_the_pod_itself_is() {
    let scene = Scene::new(world::standing());
    let owner = owner(&scene, "owner");
    let image = format!("--image={IMAGE}");
    owner
        .kubectl(["debug", "box", "--copy-to=copy", &image, "--", "true"])
        .works_with("");
    assert!(scene.exists("pod", "copy"));
    owner
        .kubectl(["debug", &format!("node/{NODE}"), &image, "--", "true"])
        .works_with("Creating debugging pod");
    owner
        .kubectl(["debug", "box", &image, "--", "true"])
        .is_refused_with(NOT_ASKED);
    owner.exec(&["id"]).is_refused_with(NOT_ASKED);
}

// A17, A18, A19, A20, A21, A23: only dry runs, which admission sees like others.
#[test]
fn changing_what_a_pod_runs_is_not_stopped() {
    let scene = Scene::new(world::standing());
    let owner = owner(&scene, "owner");
    scene.create_deployment("web");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "main", "image": IMAGE}]},
    });
    owner
        .kubectl_with(&pod.to_string(), ["create", "--dry-run=server", "-f", "-"])
        .works_with("created");
    owner
        .kubectl([
            "set",
            "image",
            "--dry-run=server",
            "deploy/web",
            "main=evil:1",
        ])
        .works_with("image updated");
    let exec = json!({"exec": {"command": ["id"]}});
    for (field, value) in [
        ("command", json!(["sh", "-c", "id"])),
        ("lifecycle", json!({"postStart": exec})),
        ("livenessProbe", exec.clone()),
    ] {
        let place = format!("/spec/template/spec/containers/0/{field}");
        let patch = json!([{"op": "add", "path": place, "value": value}]).to_string();
        owner
            .kubectl([
                "patch",
                "--dry-run=server",
                "deploy/web",
                "--type=json",
                "-p",
                &patch,
            ])
            .works_with("patched");
    }
    let script = [
        "create",
        "configmap",
        "--dry-run=server",
        "script",
        "--from-literal=run.sh=id",
    ];
    owner.kubectl(script).works_with("created");
    let hook = r#"pre.hook.backup.velero.io/command=["id"]"#;
    owner
        .kubectl(["annotate", "--dry-run=server", "pod/box", hook])
        .works_with("annotated");
}

// A22, A23, H2, H10
#[rstest]
#[case::operator("system:serviceaccount:kube-system:operator")]
#[case::backup("system:serviceaccount:velero:velero")]
#[case::own_server("system:serviceaccount:kube-request-access:kube-request-access")]
#[case::controller("system:kube-controller-manager")]
#[case::node("system:node:127.0.0.1")]
fn what_seems_to_belong_to_the_system_has_to_ask_too(#[case] user: &str) {
    let scene = Scene::new(world::standing());
    let flag = format!("--user={user}");
    let name = format!("system-{}", scene.namespace);
    let binding = [
        "create",
        "clusterrolebinding",
        &name,
        "--clusterrole=cluster-admin",
        &flag,
    ];
    scene.admin(binding).works_with("created");
    let who = format!("--as={user}");
    let said = scene
        .root()
        .kubectl(["exec", &who, "box", "-c", "main", "--", "id"]);
    scene
        .admin(["delete", "clusterrolebinding", &name])
        .works_with("deleted");
    said.is_refused_with(NOT_ASKED);
}
