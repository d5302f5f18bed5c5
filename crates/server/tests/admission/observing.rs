//! Observe mode: whatever is tried passes, and is counted.

use api::report::{KEY, Report};
use axum::http::StatusCode;
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::{Value, json};
use server::{admission::room::Room, controllers::report};

use crate::{
    fake_api::Effect,
    world::{REQUEST, Said, Settings, World, recorded},
};

const STORED: &str = "/api/v1/namespaces/kube-request-access/secrets/kube-request-access-observed";

async fn observe(world: &World, review: &Value) -> Said {
    world.post("/observe?timeout=2s", review.to_string()).await
}

/// What is written down of all that a world saw; the world ends.
async fn reported(world: World) -> Report {
    let (api, seen) = (
        world.api.clone(),
        world.seen.lock().unwrap().take().unwrap(),
    );
    drop(world);
    if api.get(STORED).is_null() {
        api.store(STORED, &empty());
    }
    report::run(seen, api.client(), "kube-request-access".to_owned()).await;
    read(&api.get(STORED))
}

/// The report of a new installation.
fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kube-request-access-observed"}})
}

fn read(stored: &Value) -> Report {
    let stored: Secret = serde_json::from_value(stored.clone()).unwrap();
    serde_json::from_slice(&stored.data.unwrap()[KEY].0).unwrap()
}

#[rstest]
#[case("exec-websocket", "pods/exec", "denied-no-request")]
#[case("exec-tty", "pods/exec", "denied-interactive")]
#[case("attach-stdin", "pods/attach", "denied-interactive")]
#[case("cp-to-pod-1", "pods/exec", "denied-no-request")]
#[case("exec-serviceaccount-token", "pods/exec", "denied-no-request")]
#[case("ephemeral-debug", "pods/ephemeralcontainers", "denied-no-request")]
#[case("podproxy-get", "pods/proxy", "denied-proxy")]
#[case("nodeproxy-exec-post", "nodes/proxy", "denied-proxy")]
#[tokio::test]
async fn every_door_is_open_and_every_attempt_counted(
    #[case] name: &str,
    #[case] door: &str,
    #[case] would: &str,
) {
    let world = World::new(Settings::default());
    let mut review = recorded(name);
    review["request"]["userInfo"]["groups"] = json!(["system:authenticated"]);
    let said = observe(&world, &review).await;
    assert!(said.allowed());
    assert_eq!(said.body["response"]["auditAnnotations"]["would-be"], would);
    assert!(world.api.requests().is_empty(), "nothing is read");
    let report = reported(world).await;
    let [one] = report.stopped.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((one.attempt.resource.as_str(), one.times), (door, 1));
    assert_eq!(
        one.attempt.user,
        review["request"]["userInfo"]["username"].as_str().unwrap()
    );
}

#[tokio::test]
async fn what_would_pass_is_counted_as_such_and_uses_nothing_up() {
    let world = World::granted();
    for _ in 0..3 {
        let said = observe(&world, &recorded("exec-websocket")).await;
        assert_eq!(
            said.body["response"]["auditAnnotations"]["would-be"],
            "granted"
        );
    }
    let mut root = recorded("exec-websocket");
    root["request"]["userInfo"]["groups"] = json!(["system:masters"]);
    assert_eq!(
        observe(&world, &root).await.body["response"]["auditAnnotations"]["would-be"],
        "always-allowed"
    );
    assert!(world.api.requests().is_empty());
    assert_eq!(world.api.get(REQUEST)["status"]["uses"], Value::Null);
    let report = reported(world).await;
    assert_eq!((report.passed, report.stopped.len()), (4, 0));
}

#[rstest]
#[case::unknown_option(|request: &mut Value| request["object"]["env"] = json!(["A=B"]))]
#[case::wrong_type(|request: &mut Value| request["object"]["stdin"] = json!("true"))]
#[case::no_options(|request: &mut Value| request["object"] = Value::Null)]
#[case::another_resource(|request: &mut Value| request["resource"]["resource"] = json!("secrets"))]
#[case::another_door(|request: &mut Value| request["subResource"] = json!("teleport"))]
#[tokio::test]
async fn what_is_not_understood_passes(#[case] change: fn(&mut Value)) {
    let world = World::new(Settings::default());
    let mut review = recorded("exec-websocket");
    change(&mut review["request"]);
    assert!(observe(&world, &review).await.allowed());
}

