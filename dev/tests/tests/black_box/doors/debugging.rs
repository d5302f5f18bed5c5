//! Debug containers: what is added by hand, what differs, and what comes after.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    AIM, ANSWER,
    Door::{Debug, DebugAttach},
    NOT_ASKED, People,
    Transport::WebSocket,
    debugger,
    raw::Raw,
};
use kra_tests::{
    scene::{IMAGE, Scene, said_until},
    world,
};

fn container(name: &str) -> Value {
    json!({"name": name, "image": IMAGE, "command": ["echo", ANSWER], "targetContainerName": "main"})
}

// A12
#[rstest]
#[case::strategic_patch("PATCH", "application/strategic-merge-patch+json", |_: Value| json!({"spec": {"ephemeralContainers": [container("x")]}}))]
#[case::merge_patch("PATCH", "application/merge-patch+json", |_: Value| json!({"spec": {"ephemeralContainers": [container("x")]}}))]
#[case::json_patch("PATCH", "application/json-patch+json", |_: Value| json!([{"op": "add", "path": "/spec/ephemeralContainers", "value": [container("x")]}]))]
#[case::put("PUT", "application/json", |mut pod: Value| { pod["spec"]["ephemeralContainers"] = json!([container("x")]); pod })]
#[case::server_side_apply("PATCH", "application/apply-patch+yaml", |_: Value| json!({
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "box"}, "spec": {"ephemeralContainers": [container("x")]},
}))]
fn a_container_is_added_in_no_way_without_a_grant(
    #[case] method: &str,
    #[case] content: &str,
    #[case] body: fn(Value) -> Value,
) {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let role = ["--verb=update,patch", "--resource=pods/ephemeralcontainers"];
    scene
        .admin([
            "create",
            "role",
            "-n",
            &scene.namespace,
            "adder",
            role[0],
            role[1],
        ])
        .works_with("created");
    let binding = ["adder", "--role=adder", &format!("--user={}", jane.name)];
    scene
        .admin(
            ["create", "rolebinding", "-n", &scene.namespace]
                .iter()
                .chain(&binding),
        )
        .works_with("created");
    let (raw, body) = (Raw::of(&jane), body(scene.get("pod", "box")).to_string());
    for dry_run in ["", "&dryRun=All"] {
        let query = format!("fieldManager=test{dry_run}");
        let path = format!(
            "/api/v1/namespaces/{}/pods/box/ephemeralcontainers?{query}",
            scene.namespace
        );
        let (status, said) = raw.send_with(method, &path, content, &body);
        assert!(status == 403 && said.contains(NOT_ASKED), "{status} {said}");
    }
    assert_eq!(
        scene.get("pod", "box")["spec"]["ephemeralContainers"],
        Value::Null
    );
}

// A13
#[rstest]
#[case::image(&["--image=localhost/other:1"], r#"image: granted is "localhost/busybox:1", you sent "localhost/other:1""#)]
#[case::privileged(&["--image=localhost/busybox:1", "--profile=sysadmin"], r#"you sent {"privileged":true}"#)]
#[case::environment(&["--image=localhost/busybox:1", "--env=LD_PRELOAD=/x"], r#"env: granted is nothing, you sent [{"name":"LD_PRELOAD","value":"/x"}]"#)]
#[case::image_of_the_node(&["--image=localhost/busybox:1", "--image-pull-policy=Never"], r#"imagePullPolicy: granted is nothing, you sent "Never""#)]
fn another_debug_container_than_was_granted_is_not_added(
    #[case] flags: &[&str],
    #[case] text: &str,
) {
    let people = People::new();
    let request = people.granted(Debug, &[]);
    let command = ["--target=main", "--", "echo", ANSWER];
    let said = people
        .jane
        .kubectl(["debug", "talk"].iter().chain(flags).chain(&command));
    said.is_refused_with(text);
    assert_eq!(people.jane.scene.uses(&request), 0);
}

// A13
#[test]
fn a_second_container_does_not_come_with_a_granted_one() {
    let people = People::new();
    let request = people.granted(Debug, &["--profile=baseline"]);
    let raw = Raw::of(&people.jane);
    let url = format!(
        "/api/v1/namespaces/{}/pods/talk/ephemeralcontainers",
        people.jane.scene.namespace
    );
    let patch =
        |containers: &[Value]| json!({"spec": {"ephemeralContainers": containers}}).to_string();
    let send = |query: &str, body: &str| {
        raw.send_with(
            "PATCH",
            &format!("{url}{query}"),
            "application/strategic-merge-patch+json",
            body,
        )
    };
    let name = |number: u8| format!("{}-{number}", people.jane.name);
    let (status, said) = send("", &patch(&[container(&name(1)), container(&name(2))]));
    assert!(
        status == 403 && said.contains("nothing is allowed"),
        "{status} {said}"
    );
    // A dry run is decided on, and uses nothing up.
    let one = patch(&[container(&name(1))]);
    let (status, said) = send("?dryRun=All", &one);
    assert_eq!(
        (status, people.jane.scene.uses(&request)),
        (200, 0),
        "{said}"
    );
    let (status, said) = send("", &one);
    assert_eq!(
        (status, people.jane.scene.uses(&request)),
        (200, 1),
        "{said}"
    );
}

