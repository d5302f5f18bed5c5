//! An emergency on the real control plane: let in at once, told loudly, reviewed afterwards, and
//! not deleted before.

use kra_tests::{
    scene::{Person, Scene},
    world::{self, World, eventually},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::policies::{owner_applies, policy};

pub(crate) fn night(scene: &Scene, jane: &Person<'_>) -> Value {
    let subjects = json!([{"kind": "User", "name": jane.name}]);
    let more = json!({"subjects": subjects, "subresources": ["exec"], "reason": {}, "emergency": {"reviewWithin": "24h"}});
    policy(scene, "Allow", more)
}

fn events(scene: &Scene, request: &str) -> String {
    let path = r#"jsonpath={range .items[*]}{.type} {.reason}: {.message}{"\n"}{end}"#;
    let selector = format!("involvedObject.name={request}");
    scene
        .admin([
            "get",
            "events",
            "-n",
            &scene.namespace,
            "--field-selector",
            &selector,
            "-o",
            path,
        ])
        .text
}

#[rstest]
#[case::with_standing_rights(world::standing())]
#[case::with_a_role_per_grant(world::role_per_grant())]
fn an_emergency_lets_in_at_once_is_told_loudly_and_stays_until_it_is_reviewed(
    #[case] world: &'static World,
) {
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let silent = policy(
        &scene,
        "Allow",
        json!({"subjects": [{"kind": "User", "name": jane.name}], "subresources": ["exec"],
        "emergency": {"reviewWithin": "24h"}}),
    );
    owner_applies(&scene, &silent).is_refused_with("spec.reason: an emergency must give a reason");
    owner_applies(&scene, &night(&scene, &jane)).works_with("created");

    // Without a reason it waits, as always.
    let waits = jane.ask(&[], &["hostname"]);
    jane.exec(&["hostname"]).is_refused_with("");
    let asked = jane.asks(&["--reason=the shop is down"], &["date"]);
    asked.works_with("is granted at once by policy");
    let request = asked.request();
    jane.awaits(&request, "Granted");
    jane.exec(&["date"]).works_with("UTC");
    let status = scene.get("acr", &request)["status"].clone();
    assert_eq!(
        status["emergency"]["policy"]["name"],
        night(&scene, &jane)["metadata"]["name"],
        "{status}"
    );
    assert!(
        status["emergency"]["policy"]["uid"]
            .as_str()
            .is_some_and(|uid| uid.len() == 36),
        "{status}"
    );
    eventually("the event", || {
        events(&scene, &request).contains("Warning Emergency: granted without approval")
    });
    assert!(!events(&scene, &request).contains("the shop is down"));
    let is_loud = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["target"] == "audit"
            && line["level"] == "WARN"
            && line["request"] == request.as_str()
            && line["namespace"] == scene.namespace.as_str()
            && line["policy"]
                .as_str()
                .is_some_and(|policy| policy.starts_with(&format!("allow-{}", scene.namespace)))
    };
    eventually("the warning", || {
        scene.world.server_log().lines().any(is_loud)
    });

    // It stays, whatever she tries.
    jane.kubectl(["request", "withdraw", &request])
        .is_refused_with("");
    jane.kubectl(["delete", "acr", &request])
        .is_refused_with("which nobody has reviewed, is not yours to delete");
    amy.kubectl(["request", "list", "--unreviewed"])
        .works_with("unreviewed");
    let mine = jane.kubectl(["request", "review", &jane.exactly(&request), "--yes"]);
    assert!(!mine.success, "{}", mine.text);

    amy.kubectl(["request", "review", &amy.exactly(&waits), "--yes"])
        .is_refused_with("");
    amy.kubectl([
        "request",
        "review",
        &amy.exactly(&request),
        "--reason=as she says",
        "--yes",
    ])
    .works_with("created grant review-");
    jane.awaits(&request, "Reviewed");
    eventually("the event", || {
        events(&scene, &request).contains("Normal Reviewed: reviewed by")
    });
    amy.kubectl(["request", "list", "--unreviewed"])
        .works_with("no such requests");
    amy.kubectl(["request", "review", &amy.exactly(&request), "--yes"])
        .is_refused_with("was reviewed already");
    amy.kubectl(["request", "show", &request])
        .works_with("as she says");
    let again = jane.exec(&["date"]);
    assert!(!again.success, "a review opens nothing: {}", again.text);
    jane.kubectl(["delete", "acr", &request])
        .works_with("deleted");
}

#[test]
fn nobody_takes_an_emergency_or_its_review_out_of_the_status() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    owner_applies(&scene, &night(&scene, &jane)).works_with("created");
    let request = jane.ask(&["--valid-for=1h", "--reason=down"], &["date"]);
    jane.awaits(&request, "Granted");
    let root = scene.root();
    let patch = |patch: &str| {
        root.kubectl([
            "patch",
            "acr",
            &request,
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        ])
    };
    // The definition's own rule comes first.
    patch(r#"{"status":{"emergency":null}}"#).is_refused_with("an emergency stays one");
    patch(r#"{"status":{"emergency":{"reviewBy":"2036-01-01T00:00:00Z"}}}"#)
        .is_refused_with("an emergency stays one");
    patch(r#"{"status":{"reviewed":{"by":"jane","at":"2026-01-01T00:00:00Z"}}}"#)
        .is_refused_with("only the server");
    amy.kubectl(["request", "review", &amy.exactly(&request), "--yes"])
        .works_with("created grant review-");
    jane.awaits(&request, "Reviewed");
    patch(r#"{"status":{"reviewed":null}}"#).is_refused_with("a review is final");
    jane.exec(&["date"]).works_with("UTC");
    let other = jane.ask(&["--valid-for=1h", "--reason=down"], &["hostname"]);
    jane.awaits(&other, "Granted");
    amy.kubectl(["request", "deny", &other, "--yes"])
        .works_with("created grant deny-");
    jane.exec(&["hostname"])
        .is_refused_with("denied your request");
    jane.awaits(&other, "Reviewed");
}

// K17
#[test]
fn a_namespace_ends_with_an_emergency_in_it_that_nobody_reviewed_and_its_record_stays() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    owner_applies(&scene, &night(&scene, &jane)).works_with("created");
    let request = jane.ask(&["--valid-for=1h", "--reason=the shop is down"], &["date"]);
    jane.awaits(&request, "Granted");
    jane.exec(&["date"]).works_with("UTC");
    let object = scene.get("acr", &request);
    scene
        .admin(["delete", "namespace", &scene.namespace, "--timeout=60s"])
        .works_with("deleted");
    let record = scene.record(object["metadata"]["uid"].as_str().unwrap());
    assert_eq!(
        record["request"]["namespace"],
        scene.namespace.as_str(),
        "{record}"
    );
    assert_eq!(
        record["emergency"], object["status"]["emergency"],
        "{record}"
    );
    assert_eq!(record["spec"]["reason"], "the shop is down", "{record}");
    assert!(record["reviewed"].is_null(), "{record}");
    let by = record["deleted"]["by"]["username"]
        .as_str()
        .unwrap_or_default();
    assert!(
        by.ends_with("namespace-controller") || by == "system:kube-controller-manager",
        "{record}"
    );
}
