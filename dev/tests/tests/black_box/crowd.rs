//! Many requests at once, in the store and before it.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::asking::original;
use kra_tests::{
    scene::Scene,
    world::{self, Wish, World},
};

/// Writes so many requests that nobody has answered past the API server, each of the user whom a
/// function names.
fn plant(scene: &Scene, count: usize, user: impl Fn(usize) -> String) {
    let created = scene.get("pod", "box")["metadata"]["creationTimestamp"].take();
    for number in 0..count {
        let mut object = original(scene, &user(number));
        let name = format!("crowd-{number}");
        object["metadata"] = json!({
            "name": name, "namespace": scene.namespace, "uid": format!("22222222-{name}"), "creationTimestamp": created,
        });
        let key = format!(
            "/registry/spreadgroup.com/accessrequests/{}/{name}",
            scene.namespace
        );
        scene
            .world
            .cluster
            .plant(&key, object.to_string().as_bytes())
            .unwrap();
    }
}

// F26
#[test]
fn nobody_has_more_than_fifty_requests_open() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    plant(&scene, 50, |_| jane.name.clone());
    world::eventually("the watch", || {
        let said = jane.asks(&[], &["date"]);
        if said.success {
            jane.kubectl(["delete", "acr", &said.request()])
                .works_with("deleted");
        }
        said.text.contains("has 50 open requests in namespace")
            && said.text.contains("the maximum is 50")
    });
    amy.grant(&bob.ask(&[], &["date"]));
    bob.exec(&["date"]).works_with("UTC");
    jane.kubectl(["delete", "acr", "crowd-1"])
        .works_with("deleted");
    world::eventually("room for another", || jane.asks(&[], &["date"]).success);
}

// F22
#[test]
fn a_crowd_of_requests_makes_nobody_wait() {
    static WORLD: OnceLock<World> = OnceLock::new();
    // The whole crowd takes minutes, and a server of its own.
    let all = std::env::var_os("KRA_ALL").is_some();
    let world = if all {
        WORLD.get_or_init(|| World::start(Wish::default()))
    } else {
        world::standing()
    };
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    plant(&scene, if all { 10_000 } else { 500 }, |number| {
        format!("crowd-{}", number % 200)
    });
    let timed = |what: &str, budget: Duration, act: &dyn Fn()| {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let began = Instant::now();
                act();
                began.elapsed()
            })
            .collect();
        times.sort();
        assert!(times[19] < budget, "{what}: {times:?}");
    };
    // kubectl tries both transports, and the API server waits for ten seconds each time.
    timed("a denial", Duration::from_secs(20), &|| {
        jane.exec(&["date"]).is_refused_with("you have not asked");
    });
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    timed("an allow", Duration::from_secs(10), &|| {
        jane.exec(&["date"]).works_with("UTC");
    });
    let began = Instant::now();
    amy.kubectl(["request", "list"]).works_with(&request);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}
