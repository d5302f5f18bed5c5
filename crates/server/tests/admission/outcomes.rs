//! What becomes of the answer to a review that spent a use: written down once it was handed over,
//! called lost where it was not. Whatever is written, the use stays used.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use decide::{
    identity::{Approvers, NamePrefix},
    lifecycle::Keep,
    settings::Settings,
};
use http::{Method, StatusCode};
use kube::runtime::events::Recorder;
use rstest::rstest;
use serde_json::{Value, json};
use server::{
    cluster::{outcomes::Outcomes, seal::Sealer},
    controllers::{ControllerContext, status::reconcile},
};
use tower::ServiceExt as _;

use crate::{
    fake_api::Effect,
    world::{REQUEST, World, recorded, request_key},
};

fn uses(world: &World) -> Value {
    world.api.get(REQUEST)["status"]["uses"].clone()
}

/// What a controller of some replica does with the request, its clock so many seconds after the
/// start.
async fn reconciles(world: &World, seconds: i64) -> Option<Duration> {
    let now = "2026-11-23T15:00:00Z".parse::<jiff::Timestamp>().unwrap()
        + Duration::from_secs(seconds.unsigned_abs());
    let context = ControllerContext {
        client: world.api.client(),
        recorder: Recorder::new(world.api.client(), "test".into()),
        notices: None,
        role: None,
        settings: Arc::new(Settings {
            allow_interactive: false,
            unused: Duration::from_hours(48),
            prefix: NamePrefix::new(""),
            approvers: Approvers::default(),
            requesters: Vec::new(),
        }),
        policies: Arc::clone(&world.policies),
        sealer: Arc::new(Sealer::off()),
        keep: Keep {
            finished: Duration::from_hours(168),
        },
        clock: Arc::new(move || now),
        metrics: server::metrics::Metrics::new(),
    };
    reconcile(&request_key(), &context).await.unwrap()
}

