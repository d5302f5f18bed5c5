//! When access ends.

use std::time::{Duration, Instant};

use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};

#[test]
fn an_access_for_seconds_works_until_it_ends_and_then_is_expired() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "8s"], &["date"]);
    let asked = Instant::now();
    amy.grant(&request);
    let mut worked = 0;
    eventually("the end of the access", || {
        let said = jane.exec(&["date"]);
        worked += u32::from(said.success);
        assert!(said.success || said.text.contains("ended"), "{}", said.text);
        !said.success
    });
    assert!(
        worked > 0 && asked.elapsed() >= Duration::from_secs(7),
        "{worked} times, until {:?}",
        asked.elapsed()
    );
    jane.awaits(&request, "Expired");
    assert!(
        scene.exists("accessrequest", &request),
        "what is over is kept for a while"
    );
}

#[test]
fn a_grant_may_be_shorter_than_what_was_asked_for() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.kubectl([
        "request",
        "grant",
        &amy.exactly(&request),
        "--yes",
        "--valid-for",
        "5s",
    ])
    .works_with("created grant");
    eventually("the shorter end", || {
        jane.exec(&["date"]).text.contains("ended")
    });
}

#[test]
fn unused_requests_are_deleted_in_any_namespace_and_live_ones_are_not() {
    let scene = Scene::new(world::forgetful());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let hour = jane.ask(&["--valid-for", "1h"], &["hostname"]);
    amy.grant(&hour);
    let (waiting, unused) = (jane.ask(&[], &["date"]), jane.ask(&[], &["ls"]));
    amy.grant(&unused);
    for request in [&waiting, &unused] {
        eventually("its deletion", || !scene.exists("accessrequest", request));
    }
    eventually("the deletion of its grant", || {
        !scene.exists("accessgrant", &format!("grant-{unused}"))
    });
    jane.exec(&["hostname"]).works_with("box");
}

#[test]
fn finished_requests_are_deleted_after_their_time() {
    let scene = Scene::new(world::forgetful());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    eventually("its deletion", || !scene.exists("accessrequest", &request));
}

// D25
#[test]
fn a_denial_ends_what_was_granted_before_at_once() {
    let scene = Scene::new(world::standing());
    let (jane, amy, ann) = (
        scene.developer("jane"),
        scene.approver("amy"),
        scene.approver("ann"),
    );
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    ann.kubectl([
        "request",
        "deny",
        &request,
        "--yes",
        "--reason",
        "not today",
    ])
    .works_with("deny");
    // At once, or with the status that any replica's controller writes at once.
    jane.awaits(&request, "Denied");
    let said = jane.exec(&["date"]);
    said.is_refused_with(&format!("{} denied your request {request}", ann.name));
    said.is_refused_with("(not today)");
    amy.kubectl(["request", "grant", &amy.exactly(&request), "--yes"])
        .is_refused_with("denied");
}

#[test]
fn a_denied_request_binds_no_role() {
    let scene = Scene::new(world::role_per_grant());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.kubectl(["request", "deny", &request, "--yes"])
        .works_with("deny");
    jane.awaits(&request, "Denied");
    scene
        .admin(["get", "rolebindings", "-n", &scene.namespace])
        .works_with("No resources found");
    jane.exec(&["date"]).is_refused_with("forbidden");
}

#[test]
fn the_role_is_bound_while_the_grant_lasts_and_not_longer() {
    let scene = Scene::new(world::role_per_grant());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    let bindings = || {
        scene
            .admin(["get", "rolebindings", "-n", &scene.namespace, "-o", "wide"])
            .text
    };
    assert!(
        bindings().contains("Role/pod-exec") && bindings().contains(&jane.name),
        "{}",
        bindings()
    );
    jane.kubectl(["delete", "acr", &request])
        .works_with("deleted");
    eventually("the end of the binding", || {
        bindings().contains("No resources found")
    });
}
