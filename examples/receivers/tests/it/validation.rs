use api::payload::{ValidationAnswer, Validity};
use axum::http::{Request, StatusCode};
use receivers::serve::MAX_BODY;
use receivers::validation::router;
use serde_json::{Value, json};

use crate::recorded::{Recorded, ask, post};

async fn answer_to(custom_keys: Value) -> ValidationAnswer {
    let mut validation = Recorded::read("validate");
    validation.body["AccessRequest"]["spec"]["customKeys"] = custom_keys;
    let (status, answer) = ask(router(), validation.request()).await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_str(&answer).unwrap()
}

async fn assert_refused(body: String, reason: &str) {
    let (status, answer) = ask(router(), post("/", body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.contains(reason), "{answer}");
}

#[tokio::test]
async fn a_request_with_other_keys_is_valid() {
    let (status, answer) = ask(router(), Recorded::read("validate").request()).await;
    assert_eq!(
        (status, answer.as_str()),
        (StatusCode::OK, r#"{"status":"valid"}"#)
    );
}

#[tokio::test]
async fn a_request_without_keys_is_valid() {
    assert_eq!(answer_to(Value::Null).await.status, Validity::Valid);
}

#[tokio::test]
async fn the_expected_key_is_valid() {
    assert_eq!(
        answer_to(json!({"example-key": "must-match-this-key"}))
            .await
            .status,
        Validity::Valid
    );
}

#[tokio::test]
async fn another_key_is_invalid_and_the_message_says_what_is_expected() {
    let answer = answer_to(json!({"example-key": "open sesame"})).await;
    let message = r#"the custom key example-key must be "must-match-this-key" or left out, not "open sesame""#;
    assert_eq!(
        answer,
        ValidationAnswer {
            status: Validity::Invalid,
            message: Some(message.to_owned())
        }
    );
}

#[tokio::test]
async fn an_empty_key_is_invalid() {
    assert_eq!(
        answer_to(json!({"example-key": ""})).await.status,
        Validity::Invalid
    );
}

#[tokio::test]
async fn what_this_server_sends_is_taken() {
    let recorded = Recorded::read("validate").body;
    let request: Box<serde_json::value::RawValue> =
        serde_json::from_str(&recorded["Request"].to_string()).unwrap();
    let access_request = &serde_json::from_value(recorded["AccessRequest"].clone()).unwrap();
    let body = serde_json::to_string(&api::payload::Validation {
        request: &request,
        access_request,
    })
    .unwrap();
    assert_eq!(ask(router(), post("/", body)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    assert_refused("hello".to_owned(), "expected value at line 1 column 1").await;
}

#[tokio::test]
async fn a_body_with_small_letters_is_refused() {
    let Value::Object(recorded) = Recorded::read("validate").body else {
        panic!("not an object")
    };
    let body: Value = recorded
        .into_iter()
        .map(|(key, value)| (key.to_lowercase(), value))
        .collect();
    assert_refused(body.to_string(), "missing field `Request`").await;
}

#[tokio::test]
async fn a_key_that_is_not_a_string_is_refused() {
    let mut body = Recorded::read("validate").body;
    body["AccessRequest"]["spec"]["customKeys"] = json!({"example-key": 7});
    assert_refused(
        body.to_string(),
        "invalid type: integer `7`, expected a string",
    )
    .await;
}

#[tokio::test]
async fn a_body_of_more_than_8_mib_is_refused() {
    let (status, _) = ask(router(), post("/", vec![b' '; MAX_BODY + 1])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_probe_is_answered() {
    let request = Request::get("/ready")
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(ask(router(), request).await.0, StatusCode::OK);
}
