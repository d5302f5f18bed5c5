//! Notices over real HTTP: what arrives at a receiver, and what one that hangs or sends elsewhere
//! can do.

use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{AccessRequest, AccessRequestStatus};
use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri, header::LOCATION},
    routing::post,
};
use bytes::Bytes;
use rstest::rstest;
use rustls::crypto::ring;
use serde_json::{Value, json};
use server::{
    audit::{Webhook, WebhookError},
    controllers::notices::{About, Notices, UrlTemplate},
    metrics::Metrics,
};
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

use crate::{
    fake_api::{Effect, FakeApi},
    statuses,
    world::{REQUEST, Settings, World},
};

/// What came: where, with which headers, and what it said.
type Got = (Uri, HeaderMap, Value);

/// A webhook at this address, without TLS.
fn webhook(listener: &TcpListener) -> Webhook {
    let url = format!("http://{}/hook?team=sre", listener.local_addr().unwrap());
    Webhook::new(
        url.parse().unwrap(),
        None,
        Arc::new(ring::default_provider()),
    )
    .unwrap()
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A receiver that answers so, under any path.
async fn receiver(status: StatusCode) -> (Webhook, mpsc::UnboundedReceiver<Got>) {
    let (sender, got) = mpsc::unbounded_channel();
    let receive = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        sender
            .send((
                uri,
                headers,
                serde_json::from_slice(&body).unwrap_or_default(),
            ))
            .unwrap();
        async move { (status, [(LOCATION, "/elsewhere")]) }
    };
    let listener = listen().await;
    let webhook = webhook(&listener);
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(post(receive))).await });
    (webhook, got)
}

fn object(command: &[&str]) -> AccessRequest {
    let object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": "ask", "namespace": "shop", "uid": "u-1", "resourceVersion": "42"},
        "spec": {"userInfo": {"username": "jane"}, "reason": "caf\u{e9}\r\nce-type: forged\u{202e}",
            "execOptions": {"command": command, "container": "web"},
            "forObject": {"resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "exec", "name": "web"}},
    });
    serde_json::from_value(object).unwrap()
}

fn tell(notices: &Notices, object: &AccessRequest) {
    let filed: AccessRequestStatus = serde_json::from_value(json!({"phase": "Pending"})).unwrap();
    notices.tell(
        object,
        &AccessRequestStatus::default(),
        &filed,
        "2026-11-25T12:00:00Z".parse().unwrap(),
    );
}

fn start(webhook: Webhook, metrics: &Metrics) -> Notices {
    let template =
        UrlTemplate::parse("https://requests.example/{cluster}/{namespace}/{name}").unwrap();
    let about = About {
        cluster: "prod".to_owned(),
        template: Some(template),
    };
    Notices::start(
        &Arc::new(webhook),
        about,
        &FakeApi::default().client(),
        metrics.clone(),
    )
}

#[tokio::test]
async fn an_event_arrives_with_its_attributes_as_headers_and_its_data_as_the_body() {
    let (webhook, mut got) = receiver(StatusCode::NO_CONTENT).await;
    tell(
        &start(webhook, &Metrics::new()),
        &object(&["sh", "-c", &"x".repeat(20_000)]),
    );
    let (uri, headers, data) = got.recv().await.unwrap();
    assert_eq!(uri, "/hook?team=sre");
    let mut event: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ce-"))
        .collect();
    event.sort_by_key(|(name, _)| name.as_str());
    let event: Vec<String> = event
        .into_iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let expected = [
        "ce-id: u-1.42.filed",
        "ce-resourceversion: 42",
        "ce-source: /kube-request-access/prod/shop",
        "ce-specversion: 1.0",
        "ce-subject: ask",
        "ce-time: 2026-11-25T12:00:00.000Z",
        "ce-type: com.spreadgroup.accessrequest.filed",
    ];
    assert_eq!(event, expected);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["user-agent"], "kube-request-access");
    assert_eq!(
        data["command"][2],
        "x".repeat(20_000),
        "a long command is told whole"
    );
    assert_eq!(data["reason"], "caf\u{e9}\\r\\nce-type: forged\\u{202e}");
    assert_eq!(data["url"], "https://requests.example/prod/shop/ask");
}

