//! Seals of requests and policies, and new keys: what was written past the server permits nothing,
//! and nothing ends because a key is renewed.

use std::fs;

use serde_json::{Value, json};

use kra_tests::{
    processes::{current, flag, fragile, restart},
    scene::{Person, Said, Scene, said},
    world::{self, eventually},
};

use crate::{
    planted::plant_policy,
    policies::{owner_applies, owner_deletes, policy},
};

fn allow(scene: &Scene, jane: &Person<'_>) -> Value {
    let subjects = json!([{"kind": "User", "name": jane.name}]);
    policy(
        scene,
        "Allow",
        json!({"subjects": subjects, "subresources": ["exec"], "commands": [{"exactly": ["date"]}]}),
    )
}

fn owner_seals(scene: &Scene, name: &str, version: &str) -> Said {
    let mut kubectl = scene.world.cluster.kubectl_as_admin();
    kubectl.args([
        "--as=kube-request-access:policy-owner",
        "--as-group=kube-request-access:policy-owners",
    ]);
    kubectl.args([
        "annotate",
        "accesspolicy",
        name,
        &format!("spreadgroup.com/seal={version}"),
        "--overwrite",
    ]);
    said(kubectl, "")
}

// K6
#[test]
fn a_policy_that_was_written_past_the_server_says_so_and_permits_nothing_until_its_owner_has_read_it()
 {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let policy = allow(&scene, &jane);
    let name = policy["metadata"]["name"].as_str().unwrap();
    plant_policy(&scene, &policy);
    scene
        .admin([
            "wait",
            "--for=condition=Sealed=false",
            "accesspolicy",
            name,
            "--timeout=60s",
        ])
        .works_with("met");
    jane.exec(&["date"]).is_refused_with("you have not asked");
    // What somebody else writes beside it does not vouch for it.
    let mut kubectl = scene.world.cluster.kubectl_as_admin();
    kubectl.args([
        "--as=kube-request-access:policy-owner",
        "--as-group=kube-request-access:policy-owners",
    ]);
    kubectl.args(["label", "accesspolicy", name, "app=gitops"]);
    said(kubectl, "").works_with("labeled");
    jane.exec(&["date"]).is_refused_with("you have not asked");
    owner_seals(&scene, name, "1")
        .is_refused_with("must be the resourceVersion of the policy that you have read");
    let read = scene.get("accesspolicy", name);
    owner_seals(
        &scene,
        name,
        read["metadata"]["resourceVersion"].as_str().unwrap(),
    )
    .works_with("annotated");
    eventually("the policy", || jane.exec(&["date"]).success);
    scene
        .admin([
            "wait",
            "--for=condition=Sealed",
            "accesspolicy",
            name,
            "--timeout=60s",
        ])
        .works_with("met");
    owner_deletes(&scene, &policy);
}

// K6
#[test]
fn keys_are_renewed_and_nothing_ends() {
    let (world, mut turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let allow = allow(&scene, &jane);
    owner_applies(&scene, &allow).works_with("created");
    let request = jane.ask(&["--valid-for", "1h"], &["hostname"]);
    amy.grant(&request);
    jane.exec(&["hostname"]).works_with("box");
    let name = allow["metadata"]["name"].as_str().unwrap();
    let seal = |object: Value| object["metadata"]["annotations"]["spreadgroup.com/seal"].clone();
    let seals = || {
        let (grant, request) = (format!("grant-{request}"), &request);
        let objects = [
            ("accesspolicy", name),
            ("accessgrant", &grant),
            ("accessrequest", request),
        ];
        objects.map(|(kind, name)| seal(scene.get(kind, name)))
    };
    let before = seals();
    let file = flag(current(world, &turn), "--seal-key-file").unwrap();
    let old = fs::read_to_string(&file).unwrap();
    let new = "b0a1".repeat(16);
    fs::write(&file, format!("{new}\n{old}")).unwrap();
    eventually("all are sealed anew", || {
        before
            .iter()
            .zip(seals())
            .all(|(before, now)| *before != now)
    });
    fs::write(&file, &new).unwrap();
    restart(world, &mut turn);
    eventually("the server's return", || jane.exec(&["date"]).success);
    jane.exec(&["hostname"]).works_with("box");
    amy.awaits(&request, "Granted");
    // A key that is gone without that takes all with it, and says so.
    fs::write(&file, "c0de".repeat(16)).unwrap();
    restart(world, &mut turn);
    scene
        .admin([
            "wait",
            "--for=condition=Sealed=false",
            "accesspolicy",
            name,
            "--timeout=60s",
        ])
        .works_with("met");
    jane.exec(&["date"])
        .is_refused_with("is not what was granted");
    jane.exec(&["hostname"])
        .is_refused_with("waits for a grant");
    let wait = [
        "wait",
        "--for=condition=Sealed=false",
        "acr",
        &request,
        "--timeout=60s",
    ];
    jane.kubectl(wait).works_with("met");
    fs::write(&file, &new).unwrap();
    eventually("the key is back", || {
        jane.exec(&["date"]).success && jane.exec(&["hostname"]).success
    });
    owner_deletes(&scene, &allow);
}
