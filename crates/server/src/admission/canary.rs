//! The canary's own attempts (see [`crate::canary`]). They are always denied, and answered with a proof that a server of ours
//! was asked. They stay out of the record, the report and the limits: nothing could hide among them, because it is one
//! account, that can do nothing else, at one name, which no pod can have.

use std::sync::Arc;

use api::review::{Answer, Operation, Review, StrictExecOptions};
use decide::attempt::Door;
use tracing::debug;

use super::Admission;
use crate::{
    canary::{
        account::{Account, POD},
        proof::{self, Nonce},
    },
    cluster::seal::Sealer,
};

/// What the canary's attempts are known by, and answered with.
#[derive(Debug, Clone)]
pub struct CanaryReviews {
    /// The canary's account.
    pub account: Account,
    /// What proofs are signed with.
    pub sealer: Arc<Sealer>,
}

impl CanaryReviews {
    /// Whether it is the canary that tries to enter the pod that cannot exist.
    fn includes(&self, review: &Review) -> bool {
        let request = &review.request;
        request.user_info.name() == self.account.to_string()
            && request.operation == Operation::Connect
            && (request.resource.group.as_str(), request.resource.resource.as_str()) == ("", "pods")
            && request.sub_resource.as_deref() == Some(Door::Exec.subresource())
            && request.namespace.as_deref() == Some(self.account.namespace.as_str())
            && request.name.as_deref() == Some(POD)
    }

    /// The proof that an attempt asks for, with the nonce that it would run.
    fn warning(&self, review: &Review) -> Option<String> {
        let options = StrictExecOptions::decode(review.request.object.as_deref()?).ok()?;
        let nonce = match options.command.as_deref() {
            Some([nonce]) => Nonce::read(nonce),
            Some(_) | None => None,
        };
        nonce.map(|nonce| proof::warning(&nonce.proof(&self.sealer)))
    }
}

impl Admission {
    /// Whether this is an attempt of the canary's.
    pub(super) fn is_canary(&self, review: &Review) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.includes(review))
    }

    /// The answer to an attempt of the canary's; `None`: it is somebody else's.
    pub(super) fn answer_canary(&self, review: &Review) -> Option<Answer> {
        let canary = self.canary.as_ref().filter(|canary| canary.includes(review))?;
        let uid = &review.request.uid;
        debug!(uid, "asked about the canary");
        let answer = Answer::deny(uid, "this is the canary of kube-request-access, which enters no pod")
            .annotated("review-uid", uid.as_str())
            .annotated("decision", "canary");
        Some(match canary.warning(review) {
            Some(warning) => answer.warning(warning),
            None => answer,
        })
    }
}
