//! The worst that a developer with the shipped role can send, many times at once, while others go
//! on working.

use serde_json::{Value, json};

use crate::raw::{Answer, ByHand};
use kra_tests::{scene::Scene, world};

/// What one of the worst bodies is sent by.
type Send = fn(&ByHand, &str) -> Option<Answer>;

fn debugger(field: &str, list: &str) -> String {
    format!(
        r#"{{"spec":{{"ephemeralContainers":[{{"name":"x","image":"x","{field}":[{list}]}}]}}}}"#
    )
}

fn asked(spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"spreadgroup.com/v1","kind":"AccessRequest","metadata":{{"generateName":"flood-"}},"spec":{{
        "forObject":{{"resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"exec","name":"box"}},{spec}}}}}"#
    )
}

/// A list that fills three megabytes, which is what the API server takes.
fn many(item: &str) -> String {
    let count = 3_000_000_usize
        .checked_div(item.len().saturating_add(1))
        .unwrap();
    vec![item; count].join(",")
}

fn worst() -> Vec<(&'static str, Send, String)> {
    let patch: Send = |jane, body| jane.patch("box/ephemeralcontainers", body);
    let file: Send = |jane, body| jane.create("accessrequests", body);
    vec![
        (
            "variables of one name",
            patch,
            debugger("env", &many(r#"{"name":"a"}"#)),
        ),
        ("empty arguments", patch, debugger("args", &many(r#""""#))),
        (
            "a request of empty arguments",
            file,
            asked(&format!(
                r#""execOptions":{{"command":[{}]}}"#,
                many(r#""""#)
            )),
        ),
        (
            "a request of variables",
            file,
            asked(&format!(
                r#""ephemeralContainer":{{"image":"x","env":[{}]}}"#,
                many(r#"{"name":"a"}"#)
            )),
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
    pods.map(|pod| {
        json!([
            pod["metadata"]["uid"],
            pod["status"]["containerStatuses"][0]["restartCount"]
        ])
    })
    .collect()
}

// K1
#[test]
fn one_developer_does_not_bring_the_server_down_and_others_go_on() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    amy.grant(&bob.ask(&["--valid-for", "1h"], &["date"]));
    let before = restarts(&scene);
    assert!(!before.is_empty());
    let bodies = worst();
    // One by one, each is refused with words.
    for (what, send, body) in &bodies {
        let answer = send(&ByHand::new(&scene, &jane), body).unwrap();
        assert_eq!(answer.status, 413, "{what}: {answer:?}");
        assert!(
            answer.text.contains("because of its size"),
            "{what}: {}",
            answer.text
        );
    }
    // At once, the API server itself is what is slow, and may not answer in time.
    let at_once = if std::env::var_os("KRA_ALL").is_some() {
        64
    } else {
        4
    };
    std::thread::scope(|scope| {
        let (scene, jane, bodies) = (&scene, &jane, &bodies);
        for number in 0..at_once {
            scope.spawn(move || {
                let (what, send, body) = &bodies[number % bodies.len()];
                let Some(answer) = send(&ByHand::new(scene, jane), body) else {
                    return;
                };
                let text: String = answer.text.chars().take(500).collect();
                // Where all the machine is busy the API server gets through to nobody in time, and
                // refuses by itself.
                let late = answer.status == 500 && text.contains("failed calling webhook");
                assert!(
                    late || [413, 429].contains(&answer.status),
                    "{what}: {} {text}",
                    answer.status
                );
            });
        }
        for _ in 0..5 {
            bob.exec(&["date"]).works_with("UTC");
        }
    });
    bob.exec(&["date"]).works_with("UTC");
    assert_eq!(restarts(&scene), before, "a replica was restarted");
}
