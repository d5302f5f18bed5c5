//! The doors beside exec, with reviews recorded from a real API server: attach, port-forward, debug
//! containers, cp, and the proxies that nobody can ask for.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    objects::{file, filing, stamp},
    records::Log,
    world::{POD, REQUEST, Said, Settings, World, recorded},
};

/// The pod of the recorded debug review.
const DEBUGGED: &str = "004ebe2a-2504-4c84-8abe-9160dd3a0967";

/// jane tries a recorded door.
async fn tries(
    world: &World,
    name: &str,
    review_uid: &str,
    change: impl FnOnce(&mut Value),
) -> Said {
    let mut review = recorded(name);
    review["request"]["uid"] = json!(review_uid);
    change(&mut review["request"]);
    world
        .post("/validate?timeout=10s", review.to_string())
        .await
}

fn interactive() -> Settings {
    Settings {
        allow_interactive: true,
        ..Settings::default()
    }
}

/// A world in which jane was granted this instead of `date`.
fn granted(spec: &Value) -> World {
    World::granted_with(interactive(), |request| ask_for(&mut request["spec"], spec))
}

/// Makes a request for something else of one for a command.
fn ask_for(spec: &mut Value, other: &Value) {
    spec["execOptions"] = json!({});
    for (field, value) in other.as_object().unwrap() {
        if field == "subResource" {
            spec["forObject"]["subResource"] = value.clone();
        } else {
            spec[field] = value.clone();
        }
    }
}

/// The review of a request for something else, as it is filed.
fn filed(spec: &Value) -> Value {
    let mut review = filing();
    ask_for(&mut review["request"]["object"]["spec"], spec);
    review
}

fn attach() -> Value {
    json!({"subResource": "attach", "attachOptions": {"container": "nginx"}})
}

fn port_forward() -> Value {
    json!({"subResource": "portforward"})
}

fn debug() -> Value {
    json!({"subResource": "ephemeralcontainers", "attach": true, "ephemeralContainer": {
        "image": "busybox", "command": ["sh"], "targetContainerName": "nginx",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}})
}

fn copy_to() -> Value {
    json!({"copy": {"direction": "to", "path": "/srv/app-data/notes.txt", "directory": "/srv/app-data"},
        "execOptions": {"container": "nginx", "stdin": true, "command": ["tar", "-xmf", "-", "-C", "/srv/app-data"]}})
}

// A3, A5
#[rstest]
#[case("attach-websocket", "kubectl request attach -n default nginx -c nginx")]
#[case("attach-spdy", "kubectl request attach -n default nginx -c nginx")]
#[case("attach-stdin", "kubectl request attach -n default -i nginx -c nginx")]
#[case(
    "portforward-websocket",
    "kubectl request port-forward -n default nginx"
)]
#[case("portforward-spdy", "kubectl request port-forward -n default nginx")]
#[case(
    "portforward-query-ports",
    "kubectl request port-forward -n default nginx"
)]
#[case(
    "ephemeral-debug",
    "kubectl request debug -n default nginx --image=busybox --target=nginx -c dbg -- sh"
)]
#[case(
    "cp-from-pod",
    "kubectl request cp -n default -c nginx nginx:/etc/hostname ."
)]
#[case(
    "cp-to-pod-2",
    "type your line again with `kubectl request cp` in place of `kubectl cp`"
)]
#[tokio::test]
async fn a_door_without_a_request_says_how_to_ask_and_makes_no_call(
    #[case] name: &str,
    #[case] ask: &str,
) {
    let world = World::new(interactive());
    let said = tries(&world, name, "r1", |_| {}).await;
    assert!(said.denial().contains(ask), "{}", said.denial());
    assert!(
        said.denial()
            .starts_with("you have not asked for this yet (cluster test, namespace default)")
    );
    assert!(world.api.requests().is_empty());
}

#[rstest]
#[case::attach(attach(), &["attach-websocket", "attach-spdy"], "attach")]
#[case::port_forward(port_forward(), &["portforward-websocket", "portforward-spdy"], "portforward")]
#[case::copy_out(
    json!({"copy": {"direction": "from", "path": "/etc/hostname"}, "execOptions": {"container": "nginx"}}),
    &["cp-from-pod", "cp-from-pod"], "exec")]
