//! What fails after all, what goes on, and what is sent otherwise than kubectl does.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    Door::{self, Attach, Exec, PortForward},
    NOT_ASKED,
    raw::Raw,
};
use kra_tests::{
    scene::{IMAGE, NODE, Person, Scene},
    world::{self, eventually, within},
};

fn pod(scene: &Scene, name: &str, node: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": scene.namespace},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "100000"]},
        ]},
    })
}

fn door_path(scene: &Scene, pod: &str, rest: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{pod}/{rest}", scene.namespace)
}

/// How many attempts of somebody the audit was told of, with this in them.
fn told(scene: &Scene, person: &Person<'_>, what: &str) -> usize {
    let log = scene.world.log_of("audit-receiver");
    log.lines()
        .filter(|line| {
            line.contains(&person.name) && line.contains("audit-exec") && line.contains(what)
        })
        .count()
}

/// A proxy that passes on all but the headers of an upgrade, by somebody's certificate; answers
/// with its address.
fn stripping_proxy(raw: Raw) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // It ends with this process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut lines = stream.by_ref().lines().map(Result::unwrap);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let mut words = first.split(' ');
            let (Some(method), Some(path)) = (words.next(), words.next()) else {
                continue;
            };
            let (status, body) = raw.send(method, path);
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
            );
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            // Whoever does not wait for the answer may be gone.
            let _gone: std::io::Result<()> = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

