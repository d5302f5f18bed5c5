//! Who may delete what, and what goes with it.

use kra_tests::{
    scene::Scene,
    world::{self, eventually},
};
use serde_json::json;

#[test]
fn a_third_person_with_the_right_to_delete_may_not() {
    let scene = Scene::new(world::standing());
    let (jane, bob, amy) = (
        scene.developer("jane"),
        scene.developer("bob"),
        scene.approver("amy"),
    );
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    bob.kubectl(["delete", "acr", &request])
        .is_refused_with("not yours to delete");
    bob.kubectl(["delete", "acr", "--all"])
        .is_refused_with("not yours to delete");
    assert!(scene.exists("accessrequest", &request));
    amy.kubectl(["delete", "acr", &request])
        .works_with("deleted");
}

// D30
#[test]
fn a_requester_withdraws_her_request_but_keeps_what_was_denied() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let mine = jane.ask(&[], &["date"]);
    jane.kubectl(["delete", "acr", &mine]).works_with("deleted");
    let denied = jane.ask(&[], &["date"]);
    amy.kubectl(["request", "deny", &denied, "--yes"])
        .works_with("deny");
    jane.kubectl(["delete", "acr", &denied])
        .is_refused_with("not yours to delete");
    jane.exec(&["date"]).is_refused_with("denied your request");
}

// K17
#[test]
fn what_jane_used_and_deletes_leaves_a_record_that_names_who_granted_it() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    let object = scene.get("acr", &request);
    let uid = object["metadata"]["uid"].as_str().unwrap();
    jane.kubectl(["delete", "acr", &request, "--dry-run=server"])
        .works_with("deleted");
    jane.kubectl(["delete", "acr", &request])
        .works_with("deleted");
    let record = scene.record(uid);
    assert_eq!(
        record["deleted"]["by"]["username"],
        jane.name.as_str(),
        "{record}"
    );
    assert_eq!(
        record["request"]["user"]["username"],
        jane.name.as_str(),
        "{record}"
    );
    assert_eq!(
        record["grants"][0]["by"]["username"],
        amy.name.as_str(),
        "{record}"
    );
    assert_eq!(
        record["spec"]["execOptions"]["command"],
        json!(["date"]),
        "{record}"
    );
    assert_eq!(record["uses"][0]["pod"], "box", "{record}");
    let labels = format!("spreadgroup.com/record-namespace={}", scene.namespace);
    scene
        .admin([
            "get",
            "configmaps",
            "-n",
            "kube-request-access",
            "-l",
            &labels,
        ])
        .works_with(uid);
    // Who asks or answers neither changes nor deletes it.
    let name = format!("kube-request-access-record-{uid}");
    for person in [&jane, &amy] {
        for verb in ["update", "patch", "delete"] {
            let arguments = [
                "auth",
                "can-i",
                verb,
                &format!("configmaps/{name}"),
                "--namespace=kube-request-access",
            ];
            assert!(
                !person.kubectl(arguments).success,
                "{} may {verb} it",
                person.name
            );
        }
    }
}

#[test]
fn deleting_the_grant_ends_the_access_at_once() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    amy.kubectl(["delete", "acg", &format!("grant-{request}")])
        .works_with("deleted");
    jane.exec(&["date"]).is_refused_with("");
}

#[test]
fn the_garbage_collector_takes_the_grant_with_its_request() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.grant(&request);
    jane.kubectl(["delete", "acr", &request])
        .works_with("deleted");
    eventually("the end of the grant", || {
        !scene.exists("accessgrant", &format!("grant-{request}"))
    });
}

#[test]
fn a_namespace_with_our_objects_in_it_can_be_deleted() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["date"]));
    let denied = jane.ask(&[], &["ls"]);
    amy.kubectl(["request", "deny", &denied, "--yes"])
        .works_with("deny");
    scene
        .admin(["delete", "namespace", &scene.namespace, "--timeout=60s"])
        .works_with("deleted");
}

#[test]
fn a_denial_outlives_the_grant_that_said_it() {
    let scene = Scene::new(world::standing());
    let (jane, amy, root) = (scene.developer("jane"), scene.approver("amy"), scene.root());
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    amy.kubectl(["request", "deny", &request, "--yes"])
        .works_with("deny");
    jane.awaits(&request, "Denied");
    let denial = format!("deny-{request}");
    jane.kubectl(["delete", "acg", &denial]).is_refused_with("");
    root.kubectl(["delete", "acg", &denial])
        .works_with("deleted");
    amy.kubectl(["request", "grant", &amy.exactly(&request), "--yes"])
        .is_refused_with("denied");
    jane.exec(&["date"]).is_refused_with("denied your request");
}
