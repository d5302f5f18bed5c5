//! The audit receiver: writes every event as one line of JSON, and answers 200 once it is written.
//!
//! The lines carry no time: the container runtime stamps each (`kubectl logs --timestamps`).

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{AccessGrant, AccessRequest, AdmissionRequest, ExecOptions, UserInfo};
use crate::serve::MAX_BODY;

/// Where the events are written.
pub struct Journal(Mutex<Box<dyn Write + Send>>);

impl Journal {
    /// A journal that is written to `out`, a line an event.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// Writes one line. Not `async`, so that a caller who hangs up cannot cut it in the middle.
    fn append(&self, record: &Value) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(format!("{record}\n").as_bytes())?;
        out.flush()
    }
}

/// Takes events under any path but `/ready`, since the URL is for whoever runs the server to
/// choose.
pub fn router(journal: Journal) -> Router {
    Router::new()
        .route("/ready", get(StatusCode::OK))
        .fallback(post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(journal))
}

/// The query of an event: `?type=audit-exec`. Axum answers 400 to a type that is not listed here.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "audit-exec")]
    Attempt,
    #[serde(rename = "audit-created")]
    Created,
    #[serde(rename = "audit-granted")]
    Granted,
}

/// The body is read as bytes and not with axum's `Json`, which insists on a `Content-Type` that not
/// every server sends. A wrong type is refused only after the body is read: an answer that comes
/// while the caller is still sending may be lost.
async fn receive(
    State(journal): State<Arc<Journal>>,
    event: Result<Query<Event>, QueryRejection>,
    body: Bytes,
) -> Result<(), (StatusCode, String)> {
    let Query(Event { kind }) = event.map_err(|why| {
        tracing::warn!(%why, "refused a type that is not known");
        (why.status(), why.body_text())
    })?;
    let record = record(kind, &body).map_err(|why| {
        tracing::warn!(?kind, %why, "refused a body that cannot be read");
        (
            StatusCode::BAD_REQUEST,
            format!("the body is not an event of this type: {why}"),
        )
    })?;
    journal.append(&record).map_err(|why| {
        tracing::error!(?kind, %why, "cannot write an event");
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot write the event: {why}"),
        )
    })
}

fn record(kind: Kind, body: &[u8]) -> serde_json::Result<Value> {
    match kind {
        Kind::Attempt => serde_json::from_slice(body).map(|event: Attempt| event.record()),
        Kind::Created => serde_json::from_slice(body).map(|event: Created| event.record()),
        Kind::Granted => serde_json::from_slice(body).map(|event: Granted| event.record()),
    }
}

/// `audit-exec`: somebody tried a door.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    request: AdmissionRequest,
    is_allowed: bool,
    is_admin: bool,
    exec_options: Option<ExecOptions>,
}

impl Attempt {
    fn record(&self) -> Value {
        let nothing = ExecOptions::default();
        let options = self.exec_options.as_ref().unwrap_or(&nothing);
        json!({
            "type": "audit-exec",
            "uid": self.request.uid,
            "who": self.request.user_info.username,
            "groups": self.request.user_info.groups,
            "what": self.request.sub_resource,
            "namespace": self.request.namespace,
            "name": self.request.name,
            "container": options.container,
            "command": options.command,
            "stdin": options.stdin,
            "tty": options.tty,
            "allowed": self.is_allowed,
            "alwaysAllowed": self.is_admin,
        })
    }
}

/// `audit-created`: somebody files a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    request: AdmissionRequest,
    access_request: AccessRequest,
}

impl Created {
    fn record(&self) -> Value {
        json!({
            "type": "audit-created",
            "uid": self.request.uid,
            "who": self.request.user_info.username,
            "groups": self.request.user_info.groups,
            "namespace": self.request.namespace,
            "accessRequest": summary(&self.access_request),
        })
    }
}

/// `audit-granted`: somebody grants a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    request: AdmissionRequest,
    access_request: AccessRequest,
    access_grant: AccessGrant,
}

impl Granted {
    fn record(&self) -> Value {
        json!({
            "type": "audit-granted",
            "uid": self.request.uid,
            "who": self.request.user_info.username,
            "groups": self.request.user_info.groups,
            "namespace": self.request.namespace,
            "accessGrant": self.access_grant.metadata.name,
            "accessRequest": summary(&self.access_request),
        })
    }
}

/// What a request asks for, for the log.
fn summary(request: &AccessRequest) -> Value {
    let spec = &request.spec;
    let options = spec.exec_options.as_ref();
    json!({
        "name": request.metadata.name,
        "for": spec.user_info.as_ref().map(|UserInfo { username, .. }| username),
        "what": spec.for_object.sub_resource,
        "target": format!("{}/{}", spec.for_object.resource.resource, spec.for_object.name),
        "container": options.and_then(|options| options.container.as_ref()),
        "command": options.and_then(|options| options.command.as_ref()),
        "anyCommand": spec.any_command,
        "validFor": spec.valid_for,
        "reason": spec.reason,
        "customKeys": spec.custom_keys,
    })
}
