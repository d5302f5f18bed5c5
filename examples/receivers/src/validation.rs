//! The validation receiver: refuses requests whose `customKeys["example-key"]` is set to anything
//! but `must-match-this-key`. A real one would look at a ticket, or at who is on call.

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::body::{AccessRequest, AdmissionRequest};
use crate::serve::MAX_BODY;

/// The key that is looked at. Requests without it are fine.
const KEY: &str = "example-key";
/// What it must say.
const EXPECTED: &str = "must-match-this-key";

/// Takes validations under any path but `/ready`, since the URL is for whoever runs the server to
/// choose.
pub fn router() -> Router {
    Router::new()
        .route("/ready", get(StatusCode::OK))
        .fallback(post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// The body. Its keys start with capitals.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Validation {
    request: AdmissionRequest,
    access_request: AccessRequest,
}

/// The answer: `{"status": "valid"}`, or `{"status": "invalid", "message": "…"}`. Whoever files the
/// request reads the message.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Valid,
    Invalid { message: String },
}

/// A refusal is an answer as good as any, and so a 200; another status says that there is no
/// answer.
///
/// The body is read as bytes and not with axum's `Json`, which insists on a `Content-Type` that not
/// every server sends.
async fn receive(body: Bytes) -> Result<Json<Answer>, (StatusCode, String)> {
    let validation: Validation = serde_json::from_slice(&body).map_err(|why| {
        tracing::warn!(%why, "refused a body that cannot be read");
        (
            StatusCode::BAD_REQUEST,
            format!("the body is not a validation: {why}"),
        )
    })?;
    let answer = answer(&validation.access_request);
    let AdmissionRequest { uid, user_info, .. } = &validation.request;
    tracing::info!(uid, who = user_info.username, ?answer, "answered");
    Ok(Json(answer))
}

fn answer(request: &AccessRequest) -> Answer {
    let found = request
        .spec
        .custom_keys
        .as_ref()
        .and_then(|keys| keys.get(KEY));
    match found {
        Some(found) if found != EXPECTED => Answer::Invalid {
            message: format!(
                "the custom key {KEY} must be {EXPECTED:?} or left out, not {found:?}"
            ),
        },
        Some(_) | None => Answer::Valid,
    }
}
