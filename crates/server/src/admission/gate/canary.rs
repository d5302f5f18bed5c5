//! The canary's own attempts (see [`crate::canary`]). They are always denied, and answered with a
//! proof that a server of ours was asked. They stay out of the record, the report and the limits:
//! nothing could hide among them, because it is one account, that can do nothing else, at one name,
//! which no pod can have.

use api::{
    contract::{audit_annotations, decisions},
    review::Answer,
};
use tracing::debug;

use super::Gate;
use crate::admission::Received;

impl Gate {
    /// Whether this is an attempt of the canary's.
    pub(super) fn is_canary(&self, received: &Received) -> bool {
        self.canary
            .as_ref()
            .is_some_and(|canary| canary.includes(&received.review))
    }

    /// The answer to an attempt of the canary's; `None`: it is somebody else's.
    pub(in crate::admission) fn answer_canary(&self, received: &Received) -> Option<Answer> {
        let canary = self
            .canary
            .as_ref()
            .filter(|canary| canary.includes(&received.review))?;
        let uid = &received.request().uid;
        debug!(uid, "asked about the canary");
        let answer = Answer::deny(
            uid,
            "this is the canary of kube-request-access, which enters no pod",
        )
        .annotated(audit_annotations::REVIEW_UID, uid.as_str())
        .annotated(audit_annotations::DECISION, decisions::CANARY);
        Some(match canary.warning(&received.review) {
            Some(warning) => answer.warning(warning),
            None => answer,
        })
    }
}
