//! The proxies of pods, services and nodes. Nobody can ask for them: what goes through them is not
//! visible here, and behind a node's proxy the kubelet runs commands by itself. Always-allowed
//! callers pass, and whom a policy lets through to this path.

use api::{
    ExecOptions,
    review::{Answer, Review, StrictProxyOptions},
};
use decide::{
    identity::Caller,
    policy::Through,
    policy_id::PolicyId,
    proxy::{self, ProxyName, ProxyResource},
    rules,
    text::safe,
};
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use tracing::{error, info};

use super::{Admission, Deadline, basis, failure::Failure};
use crate::audit::Exec;

/// What becomes of it.
enum Outcome {
    AlwaysAllowed,
    Allowed(PolicyId),
    Refused,
    Unclear(String),
    Failed(Failure),
}

impl Admission {
    /// Decides on a connection through a proxy, and records it.
    pub(super) async fn proxy(&self, review: &Review, deadline: Deadline) -> Answer {
        let decided = timeout_at(deadline.decide_by(), self.decide_proxy(review, deadline)).await;
        let outcome = decided.unwrap_or(Outcome::Failed(Failure::Timeout));
        let denied = !matches!(outcome, Outcome::AlwaysAllowed | Outcome::Allowed(_));
        let untold = if denied {
            self.record_proxy(review, &outcome, deadline).await.err()
        } else {
            None
        };
        let options = review
            .request
            .object
            .as_deref()
            .map(RawValue::get)
            .unwrap_or_default();
        let failures = self.extensions.failures();
        // What is allowed is always written.
        if !denied || self.is_written(review, outcome.name(), options) {
            log(review, &outcome, options, untold.as_ref());
        }
        match self.extensions.check_written(failures) {
            Err(error) if !denied => {
                error!(
                    uid = review.request.uid,
                    error = crate::chain(&error),
                    "the audit could not be written, and denied"
                );
                conclude(review, &Outcome::Failed(error.into()))
            }
            Ok(()) | Err(_) => conclude(review, &outcome),
        }
    }

    async fn decide_proxy(&self, review: &Review, deadline: Deadline) -> Outcome {
        // For the always allowed too: where it leads stands in the record.
        let length = review
            .request
            .object
            .as_deref()
            .map(RawValue::get)
            .map_or(0, str::len);
        if length > rules::MAX_ARGUMENT_LEN {
            return Outcome::Unclear(format!(
                "what this proxy leads to has {length} bytes; the maximum is {}, so nothing is allowed",
                rules::MAX_ARGUMENT_LEN
            ));
        }
        let outcome = if self.is_always_allowed(&Self::caller(review)) {
            Ok(Outcome::AlwaysAllowed)
        } else {
            match read(review) {
                Ok((name, path)) => self.through_by_policy(review, &name, &path).await,
                Err(unclear) => return Outcome::Unclear(unclear),
            }
        };
        let recorded = match outcome {
            Ok(Outcome::Refused) => return Outcome::Refused,
            Ok(passes) => self
                .record_proxy(review, &passes, deadline)
                .await
                .map(|()| passes),
            Err(error) => Err(error),
        };
        recorded.unwrap_or_else(Outcome::Failed)
    }

    /// Whether a policy that memory knows lets the caller through, and still does when it is read.
    async fn through_by_policy(
        &self,
        review: &Review,
        name: &ProxyName,
        path: &str,
    ) -> Result<Outcome, Failure> {
        let caller = Self::caller(review);
        let Some(through) = through(review, &caller, name, path) else {
            return Ok(Outcome::Refused);
        };
        if self.policies.current().through_proxy(&through).is_none() {
            return Ok(Outcome::Refused);
        }
        let live = self.live_rules().await?;
        Ok(live
            .policies
            .through_proxy(&through)
            .cloned()
            .map_or(Outcome::Refused, Outcome::Allowed))
    }

    /// Whether a policy that memory knows lets the caller through: good for looking on.
    pub(super) fn is_let_through(&self, review: &Review, name: &ProxyName, path: &str) -> bool {
        let caller = Self::caller(review);
        let through = through(review, &caller, name, path);
        through.is_some_and(|through| self.policies.current().through_proxy(&through).is_some())
    }

