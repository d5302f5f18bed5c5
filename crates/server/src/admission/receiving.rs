//! Reads a review, no more of it than there is room for: first its beginning, which says whose it
//! is and what it is about, then the rest, and never more than a review of its kind may have.

use api::{
    contract::{audit_annotations, decisions},
    review::{self, Answer, Bounds, HEAD_BYTES, Head, ReviewError, TooLarge},
};
use axum::{body::Body, extract::Request, http::StatusCode};
use decide::{rules::MAX_COMMAND_LEN, text::safe};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::time::{Duration, Instant, timeout_at};
use tracing::{info, warn};

use super::{
    Deadline, Received,
    room::{Full, ReviewPlace, Room, content_length},
};
use crate::audit::Limits;

/// A body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// What is refused is read to its end and dropped, so that the connection stays usable: this many
/// bytes at the most.
const MAX_DROPPED: usize = 32 * 1024 * 1024;
/// Longest name that is written to the log.
const MAX_NAME_LEN: usize = 256;

/// Why a review is not looked at.
#[derive(Debug)]
pub(super) enum TurnedAway {
    /// It is answered, as a review.
    Refused(Box<RefusedReview>),
    /// It cannot be: its uid is not known.
    Unread(StatusCode, String),
}

/// The answer to a review that is too large, or one too many.
#[derive(Debug)]
pub(super) struct RefusedReview {
    /// Whose it is, and what it is about.
    pub(super) head: Head,
    /// What is answered.
    pub(super) answer: Answer,
    /// The decision, as the log and the metrics call it.
    pub(super) decision: &'static str,
    bytes: usize,
    reason: OverLimit,
}

impl RefusedReview {
    /// Writes it to the log, or counts it where there were too many of the same user.
    pub(super) fn log(&self, limits: &Limits, now: Timestamp) {
        let user = self.head.user.as_deref().unwrap_or_default();
        if limits.writes(user, self.decision, String::new, now) {
            log(&self.head, self.decision, self.bytes, self.reason);
        }
    }
}

