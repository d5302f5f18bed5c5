//! The chat receiver, with a chat that takes messages, or does not.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use receivers::chat::{Chat, router};
use serde_json::{Value, json};

use crate::recorded::ask;

pub(crate) type Said = Arc<Mutex<Vec<Value>>>;

async fn chat(status: StatusCode) -> (Chat, Said) {
    let (url, said) = listening(status).await;
    (Chat::new(url.parse().unwrap()).unwrap(), said)
}

/// A chat that answers so: the URL of its incoming webhook, and what it was told.
pub(crate) async fn listening(status: StatusCode) -> (String, Said) {
    let said = Said::default();
    let heard = Arc::clone(&said);
    let hear = move |body: String| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(serde_json::from_str(&body).unwrap());
        async move { status }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/secret", listener.local_addr().unwrap());
    tokio::spawn(async {
        axum::serve(listener, Router::new().route("/hooks/secret", post(hear))).await
    });
    (url, said)
}

fn notice(kind: &str, body: &Value) -> Request<Body> {
    let request = Request::post("/")
        .header("ce-type", kind)
        .header("ce-specversion", "1.0");
    request.body(Body::from(body.to_string())).unwrap()
}

pub(crate) const FILED: &str = "com.spreadgroup.accessrequest.filed";

#[tokio::test]
async fn a_notice_is_said_in_the_chat() {
    let (chat, said) = chat(StatusCode::OK).await;
    let body =
        json!({"text": "jane asks", "approve": "kubectl request approve -n shop ask", "more": 1});
    assert_eq!(
        ask(router(chat), notice(FILED, &body)).await.0,
        StatusCode::OK
    );
    let expected =
        json!({"text": "```\njane asks\n```\nTo approve: `kubectl request approve -n shop ask`"});
    assert_eq!(*said.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn where_the_chat_does_not_take_it_the_server_may_try_again() {
    let (chat, _said) = chat(StatusCode::TOO_MANY_REQUESTS).await;
    let (status, answer) = ask(router(chat), notice(FILED, &json!({"text": "jane asks"}))).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(
        answer.contains("it answered 429") && !answer.contains("secret"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_no_notice_is_refused_and_not_said() {
    let cases = [
        ("com.example.other", json!({"text": "x"})),
        ("", json!({"text": "x"})),
        (FILED, json!({"text": 1})),
    ];
    for (kind, body) in cases {
        let (chat, said) = chat(StatusCode::OK).await;
        assert_eq!(
            ask(router(chat), notice(kind, &body)).await.0,
            StatusCode::BAD_REQUEST,
            "{kind}"
        );
        assert!(said.lock().unwrap().is_empty());
    }
}

#[test]
fn a_file_without_a_url_is_named_and_what_is_in_it_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    std::fs::write(&file, "hunter2").unwrap();
    let error = Chat::from_file(&file).err().unwrap().to_string();
    assert!(
        error.contains("there is no http or https URL in ") && !error.contains("hunter2"),
        "{error}"
    );
    std::fs::write(&file, "https://chat.example/hooks/1\n").unwrap();
    Chat::from_file(&file).unwrap();
}