    async fn record_proxy(
        &self,
        review: &Review,
        outcome: &Outcome,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (allowed, policies) = match outcome {
            Outcome::AlwaysAllowed => (true, [].as_slice()),
            Outcome::Allowed(policy) => (true, std::slice::from_ref(policy)),
            Outcome::Refused | Outcome::Unclear(_) | Outcome::Failed(_) => (false, [].as_slice()),
        };
        let always_allowed = matches!(outcome, Outcome::AlwaysAllowed);
        let basis = &basis::by_policies(outcome.name(), policies);
        let exec = Exec {
            allowed,
            always_allowed,
            options: &ExecOptions::default(),
            basis,
        };
        Ok(self
            .extensions
            .exec(review, &exec, deadline.answer_by())
            .await?)
    }
}

/// Who goes through which proxy; `None`: it is none of those that policies know.
fn through<'a>(
    review: &'a Review,
    caller: &'a Caller,
    name: &'a ProxyName,
    path: &'a str,
) -> Option<Through<'a>> {
    Some(Through {
        username: &caller.username,
        groups: &caller.groups,
        namespace: review
            .request
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty()),
        resource: ProxyResource::of(&review.request.resource.resource)?,
        port: name.port.as_deref(),
        path,
    })
}

/// The name, and the path from the slash on, where both can be read in one way only; nothing that
/// cannot is ever let through by a rule.
pub(super) fn read(review: &Review) -> Result<(ProxyName, String), String> {
    let kind = match review.request.resource.resource.as_str() {
        "pods" => "PodProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "NodeProxyOptions",
    };
    let object = review
        .request
        .object
        .as_deref()
        .ok_or("the review has no options: nothing is allowed")?;
    let unclear = |error: &dyn std::fmt::Display| {
        format!("what this proxy leads to is not understood, so nothing is allowed: {error}")
    };
    let options = StrictProxyOptions::decode(object, kind).map_err(|error| unclear(&error))?;
    let name = proxy::name(review.request.name.as_deref().unwrap_or_default())
        .map_err(|error| unclear(&error))?;
    let path = options.path.unwrap_or_default();
    proxy::check_path(&path).map_err(|error| unclear(&error))?;
    Ok((
        name,
        if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        },
    ))
}

fn conclude(review: &Review, outcome: &Outcome) -> Answer {
    let request = &review.request;
    let uid = &request.uid;
    let answer = match outcome {
        Outcome::AlwaysAllowed => Answer::allow(uid),
        Outcome::Allowed(policy) => Answer::allow(uid).annotated("policy", policy.to_string()),
        Outcome::Refused => Answer::deny(uid, refusal(&request.resource.resource)),
        Outcome::Unclear(text) => Answer::deny(uid, text.as_str()),
        Outcome::Failed(failure) => Answer::deny(uid, failure.text(uid)),
    };
    answer
        .annotated("review-uid", uid.as_str())
        .annotated("decision", outcome.name())
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::AlwaysAllowed => "always-allowed",
            Self::Allowed(_) => "allowed-by-policy",
            Self::Refused => "denied-proxy",
            Self::Unclear(_) => "denied-unclear",
            Self::Failed(_) => "denied-failure",
        }
    }
}

fn log(review: &Review, outcome: &Outcome, options: &str, untold: Option<&Failure>) {
    let request = &review.request;
    let (uid, decision) = (&request.uid, outcome.name());
    if let Outcome::Failed(failure) = outcome {
        error!(
            uid,
            error = crate::chain(failure),
            "could not decide, and denied"
        );
    }
    if let Some(error) = untold {
        error!(
            uid,
            error = crate::chain(error),
            "the audit webhook was not told of a denial"
        );
    }
    let (user, resource) = (request.user_info.name(), &request.resource.resource);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = safe(request.name.as_deref().unwrap_or_default());
    info!(target: "audit", uid, user, namespace, resource, name, subresource = "proxy", options, decision, "attempt");
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
