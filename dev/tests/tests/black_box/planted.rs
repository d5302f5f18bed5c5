//! Objects that were written into etcd behind the API server's back, or by versions and schemas of
//! other times: they give nothing, and stand in nobody else's way.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use rstest::rstest;
use run::local::Process;
use serde_json::{Value, json};

use crate::asking::original;
use kra_tests::{
    processes::{current, fragile, like, restart, server_log, signal},
    scene::{Person, Scene},
    world::{self, eventually},
};

/// Writes an object past the API server, and waits until that shows it.
fn plant(scene: &Scene, plural: &str, name: &str, content: Value) {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let uid = format!(
        "11111111-0000-0000-0000-{:012}",
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    let kind = if plural == "accessgrants" {
        "AccessGrant"
    } else {
        "AccessRequest"
    };
    let mut object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": kind,
        "metadata": {
            "name": name, "namespace": scene.namespace, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
    });
    merge(&mut object, content);
    let key = format!(
        "/registry/spreadgroup.com/{plural}/{}/{name}",
        scene.namespace
    );
    scene
        .world
        .cluster
        .plant(&key, object.to_string().as_bytes())
        .unwrap();
    eventually("the planted object", || scene.exists(plural, name));
}

/// The same for a policy, which has no namespace.
pub(crate) fn plant_policy(scene: &Scene, policy: &Value) {
    let mut object = policy.clone();
    let name = policy["metadata"]["name"].as_str().unwrap();
    let metadata = json!({
        "uid": format!("22222222-0000-0000-{name}"), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    merge(&mut object["metadata"], metadata);
    let key = format!("/registry/spreadgroup.com/accesspolicies/{name}");
    scene
        .world
        .cluster
        .plant(&key, object.to_string().as_bytes())
        .unwrap();
    eventually("the planted object", || {
        scene.exists("accesspolicies", name)
    });
}

/// Replaces what stands in `content`, in depth.
fn merge(object: &mut Value, content: Value) {
    let Value::Object(fields) = content else {
        *object = content;
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in fields {
        merge(&mut object[key], value);
    }
}

/// Changes a stored object past the API server.
fn replant(scene: &Scene, plural: &str, name: &str, content: Value) {
    let mut object = scene.get(plural, name);
    object["metadata"]["resourceVersion"].take();
    merge(&mut object, content);
    plant(scene, plural, name, object);
}

/// Something is asked for, granted and used: what was planted before it has gone through every
/// watch.
fn all_goes_on<'a>(scene: &'a Scene, jane: &Person<'a>, amy: &Person<'a>) {
    let request = jane.ask(&[], &["uname"]);
    amy.grant(&request);
    jane.exec(&["uname"]).works_with("Linux");
    jane.exec(&["uname"]).is_refused_with("was for one use");
    jane.awaits(&request, "Used");
    assert_eq!(scene.uses(&request), 1);
}

fn forged_grant(scene: &Scene, request: &str, by: &str) -> Value {
    let metadata = scene.get("accessrequest", request)["metadata"].take();
    json!({
        // Were it older, it would have ended before anybody looks at its seal.
        "metadata": {"creationTimestamp": metadata["creationTimestamp"]},
        "spec": {"grantFor": request, "requestUID": metadata["uid"], "grantedBy": {"username": by}},
        "status": "granted",
    })
}

// B5
#[rstest]
#[case::without_a_seal(|_: &Scene, _: &mut Value| ())]
#[case::with_a_made_up_seal(|_: &Scene, grant: &mut Value| {
    let at = &grant["metadata"]["creationTimestamp"];
    grant["spec"]["seal"] = json!({"at": at, "mac": "0".repeat(64)});
})]
#[case::with_the_seal_of_another(|scene: &Scene, grant: &mut Value| {
    let other = scene.developer("jane").ask(&[], &["id"]);
    scene.approver("amy").grant(&other);
    grant["spec"]["seal"] = scene.get("accessgrant", &format!("grant-{other}"))["spec"]["seal"].clone();
})]
fn a_grant_that_was_written_into_the_store_grants_nothing(#[case] seal: fn(&Scene, &mut Value)) {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    let mut grant = forged_grant(&scene, &request, &amy.name);
    seal(&scene, &mut grant);
    plant(&scene, "accessgrants", "forged", grant);
    all_goes_on(&scene, &jane, &amy);
    jane.exec(&["date"])
        .is_refused_with(&format!("your request {request} waits for a grant"));
    assert_eq!(
        scene.get("accessrequest", &request)["status"]["phase"],
        "Pending"
    );
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
}