/// An exec whose answer is made and never fetched: the connection broke, or the process died.
async fn unfetched(world: &World, review_uid: &str) {
    let mut review = recorded("exec-websocket");
    review["request"]["uid"] = json!(review_uid);
    let body = review.to_string();
    let request = Request::post("/validate?timeout=10s").header("content-length", body.len());
    let response = world
        .router()
        .oneshot(request.body(Body::from(body)).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
}

#[tokio::test]
async fn an_answer_that_was_handed_over_is_written_down() {
    let world = World::granted();
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.until_answered().await;
    reconciles(&world, 3600).await;
    assert_eq!(uses(&world)[0]["outcome"], "Answered");
    assert_eq!(world.uses(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_took_is_lost_and_stays_used() {
    let world = World::granted();
    unfetched(&world, "r1").await;
    assert_eq!(uses(&world)[0]["outcome"], Value::Null);
    world.catch_up();
    let soon = world.exec("r2", |_| {}).await;
    assert!(
        soon.denial()
            .contains("which was taken at 2026-11-23 15:00:00 UTC"),
        "{}",
        soon.denial()
    );
    assert!(
        soon.denial()
            .contains("If nothing ran then, it may have been lost"),
        "{}",
        soon.denial()
    );

    // While it may still be answered, it is left as it is, and looked at when it may not.
    let wait = Duration::from_secs(44) + Duration::from_millis(50);
    assert_eq!(reconciles(&world, 1).await, Some(wait));
    assert_eq!(uses(&world)[0]["outcome"], Value::Null);
    reconciles(&world, 45).await;
    assert_eq!(uses(&world)[0]["outcome"], "Lost");
    let conditions = world.api.get(REQUEST)["status"]["conditions"].clone();
    let lost = conditions
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == "Lost")
        .unwrap()
        .clone();
    assert!(
        lost["message"]
            .as_str()
            .unwrap()
            .contains("may have been lost"),
        "{lost}"
    );
    let stored = world.api.get(REQUEST);
    reconciles(&world, 50).await;
    assert_eq!(world.api.get(REQUEST), stored, "once is enough");

    world.catch_up();
    let later = world.exec("r3", |_| {}).await;
    assert!(
        later
            .denial()
            .contains("and may have been lost: the server stopped before it could answer"),
        "{}",
        later.denial()
    );
    assert!(
        later
            .denial()
            .ends_with("kubectl request again -n default ask"),
        "{}",
        later.denial()
    );
    assert_eq!(world.uses(), 1);
}

#[tokio::test]
async fn the_same_review_sent_again_is_answered_and_that_is_written_down() {
    let world = World::granted();
    unfetched(&world, "r1").await;
    assert!(
        world.exec("r1", |_| {}).await.allowed(),
        "the API server asks again where the connection broke"
    );
    world.until_answered().await;
    assert_eq!(world.uses(), 1);
}

fn writes_a_phase(request: &mut Value) {
    request["status"]["phase"] = json!("Granted");
}

fn denies_it(request: &mut Value) {
    request["status"]["denied"] = json!({"by": "ann", "at": "2026-11-23T15:00:00Z"});
}

fn attaches_too(request: &mut Value) {
    let attach = json!({"reviewUID": "other", "at": "2026-11-23T15:00:00Z", "pod": "nginx", "podUID": "pod-1",
        "subResource": "attach"});
    request["status"]["uses"]
        .as_array_mut()
        .unwrap()
        .push(attach);
}

fn is_lost(request: &mut Value) {
    request["status"]["uses"][0]["outcome"] = json!("Lost");
}

#[rstest]
#[case::a_phase(writes_a_phase)]
#[case::a_denial(denies_it)]
#[case::another_use(attaches_too)]
#[case::that_it_is_lost(is_lost)]
#[tokio::test(start_paused = true)]
async fn what_others_write_at_the_same_time_stays(#[case] change: fn(&mut Value)) {
    let world = World::granted();
    unfetched(&world, "r1").await;
    let mut expected = world.api.get(REQUEST)["status"].clone();
    let mut whole = json!({"status": expected.take()});
    change(&mut whole);
    whole["status"]["uses"][0]["outcome"] = json!("Answered");
    world.api.next_fault(
        Method::PUT,
        "/ask/status",
        Effect::After(REQUEST.to_owned(), change),
    );
    let (outcomes, unwritten) = Outcomes::new(world.api.client());
    outcomes.answered(spent("r1"));
    drop(outcomes);
    unwritten.written().await;
    assert_eq!(world.api.get(REQUEST)["status"], whole["status"]);
}

fn spent(review_uid: &str) -> server::cluster::outcomes::SpentUse {
    server::cluster::outcomes::SpentUse {
        namespace: "default".to_owned(),
        request: "ask".to_owned(),
        request_uid: "ask-1".to_owned(),
        review_uid: review_uid.to_owned(),
    }
}

#[rstest]
#[case::refused(Effect::Fails(StatusCode::INTERNAL_SERVER_ERROR))]
#[case::done_and_not_said(Effect::DoneButFails(StatusCode::INTERNAL_SERVER_ERROR))]
#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again(#[case] effect: Effect) {
    let world = World::granted();
    unfetched(&world, "r1").await;
    world.api.next_fault(Method::PUT, "/ask/status", effect);
    let (outcomes, unwritten) = Outcomes::new(world.api.client());
    outcomes.answered(spent("r1"));
    drop(outcomes);
    unwritten.written().await;
    assert_eq!(uses(&world)[0]["outcome"], "Answered");
    assert_eq!(world.uses(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_never_answers_is_given_up() {
    let world = World::granted();
    world
        .api
        .next_fault(Method::GET, "/accessrequests/ask", Effect::Hangs);
    let (outcomes, unwritten) = Outcomes::new(world.api.client());
    outcomes.answered(spent("r1"));
    drop(outcomes);
    unwritten.written().await;
    assert_eq!(world.uses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_same_name_gets_nothing_of_the_old_ones() {
    let world = World::granted();
    unfetched(&world, "r1").await;
    world.api.change(REQUEST, |request| {
        request["metadata"]["uid"] = json!("ask-2");
    });
    let (outcomes, unwritten) = Outcomes::new(world.api.client());
    outcomes.answered(spent("r1"));
    drop(outcomes);
    unwritten.written().await;
    assert_eq!(uses(&world)[0]["outcome"], Value::Null);
}

#[tokio::test]
async fn a_denial_writes_nothing() {
    let world = World::granted();
    world
        .exec("r2", |request| request["object"]["command"] = json!(["sh"]))
        .await
        .denial();
    assert!(
        world
            .api
            .requests()
            .iter()
            .all(|(method, _)| *method != Method::PUT)
    );
}

// E12
#[rstest]
#[case::behind(-300)]
#[case::ahead(300)]
#[tokio::test]
async fn a_clock_that_is_off_gives_no_use_back_and_no_access_after_its_end(#[case] seconds: i64) {
    let timed = World::granted_with(crate::world::Settings::default(), |request| {
        request["spec"]["validFor"] = json!("1h0m0s");
    });
    timed.pass(3600 + 300 + 5 + seconds.min(0));
    assert!(
        !timed.exec("late", |_| {}).await.allowed(),
        "the clock of this replica says that it is over"
    );

    let world = World::granted();
    world.pass(seconds);
    if seconds < 0 {
        // To this replica request and grant come from the future, which it does not believe.
        assert!(!world.exec("r1", |_| {}).await.allowed());
        assert_eq!(world.uses(), 0);
        return;
    }
    assert!(world.exec("r1", |_| {}).await.allowed());
    world.until_answered().await;
    reconciles(&world, 0).await;
    assert!(!world.exec("r2", |_| {}).await.allowed());
    assert_eq!(world.uses(), 1);
}

// E12
#[tokio::test]
async fn a_replica_whose_clock_is_ahead_calls_a_use_lost_and_the_answer_corrects_that() {
    let world = World::granted();
    unfetched(&world, "r1").await;
    reconciles(&world, 300).await;
    assert_eq!(uses(&world)[0]["outcome"], "Lost");
    assert!(
        world.exec("r1", |_| {}).await.allowed(),
        "of the same review only"
    );
    world.until_answered().await;
    reconciles(&world, 300).await;
    let conditions = world.api.get(REQUEST)["status"]["conditions"].clone();
    assert!(
        conditions
            .as_array()
            .unwrap()
            .iter()
            .all(|condition| condition["type"] != "Lost"),
        "{conditions}"
    );
}