// E8: kubectl tries WebSocket, which fails behind the gate, and falls back to SPDY, which is
// another review.
#[test]
fn where_a_proxy_breaks_upgrades_a_single_use_is_gone_and_kubectl_says_so() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let server = format!("--server={}", stripping_proxy(Raw::of(&jane)));
    let said = jane.kubectl([&server, "exec", "box", "-c", "main", "--", "date"]);
    // So soon after it was spent, it may not stand in the request yet that the first review was
    // answered.
    said.is_refused_with(&format!(
        "your request {request} (granted by {}) was for one use, ",
        amy.name
    ));
    assert_eq!(
        said.text.matches("denied the request").count(),
        1,
        "{}",
        said.text
    );
    assert_eq!(scene.uses(&request), 1);
    eventually("the audit of both", || {
        told(&scene, &jane, r#""allowed":true"#) == 1
            && told(&scene, &jane, r#""allowed":false"#) == 1
    });
}

// E8
#[test]
fn where_the_kubelet_is_gone_a_single_use_is_too_and_kubectl_says_why() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let node = format!("gone-{}", scene.namespace);
    scene.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}));
    let patch = |kind: &str, name: &str, status: &Value| {
        let status = json!({"status": status}).to_string();
        let arguments = [
            "patch",
            "-n",
            &scene.namespace,
            kind,
            name,
            "--subresource=status",
            "-p",
            &status,
        ];
        scene.admin(arguments).works_with("patched");
    };
    let addresses = json!([{"type": "InternalIP", "address": NODE}]);
    patch(
        "node",
        &node,
        &json!({"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}),
    );
    scene.apply(&pod(&scene, "lost", Some(&node)));
    let running = json!([{
        "name": "main", "image": IMAGE, "imageID": IMAGE, "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }]);
    patch(
        "pod",
        "lost",
        &json!({"phase": "Running", "containerStatuses": running}),
    );

    let request = jane
        .kubectl(["request", "exec", "lost", "-c", "main", "--", "date"])
        .request();
    amy.grant(&request);
    jane.exec_in("lost", &["date"])
        .is_refused_with("connection refused");
    assert_eq!(scene.uses(&request), 1);
    jane.exec_in("lost", &["date"])
        .is_refused_with("was for one use, ");
    eventually("the audit of what was allowed", || {
        told(&scene, &jane, r#""allowed":true"#) == 1
    });
    scene
        .admin(["delete", "pod", "-n", &scene.namespace, "lost", "--force"])
        .works_with("deleted");
    scene.admin(["delete", "node", &node]).works_with("deleted");
}

// E10
#[rstest]
#[case::exec(Exec, &["pending", "-c", "main", "--", "date"], "exec?command=date&container=main&stdout=true")]
#[case::attach(Attach, &["pending", "-c", "main"], "attach?container=main&stdout=true")]
#[case::port_forward(PortForward, &["pending", "8080"], "portforward")]
fn a_pod_that_does_not_run_yet_costs_nothing(
    #[case] door: Door,
    #[case] words: &[&str],
    #[case] rest: &str,
) {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    // No scheduler runs.
    scene.apply(&pod(&scene, "pending", None));
    let request = jane
        .kubectl(["request", door.verb()].iter().chain(words))
        .request();
    amy.grant(&request);
    let raw = Raw::of(&jane);
    raw.is_denied(
        "POST",
        &door_path(&scene, "pending", rest),
        "does not run; nothing was used up",
    );
    assert_eq!(scene.uses(&request), 0);
}

// E10
#[test]
fn a_container_that_is_not_there_costs_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let rest = "exec?command=date&container=nothing&stdout=true";
    Raw::of(&jane).is_denied("POST", &door_path(&scene, "box", rest), "another container");
    assert_eq!(scene.uses(&request), 0);
}

// E16
#[test]
fn a_session_outlives_its_grant_and_another_does_not_begin() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let command = ["sh", "-c", "sleep 12; echo survived"];
    let request = jane.ask(&["--valid-for", "8s"], &command);
    amy.grant(&request);
    jane.exec(&command).works_with("survived");
    jane.exec(&command).is_refused_with(&format!(
        "your access by request {request} (granted by {}) ended",
        amy.name
    ));
}

// F16
#[test]
fn an_init_container_is_another_one_and_does_not_run() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mut two = pod(&scene, "two", Some(NODE));
    let setup =
        json!({"name": "setup", "image": IMAGE, "imagePullPolicy": "Never", "command": ["true"]});
    two["spec"]["initContainers"] = json!([setup]);
    scene.apply(&two);
    scene
        .admin([
            "wait",
            "-n",
            &scene.namespace,
            "--for=condition=Ready",
            "--timeout=60s",
            "pod/two",
        ])
        .works_with("met");
    let grant = |container: &str| {
        let ask = [
            "request",
            "exec",
            "--valid-for",
            "1h",
            "two",
            "-c",
            container,
            "--",
            "date",
        ];
        amy.grant(&jane.kubectl(ask).request());
    };
    let raw = Raw::of(&jane);
    let path = door_path(
        &scene,
        "two",
        "exec?command=date&container=setup&stdout=true",
    );
    grant("main");
    raw.is_denied("POST", &path, "another container");
    grant("setup");
    raw.is_denied("POST", &path, "does not run; nothing was used up");
}

// F16: kubectl takes the container that the annotation names, and says so to the API server.
#[test]
fn an_annotation_that_names_another_default_container_opens_nothing() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(
        &jane
            .kubectl([
                "request",
                "exec",
                "--valid-for",
                "1h",
                "box",
                "--",
                "hostname",
            ])
            .request(),
    );
    let run = |person: &Person<'_>| person.kubectl(["exec", "box", "--", "hostname"]);
    run(&jane).works_with("box");
    let annotation = "kubectl.kubernetes.io/default-container=side";
    scene
        .admin(["annotate", "pod", "-n", &scene.namespace, "box", annotation])
        .works_with("annotated");
    within(Duration::from_secs(10), "the other container", || {
        run(&jane).text.contains("another container")
    });
}

// A6: the ports of a port-forward travel inside the stream.
#[test]
fn kubectl_does_not_tell_the_api_server_which_ports_it_forwards() {
    let scene = Scene::new(world::standing());
    let said = scene
        .developer("jane")
        .kubectl(["-v=8", "port-forward", "box", ":8080"]);
    said.is_refused_with(NOT_ASKED);
    let sent: Vec<&str> = said
        .text
        .lines()
        .filter(|line| line.contains("/pods/box/portforward"))
        .collect();
    assert!(
        !sent.is_empty() && sent.iter().all(|line| !line.contains("8080")),
        "{}",
        said.text
    );
}