// D10
#[test]
fn a_request_that_was_changed_in_the_store_is_granted_no_more() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    let command = json!({"spec": {"execOptions": {"command": ["hostname"]}}});
    replant(&scene, "accessrequests", &request, command);
    all_goes_on(&scene, &jane, &amy);
    jane.exec(&["hostname"])
        .is_refused_with("waits for a grant");
    jane.exec(&["date"]).is_refused_with("");
    // Nor can what was seen before be granted anew: it is another request now, and reads as one.
    amy.kubectl(["request", "show", &request])
        .works_with("hostname");
}

// D19, D20
#[rstest]
#[case::the_grant("accessgrants")]
#[case::the_request("accessrequests")]
fn what_is_being_deleted_and_kept_by_a_finalizer_gives_nothing(#[case] plural: &str) {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    let name = if plural == "accessgrants" {
        format!("grant-{request}")
    } else {
        request
    };
    replant(
        &scene,
        plural,
        &name,
        json!({"metadata": {"finalizers": ["keep/me"]}}),
    );
    jane.exec(&["date"]).works_with("UTC");
    scene
        .admin([
            "delete",
            plural,
            "-n",
            &scene.namespace,
            &name,
            "--wait=false",
        ])
        .works_with("deleted");
    assert!(scene.get(plural, &name)["metadata"]["deletionTimestamp"].is_string());
    jane.exec(&["date"]).is_refused_with("");
    all_goes_on(&scene, &jane, &amy);
    // What keeps it can be taken out by those who may take it out of anything.
    let finalizers = r#"{"metadata":{"finalizers":null}}"#;
    let patch = [
        "patch",
        plural,
        "-n",
        &scene.namespace,
        &name,
        "--type=merge",
        "-p",
        finalizers,
    ];
    scene
        .admin(patch)
        .is_refused_with("by the cluster's own controllers only");
    let controllers = [
        "--as=system:serviceaccount:kube-system:generic-garbage-collector",
        "--as-group=system:masters",
    ];
    scene
        .admin(controllers.iter().chain(&patch))
        .works_with("patched");
    eventually("its end", || !scene.exists(plural, &name));
}

/// What no server of any version has written.
fn poisons(request: &str) -> Vec<(&'static str, &'static str, Value)> {
    let good = json!({
        "userInfo": {"username": "jane"}, "execOptions": {"command": ["date"], "container": "main"},
        "forObject": {
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "box",
        },
    });
    let but = |pointer: &str, value: Value| {
        let mut spec = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[field] = value;
        json!({"spec": spec})
    };
    let requests = [
        (
            "of-other-types",
            json!({"spec": {"forObject": "a text", "execOptions": [], "userInfo": 7}}),
        ),
        ("with-a-null-spec", json!({"spec": null})),
        ("without-a-spec", json!({})),
        (
            "with-a-status-of-text",
            json!({"spec": good, "status": "Granted"}),
        ),
        (
            "with-a-use-at-no-time",
            json!({"spec": good, "status": {"uses": [{"reviewUID": "r", "at": "now"}]}}),
        ),
        (
            "for-an-unknown-door",
            but("/forObject/subResource", json!("teleport")),
        ),
        (
            "for-an-unknown-thing",
            but("/forObject/resource/resource", json!("secrets")),
        ),
        ("for-ever", but("/validFor", json!("for ever"))),
        (
            "with-a-number-for-a-name",
            but("/userInfo/username", json!(7)),
        ),
        (
            "with-a-wrong-direction",
            but("/copy", json!({"direction": "sideways", "path": "/"})),
        ),
    ];
    let grants = [
        (
            "maybe",
            json!({"spec": {"grantFor": request}, "status": "maybe"}),
        ),
        ("without-an-answer", json!({"spec": {"grantFor": request}})),
        (
            "with-an-object-for-an-answer",
            json!({"spec": {"grantFor": "nothing"}, "status": {"phase": "granted"}}),
        ),
        ("of-nothing", json!({"spec": null, "status": "granted"})),
        (
            "by-a-number",
            json!({"spec": {"grantFor": "nothing", "grantedBy": 7}, "status": "granted"}),
        ),
    ];
    let of = |plural| move |(name, object)| (plural, name, object);
    requests
        .into_iter()
        .map(of("accessrequests"))
        .chain(grants.into_iter().map(of("accessgrants")))
        .collect()
}