#[tokio::test]
async fn what_cannot_be_answered_is_an_error_which_its_webhook_ignores() {
    let world = World::new(Settings::default());
    assert_eq!(
        world.post("/observe?timeout=2s", "{").await.status,
        StatusCode::BAD_REQUEST
    );
}

// K15
#[tokio::test]
async fn what_there_is_no_room_to_look_at_passes_and_is_named() {
    let world = World::new(Settings {
        observing: Some(Room::new(0, 0)),
        ..Settings::default()
    });
    let said = observe(&world, &recorded("exec-websocket")).await;
    assert!(said.allowed());
    assert_eq!(
        said.body["response"]["auditAnnotations"]["would-be"],
        "denied-too-many"
    );
    let mut large = recorded("exec-websocket");
    large["request"]["object"]["command"] = json!(vec!["x"; 100_000]);
    let said = observe(&world, &large).await;
    assert!(said.allowed());
    assert_eq!(
        said.body["response"]["auditAnnotations"]["would-be"],
        "denied-too-large"
    );
    let report = reported(world).await;
    let [one] = report.stopped.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(
        (one.attempt.user.as_str(), one.attempt.resource.as_str()),
        ("jane", "pods/exec")
    );
    assert!(one.attempt.cut && one.times == 2, "{one:?}");
}

#[tokio::test]
async fn those_who_are_looked_at_take_no_place_from_the_others_and_none_the_other_way_round() {
    let world = World::new(Settings {
        room: Some(Room::new(0, 0)),
        ..Settings::default()
    });
    assert!(observe(&world, &recorded("exec-websocket")).await.allowed());
    let world = World::new(Settings {
        observing: Some(Room::new(0, 0)),
        ..Settings::default()
    });
    world.exec("r1", |_| {}).await.denial();
}

#[tokio::test]
async fn a_dry_run_is_not_counted() {
    let world = World::new(Settings::default());
    assert!(
        observe(&world, &recorded("ephemeral-patch-dryrun"))
            .await
            .allowed()
    );
    let mut seen = world.seen.lock().unwrap().take().unwrap();
    assert!(seen.is_empty());
}

#[tokio::test]
async fn the_other_ways_still_refuse() {
    let world = World::new(Settings::default());
    world.exec("r1", |_| {}).await.denial();
    let said = world
        .post("/mutate?timeout=2s", recorded("exec-websocket").to_string())
        .await;
    assert!(!said.allowed());
}

#[tokio::test(start_paused = true)]
async fn replicas_add_to_what_is_there() {
    let one = World::new(Settings::default());
    observe(&one, &recorded("exec-websocket")).await;
    let (api, seen) = (one.api.clone(), one.seen.lock().unwrap().take().unwrap());
    drop(one);
    api.store(STORED, &empty());
    report::run(seen, api.client(), "kube-request-access".to_owned()).await;

    let two = World::new(Settings::default());
    observe(&two, &recorded("exec-websocket")).await;
    let seen = two.seen.lock().unwrap().take().unwrap();
    // Another replica is a little faster, and the API server away for a moment.
    api.next_fault(
        Method::GET,
        "/secrets",
        Effect::Fails(StatusCode::INTERNAL_SERVER_ERROR),
    );
    api.next_fault(
        Method::PUT,
        "/secrets",
        Effect::After(STORED.to_owned(), |stored| stored["touched"] = json!(1)),
    );
    let running = report::run(seen, api.client(), "kube-request-access".to_owned());
    let twice = api.until(|api| (read(&api.get(STORED)).stopped[0].times == 2).then_some(()));
    tokio::select! { () = running => panic!("it ended"), () = twice => {} }
    drop(two);
}

#[tokio::test]
async fn a_report_that_somebody_spoiled_is_begun_anew() {
    let world = World::new(Settings::default());
    world
        .api
        .store(STORED, &json!({"metadata": {"name": "kube-request-access-observed"}, "data": {KEY: "c3BvaWxlZA=="}}));
    observe(&world, &recorded("exec-websocket")).await;
    assert_eq!(reported(world).await.stopped.len(), 1);
}