/// Why a review is refused.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum OverLimit {
    #[error(transparent)]
    Size(#[from] TooLarge),
    #[error(transparent)]
    Room(#[from] Full),
}

impl OverLimit {
    fn refuse(self, head: Head, bytes: usize) -> TurnedAway {
        let Some(uid) = head.uid.clone() else {
            return TurnedAway::Unread(StatusCode::PAYLOAD_TOO_LARGE, self.to_string());
        };
        let (answer, decision) = match self {
            Self::Size(too_large) => {
                let text = format!(
                    "kube-request-access refuses this because of its size, so nothing was allowed or stored: {too_large}. \
                     A command has at most {MAX_COMMAND_LEN} bytes."
                );
                (Answer::too_large(&uid, text), decisions::DENIED_TOO_LARGE)
            }
            Self::Room(full) => {
                let text = format!(
                    "{full}, so nothing was allowed or used up. Try again in a few seconds."
                );
                (Answer::too_many(&uid, text), decisions::DENIED_TOO_MANY)
            }
        };
        let answer = answer
            .annotated(audit_annotations::REVIEW_UID, uid)
            .annotated(audit_annotations::DECISION, decision);
        TurnedAway::Refused(Box::new(RefusedReview {
            head,
            answer,
            decision,
            bytes,
            reason: self,
        }))
    }
}

fn log(head: &Head, decision: &'static str, bytes: usize, reason: OverLimit) {
    let text = |field: &Option<String>| {
        safe(
            &field
                .iter()
                .flat_map(|text| text.chars())
                .take(MAX_NAME_LEN)
                .collect::<String>(),
        )
    };
    let (uid, user, namespace) = (text(&head.uid), text(&head.user), text(&head.namespace));
    let (resource, door) = (text(&head.resource), text(&head.sub_resource));
    let reason = reason.to_string();
    info!(target: "audit", uid, user, namespace, resource, subresource = door, decision, bytes, reason, "review refused");
}

/// Reads a review, where there is room for it.
pub(super) async fn receive(
    room: &Room,
    request: Request,
    deadline: Deadline,
) -> Result<(Received, ReviewPlace), TurnedAway> {
    let length = content_length(request.headers());
    let patience = Instant::now()
        .checked_add(BODY_TIMEOUT)
        .unwrap_or_else(|| deadline.answer_by());
    let by = patience.min(deadline.answer_by());
    let mut body = ArrivingBody {
        body: request.into_body(),
        bytes: Vec::new(),
        is_over: false,
    };
    let late = || {
        TurnedAway::Unread(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time".to_owned(),
        )
    };
    match timeout_at(by, read(room, &mut body, length)).await {
        Err(_elapsed) => {
            warn!(bytes = body.bytes.len(), "a review did not arrive in time");
            Err(late())
        }
        Ok(Err(turned_away)) => {
            let _ends_or_not = timeout_at(by, body.drop_rest()).await;
            Err(turned_away)
        }
        Ok(received) => received,
    }
}

async fn read(
    room: &Room,
    body: &mut ArrivingBody,
    length: Option<usize>,
) -> Result<(Received, ReviewPlace), TurnedAway> {
    let head = body.head().await?;
    let bounds = head.bounds();
    let expected = length.unwrap_or(bounds.bytes);
    if expected > bounds.bytes {
        return Err(too_long(bounds).refuse(head, expected));
    }
    let user = head.user.as_deref().unwrap_or_default();
    let mut place = match room.take(user, expected, bounds.memory(expected, 0)) {
        Ok(place) => place,
        Err(full) => return Err(OverLimit::from(full).refuse(head, expected)),
    };
    if !body.rest(expected).await? {
        return Err(too_long(bounds).refuse(head, expected));
    }
    let bytes = std::mem::take(&mut body.bytes);
    let over: OverLimit = match review::decode(&bytes) {
        Ok(review) => match place.grow(review.memory) {
            Ok(()) => return Ok((review.into(), place)),
            Err(full) => full.into(),
        },
        Err(ReviewError::TooLarge(too_large)) => too_large.into(),
        Err(error) => return Err(unread(crate::chain(&error))),
    };
    Err(over.refuse(head, bytes.len()))
}

fn too_long(bounds: Bounds) -> OverLimit {
    TooLarge::Bytes {
        limit: bounds.bytes,
    }
    .into()
}

fn unread(text: String) -> TurnedAway {
    TurnedAway::Unread(StatusCode::BAD_REQUEST, text)
}

/// A body that arrives.
struct ArrivingBody {
    body: Body,
    bytes: Vec<u8>,
    is_over: bool,
}

impl ArrivingBody {
    /// Takes in what comes next.
    async fn next(&mut self) -> Result<(), TurnedAway> {
        match self.body.frame().await {
            None => self.is_over = true,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes.extend_from_slice(data);
                }
            }
            Some(Err(error)) => return Err(unread(crate::chain(&error))),
        }
        Ok(())
    }

    /// Reads until it is known whose review it is. One that ends before is for the decoder, which
    /// says what is wrong.
    async fn head(&mut self) -> Result<Head, TurnedAway> {
        loop {
            let head = Head::read(self.bytes.get(..HEAD_BYTES).unwrap_or(&self.bytes));
            if head.is_complete() || self.is_over {
                return Ok(head);
            }
            if self.bytes.len() >= HEAD_BYTES {
                let text = format!("the first {HEAD_BYTES} bytes do not say whose review this is");
                return Err(TurnedAway::Unread(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
            self.next().await?;
        }
    }

    /// Reads to the end, and says whether it came within this many bytes.
    async fn rest(&mut self, most: usize) -> Result<bool, TurnedAway> {
        while !self.is_over && self.bytes.len() <= most {
            self.next().await?;
        }
        Ok(self.bytes.len() <= most)
    }

    /// Reads what is left, and keeps nothing of it.
    async fn drop_rest(&mut self) {
        let mut dropped = 0_usize;
        self.bytes = Vec::new();
        while dropped < MAX_DROPPED && !self.is_over && self.next().await.is_ok() {
            dropped = dropped.saturating_add(self.bytes.len());
            self.bytes.clear();
        }
    }
}
