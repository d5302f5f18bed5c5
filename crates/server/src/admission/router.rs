//! HTTP: reviews in, answers out.

use std::{convert::Infallible, sync::Arc};

use api::review::Answer;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use super::{
    Admission, Deadline, Decision, Received, Step,
    failure::Failure,
    handover,
    receiving::{TurnedAway, receive},
    room::{ReviewPlace, Room},
};
use crate::{
    failpoints::Failpoint,
    metrics::Metrics,
    serve::{
        authentication::{Authentication, Peer},
        endpoint::Way,
    },
};

/// Maximum size of the observed attempts that wait for the audit webhook to be told of them, in
/// KiB.
const MAX_TOLD: usize = 8 * 1024;

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
    /// How much of these may wait for the audit webhook to be told, in KiB.
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
            room: Room::deciding(),
            observing: Room::observing(),
            telling: Arc::new(Semaphore::new(MAX_TOLD)),
        }
    }

    /// The same, believing only such reviews.
    #[must_use]
    pub fn believing(self, authentication: Authentication) -> Self {
        Self {
            authentication,
            ..self
        }
    }

    /// Answers what cannot be answered as a review, since it has no uid that could be read. Never
    /// with Retry-After, upon which the API server would send it again.
    fn unread(&self, status: StatusCode, text: &str) -> Response {
        self.metrics.unread();
        // Of nobody known: all of them share what is written.
        if self.admission.common().limits.writes(
            "",
            "unread",
            String::new,
            self.admission.common().now(),
        ) {
            warn!(status = status.as_u16(), text, "review not read");
        }
        (status, format!("{text}\n")).into_response()
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

/// Anything but the paths that everybody may know. What is not believed gets no other answer than
/// what does not exist.
async fn review(State(service): State<Service>, request: Request) -> Response {
    if request.method() != Method::POST {
        return StatusCode::NOT_FOUND.into_response();
    }
    let peer = request.extensions().get::<Peer>();
    let Some(way) = service.authentication.way(request.uri().path(), peer) else {
        service.metrics.unauthenticated();
        service.authentication.complain(peer);
        return StatusCode::NOT_FOUND.into_response();
    };
    match way {
        Way::Observe => observe(service, request).await,
        Way::Validate | Way::Mutate => respond(service, request, way).await,
    }
}

/// Whatever comes this way passes: what we cannot answer too, by the `failurePolicy: Ignore` of its
/// webhook.
async fn observe(service: Service, request: Request) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline::from_query(request.uri().query(), arrived);
    let (received, place) = match receive(&service.observing, request, deadline).await {
        Ok(received) => received,
        Err(TurnedAway::Refused(refusal)) => {
            refusal.log(
                &service.admission.common().limits,
                service.admission.common().now(),
            );
            let answer = service.admission.gate.observe_unread(&refusal);
            service
                .metrics
                .answered(Way::Observe, &answer, arrived.elapsed());
            return Json(answer).into_response();
        }
        Err(TurnedAway::Unread(status, text)) => return service.unread(status, &text),
    };
    let answer = service.admission.gate.observe(&received);
    service
        .metrics
        .answered(Way::Observe, &answer, arrived.elapsed());
    // Nobody waits for those who are told; a large review keeps its place meanwhile, for its
    // memory.
    let kib = u32::try_from(received.review.raw.get().len() / 512)
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let kib = if place.is_small() { kib } else { 1 };
    match Arc::clone(&service.telling).try_acquire_many_owned(kib) {
        Ok(turn) => {
            let place = Some(place).filter(|place| !place.is_small());
            tokio::spawn(async move {
                let _kept = (turn, place);
                service
                    .admission
                    .gate
                    .tell_of_observed(&received, deadline)
                    .await;
            });
        }
        Err(_full) => {
            warn!(
                uid = received.request().uid,
                "the audit webhook is too slow to be told of an observed attempt"
            );
        }
    }
    Json(answer).into_response()
}

async fn respond(service: Service, request: Request, way: Way) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline::from_query(request.uri().query(), arrived);
    let (received, place) = match receive(&service.room, request, deadline).await {
        Ok(received) => received,
        Err(TurnedAway::Refused(refusal)) => {
            refusal.log(
                &service.admission.common().limits,
                service.admission.common().now(),
            );
            service
                .metrics
                .answered(way, &refusal.answer, arrived.elapsed());
            return Json(refusal.answer).into_response();
        }
        Err(TurnedAway::Unread(status, text)) => return service.unread(status, &text),
    };
    let uid = received.request().uid.clone();
    let admission = Arc::clone(&service.admission);
    // A task of its own: the API server hangs up when its patience ends, and what was begun must
    // not stop half-way. Only whoever waits for a grant stops, once nobody is there to be let
    // through.
    let (present, gone) = oneshot::channel::<Infallible>();
    let work =
        tokio::spawn(
            async move { decide(&admission, &received, deadline, way, place, gone).await },
        );
    let Decision { answer, spent } = work.await.unwrap_or_else(|error| {
        error!(uid, %error, "review handler panicked; denied");
        Answer::deny(
            &uid,
            format!("kube-request-access failed, so nothing was allowed (id {uid})"),
        )
        .into()
    });
    drop(present);
    service.metrics.answered(way, &answer, arrived.elapsed());
    let response = Json(answer).into_response();
    let Some(spent) = spent else { return response };
    Failpoint::BeforeAnswer.reached(&uid).await;
    let outcomes = service.admission.gate.outcomes.clone();
    handover::noticed(response, move || outcomes.answered(spent))
}

async fn decide(
    admission: &Admission,
    received: &Received,
    deadline: Deadline,
    way: Way,
    place: ReviewPlace,
    gone: oneshot::Receiver<Infallible>,
) -> Decision {
    let decision = async {
        let step = match way {
            Way::Mutate => Decision::from(admission.mutate(received).await).into(),
            // What is only looked at does not come here; here it would be decided.
            Way::Validate | Way::Observe => admission.validate(received, deadline).await,
        };
        // Whoever waits does so in a place of her own: this one is for those who give what she
        // waits for.
        drop(place);
        match step {
            Step::Answer(decision) => *decision,
            Step::Wait(waiter) => admission.gate.wait(received, *waiter, deadline, gone).await,
        }
    };
    timeout_at(deadline.answer_by(), decision)
        .await
        .unwrap_or_else(|_elapsed| {
            let uid = &received.request().uid;
            error!(uid, "no decision in time, and denied");
            Answer::deny(uid, Failure::Late.text(uid)).into()
        })
}

async fn ready(State(service): State<Service>) -> Response {
    if *service.ready.borrow() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the watches have not synced, or the server is stopping\n",
        )
            .into_response()
    }
}

async fn metrics(State(service): State<Service>) -> Response {
    let objects = &service.admission.objects;
    let index = &objects.common.index;
    service
        .metrics
        .index
        .show(index.counts(), index.fullest(), objects.limits.most());
    match service.metrics.text() {
        Ok(text) => (
            [(
                "content-type",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
