//! Emergencies: granted at once, marked before anything opens, reviewed afterwards, kept until
//! then.

use kube::runtime::watcher::Event;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    objects::{deleting, file, filing, granting, stamp},
    policies::policy,
    world::{GRANT, REQUEST, Said, Settings, World, grant, request},
};

fn night() -> Value {
    policy(
        "Allow",
        json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"],
            "reason": {}, "emergency": {"reviewWithin": "24h"}}),
    )
}

fn asked() -> Value {
    let mut request = request();
    request["spec"]["reason"] = json!("the shop is down");
    request["spec"]["createdBy"] = json!({"username": "fil"});
    request
}

/// A world in which jane's request was granted because of an emergency.
async fn emergency_with(settings: Settings, change: impl FnOnce(&mut Value)) -> World {
    let world = World::new(settings);
    world.put_policy(&night());
    let mut request = asked();
    change(&mut request);
    world.put_request(&request);
    world.reconcile().await;
    world
}

async fn emergency() -> World {
    emergency_with(Settings::default(), |_| {}).await
}

fn review() -> Value {
    let mut review = grant("reviewed");
    review["spec"]["reason"] = json!("as she says");
    review
}

/// Somebody's review, through both webhooks.
async fn reviews(world: &World, by: &str) -> Said {
    let mut creation = granting(by);
    creation["request"]["object"] = review();
    file(world, &creation).await
}

/// amy's review, admitted and stored.
async fn reviewed(world: &World) {
    let mut creation = granting("amy");
    creation["request"]["object"] = review();
    let stamped = stamp(world, &creation).await.unwrap();
    let said = world.post("/validate", stamped.to_string()).await;
    assert!(said.allowed());
    world.put_grant(&stamped["request"]["object"]);
    world.reconcile().await;
}

async fn deletes(world: &World, by: &str) -> Said {
    world
        .post(
            "/validate",
            deleting(by, &world.api.get(REQUEST), "accessrequests").to_string(),
        )
        .await
}

fn condition(world: &World) -> Value {
    let conditions = world.api.get(REQUEST)["status"]["conditions"].clone();
    let mut conditions = conditions.as_array().unwrap().iter();
    conditions
        .find(|condition| condition["type"] == "Reviewed")
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn it_opens_the_door_once_it_is_marked_and_is_recorded_with_the_policy() {
    let world = World::new(Settings::default());
    world.put_policy(&night());
    world.put_request(&asked());
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant"),
        "nothing tells of it yet"
    );
    world.reconcile().await;
    let status = world.api.get(REQUEST)["status"].clone();
    assert_eq!(status["phase"], "Granted");
    let policy = json!({"name": "low-risk", "uid": "policy-1", "generation": 3});
    let expected = json!({"policy": policy, "since": "2026-11-23T15:00:00Z", "reviewBy": "2026-11-24T15:00:00Z"});
    assert_eq!(status["emergency"], expected);
    let said = world.exec("r2", |_| {}).await;
    assert!(said.allowed());
    assert_eq!(
        said.body["response"]["auditAnnotations"]["policy"],
        "low-risk policy-1 3"
    );
    world.catch_up();
    assert!(
        world
            .exec("r3", |_| {})
            .await
            .denial()
            .contains("was for one use")
    );
    assert_eq!(
        world.api.get(REQUEST)["status"]["emergency"],
        expected,
        "the use left it there"
    );
}

#[tokio::test]
async fn a_mark_that_only_memory_shows_opens_nothing() {
    let world = emergency().await;
    world
        .api
        .change(REQUEST, |request| request["status"] = json!({}));
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
}

#[tokio::test]
async fn without_a_reason_it_waits() {
    let world = emergency_with(Settings::default(), |request| {
        request["spec"]["reason"] = Value::Null;
    })
    .await;
    assert_eq!(world.api.get(REQUEST)["status"]["phase"], "Pending");
    assert!(world.api.get(REQUEST)["status"]["emergency"].is_null());
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("waits for a grant")
    );
}