#[case::copy_in(copy_to(), &["cp-to-pod-1", "cp-to-pod-2", "cp-to-pod-2"], "exec")]
#[tokio::test]
async fn a_granted_door_opens_once(
    #[case] spec: Value,
    #[case] reviews: &[&str],
    #[case] door: &str,
) {
    let world = granted(&spec);
    let (again, first) = reviews.split_last().unwrap();
    for (number, name) in first.iter().enumerate() {
        assert!(
            tries(&world, name, &format!("r{number}"), |_| {})
                .await
                .allowed(),
            "{name}"
        );
    }
    assert_eq!(world.uses(), 1, "a question costs nothing");
    assert_eq!(
        world.api.get(REQUEST)["status"]["uses"][0]["subResource"],
        door
    );
    world.until_answered().await;
    let said = tries(&world, again, "again", |_| {}).await;
    assert!(
        said.denial().contains("was for one use, and was used at"),
        "{}",
        said.denial()
    );
}

// A6
#[tokio::test]
async fn the_ports_of_a_client_bind_nobody_and_nothing_unknown_stands_beside_them() {
    let world = granted(&port_forward());
    let unknown = |request: &mut Value| request["object"]["host"] = json!("10.0.0.1");
    let said = tries(&world, "portforward-query-ports", "r1", unknown).await;
    assert!(
        said.denial().contains("not understood in full"),
        "{}",
        said.denial()
    );
    assert!(
        tries(&world, "portforward-query-ports", "r2", |_| {})
            .await
            .allowed()
    );
}

