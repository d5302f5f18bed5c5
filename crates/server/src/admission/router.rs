//! HTTP: reviews in, answers out.

use std::{sync::Arc, time::Duration};

use api::review::{self, Answer, Review};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use super::{
    Admission, Deadline,
    failure::Failure,
    room::{self, Place, Room},
};
use crate::metrics::Metrics;

/// Largest review, in bytes: an UPDATE carries an object of 1.5 MiB twice, escaped.
const LARGEST_REVIEW: usize = 8 * 1024 * 1024;
/// A body must arrive within this time.
const BODY: Duration = Duration::from_secs(2);

/// What the routes need.
#[derive(Clone)]
pub struct Service {
    /// Answers reviews.
    pub admission: Arc<Admission>,
    /// Whether reviews should be sent here.
    pub ready: watch::Receiver<bool>,
    /// Counts.
    pub metrics: Metrics,
    /// How many reviews, and how large, may be worked on at once.
    pub room: Room,
}

impl Service {
    /// A service with all its room free.
    pub fn new(admission: Arc<Admission>, ready: watch::Receiver<bool>, metrics: Metrics) -> Self {
        Self { admission, ready, metrics, room: Room::default() }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", post(validate))
            .route("/validate", post(validate))
            .route("/mutate", post(mutate))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// Which way a review came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Validate,
    Mutate,
}

async fn validate(State(service): State<Service>, request: Request) -> Response {
    respond(service, request, Path::Validate).await
}

async fn mutate(State(service): State<Service>, request: Request) -> Response {
    respond(service, request, Path::Mutate).await
}

async fn respond(service: Service, request: Request, path: Path) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline::from_query(request.uri().query(), arrived);
    let (review, place) = match receive(&service, request, deadline).await {
        Ok(received) => received,
        Err((status, text)) => {
            warn!(status = status.as_u16(), text, "turned away");
            // client-go tries again after that many seconds, within the webhook's timeout.
            return (status, [(header::RETRY_AFTER, "1")], format!("{text}\n")).into_response();
        }
    };
    let uid = review.request.uid.clone();
    let admission = Arc::clone(&service.admission);
    // A task of its own: the API server hangs up when its patience ends, and what was begun must not stop half-way.
    let work = tokio::spawn(async move {
        let _place = place;
        decide(&admission, &review, deadline, path).await
    });
    let answer = work.await.unwrap_or_else(|error| {
        error!(uid, %error, "a panic, and denied");
        Answer::deny(&uid, format!("kube-request-access failed, so nothing was allowed (id {uid})"))
    });
    service.metrics.answered(path == Path::Mutate, &answer, arrived.elapsed());
    Json(answer).into_response()
}

/// Reads a review, where there is room for it; else says with which status it is turned away, and why.
async fn receive(
    service: &Service,
    request: Request,
    deadline: Deadline,
) -> Result<(Review, Place), (StatusCode, String)> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {LARGEST_REVIEW} bytes"));
    let length = room::content_length(request.headers());
    if length.is_some_and(|length| length > LARGEST_REVIEW) {
        return Err(too_large());
    }
    let overload = || (StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once".to_owned());
    let place = service.room.take(length, LARGEST_REVIEW).ok_or_else(overload)?;
    let patience = Instant::now().checked_add(BODY).unwrap_or_else(|| deadline.answer_by());
    let body = timeout_at(patience.min(deadline.answer_by()), to_bytes(request.into_body(), place.most)).await;
    let body = body
        .map_err(|_elapsed| (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned()))?
        .map_err(|_cut_off| too_large())?;
    let review = review::decode(&body).map_err(|error| (StatusCode::BAD_REQUEST, crate::chain(&error)))?;
    Ok((review, place))
}

async fn decide(admission: &Admission, review: &Review, deadline: Deadline, path: Path) -> Answer {
    let answer = async {
        match path {
            Path::Validate => admission.validate(review, deadline).await,
            Path::Mutate => admission.mutate(review).await,
        }
    };
    timeout_at(deadline.answer_by(), answer).await.unwrap_or_else(|_elapsed| {
        let uid = &review.request.uid;
        error!(uid, "no decision in time, and denied");
        Answer::deny(uid, Failure::Late.text(uid))
    })
}

async fn ready(State(service): State<Service>) -> Response {
    if *service.ready.borrow() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the watches have not synced, or the server is stopping\n")
            .into_response()
    }
}

async fn metrics(State(service): State<Service>) -> Response {
    match service.metrics.text() {
        Ok(text) => {
            ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