// R11, I19
#[test]
fn what_nobody_understands_is_logged_and_stands_in_nobodys_way_not_even_after_a_restart() {
    let (world, mut turn) = fragile();
    let scene = Scene::new(world);
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let hour = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&hour);
    // Two of the grants are for this one: they could be denials.
    let doubtful = bob.ask(&[], &["date"]);
    let poisons = poisons(&doubtful);
    for (plural, name, content) in &poisons {
        plant(&scene, plural, name, content.clone());
    }
    for restarted in [false, true] {
        if restarted {
            restart(world, &mut turn);
            eventually("the server's return", || jane.exec(&["date"]).success);
        }
        all_goes_on(&scene, &jane, &amy);
        jane.exec(&["date"]).works_with("UTC");
        bob.exec(&["date"]).is_refused_with("waits for a grant");
        let denied = bob.ask(&[], &["ls"]);
        amy.kubectl(["request", "deny", &denied, "--yes"])
            .works_with("deny");
        bob.awaits(&denied, "Denied");
        let log = || fs::read_to_string(&current(world, &turn).log).unwrap();
        for (_, name, _) in &poisons {
            eventually(name, || {
                log()
                    .lines()
                    .any(|line| line.contains("WARN") && line.contains(*name))
            });
        }
        assert!(!log().contains("panic"));
    }
    // Whoever sees the list sees the others.
    amy.kubectl(["get", "acr"]).works_with(&hour);
    let listed = amy.kubectl(["request", "list"]);
    listed.works_with(&hour);
    listed.works_with("accessrequest with-a-null-spec of namespace");
    // And they can be taken away by whoever may take away anything, and by nobody else.
    for (plural, name, _) in &poisons {
        bob.kubectl(["delete", plural, name]).is_refused_with("");
        scene
            .admin(["delete", plural, "-n", &scene.namespace, name])
            .works_with("deleted");
    }
    amy.grant(&doubtful);
    bob.exec(&["date"]).works_with("UTC");
}

// R11
#[test]
fn the_clean_up_goes_on_beside_what_nobody_understands() {
    let scene = Scene::new(world::forgetful());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    for (plural, name, content) in poisons("nothing") {
        plant(&scene, plural, name, content);
    }
    all_goes_on_and_is_forgotten(&scene, &jane, &amy);
    assert!(
        scene.exists("accessrequest", "with-a-null-spec"),
        "nobody knows whether it matters"
    );
}

fn all_goes_on_and_is_forgotten<'a>(scene: &'a Scene, jane: &Person<'a>, amy: &Person<'a>) {
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    eventually("its deletion", || !scene.exists("accessrequest", &request));
}

