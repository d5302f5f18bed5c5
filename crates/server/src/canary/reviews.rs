//! The reviews that the canary causes.

use std::sync::Arc;

use api::review::{Operation, Review, StrictExecOptions};
use decide::attempt::Door;

use super::{
    account::{CanaryAccount, POD},
    proof::{self, Nonce},
};
use crate::cluster::seal::Sealer;

/// What the canary's attempts are known by, and answered with.
#[derive(Debug, Clone)]
pub struct CanaryReviews {
    /// The canary's account.
    pub account: CanaryAccount,
    /// What proofs are signed with.
    pub sealer: Arc<Sealer>,
}

impl CanaryReviews {
    /// Whether it is the canary that tries to enter the pod that cannot exist.
    pub fn includes(&self, review: &Review) -> bool {
        let request = &review.request;
        request.user_info.name() == self.account.to_string()
            && request.operation == Operation::Connect
            && (
                request.resource.group.as_str(),
                request.resource.resource.as_str(),
            ) == ("", "pods")
            && request.sub_resource.as_deref() == Some(Door::Exec.subresource())
            && request.namespace.as_deref() == Some(self.account.namespace.as_str())
            && request.name.as_deref() == Some(POD)
    }

    /// The proof that an attempt asks for, with the nonce that it would run.
    pub fn warning(&self, review: &Review) -> Option<String> {
        let options = StrictExecOptions::decode(review.request.object.as_deref()?).ok()?;
        let nonce = match options.command.as_deref() {
            Some([nonce]) => Nonce::read(nonce),
            Some(_) | None => None,
        };
        nonce.map(|nonce| proof::warning(&nonce.proof(&self.sealer)))
    }
}
