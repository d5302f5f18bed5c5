//! HTTP: reviews in, answers out.

use std::sync::Arc;

use api::review::{self, Answer, Review};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use super::{Admission, Deadline, failure::Failure};
use crate::metrics::Metrics;

/// Largest review, in bytes: an UPDATE carries an object of 1.5 MiB twice, escaped.
const LARGEST_REVIEW: usize = 16 * 1024 * 1024;
/// So many reviews are worked on at once; more are turned away at once, which denies them.
const MOST_REVIEWS: usize = 256;

/// What the routes need.
#[derive(Clone)]
pub struct Service {
    /// Answers reviews.
    pub admission: Arc<Admission>,
    /// Whether reviews should be sent here.
    pub ready: watch::Receiver<bool>,
    /// Counts.
    pub metrics: Metrics,
    /// Places for reviews.
    pub places: Arc<Semaphore>,
}

impl Service {
    /// A service with all places free.
    pub fn new(admission: Arc<Admission>, ready: watch::Receiver<bool>, metrics: Metrics) -> Self {
        Self { admission, ready, metrics, places: Arc::new(Semaphore::new(MOST_REVIEWS)) }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", post(validate))
            .route("/validate", post(validate))
            .route("/mutate", post(mutate))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
            .with_state(self)
    }
}

/// Which way a review came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Validate,
    Mutate,
}

async fn validate(State(service): State<Service>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    respond(service, query, body, Path::Validate).await
}

async fn mutate(State(service): State<Service>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    respond(service, query, body, Path::Mutate).await
}

async fn respond(service: Service, query: Option<String>, body: Bytes, path: Path) -> Response {
    let arrived = Instant::now();
    let Ok(place) = Arc::clone(&service.places).try_acquire_owned() else {
        warn!("overloaded: a review was turned away");
        return (StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once\n").into_response();
    };
    let review = match review::decode(&body) {
        Ok(review) => review,
        Err(error) => {
            let error = crate::chain(&error);
            warn!(error, "not a review");
            return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
        }
    };
    let uid = review.request.uid.clone();
    let admission = Arc::clone(&service.admission);
    let deadline = Deadline::from_query(query.as_deref(), arrived);
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