#[rstest]
#[case(StatusCode::TEMPORARY_REDIRECT)]
#[case(StatusCode::PERMANENT_REDIRECT)]
#[case(StatusCode::FOUND)]
#[tokio::test]
async fn nothing_is_sent_to_where_a_receiver_points(#[case] status: StatusCode) {
    let (webhook, mut got) = receiver(status).await;
    let answer = webhook
        .deliver(HeaderMap::new(), Bytes::new(), Duration::from_mins(1))
        .await;
    assert!(
        matches!(answer, Err(WebhookError::Status { status: answered, .. }) if answered == status),
        "{answer:?}"
    );
    assert_eq!(got.try_recv().unwrap().0, "/hook?team=sre");
    assert!(got.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_says_where_and_not_the_token_in_the_url() {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let url = format!("http://jane:s3cret@{address}/hooks/s3cret?token=s3cret");
    let webhook = Webhook::new(
        url.parse().unwrap(),
        None,
        Arc::new(ring::default_provider()),
    )
    .unwrap();
    let error = webhook
        .deliver(HeaderMap::new(), Bytes::new(), Duration::from_mins(1))
        .await
        .unwrap_err();
    assert_eq!(
        server::chain(&error),
        format!("http://{address} did not answer in time")
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_a_connection_and_says_nothing_is_given_up() {
    let listener = listen().await;
    let (webhook, began, patience) = (webhook(&listener), Instant::now(), Duration::from_secs(10));
    let answer = webhook
        .deliver(HeaderMap::new(), Bytes::new(), patience)
        .await;
    assert!(
        matches!(answer, Err(WebhookError::Timeout { .. })),
        "{answer:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn whoever_tells_never_waits_and_what_is_too_much_is_counted() {
    let (listener, metrics) = (listen().await, Metrics::new());
    let notices = start(webhook(&listener), &metrics);
    // Nothing is awaited here, so nothing is sent meanwhile: a thousand wait.
    for uid in 0..1010 {
        let mut object = object(&["ls"]);
        object.metadata.uid = Some(uid.to_string());
        tell(&notices, &object);
    }
    let text = metrics.text().unwrap();
    assert!(
        text.contains("kube_request_access_notifications_total{result=\"dropped\"} 10\n"),
        "{text}"
    );
}

/// Refuses so many emergencies, and takes all else. Gives the ids of the alarms that came.
async fn refusing(mut emergencies: usize) -> (Webhook, mpsc::UnboundedReceiver<String>) {
    let (sender, got) = mpsc::unbounded_channel();
    let answer = Mutex::new(move |headers: &HeaderMap| {
        let id = headers["ce-id"].to_str().unwrap();
        let is_emergency = id.ends_with(".emergency");
        if is_emergency || id.ends_with(".overdue") {
            sender.send(id.to_owned()).unwrap();
        }
        let refused = is_emergency && emergencies > 0;
        emergencies = emergencies.saturating_sub(usize::from(refused));
        if refused {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        }
    });
    let answer = Arc::new(answer);
    let receive = move |headers: HeaderMap| {
        let answered = (answer.lock().unwrap())(&headers);
        async move { answered }
    };
    let listener = listen().await;
    let webhook = webhook(&listener);
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(post(receive))).await });
    (webhook, got)
}

fn emergency(webhook: Webhook) -> World {
    statuses::emergency(Settings {
        notices: Some(webhook),
        ..Settings::default()
    })
}

/// The alarms of which it stands in the status that they were told.
async fn notified(world: &World, count: usize) -> Value {
    let told = |api: &FakeApi| {
        let told = api.get(REQUEST)["status"]["notified"].clone();
        (told.as_array().map_or(0, Vec::len) == count).then_some(told)
    };
    world.api.until(told).await
}

/// Looks at the request again and again, so many seconds after one another.
async fn reconciles_after(world: &World, seconds: &[i64]) {
    for seconds in seconds {
        world.pass(*seconds);
        world.reconcile().await;
    }
}

// K10
#[tokio::test]
async fn an_alarm_that_was_not_taken_is_told_again_and_one_that_was_is_not() {
    let (webhook, mut got) = refusing(0).await;
    let world = emergency(webhook);
    world.reconcile().await;
    let id = got.recv().await.unwrap();
    assert!(id.ends_with(".emergency"), "{id}");
    assert_eq!(notified(&world, 1).await, json!(["Emergency"]));
    reconciles_after(&world, &[59, 2, 600, 24 * 3600]).await;
    assert!(
        got.recv().await.unwrap().ends_with(".overdue"),
        "it was told once"
    );
    assert_eq!(notified(&world, 2).await, json!(["Emergency", "Overdue"]));
}

// K10
#[tokio::test]
async fn an_alarm_that_the_receiver_refuses_is_told_again_after_a_minute_with_the_same_id() {
    let (webhook, mut got) = refusing(2).await;
    let world = emergency(webhook);
    world.reconcile().await;
    let first = got.recv().await.unwrap();
    reconciles_after(&world, &[59]).await;
    for _ in 0..2 {
        // While one is on its way, no other of that id is sent.
        while got.is_empty() {
            reconciles_after(&world, &[60]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(got.recv().await.unwrap(), first);
    }
    assert_eq!(notified(&world, 1).await, json!(["Emergency"]));
}

// K10
#[tokio::test]
async fn an_alarm_of_a_server_that_died_or_never_learnt_that_it_was_stored_is_told_by_whoever_sees_it()
 {
    let (webhook, mut got) = refusing(0).await;
    let world = emergency(webhook);
    world.api.next_fault(
        http::Method::PUT,
        "/ask/status",
        Effect::DoneButFails(StatusCode::GATEWAY_TIMEOUT),
    );
    world.try_to_reconcile().await.unwrap_err();
    assert!(
        world.api.get(REQUEST)["status"]["emergency"].is_object(),
        "it was stored"
    );
    reconciles_after(&world, &[1, 60]).await;
    assert!(got.recv().await.unwrap().ends_with(".emergency"));
    assert_eq!(notified(&world, 1).await, json!(["Emergency"]));
}

/// What the server says when it is started where the system has no root certificates.
fn started_without_roots(notice_url: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let file = |name: &str, content: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    };
    let output = Command::new(env!("CARGO_BIN_EXE_kube-request-access"))
        .env_clear()
        .env("SSL_CERT_FILE", file("roots", ""))
        .env("SSL_CERT_DIR", dir.path().join("none"))
        .env("KUBECONFIG", file("kubeconfig", "this is no kubeconfig"))
        .args(["--address=127.0.0.1:0", "--notice-url", notice_url])
        .arg("--cert-file")
        .arg(file("tls.crt", &certificate.pem()))
        .arg("--key-file")
        .arg(file("tls.key", &key.serialize_pem()))
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn plain_http_needs_no_root_certificates_of_the_systems() {
    let said = started_without_roots("https://notices.example/");
    assert!(
        said.contains("--notice-url") && said.contains("No CA certificates"),
        "{said}"
    );
    let said = started_without_roots("http://notices.example/");
    assert!(
        !said.contains("--notice-url") && said.contains("kubeconfig"),
        "{said}"
    );
}
