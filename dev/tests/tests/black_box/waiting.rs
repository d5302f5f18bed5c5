//! `--in-band-wait`: one plain `kubectl exec` that is held until somebody grants it.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use kra_tests::{
    scene::{Person, Said, Scene},
    world::{self, eventually},
};
use serde_json::json;

use crate::policies::{owner_applies, owner_deletes, policy};

/// The pending requests of a scene.
fn pending(scene: &Scene) -> Vec<String> {
    let listed = scene.admin([
        "get",
        "accessrequests",
        "-n",
        &scene.namespace,
        "-o",
        "json",
    ]);
    let listed: serde_json::Value = serde_json::from_str(&listed.text).unwrap();
    let is_pending = |request: &&serde_json::Value| request["status"]["phase"] == "Pending";
    let name =
        |request: &serde_json::Value| request["metadata"]["name"].as_str().unwrap().to_owned();
    listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(is_pending)
        .map(name)
        .collect()
}

/// The only request that waits, once there is one.
fn awaited(scene: &Scene) -> String {
    let mut waits = Vec::new();
    eventually("a request that waits", || {
        waits = pending(scene);
        !waits.is_empty()
    });
    assert_eq!(waits.len(), 1, "{waits:?}");
    waits.remove(0)
}

/// Something that is typed, and answered while it waits.
fn meanwhile(typed: impl FnOnce() -> Said + Send, answer: impl FnOnce()) -> Said {
    thread::scope(|scope| {
        let typed = scope.spawn(typed);
        answer();
        typed.join().unwrap()
    })
}

fn approve(amy: &Person<'_>, request: &str) {
    amy.kubectl(["request", "approve", &amy.exactly(request), "--yes"])
        .works_with("created grant grant-");
}

#[test]
fn one_plain_exec_waits_for_its_grant_and_runs_once() {
    let scene = Scene::new(world::waiting());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut request = String::new();
    let ran = meanwhile(
        || jane.exec(&["sh", "-c", "echo seen; exit 7"]),
        || {
            request = awaited(&scene);
            amy.kubectl(["request", "show", &request])
                .works_with(&jane.name);
            approve(&amy, &request);
        },
    );
    ran.ends_with(7, "seen\n");
    assert_eq!(scene.uses(&request), 1);
    let filed = scene.get("accessrequest", &request);
    assert_eq!(
        filed["spec"]["createdBy"]["username"],
        "system:serviceaccount:kube-request-access:kube-request-access"
    );
    assert_eq!(
        filed["spec"]["userInfo"]["groups"],
        json!(["devs", "system:authenticated"])
    );
    jane.exec(&["sh", "-c", "echo seen; exit 7"])
        .is_refused_with("was for one use");
}

#[test]
fn cp_from_a_pod_waits_too() {
    let scene = Scene::new(world::waiting());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let to = scene
        .world
        .cluster
        .dir()
        .join(format!("{}-passwd", scene.namespace));
    let from = format!("{}/box:/etc/passwd", scene.namespace);
    let copy = || jane.kubectl(["cp", &from, to.to_str().unwrap(), "-c", "main"]);
    meanwhile(copy, || approve(&amy, &awaited(&scene))).works_with("");
    assert!(std::fs::read_to_string(to).unwrap().contains("root:"));
}

#[test]
fn whoever_is_not_answered_learns_the_name_of_her_request_and_is_held_over_one_transport_only() {
    let scene = Scene::new(world::waiting());
    let jane = scene.developer("jane");
    let began = Instant::now();
    let said = jane.exec(&["date"]);
    let took = began.elapsed();
    let request = awaited(&scene);
    said.is_refused_with(&format!("your request {request} waits for a grant"));
    assert!(
        Duration::from_secs(20) < took && took < Duration::from_secs(45),
        "{took:?}"
    );
    let began = Instant::now();
    jane.exec(&["date"])
        .is_refused_with(&format!("your request {request} waits for a grant"));
    assert!(began.elapsed() < Duration::from_secs(10), "it has waited");
}

#[test]
fn five_tries_at_once_are_one_request_and_one_use() {
    let scene = Scene::new(world::waiting());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut request = String::new();
    let all = thread::scope(|scope| {
        // All but one wait: a person has four places.
        let tries: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| jane.exec(&["echo", "seen"])))
            .collect();
        request = awaited(&scene);
        approve(&amy, &request);
        tries
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(all.iter().filter(|said| said.success).count(), 1, "one use");
    assert_eq!(scene.uses(&request), 1);
    eventually("that nothing waits", || pending(&scene).is_empty());
}

#[test]
fn a_denial_ends_the_wait_with_its_reason() {
    let scene = Scene::new(world::waiting());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let deny = || {
        let request = awaited(&scene);
        amy.kubectl([
            "request",
            "deny",
            &request,
            "--yes",
            "--reason",
            "not today",
        ])
        .works_with("created grant deny-");
    };
    meanwhile(|| jane.exec(&["date"]), deny).is_refused_with("(not today)");
    jane.exec(&["date"]).is_refused_with("(not today)");
    eventually(
        "that nothing waits, for a denial is not asked again",
        || pending(&scene).is_empty(),
    );
}

#[test]
fn whoever_presses_ctrl_c_uses_nothing_up() {
    let scene = Scene::new(world::waiting());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut exec = jane.command(["exec", "box", "-c", "main", "--", "echo", "seen"]);
    let mut waiting = exec
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = awaited(&scene);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    // The API server notices within the second, and hangs up.
    eventually("the end of the wait", || {
        let log = scene.world.server_log();
        log.lines()
            .any(|line| line.contains(&request) && line.contains("\"attempt\""))
    });
    approve(&amy, &request);
    jane.awaits(&request, "Granted");
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["echo", "seen"]).works_with("seen");
    assert_eq!(scene.uses(&request), 1);
}

#[test]
fn where_a_reason_is_wanted_nothing_is_filed_and_nobody_waits() {
    let scene = Scene::new(world::waiting());
    let jane = scene.developer("jane");
    let policy = policy(
        &scene,
        "Require",
        json!({"reason": {"pattern": "INC-[0-9]+", "prompt": "the incident, INC-1234"}}),
    );
    owner_applies(&scene, &policy).works_with("created");
    eventually("the policy", || {
        let why = jane.kubectl(["request", "why", "exec", "box", "-c", "main", "--", "date"]);
        why.text.contains("the incident")
    });
    let began = Instant::now();
    jane.exec(&["date"]).is_refused_with("kubectl request exec");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(pending(&scene).is_empty());
    owner_deletes(&scene, &policy);
}