#[rstest]
#[case::requester("jane", "which nobody has reviewed, is not yours to delete")]
#[case::filer("fil", "is not yours to delete")]
#[case::third_person("bob", "is not yours to delete")]
#[tokio::test]
async fn whom_it_concerns_cannot_delete_it_before_its_review(#[case] by: &str, #[case] text: &str) {
    // A right to grant does not make her neutral.
    assert_eq!(deletes(&emergency().await, by).await.allowed(), by == "bob");
    let world = emergency().await;
    world.api.takes_all_rights_of(by);
    let said = deletes(&world, by).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

#[rstest]
#[case::an_approver("amy")]
#[case::ourselves("system:serviceaccount:kube-request-access:kube-request-access")]
#[case::namespace_controller("system:serviceaccount:kube-system:namespace-controller")]
#[tokio::test]
async fn others_may_delete_it_as_any_request(#[case] by: &str) {
    assert!(deletes(&emergency().await, by).await.allowed());
}

#[tokio::test]
async fn its_requester_deletes_it_after_the_review() {
    let world = emergency().await;
    reviewed(&world).await;
    assert!(deletes(&world, "jane").await.allowed());
    let by_filer = deletes(&world, "fil").await;
    assert!(by_filer.denial().contains("not yours to delete"));
}

#[tokio::test]
async fn a_review_that_the_status_does_not_have_yet_frees_nothing() {
    let world = emergency().await;
    assert!(reviews(&world, "amy").await.allowed());
    world.put_grant(&review());
    assert!(!deletes(&world, "jane").await.allowed());
}

#[tokio::test]
async fn a_review_stands_in_the_status_and_there_is_one() {
    let world = emergency().await;
    assert_eq!(
        (&condition(&world)["status"], &condition(&world)["reason"]),
        (&json!("False"), &json!("Awaited"))
    );
    reviewed(&world).await;
    let status = world.api.get(REQUEST)["status"].clone();
    assert_eq!(
        status["reviewed"],
        json!({"by": "amy", "at": "2026-11-23T15:00:00Z", "reason": "as she says"})
    );
    assert_eq!(condition(&world)["status"], "True");
    let again = reviews(&world, "ann").await;
    assert!(
        again.denial().contains("was reviewed already, by amy"),
        "{}",
        again.denial()
    );
    world.api.remove(GRANT);
    world.reconcile().await;
    assert_eq!(
        world.api.get(REQUEST)["status"]["reviewed"],
        status["reviewed"],
        "it stays"
    );
}

#[rstest]
#[case::requester("jane", "is your own")]
#[case::filer("fil", "you filed")]
#[case::a_program("system:serviceaccount:ci:bot", "a ServiceAccount answers no requests")]
#[tokio::test]
async fn whom_it_concerns_does_not_review_it(#[case] by: &str, #[case] text: &str) {
    let said = reviews(&emergency().await, by).await;
    assert!(said.denial().contains(text), "{}", said.denial());
}

// K8: its requester could have filed it under the name of a request that somebody was about to
// deny.
#[tokio::test]
async fn a_denial_that_does_not_say_what_was_read_is_no_review() {
    let world = emergency().await;
    let mut denial = granting("amy");
    denial["request"]["object"]["status"] = json!("denied");
    denial["request"]["object"]["spec"]["validFor"] = Value::Null;
    denial["request"]["object"]["spec"]["requestUID"] = Value::Null;
    assert!(
        file(&world, &denial)
            .await
            .denial()
            .contains("spec.requestUID is missing")
    );
    denial["request"]["object"]["spec"]["requestUID"] = json!("ask-1");
    assert!(file(&world, &denial).await.allowed());
}

#[tokio::test]
async fn only_an_emergency_is_reviewed_and_for_no_time() {
    let world = World::granted();
    let said = reviews(&world, "amy").await;
    assert!(
        said.denial().contains("there is nothing to review"),
        "{}",
        said.denial()
    );
    let world = emergency().await;
    let mut creation = granting("amy");
    creation["request"]["object"] = review();
    creation["request"]["object"]["spec"]["validFor"] = json!("1h");
    let said = file(&world, &creation).await;
    assert!(
        said.denial().contains("leave validFor out"),
        "{}",
        said.denial()
    );
    creation["request"]["object"] = review();
    creation["request"]["object"]["spec"]["requestUID"] = json!("ask-0");
    assert!(
        file(&world, &creation)
            .await
            .denial()
            .contains("no longer the request you read")
    );
}

#[tokio::test]
async fn it_is_reviewed_after_its_use_and_its_end_which_opens_nothing_again() {
    let world = emergency().await;
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.until_answered().await;
    world.reconcile().await;
    assert_eq!(world.api.get(REQUEST)["status"]["phase"], "Used");
    let mut denial = granting("amy");
    denial["request"]["object"] = grant("denied");
    assert!(
        file(&world, &denial)
            .await
            .denial()
            .contains("review it (kubectl request review)")
    );
    reviewed(&world).await;
    assert!(
        world
            .exec("r2", |_| {})
            .await
            .denial()
            .contains("was for one use")
    );

    let world = emergency_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    })
    .await;
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.pass(24 * 3600);
    world.reconcile().await;
    assert_eq!(world.api.get(REQUEST)["status"]["phase"], "Expired");
    assert_eq!(condition(&world)["reason"], "Overdue");
    reviewed(&world).await;
    assert!(world.exec("r2", |_| {}).await.denial().contains("ended"));
    assert_eq!(condition(&world)["reason"], "Reviewed");
}

