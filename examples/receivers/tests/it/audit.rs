use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{Request, StatusCode};
use receivers::audit::{Journal, router};
use receivers::serve::MAX_BODY;
use serde_json::{Value, json};

use crate::recorded::{Recorded, ask, post};

/// A journal that can be read back.
#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn router(&self) -> Router {
        router(Journal::new(self.clone()))
    }

    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A journal on a full disk.
struct Full;

impl Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn record(name: &str) -> Value {
    let paper = Paper::default();
    let (status, answer) = ask(paper.router(), Recorded::read(name).request()).await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, ""));
    let [line] = paper.lines().try_into().unwrap();
    line
}

async fn assert_refused(path: &str, body: String, reason: &str) {
    let paper = Paper::default();
    let (status, answer) = ask(paper.router(), post(path, body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.contains(reason), "{answer}");
    assert_eq!(paper.lines(), Vec::<Value>::new());
}

#[tokio::test]
async fn an_allowed_attempt_is_one_line() {
    let expected = json!({
        "type": "audit-exec",
        "uid": "954b07af-037b-45b7-9570-3fb0cb37fe02",
        "who": "jane",
        "groups": ["devs", "system:authenticated"],
        "what": "exec",
        "namespace": "default",
        "name": "box",
        "container": "main",
        "command": ["cat", "/etc/hostname"],
        "stdin": false,
        "tty": false,
        "allowed": true,
        "alwaysAllowed": false,
    });
    assert_eq!(record("audit-exec-allowed").await, expected);
}

#[tokio::test]
async fn a_denied_attempt_says_so() {
    let line = record("audit-exec-denied").await;
    assert_eq!(
        (&line["allowed"], &line["command"]),
        (&json!(false), &json!(["id"]))
    );
}

#[tokio::test]
async fn an_admin_is_always_allowed_and_may_type() {
    let line = record("audit-exec-admin").await;
    assert_eq!(
        (&line["who"], &line["alwaysAllowed"], &line["stdin"]),
        (&json!("admin"), &json!(true), &json!(true))
    );
}

#[tokio::test]
async fn a_request_is_one_line() {
    let expected = json!({
        "type": "audit-created",
        "uid": "334745c4-b559-4add-99b6-1d13f2ba10d7",
        "who": "jane",
        "groups": ["devs", "system:authenticated"],
        "namespace": "default",
        "accessRequest": {
            "name": "access-exec-jane-97b59",
            "for": "jane",
            "what": "exec",
            "target": "pods/box",
            "container": "main",
            "command": ["ls", "-l", "/"],
            "anyCommand": false,
            "validFor": null,
            "reason": null,
            "customKeys": {"ticket": "ABC-1"},
        },
    });
    assert_eq!(record("audit-created").await, expected);
}

#[tokio::test]
async fn a_request_without_custom_keys_carries_null_and_is_taken() {
    let line = record("audit-created-any-command").await;
    assert_eq!(line["accessRequest"]["customKeys"], Value::Null);
}

#[tokio::test]
async fn a_grant_names_who_granted_and_who_asked() {
    let line = record("audit-granted").await;
    assert_eq!(
        (&line["who"], &line["accessRequest"]["for"]),
        (&json!("amy"), &json!("jane"))
    );
    assert_eq!(line["accessGrant"], "grant-access-exec-jane-bc4hw");
    assert_eq!(line["accessRequest"]["validFor"], "1h30m0s");
}

#[tokio::test]
async fn what_this_server_sends_is_taken() {
    let recorded = Recorded::read("audit-exec-allowed").body["request"].to_string();
    let request: Box<serde_json::value::RawValue> = serde_json::from_str(&recorded).unwrap();
    let exec_options = &api::ExecOptions::default();
    let event = api::payload::AuditExec {
        request: &request,
        is_allowed: true,
        exec_options,
        is_admin: false,
        basis: None,
    };

    let paper = Paper::default();
    let body = serde_json::to_string(&event).unwrap();
    let (status, _) = ask(paper.router(), post("/?type=audit-exec", body)).await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!(paper.lines()[0]["command"], Value::Null);
}

#[tokio::test]
async fn fields_that_are_not_known_are_skipped() {
    let mut event = Recorded::read("audit-exec-allowed").body;
    event["request"]["userInfo"]["hat"] = json!("red");
    event["weather"] = json!({"rain": true});
    let paper = Paper::default();
    let (status, _) = ask(paper.router(), post("/?type=audit-exec", event.to_string())).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_newline_in_a_command_does_not_make_a_second_line() {
    let mut event = Recorded::read("audit-exec-allowed").body;
    event["execOptions"]["command"] = json!(["echo", "a\n{\"allowed\":true}"]);
    let paper = Paper::default();
    ask(paper.router(), post("/?type=audit-exec", event.to_string())).await;
    assert_eq!(paper.lines().len(), 1);
}

#[tokio::test]
async fn an_unknown_type_is_refused_and_the_known_ones_are_named() {
    let body = Recorded::read("audit-exec-allowed").body.to_string();
    assert_refused(
        "/?type=audit-deleted",
        body,
        "expected one of `audit-exec`, `audit-created`, `audit-granted`",
    )
    .await;
}

#[tokio::test]
async fn an_event_without_a_type_is_refused() {
    let body = Recorded::read("audit-exec-allowed").body.to_string();
    assert_refused("/", body, "missing field `type`").await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    assert_refused(
        "/?type=audit-exec",
        "who=jane".to_owned(),
        "expected value at line 1 column 1",
    )
    .await;
}

#[tokio::test]
async fn an_empty_body_is_refused() {
    assert_refused("/?type=audit-exec", String::new(), "EOF while parsing").await;
}

#[tokio::test]
async fn an_event_that_does_not_say_whether_it_was_allowed_is_refused() {
    let mut event = Recorded::read("audit-exec-allowed").body;
    event.as_object_mut().unwrap().remove("isAllowed");
    assert_refused(
        "/?type=audit-exec",
        event.to_string(),
        "missing field `isAllowed`",
    )
    .await;
}

#[tokio::test]
async fn an_event_sent_under_the_type_of_another_is_refused() {
    let body = Recorded::read("audit-created").body.to_string();
    assert_refused("/?type=audit-granted", body, "missing field `accessGrant`").await;
}

#[tokio::test]
async fn a_body_of_more_than_8_mib_is_refused() {
    let request = post("/?type=audit-exec", vec![b' '; MAX_BODY + 1]);
    let (status, _) = ask(Paper::default().router(), request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_event_that_cannot_be_written_is_not_answered_with_200() {
    let router = router(Journal::new(Full));
    let (status, answer) = ask(router, Recorded::read("audit-exec-allowed").request()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.starts_with("cannot write the event: "), "{answer}");
}

#[tokio::test]
async fn events_are_posted_and_not_got() {
    let request = Request::get("/?type=audit-exec")
        .body(axum::body::Body::empty())
        .unwrap();
    let (status, _) = ask(Paper::default().router(), request).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}
