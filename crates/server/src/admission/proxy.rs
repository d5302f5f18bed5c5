//! The proxies of pods, services and nodes. Nobody can ask for them: what goes through them is not visible here, and
//! behind a node's proxy the kubelet runs commands by itself. Only always-allowed callers pass.

use api::{
    ExecOptions,
    review::{Answer, Review, StrictProxyOptions},
};
use decide::{explain::safe, proxy};
use tokio::time::timeout_at;
use tracing::{error, info};

use super::{Admission, Deadline, failure::Failure};
use crate::audit::Exec;

/// What becomes of it.
enum Outcome {
    AlwaysAllowed,
    Refused,
    Unclear(String),
    Failed(Failure),
}

impl Admission {
    /// Decides on a connection through a proxy, and records it.
    pub(super) async fn proxy(&self, review: &Review, deadline: Deadline) -> Answer {
        let decided = timeout_at(deadline.decide_by(), self.decide_proxy(review, deadline)).await;
        let outcome = decided.unwrap_or(Outcome::Failed(Failure::Timeout));
        if !matches!(outcome, Outcome::AlwaysAllowed)
            && let Err(error) = self.record_proxy(review, false, deadline).await
        {
            error!(
                uid = review.request.uid,
                error = crate::chain(&error),
                "the audit webhook was not told of a denial"
            );
        }
        conclude(review, &outcome)
    }

    async fn decide_proxy(&self, review: &Review, deadline: Deadline) -> Outcome {
        if !self.is_always_allowed(&Self::caller(review)) {
            return read(review).map_or_else(Outcome::Unclear, |()| Outcome::Refused);
        }
        match self.record_proxy(review, true, deadline).await {
            Ok(()) => Outcome::AlwaysAllowed,
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn record_proxy(&self, review: &Review, allowed: bool, deadline: Deadline) -> Result<(), Failure> {
        let exec = Exec { allowed, always_allowed: allowed, options: &ExecOptions::default() };
        Ok(self.extensions.exec(review, &exec, deadline.answer_by()).await?)
    }
}

/// Whether name and path can be read in one way only; nothing that cannot is ever let through by a rule.
fn read(review: &Review) -> Result<(), String> {
    let kind = match review.request.resource.resource.as_str() {
        "pods" => "PodProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "NodeProxyOptions",
    };
    let object = review.request.object.as_deref().ok_or("the review has no options: nothing is allowed")?;
    let unclear = |error: &dyn std::fmt::Display| {
        format!("what this proxy leads to is not understood, so nothing is allowed: {error}")
    };
    let options = StrictProxyOptions::decode(object, kind).map_err(|error| unclear(&error))?;
    proxy::name(review.request.name.as_deref().unwrap_or_default()).map_err(|error| unclear(&error))?;
    proxy::check_path(options.path.as_deref().unwrap_or_default()).map_err(|error| unclear(&error))
}

fn conclude(review: &Review, outcome: &Outcome) -> Answer {
    let request = &review.request;
    let uid = &request.uid;
    let (decision, answer) = match outcome {
        Outcome::AlwaysAllowed => ("always-allowed", Answer::allow(uid)),
        Outcome::Refused => ("denied-proxy", Answer::deny(uid, refusal(&request.resource.resource))),
        Outcome::Unclear(text) => ("denied-unclear", Answer::deny(uid, text.as_str())),
        Outcome::Failed(failure) => {
            error!(uid, error = crate::chain(failure), "could not decide, and denied");
            ("denied-failure", Answer::deny(uid, failure.text(uid)))
        }
    };
    let (user, resource) = (request.user_info.name(), &request.resource.resource);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = safe(request.name.as_deref().unwrap_or_default());
    let options = request.object.as_deref().map(serde_json::value::RawValue::get).unwrap_or_default();
    info!(target: "audit", uid, user, namespace, resource, name, door = "proxy", options, decision, "attempt");
    answer.annotated("review-uid", uid.as_str()).annotated("decision", decision)
}

fn refusal(resource: &str) -> String {
    let instead = match resource {
        "nodes" => "Ask your administrators.",
        _ => "To reach a port of a pod, ask for it: kubectl request port-forward POD",
    };
    format!(
        "{resource}/proxy cannot be asked for: neither the method nor the query of what goes through it is visible \
         here.\n{instead}"
    )
}