// G1: what got past everything still moves nobody's cursor.
#[test]
fn what_hides_in_the_store_shows_in_every_list() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let hidden = "a\u{1b}[2J\u{9b}2J\u{1b}]0;title\u{7}\u{8}\u{202e}b";
    let mut object = original(&scene, &jane.name);
    object["metadata"] = json!({"labels": null});
    object["spec"]["execOptions"]["command"] = json!(["echo", hidden]);
    object["spec"]["reason"] = json!(hidden);
    plant(&scene, "accessrequests", "hides", object);
    // kubectl leaves the bell, eight-bit controls and directions as they are: what has them is
    // refused on creation.
    let kubectls = jane.kubectl(["get", "acr", "-o", "wide"]);
    kubectls.works_with("hides");
    assert!(!kubectls.text.contains('\u{1b}'), "{:?}", kubectls.text);
    for words in [
        &["list"][..],
        &["list", "-o", "wide"],
        &["list", "-o", "json"],
        &["show", "hides"],
    ] {
        let ours = jane.kubectl([&["request"], words].concat());
        ours.works_with("\\u001b[2J");
        let plain = |c: char| c == '\n' || c == '\u{2026}' || c.is_ascii_graphic() || c == ' ';
        assert!(ours.text.chars().all(plain), "{:?}", ours.text);
    }
}

/// Looks like what the original client writes, and has what only a server writes.
#[test]
fn a_request_that_was_planted_with_its_status_is_granted_by_nobody() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    let mut object = original(&scene, &jane.name);
    object["metadata"] = json!({});
    object["spec"]["forObject"]["uid"] = scene.get("pod", "box")["metadata"]["uid"].clone();
    object["spec"]["createdBy"] = object["spec"]["userInfo"].clone();
    let amy = scene.approver("amy");
    object["status"] =
        json!({"phase": "Granted", "grantedBy": [amy.name], "expiresAt": "2036-01-01T00:00:00Z"});
    plant(&scene, "accessrequests", "planted", object);
    all_goes_on(&scene, &jane, &amy);
    jane.exec(&["date"]).is_refused_with("");
}

// What was just filed has no phase until a server has looked at it.
#[test]
fn what_no_server_has_looked_at_yet_waits_and_can_be_selected() {
    let (world, mut turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let done = jane.ask(&[], &["date"]);
    amy.kubectl(["request", "deny", &done, "--yes"])
        .works_with("deny");
    jane.awaits(&done, "Denied");
    let waiting = jane.ask(&[], &["hostname"]);
    let phase = || scene.get("acr", &waiting)["status"]["phase"].clone();
    eventually("its phase", || phase() == "Pending");

    let server = current(world, &turn);
    let like_it = like(server, world);
    signal(server, "-KILL");
    let spec = scene.get("acr", &waiting)["spec"].clone();
    plant(&scene, "accessrequests", "new", json!({"spec": spec}));
    let name = |name: &str| format!("accessrequest.spreadgroup.com/{name}\n");
    let both = name(&waiting) + &name("new");
    for flags in [
        &["--pending"][..],
        &["--pending", "--mine"],
        &["--pending", "--requester", &jane.name],
    ] {
        let line = ["request", "list", "-o", "name"].iter().chain(flags);
        assert_eq!(jane.kubectl(line).text, both, "{flags:?}");
    }
    let chosen = |fields: &str| {
        jane.kubectl(["get", "acr", "-o", "name", "--field-selector", fields])
            .text
    };
    let user = format!("spec.userInfo.username={}", jane.name);
    assert_eq!(chosen("status.phase=Pending"), name(&waiting));
    assert_eq!(chosen("status.phase="), name("new"));
    assert_eq!(chosen(&format!("{user},status.phase=Denied")), name(&done));
    assert_eq!(
        chosen(&format!("{user},status.phase!=Denied,spec.usernamePrefix=")),
        both
    );

    *turn = Some(Process::start(like_it, server_log(world)).unwrap());
    eventually("the server's return", || {
        !jane.exec(&["ls"]).text.contains("failed calling webhook")
    });
}
