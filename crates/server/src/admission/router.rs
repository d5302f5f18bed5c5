//! HTTP: reviews in, answers out.

use std::{convert::Infallible, sync::Arc, time::Duration};

use api::review::{self, Answer, Review};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use super::{
    Admission, Deadline, Decision, Step,
    failure::Failure,
    handover,
    room::{Place, Room, content_length},
};
use crate::{
    failpoints::Failpoint,
    metrics::Metrics,
    serve::authentication::{Authentication, Peer, Way},
};

/// Largest review, in bytes: an UPDATE carries an object of 1.5 MiB twice, escaped.
const LARGEST_REVIEW: usize = 8 * 1024 * 1024;
/// So many observed attempts may wait for the audit webhook at once.
const MOST_TOLD: usize = 256;
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
    /// Which reviews are believed.
    pub authentication: Authentication,
    /// How many reviews, and how large, may be worked on at once.
    pub room: Room,
    /// The same for those that are only looked at: they take no place from the others.
    pub observing: Room,
    /// How many of these may wait for the audit webhook to be told.
    pub telling: Arc<Semaphore>,
}

impl Service {
    /// A service with all its room free, which believes every review.
    pub fn new(admission: Arc<Admission>, ready: watch::Receiver<bool>, metrics: Metrics) -> Self {
        Self {
            admission,
            ready,
            metrics,
            authentication: Authentication::open(),
            room: Room::default(),
            observing: Room::default(),
            telling: Arc::new(Semaphore::new(MOST_TOLD)),
        }
    }

    /// The same, believing only such reviews.
    #[must_use]
    pub fn believing(self, authentication: Authentication) -> Self {
        Self { authentication, ..self }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            // Which paths reviews come on may be secret, and changes while this runs.
            .fallback(review)
            .method_not_allowed_fallback(|| async { StatusCode::NOT_FOUND })
            .with_state(self)
    }
}

/// Anything but the paths that everybody may know. What is not believed gets no other answer than what does not exist.
async fn review(State(service): State<Service>, request: Request) -> Response {
    if request.method() != Method::POST {
        return StatusCode::NOT_FOUND.into_response();
    }
    let peer = request.extensions().get::<Peer>();
    let Some(way) = service.authentication.way(request.uri().path(), peer) else {
        service.metrics.not_believed();
        service.authentication.complain(peer);
        return StatusCode::NOT_FOUND.into_response();
    };
    match way {
        Way::Observe => observe(service, request).await,
        Way::Validate | Way::Mutate => respond(service, request, way).await,
    }
}

/// Whatever comes this way passes: what we cannot answer too, by the `failurePolicy: Ignore` of its webhook.
async fn observe(service: Service, request: Request) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline::from_query(request.uri().query(), arrived);
    let (review, place) = match receive(&service.observing, request, deadline).await {
        Ok(received) => received,
        Err((status, text)) => {
            warn!(status = status.as_u16(), text, "not observed");
            return (status, format!("{text}\n")).into_response();
        }
    };
    let answer = service.admission.observe(&review);
    service.metrics.answered(Way::Observe, &answer, arrived.elapsed());
    // Nobody waits for those who are told; a large review keeps its place meanwhile, for its memory.
    match Arc::clone(&service.telling).try_acquire_owned() {
        Ok(turn) => {
            let place = Some(place).filter(|place| !place.is_small());
            tokio::spawn(async move {
                let _kept = (turn, place);
                service.admission.tell_of_observed(&review, deadline).await;
            });
        }
        Err(_full) => {
            warn!(uid = review.request.uid, "the audit webhook is too slow to be told of an observed attempt");
        }
    }
    Json(answer).into_response()
}

async fn respond(service: Service, request: Request, way: Way) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline::from_query(request.uri().query(), arrived);
    let (review, place) = match receive(&service.room, request, deadline).await {
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
    // Only whoever waits for a grant stops, once nobody is there to be let through.
    let (present, gone) = oneshot::channel::<Infallible>();
    let work = tokio::spawn(async move { decide(&admission, &review, deadline, way, place, gone).await });
    let Decision { answer, spent } = work.await.unwrap_or_else(|error| {
        error!(uid, %error, "a panic, and denied");
        Answer::deny(&uid, format!("kube-request-access failed, so nothing was allowed (id {uid})")).into()
    });
    drop(present);
    service.metrics.answered(way, &answer, arrived.elapsed());
    let response = Json(answer).into_response();
    let Some(spent) = spent else { return response };
    Failpoint::BeforeAnswer.reached(&uid).await;
    let outcomes = service.admission.outcomes.clone();
    handover::noticed(response, move || outcomes.answered(spent))
}

/// Reads a review, where there is room for it; else says with which status it is turned away, and why.
async fn receive(room: &Room, request: Request, deadline: Deadline) -> Result<(Review, Place), (StatusCode, String)> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {LARGEST_REVIEW} bytes"));
    let length = content_length(request.headers());
    if length.is_some_and(|length| length > LARGEST_REVIEW) {
        return Err(too_large());
    }
    let overload = || (StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once".to_owned());
    let place = room.take(length, LARGEST_REVIEW).ok_or_else(overload)?;
    let patience = Instant::now().checked_add(BODY).unwrap_or_else(|| deadline.answer_by());
    let body = timeout_at(patience.min(deadline.answer_by()), to_bytes(request.into_body(), place.most)).await;
    let body = body
        .map_err(|_elapsed| (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned()))?
        .map_err(|_cut_off| too_large())?;
    let review = review::decode(&body).map_err(|error| (StatusCode::BAD_REQUEST, crate::chain(&error)))?;
    Ok((review, place))
}

async fn decide(
    admission: &Admission,
    review: &Review,
    deadline: Deadline,
    way: Way,
    place: Place,
    gone: oneshot::Receiver<Infallible>,
) -> Decision {
    let decision = async {
        let step = match way {
            Way::Mutate => Decision::from(admission.mutate(review).await).into(),
            // What is only looked at does not come here; here it would be decided.
            Way::Validate | Way::Observe => admission.validate(review, deadline).await,
        };
        // Whoever waits does so in a place of her own: this one is for those who give what she waits for.
        drop(place);
        match step {
            Step::Answer(decision) => *decision,
            Step::Wait(waiter) => admission.wait(review, *waiter, deadline, gone).await,
        }
    };
    timeout_at(deadline.answer_by(), decision).await.unwrap_or_else(|_elapsed| {
        let uid = &review.request.uid;
        error!(uid, "no decision in time, and denied");
        Answer::deny(uid, Failure::Late.text(uid)).into()
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
