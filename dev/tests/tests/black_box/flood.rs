//! The worst that a developer with the shipped role can send, many times at once, while others go on working.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::raw::{Answer, ByHand};
use kra_tests::{scene::Scene, world};

/// Many at once, of one person.
const AT_ONCE: usize = 64;

/// What one of the worst bodies is sent by.
type Send = fn(&ByHand, &str) -> Answer;

fn debugger(field: &str, list: &str) -> String {
    format!(r#"{{"spec":{{"ephemeralContainers":[{{"name":"x","image":"x","{field}":[{list}]}}]}}}}"#)
}

fn asked(spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"spreadgroup.com/v1","kind":"AccessRequest","metadata":{{"generateName":"flood-"}},"spec":{{
        "forObject":{{"resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"exec","name":"box"}},{spec}}}}}"#
    )
}

/// A list that fills three megabytes, which is what the API server takes.
fn many(item: &str) -> String {
    let count = 3_000_000 / (item.len() + 1);
    vec![item; count].join(",")
}

fn worst() -> Vec<(&'static str, Send, String)> {
    let patch: Send = |jane, body| jane.patch("box/ephemeralcontainers", body);
    let file: Send = |jane, body| jane.create("accessrequests", body);
    vec![
        ("variables of one name", patch, debugger("env", &many(r#"{"name":"a"}"#))),
        ("empty arguments", patch, debugger("args", &many(r#""""#))),
        ("a request of empty arguments", file, asked(&format!(r#""execOptions":{{"command":[{}]}}"#, many(r#""""#)))),
        (
            "a request of variables",
            file,
            asked(&format!(r#""ephemeralContainer":{{"image":"x","env":[{}]}}"#, many(r#"{"name":"a"}"#))),
        ),
    ]
}

fn restarts(scene: &Scene) -> Vec<Value> {
    let pods = scene.admin([
        "get",
        "pods",
        "-n",
        "kube-request-access",
        "-l",
        "app.kubernetes.io/name=kube-request-access",
        "-o",
        "json",
    ]);
    let pods: Value = serde_json::from_str(&pods.text).unwrap();
    let pods = pods["items"].as_array().unwrap().iter();
    pods.map(|pod| json!([pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]])).collect()
}

// K1
#[test]
fn one_developer_does_not_bring_the_server_down_and_others_go_on() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (scene.developer("jane"), scene.developer("bob"), scene.approver("amy"));
    amy.grant(&bob.ask(&["--valid-for", "1h"], &["date"]));
    let before = restarts(&scene);
    assert!(!before.is_empty());
    let bodies = worst();
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (scene, jane, bodies, sent) = (&scene, &jane, &bodies, &sent);
        for number in 0..AT_ONCE {
            scope.spawn(move || {
                let jane = ByHand::new(scene, jane);
                let (what, send, body) = &bodies[number % bodies.len()];
                let answer = send(&jane, body);
                let text = answer.text.get(..500).unwrap_or(&answer.text);
                assert!((400..500).contains(&answer.status), "{what}: {} {text}", answer.status);
                assert!(!text.contains("/validate") && !text.contains("/mutate"), "the path leaks: {text}");
                sent.fetch_add(1, Ordering::Relaxed);
            });
        }
        for _ in 0..5 {
            bob.exec(&["date"]).works_with("UTC");
        }
    });
    assert_eq!(sent.load(Ordering::Relaxed), AT_ONCE);
    bob.exec(&["date"]).works_with("UTC");
    assert_eq!(restarts(&scene), before, "a replica was restarted");
}

// K1
#[test]
fn what_is_too_large_is_refused_with_words() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let by_hand = ByHand::new(&scene, &jane);
    for (what, send, body) in worst() {
        let answer = send(&by_hand, &body);
        assert_eq!(answer.status, 413, "{what}: {answer:?}");
        assert!(answer.text.contains("because of its size"), "{what}: {}", answer.text);
    }
    let words = "command=%01&".repeat(80_000);
    let answer = by_hand.exec(&format!("{words}container=main&stdout=true"));
    assert!([413, 431].contains(&answer.status), "{answer:?}");
    assert!(jane.asks(&[], &["date"]).success, "and the server goes on");
}
