//! What arrives is a review, or is turned away; either way the server goes on.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use rstest::rstest;
use serde_json::json;

use crate::world::{Settings, World, recorded};

#[rstest]
#[case::empty("")]
#[case::no_json("hello")]
#[case::half(r#"{"kind":"AdmissionReview","#)]
#[case::no_object("[]")]
#[case::null("null")]
#[case::other_kind(r#"{"kind":"Pod","apiVersion":"v1"}"#)]
#[case::no_request(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#)]
#[case::duplicate_key(
    r#"{"kind":"AdmissionReview","kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#
)]
#[tokio::test]
async fn what_is_no_review_is_a_bad_request_and_the_server_goes_on(#[case] body: &'static str) {
    let world = World::granted();
    for path in ["/", "/validate", "/mutate"] {
        assert_eq!(world.post(path, body).await.status, StatusCode::BAD_REQUEST);
    }
    assert!(world.exec("r1", |_| {}).await.allowed());
}

// C23
#[tokio::test]
async fn a_review_of_the_beta_version_is_refused() {
    let world = World::granted();
    let mut review = recorded("exec-spdy");
    review["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let said = world.post("/", review.to_string()).await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST);
    assert!(
        said.body.as_str().unwrap().contains("v1beta1"),
        "{}",
        said.body
    );
}

// R15
#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = World::granted();
    let said = world.post("/validate", vec![b' '; 9 * 1024 * 1024]).await;
    assert_eq!(said.status, StatusCode::PAYLOAD_TOO_LARGE);
    let unsaid = Request::post("/validate")
        .body(Body::from(vec![b' '; 9 * 1024 * 1024]))
        .unwrap();
    assert_eq!(
        world.send(unsaid).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert!(world.exec("r1", |_| {}).await.allowed());
}

// F20
#[tokio::test]
async fn a_large_update_is_decided() {
    let world = World::granted();
    let mut review = recorded("accessrequest-update");
    let padding = json!({ "filler": "x".repeat(1_500_000) });
    review["request"]["object"]["metadata"]["annotations"] = padding;
    // Labels and annotations that are too large may shrink.
    review["request"]["oldObject"]["metadata"]["annotations"] =
        json!({ "filler": "x".repeat(1_510_000) });
    assert!(world.post("/validate", review.to_string()).await.allowed());
}

#[rstest]
#[case("accessrequest-status-update")]
#[tokio::test]
async fn what_the_shipped_rules_never_send_is_denied(#[case] name: &str) {
    let said = World::granted()
        .post("/validate", recorded(name).to_string())
        .await;
    assert!(
        said.denial().contains("not the ones it ships"),
        "{}",
        said.denial()
    );
}

#[tokio::test]
async fn mutating_an_exec_is_denied() {
    let said = World::granted()
        .post("/mutate", recorded("exec-spdy").to_string())
        .await;
    assert!(said.denial().contains("not the ones it ships"));
}

// C23
#[tokio::test]
async fn every_answer_carries_the_uid_of_its_review_and_no_validation_a_patch() {
    let world = World::granted();
    for file in std::fs::read_dir(format!(
        "{}/../api/tests/fixtures/reviews",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
    {
        let review: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        let said = world.post("/validate", review.to_string()).await;
        assert_eq!(said.body["response"]["uid"], review["request"]["uid"]);
        assert_eq!(said.body["kind"], "AdmissionReview");
        assert!(said.body["response"].get("patch").is_none());
    }
}

#[tokio::test]
async fn readiness_and_metrics_are_served() {
    let world = World::new(Settings::default());
    world.exec("r1", |_| {}).await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(world.send(get("/ready")).await.status, StatusCode::OK);
    let metrics = world.send(get("/metrics")).await;
    assert!(
        metrics.body.as_str().unwrap().contains(
            r#"kube_request_access_reviews_total{path="validate",decision="denied-no-request"} 1"#
        ),
        "{}",
        metrics.body
    );
    assert_eq!(
        world.send(get("/other")).await.status,
        StatusCode::NOT_FOUND
    );
}