#[rstest]
#[case::attach(attach(), "attach-websocket", "PodAttachOptions")]
#[case::port_forward(port_forward(), "portforward-spdy", "PodPortForwardOptions")]
#[tokio::test]
async fn options_of_another_kind_or_with_more_in_them_are_denied(
    #[case] spec: Value,
    #[case] name: &str,
    #[case] kind: &str,
) {
    let world = granted(&spec);
    assert_eq!(recorded(name)["request"]["object"]["kind"], kind);
    for change in [
        |request: &mut Value| request["object"]["kind"] = json!("PodExecOptions"),
        |request: &mut Value| request["object"]["command"] = json!(["sh"]),
        |request: &mut Value| request["object"] = json!([]),
        |request: &mut Value| request["object"] = Value::Null,
        |request: &mut Value| request["name"] = Value::Null,
    ] {
        tries(&world, name, "r1", change).await.denial();
    }
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn attaching_with_standard_input_needs_it_granted() {
    let world = granted(&attach());
    let said = tries(&world, "attach-stdin", "r1", |_| {}).await;
    assert!(
        said.denial()
            .contains("standard input (-i) was not asked for"),
        "{}",
        said.denial()
    );
}

/// A pod like the one that is debugged, and jane's debug request granted.
fn debugging() -> World {
    let world = World::granted_with(interactive(), |request| {
        ask_for(&mut request["spec"], &debug());
        request["spec"]["forObject"]["uid"] = json!(DEBUGGED);
    });
    world
        .api
        .change(POD, |pod| pod["metadata"]["uid"] = json!(DEBUGGED));
    world
}

/// What the API server does once we allowed the update.
fn add_to_pod(world: &World) {
    let added =
        recorded("ephemeral-debug")["request"]["object"]["spec"]["ephemeralContainers"].clone();
    world.api.change(POD, |pod| {
        pod["spec"]["ephemeralContainers"] = added;
        pod["status"]["ephemeralContainerStatuses"] = json!([{
            "name": "dbg", "image": "busybox", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-11-23T15:00:00Z"}},
        }]);
    });
}

async fn attaches(world: &World, container: &str, review_uid: &str) -> Said {
    tries(world, "attach-websocket", review_uid, |request| {
        request["object"]["container"] = json!(container);
    })
    .await
}

// E18, A14
#[tokio::test]
async fn a_debug_container_is_added_once_and_its_user_attaches_once() {
    let world = debugging();
    assert!(
        attaches(&world, "dbg", "early")
            .await
            .denial()
            .contains("you have not asked")
    );
    assert!(
        tries(&world, "ephemeral-debug", "r1", |_| {})
            .await
            .allowed()
    );
    assert!(
        tries(&world, "ephemeral-debug", "r2", |_| {})
            .await
            .allowed(),
        "asked again after a conflict"
    );
    assert_eq!(world.uses(), 1);
    world.catch_up();
    let rename = |request: &mut Value| {
        request["object"]["spec"]["ephemeralContainers"][0]["name"] = json!("second");
    };
    assert!(
        tries(&world, "ephemeral-debug", "r3", rename)
            .await
            .denial()
            .contains("was for one use")
    );

    assert!(
        attaches(&world, "dbg", "r4")
            .await
            .denial()
            .contains("does not run"),
        "it is not there yet"
    );
    add_to_pod(&world);
    assert!(
        attaches(&world, "nginx", "r5")
            .await
            .denial()
            .contains("you have not asked")
    );
    let exec = |request: &mut Value| request["object"]["container"] = json!("dbg");
    assert!(
        tries(&world, "exec-websocket", "r6", exec)
            .await
            .denial()
            .contains("you have not asked")
    );
    assert!(attaches(&world, "dbg", "r7").await.allowed());
    world.catch_up();
    assert!(
        attaches(&world, "dbg", "r8")
            .await
            .denial()
            .contains("was for one use")
    );
    assert_eq!(world.uses(), 2);
}

// A13
#[rstest]
#[case::another_image("image", json!("evil"))]
#[case::another_target("targetContainerName", json!("other"))]
#[case::privileged("securityContext", json!({"privileged": true}))]
#[case::a_volume("volumeMounts", json!([{"name": "kube-api-access-mbvwz", "mountPath": "/x"}]))]
#[case::another_command("command", json!(["sh", "-c", "id"]))]
#[case::a_variable("env", json!([{"name": "LD_PRELOAD", "value": "/x"}]))]
#[tokio::test]
async fn a_debug_container_that_differs_is_denied_and_the_difference_named(
    #[case] field: &str,
    #[case] value: Value,
) {
    let world = debugging();
    let change =
        |request: &mut Value| request["object"]["spec"]["ephemeralContainers"][0][field] = value;
    let said = tries(&world, "ephemeral-debug", "r1", change).await;
    assert!(
        said.denial().contains(&format!("  {field}: granted is ")),
        "{}",
        said.denial()
    );
    assert_eq!(world.uses(), 0);
}

// A12
#[tokio::test]
async fn a_dry_run_of_a_debug_container_is_decided_and_costs_nothing() {
    let dry = |request: &mut Value| request["dryRun"] = json!(true);
    assert!(
        tries(&World::new(interactive()), "ephemeral-debug", "r1", dry)
            .await
            .denial()
            .contains("not asked")
    );
    let world = debugging();
    assert!(tries(&world, "ephemeral-debug", "r1", dry).await.allowed());
    // K5: nor can they push anything out of the log.
    let (log, _guard) = Log::begin();
    for _ in 0..100 {
        assert!(tries(&world, "ephemeral-debug", "r1", dry).await.allowed());
    }
    assert!(log.audit().len() < 70, "{}", log.audit().len());
    assert_eq!(world.uses(), 0);
    assert!(
        world
            .api
            .requests()
            .iter()
            .all(|(method, _)| *method == Method::GET)
    );
}

#[tokio::test]
async fn something_else_in_an_update_of_a_debug_container_is_denied() {
    let world = debugging();
    let change =
        |request: &mut Value| request["object"]["metadata"]["labels"]["app"] = json!("other");
    let said = tries(&world, "ephemeral-debug", "r1", change).await;
    assert!(
        said.denial().contains("metadata of the pod changes too"),
        "{}",
        said.denial()
    );
}

// A7, A10, A11
#[rstest]
#[case("podproxy-get", "pods/proxy cannot be asked for")]
#[case("podproxy-post", "pods/proxy cannot be asked for")]
#[case("podproxy-root", "pods/proxy cannot be asked for")]
#[case("serviceproxy-get", "services/proxy cannot be asked for")]
#[case("serviceproxy-post", "services/proxy cannot be asked for")]
#[case("nodeproxy-get", "nodes/proxy cannot be asked for")]
#[case("nodeproxy-exec-get", "nodes/proxy cannot be asked for")]
#[case("nodeproxy-exec-post", "nodes/proxy cannot be asked for")]
#[case("nodeproxy-port", "nodes/proxy cannot be asked for")]
#[tokio::test]
async fn proxies_are_for_the_always_allowed_only(#[case] name: &str, #[case] text: &str) {
    let world = World::granted();
    let said = tries(&world, name, "r1", |_| {}).await;
    assert!(said.denial().contains(text), "{}", said.denial());
    assert!(world.api.requests().is_empty());
    let admin = |request: &mut Value| request["userInfo"]["groups"] = json!(["system:masters"]);
    let said = tries(&world, name, "r2", admin).await;
    assert!(said.allowed());
    assert_eq!(
        said.body["response"]["auditAnnotations"]["decision"],
        "always-allowed"
    );
}

#[rstest]
#[case::a_name_of_four_parts(|request: &mut Value| request["name"] = json!("a:b:c:d"))]
#[case::an_encoded_name(|request: &mut Value| request["name"] = json!("nginx%3a80"))]
#[case::a_way_up(|request: &mut Value| request["object"]["path"] = json!("/metrics/../exec"))]
#[case::more_options(|request: &mut Value| request["object"]["method"] = json!("GET"))]
#[case::no_options(|request: &mut Value| request["object"] = Value::Null)]
#[tokio::test]
async fn a_proxy_that_can_be_read_in_two_ways_is_denied(#[case] change: fn(&mut Value)) {
    tries(&World::granted(), "podproxy-get", "r1", change)
        .await
        .denial();
}

#[tokio::test]
async fn requests_for_every_door_are_completed() {
    let world = World::new(interactive());
    let attach = stamp(&world, &filed(&json!({"subResource": "attach"})))
        .await
        .unwrap();
    assert_eq!(
        attach["request"]["object"]["spec"]["attachOptions"]["container"],
        "nginx"
    );
    assert_eq!(
        attach["request"]["object"]["spec"]["execOptions"],
        json!({}),
        "clients of the original read it"
    );
    let copy = json!({"copy": {"direction": "to", "path": "/srv/x", "directory": "/srv"}});
    let copy = stamp(&world, &filed(&copy)).await.unwrap();
    let options = &copy["request"]["object"]["spec"]["execOptions"];
    assert_eq!(
        options["command"],
        json!(["tar", "-xmf", "-", "-C", "/srv"])
    );
    assert_eq!(
        (&options["container"], &options["stdin"]),
        (&json!("nginx"), &json!(true))
    );
    for spec in [attach, copy] {
        assert!(world.post("/validate", spec.to_string()).await.allowed());
    }
    assert!(file(&world, &filed(&port_forward())).await.allowed());
    assert!(file(&world, &filed(&debug())).await.allowed());
}

#[rstest]
#[case::a_copy_that_unpacks_elsewhere(
    json!({"copy": {"direction": "to", "path": "/tmp/x", "directory": "/etc"}}), "copy.directory must be")]