// A14
#[test]
fn a_debug_container_is_entered_only_by_who_added_it_and_as_was_granted() {
    let (people, other) = (People::new(), People::new());
    let (jane, bob) = (&people.jane, &other.jane);
    let request = people.granted(DebugAttach, &[]);
    // Added by hand, so that somebody else comes first.
    let words = DebugAttach.words(jane, AIM);
    let words = words.iter().filter(|word| *word != "--attach");
    let name = debugger(&jane.kubectl(["debug".to_owned()].iter().chain(words)));
    world::eventually("the debug container", || {
        jane.kubectl(["logs", "talk", "-c", &name])
            .text
            .contains(ANSWER)
    });
    let attach = ["attach", "talk", "-c", &name];
    bob.kubectl(attach).is_refused_with(NOT_ASKED);
    jane.kubectl(["exec", "talk", "-c", &name, "--", "id"])
        .is_refused_with(NOT_ASKED);
    // Of another container this request says nothing.
    jane.kubectl(["attach", "talk", "-c", "main"])
        .is_refused_with(NOT_ASKED);
    assert_eq!(jane.scene.uses(&request), 1);
    said_until(jane.command(attach), "", |text| {
        text.lines().any(|line| line == ANSWER)
    })
    .works_with("");
    assert_eq!(jane.scene.uses(&request), 2);
    jane.kubectl(attach).is_refused_with("was for one use");
}

// A14
#[test]
fn a_request_for_a_debug_container_alone_lets_nobody_attach() {
    let people = People::new();
    let request = people.granted(Debug, &[]);
    let name = debugger(&Debug.tries(&people.jane, WebSocket, &[], AIM));
    people
        .jane
        .kubectl(["attach", "talk", "-c", &name])
        .is_refused_with(NOT_ASKED);
    assert_eq!(people.jane.scene.uses(&request), 1);
}

// E18: the API server asks again, with another review, when the pod's status was written meanwhile.
#[test]
fn a_status_that_is_written_meanwhile_costs_no_second_use_and_stops_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (
        scene.developer("jane"),
        scene.approver("amy"),
        Raw::of(&scene.root()),
    );
    let line = [
        "box",
        "--image=localhost/busybox:1",
        "--target=main",
        "--",
        "echo",
        ANSWER,
    ];
    let pod = format!("/api/v1/namespaces/{}/pods/box/status", scene.namespace);
    let allowed = || {
        let log = scene.world.log_of("audit-receiver");
        let hers = |line: &&str| line.contains(&jane.name) && line.contains(r#""allowed":true"#);
        log.lines().filter(hers).count()
    };
    for round in 1..=10 {
        let request = jane
            .kubectl(["request", "debug"].iter().chain(&line))
            .request();
        amy.grant(&request);
        let (before, ended) = (allowed(), AtomicBool::new(false));
        let status = format!(
            "/apis/spreadgroup.com/v1/namespaces/{}/accessrequests/{request}",
            scene.namespace
        );
        let said = thread::scope(|threads| {
            // Until the use stands in the request the first review is not answered: what is written
            // conflicts.
            threads.spawn(|| {
                for number in 0.. {
                    let reason = format!("conflict-{round}-{number}");
                    let patch = json!({"status": {"reason": reason}}).to_string();
                    root.send_with("PATCH", &pod, "application/merge-patch+json", &patch);
                    if ended.load(Ordering::Relaxed)
                        || root.send("GET", &status).1.contains(r#""reviewUID""#)
                    {
                        return;
                    }
                }
            });
            let said = jane.kubectl(["debug"].iter().chain(&line));
            ended.store(true, Ordering::Relaxed);
            said
        });
        said.works_with("debugger-");
        assert_eq!(scene.uses(&request), 1);
        jane.kubectl(["debug"].iter().chain(&line))
            .is_refused_with("was for one use");
        let mut reviews = 0;
        world::eventually("the audit of what was allowed", || {
            reviews = allowed() - before;
            reviews > 0
        });
        if reviews > 1 {
            return;
        }
    }
    panic!("no status was written at the right moment");
}