#[tokio::test]
async fn a_denial_ends_it_and_is_a_review() {
    let world = emergency_with(Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h");
    })
    .await;
    let mut denial = granting("amy");
    denial["request"]["object"] = grant("denied");
    assert!(file(&world, &denial).await.allowed());
    world.put_grant(&grant("denied"));
    world.reconcile().await;
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("amy denied your request")
    );
    assert_eq!(world.api.get(REQUEST)["status"]["reviewed"]["by"], "amy");
    assert!(
        !deletes(&world, "jane").await.allowed(),
        "what was denied stays"
    );
}

#[tokio::test]
async fn what_was_planted_while_the_gate_was_away_reviews_nothing() {
    for answer in ["reviewed", "denied"] {
        let world = emergency_with(
            Settings {
                sealed: true,
                ..Settings::default()
            },
            |_| {},
        )
        .await;
        world.put_grant(&grant(answer));
        world.reconcile().await;
        assert!(
            world.api.get(REQUEST)["status"]["reviewed"].is_null(),
            "{answer}"
        );
        assert!(!deletes(&world, "jane").await.allowed());
    }
    let world = emergency_with(
        Settings {
            sealed: true,
            ..Settings::default()
        },
        |_| {},
    )
    .await;
    reviewed(&world).await;
    assert_eq!(
        world.api.get(REQUEST)["status"]["reviewed"]["by"],
        "amy",
        "what was sealed counts"
    );
}

#[tokio::test]
async fn unreviewed_emergencies_take_room_until_they_are_reviewed() {
    let world = emergency().await;
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.reconcile().await;
    let mut other = asked();
    (other["metadata"]["name"], other["metadata"]["uid"]) = (json!("other"), json!("ask-2"));
    world
        .index
        .apply_request(Event::Apply(serde_json::from_value(other).unwrap()));
    let said = file(&world, &filing()).await;
    assert!(
        said.denial().contains("the maximum is 2")
            && said.denial().contains("have emergencies reviewed")
    );
    reviewed(&world).await;
    assert!(file(&world, &filing()).await.allowed());
}