#[case::a_path_that_tar_takes_for_an_option(
    json!({"copy": {"direction": "from", "path": "--checkpoint-action=exec=sh"}}), "tar would take it for an option")]
#[case::a_copy_without_a_directory(json!({"copy": {"direction": "to", "path": "/tmp/x"}}), "copy.directory must be")]
#[case::a_copy_of_something_hidden(
    json!({"copy": {"direction": "from", "path": "/tmp/\u{202e}x"}}), "U+202E")]
#[case::a_debug_container_without_an_image(
    json!({"subResource": "ephemeralcontainers", "ephemeralContainer": {"image": ""}}), "image is missing")]
#[case::an_image_that_hides_something(
    json!({"subResource": "ephemeralcontainers", "ephemeralContainer": {"image": "busy\u{200b}box"}}), "U+200B")]
#[case::a_variable_that_hides_something(
    json!({"subResource": "ephemeralcontainers",
        "ephemeralContainer": {"image": "x", "env": [{"name": "A", "value": "\u{202e}"}]}}), "U+202E")]
#[case::no_debug_container(json!({"subResource": "ephemeralcontainers"}), "ephemeralContainer is missing")]
#[tokio::test]
async fn a_request_that_would_mislead_is_refused(#[case] spec: Value, #[case] text: &str) {
    let world = World::new(interactive());
    let said = file(&world, &filed(&spec)).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}
