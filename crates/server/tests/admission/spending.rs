//! A single use is spent by compare-and-swap: never twice, whatever the API server answers.

use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    fake_api::Effect,
    world::{REQUEST, World},
};

fn writes_a_phase(request: &mut Value) {
    request["status"]["phase"] = json!("Granted");
}

fn uses_it(request: &mut Value) {
    request["status"]["uses"] = json!([{"reviewUID": "other", "at": "2026-11-23T15:00:00Z", "pod": "nginx", "podUID": "pod-1"}]);
}

fn denies_it(request: &mut Value) {
    request["status"]["denied"] = json!({"by": "ann", "at": "2026-11-23T15:00:00Z"});
}

fn re_creates_it(request: &mut Value) {
    request["metadata"]["uid"] = json!("ask-2");
}

#[tokio::test]
async fn a_write_of_our_own_controllers_at_the_same_time_costs_nothing() {
    let world = World::granted();
    world.api.next_fault(
        Method::PUT,
        "/ask/status",
        Effect::After(REQUEST.to_owned(), writes_a_phase),
    );
    assert!(world.exec("r1", |_| {}).await.allowed());
    assert_eq!(world.uses(), 1);
    assert_eq!(
        world.api.get(REQUEST)["status"]["phase"],
        "Granted",
        "the other write stays"
    );
}

#[rstest]
#[case::used_by_another(uses_it, "was for one use")]
#[case::denied(denies_it, "denied your request")]
#[case::re_created(re_creates_it, "you have not asked")]
#[tokio::test]
async fn whoever_is_first_wins(#[case] change: fn(&mut Value), #[case] text: &str) {
    let world = World::granted();
    world.api.next_fault(
        Method::PUT,
        "/ask/status",
        Effect::After(REQUEST.to_owned(), change),
    );
    let said = world.exec("r1", |_| {}).await;
    assert!(said.denial().contains(text), "{}", said.denial());
    assert!(world.uses() <= 1);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_again() {
    let world = World::granted();
    world.api.next_fault(
        Method::PUT,
        "/ask/status",
        Effect::DoneButFails(StatusCode::GATEWAY_TIMEOUT),
    );
    assert!(world.exec("r1", |_| {}).await.allowed());
    assert_eq!(world.uses(), 1);
    assert!(!world.exec("r2", |_| {}).await.allowed());
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_gives_way_to_a_denial_that_came_meanwhile() {
    let world = World::granted();
    world.api.next_fault(
        Method::PUT,
        "/ask/status",
        Effect::DoneThenFails(StatusCode::GATEWAY_TIMEOUT, denies_it),
    );
    let said = world.exec("r1", |_| {}).await;
    assert!(
        said.denial().contains("denied your request"),
        "{}",
        said.denial()
    );
    assert_eq!(world.uses(), 1);
}

#[rstest]
#[case(StatusCode::INTERNAL_SERVER_ERROR)]
#[case(StatusCode::TOO_MANY_REQUESTS)]
#[case(StatusCode::SERVICE_UNAVAILABLE)]
#[tokio::test]
async fn a_write_that_may_still_be_carried_out_is_not_sent_twice(#[case] code: StatusCode) {
    let world = World::granted();
    world
        .api
        .next_fault(Method::PUT, "/ask/status", Effect::Fails(code));
    let said = world.exec("r1", |_| {}).await;
    assert!(said.denial().contains("(id r1)"), "{}", said.denial());
    assert!(said.denial().contains("may be lost"));
    let puts = world
        .api
        .requests()
        .iter()
        .filter(|(method, _)| *method == Method::PUT)
        .count();
    assert_eq!(puts, 1);
}

#[tokio::test]
async fn a_use_that_something_took_out_of_what_is_stored_is_no_use() {
    let world = World::granted();
    world
        .api
        .next_fault(Method::PUT, "/ask/status", Effect::Forgets("uses"));
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("could not be recorded for certain")
    );
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn endless_conflicts_end_in_a_denial() {
    let world = World::granted();
    for _ in 0..3 {
        world.api.next_fault(
            Method::PUT,
            "/ask/status",
            Effect::After(REQUEST.to_owned(), writes_a_phase),
        );
    }
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("could not be recorded")
    );
    assert_eq!(world.uses(), 0);
}

#[rstest]
#[case("/pods/nginx")]
#[case("/accessrequests/ask")]
#[case("/accessgrants/grant-ask")]
#[tokio::test]
async fn a_read_that_fails_denies_and_spends_nothing(#[case] path: &'static str) {
    let world = World::granted();
    world.api.next_fault(
        Method::GET,
        path,
        Effect::Fails(StatusCode::INTERNAL_SERVER_ERROR),
    );
    let said = world.exec("r1", |_| {}).await;
    assert!(
        said.denial()
            .contains("nothing was allowed or used up (id r1)"),
        "{}",
        said.denial()
    );
    assert_eq!(world.uses(), 0);
    assert!(world.exec("r2", |_| {}).await.allowed());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_answer_denies_before_the_review_times_out() {
    let world = World::granted();
    world
        .api
        .next_fault(Method::GET, "/pods/nginx", Effect::Hangs);
    let started = tokio::time::Instant::now();
    assert!(
        world
            .exec("r1", |_| {})
            .await
            .denial()
            .contains("it took too long")
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn no_spend_begins_when_its_answer_would_come_too_late() {
    let world = World::granted();
    let mut review = crate::world::recorded("exec-spdy");
    review["request"]["uid"] = json!("r1");
    let said = world.post("/validate?timeout=1s", review.to_string()).await;
    assert!(
        said.denial().contains("not enough time"),
        "{}",
        said.denial()
    );
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn of_fifty_attempts_at_once_one_gets_through() {
    let world = World::granted();
    let attempts = (0..50).map(|number| {
        let world = &world;
        async move { world.exec(&format!("r{number}"), |_| {}).await.allowed() }
    });
    let allowed = futures::future::join_all(attempts)
        .await
        .into_iter()
        .filter(|allowed| *allowed)
        .count();
    assert_eq!(allowed, 1);
    assert_eq!(world.uses(), 1);
}

#[tokio::test]
async fn the_use_says_which_review_and_which_pod() {
    let world = World::granted();
    world.exec("r1", |_| {}).await;
    world.until_answered().await;
    let used = &world.api.get(REQUEST)["status"]["uses"][0];
    let expected = json!({"reviewUID": "r1", "at": "2026-11-23T15:00:00Z", "pod": "nginx", "podUID": "pod-1",
        "subResource": "exec", "container": "nginx", "outcome": "Answered"});
    assert_eq!(*used, expected);
}
