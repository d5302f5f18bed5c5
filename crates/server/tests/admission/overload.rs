//! Reviews that are too large, or too many at once: answered as reviews, without being built.

use axum::{body::Body, http::StatusCode};
use futures::{StreamExt as _, stream};
use http::{Request, header::RETRY_AFTER};
use rstest::rstest;
use serde_json::{Value, json};
use server::admission::room::Room;
use tower::ServiceExt as _;

use crate::world::{Said, Settings, World, recorded};

fn refused(said: &Said, code: u16, reason: &str, decision: &str) -> String {
    assert_eq!(said.status, StatusCode::OK, "{}", said.body);
    let response = &said.body["response"];
    assert_eq!(
        (&response["allowed"], &response["status"]["code"]),
        (&json!(false), &json!(code))
    );
    assert_eq!(
        (&response["status"]["reason"], &response["uid"]),
        (&json!(reason), &json!("r1"))
    );
    assert_eq!(response["auditAnnotations"]["decision"], decision);
    assert!(response.get("patch").is_none());
    response["status"]["message"].as_str().unwrap().to_owned()
}

fn grown(name: &str, pointer: &str, value: Value) -> String {
    let mut review = recorded(name);
    review["request"]["uid"] = json!("r1");
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    review["request"].pointer_mut(parent).unwrap()[key] = value;
    review.to_string()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!([]), |inner, _| json!([inner, 1]))
}

// K1
#[rstest]
#[case::empties("ephemeral-debug", "/object/spec/ephemeralContainers/0/args", json!(vec![""; 800_000]))]
#[case::objects_of_one_key("ephemeral-debug", "/object/spec/ephemeralContainers/0/env", json!(vec![json!({"name": "a"}); 200_000]))]
#[case::nests("ephemeral-debug", "/object/spec/nests", json!(vec![nested(60); 3000]))]
#[case::long_numbers("ephemeral-debug", "/object/spec/numbers", json!(vec![u64::MAX; 210_000]))]
#[case::escapes("ephemeral-debug", "/object/spec/nodeName", json!("\u{1}".repeat(500_000)))]
#[case::a_long_command("exec-websocket", "/object/command", json!(["\u{1}".repeat(300_000)]))]
#[case::many_arguments("exec-websocket", "/object/command", json!(vec![""; 80_000]))]
#[case::an_object_of_empties("accessrequest-create", "/object/spec/execOptions/command", json!(vec![""; 60_000]))]
#[case::an_object_of_variables("accessrequest-create", "/object/spec/ephemeralContainer", json!({"env": vec![json!({"name": "a"}); 15_000]}))]
#[case::many_groups("exec-websocket", "/userInfo/groups", json!(vec!["g"; 20_000]))]
#[tokio::test]
async fn the_worst_bodies_are_refused_as_reviews_at_every_entry(
    #[case] name: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[values("/", "/validate", "/mutate")] path: &str,
) {
    let world = World::granted();
    let said = world.post(path, grown(name, pointer, value)).await;
    let text = refused(&said, 413, "RequestEntityTooLarge", "denied-too-large");
    assert!(
        text.contains("nothing was allowed or stored")
            && (text.contains("more than") || text.contains("maximum is")),
        "{text}"
    );
    assert!(world.api.requests().is_empty(), "nothing is read");
    assert!(world.exec("r2", |_| {}).await.allowed());
}

// K1, K15
#[tokio::test]
async fn one_too_many_is_refused_as_a_review_and_uses_nothing_up() {
    let world = World::granted_with(
        Settings {
            room: Some(Room::new(0, 0)),
            ..Settings::default()
        },
        |_| {},
    );
    let said = world.exec("r1", |_| {}).await;
    let text = refused(&said, 429, "TooManyRequests", "denied-too-many");
    assert!(
        text.contains("worked on at once, so nothing was allowed or used up"),
        "{text}"
    );
    assert_eq!(world.uses(), 0);
}

// K1
#[tokio::test]
async fn what_says_nothing_of_whose_it_is_gets_a_bare_status_without_retry_after() {
    let world = World::granted();
    for body in [
        vec![b' '; 100_000],
        [b"{\"x\":\"".as_slice(), &vec![b'x'; 100_000]].concat(),
    ] {
        let request = Request::post("/validate")
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        let response = world.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }
}

// K1
#[tokio::test]
async fn a_large_body_is_given_up_as_soon_as_it_is_known_to_be_too_large() {
    let world = World::granted();
    let review = grown(
        "exec-websocket",
        "/object/command",
        json!(["x".repeat(1000)]),
    );
    let (start, _) = review.split_at(review.find("xxxx").unwrap());
    // Its length is not said, and it never ends.
    let endless = stream::once(std::future::ready(start.to_owned()))
        .chain(stream::repeat_with(|| "x".repeat(16 * 1024)))
        .map(Ok::<_, std::convert::Infallible>);
    let request = Request::post("/validate?timeout=10s")
        .body(Body::from_stream(endless))
        .unwrap();
    refused(
        &world.send(request).await,
        413,
        "RequestEntityTooLarge",
        "denied-too-large",
    );
}

// K1
#[tokio::test]
async fn whose_body_does_not_end_stops_nobody_else() {
    let world = World::granted();
    let mallory = grown("exec-websocket", "/userInfo/username", json!("mallory"));
    let held = mallory.len() - 10;
    let pending = |body: String| {
        let body = stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)))
            .chain(stream::pending());
        let request = Request::post("/validate?timeout=10s").header("content-length", 50_000);
        world
            .router()
            .oneshot(request.body(Body::from_stream(body)).unwrap())
    };
    let floods: Vec<_> = (0..300)
        .map(|_| tokio::spawn(pending(mallory[..held].to_owned())))
        .collect();
    tokio::task::yield_now().await;
    assert!(world.exec("r1", |_| {}).await.allowed());
    for flood in floods {
        flood.abort();
    }
}

// What stands in the place of a large object before the change may be shrunk and deleted, whatever
// was stored while the gate was away.
#[tokio::test]
async fn an_object_that_is_there_already_may_be_deleted_however_large_it_is() {
    let world = World::granted();
    let mut review = recorded("accessrequest-deletecollection-one");
    review["request"]["oldObject"]["metadata"]["annotations"] =
        json!({ "filler": "x".repeat(1_500_000) });
    review["request"]["userInfo"] = json!({"username": "admin", "groups": ["system:masters"]});
    assert!(world.post("/validate", review.to_string()).await.allowed());
}
