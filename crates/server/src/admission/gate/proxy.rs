//! The proxies of pods, services and nodes. Nobody can ask for them: what goes through them is not
//! visible here, and behind a node's proxy the kubelet runs commands by itself. Always-allowed
//! callers pass, and whom a policy lets through to this path.

use api::{
    ExecOptions,
    contract::{audit_annotations, decisions},
    review::{Answer, StrictProxyOptions},
};
use decide::{
    policy::Through,
    policy_id::PolicyId,
    proxy::{self, ProxyName, ProxyResource},
    rules,
    text::safe,
};
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use tracing::{error, info};

use super::{Gate, basis, recording::tell_of_faults};
use crate::{
    admission::{Deadline, Received, failure::Failure},
    audit::AuditedAttempt,
};

/// What becomes of it.
enum ProxyOutcome {
    AlwaysAllowed,
    Allowed(PolicyId),
    Refused,
    Unclear(String),
    Failed(Failure),
}

impl Gate {
    /// Decides on a connection through a proxy, and records it.
    pub(in crate::admission) async fn proxy(
        &self,
        received: &Received,
        deadline: Deadline,
    ) -> Answer {
        let decided = timeout_at(deadline.decide_by(), self.decide_proxy(received, deadline)).await;
        let outcome = decided.unwrap_or(ProxyOutcome::Failed(Failure::Timeout));
        let denied = !matches!(
            outcome,
            ProxyOutcome::AlwaysAllowed | ProxyOutcome::Allowed(_)
        );
        let untold = if denied {
            self.record_proxy(received, &outcome, deadline).await.err()
        } else {
            None
        };
        let options = received
            .request()
            .object
            .as_deref()
            .map(RawValue::get)
            .unwrap_or_default();
        let failures = self.common.extensions.failures();
        // What is allowed is always written.
        if !denied || self.common.is_written(received, outcome.name(), options) {
            log(received, &outcome, options, untold.as_ref());
        }
        match self.common.extensions.check_written(failures) {
            Err(error) if !denied => {
                error!(
                    uid = received.request().uid,
                    error = crate::chain(&error),
                    "the audit could not be written, and denied"
                );
                conclude(received, &ProxyOutcome::Failed(error.into()))
            }
            Ok(()) | Err(_) => conclude(received, &outcome),
        }
    }

    async fn decide_proxy(&self, received: &Received, deadline: Deadline) -> ProxyOutcome {
        // For the always allowed too: where it leads stands in the record.
        let length = received
            .request()
            .object
            .as_deref()
            .map(RawValue::get)
            .map_or(0, str::len);
        if length > rules::MAX_ARGUMENT_LEN {
            return ProxyOutcome::Unclear(format!(
                "what this proxy leads to has {length} bytes; the maximum is {}, so nothing is allowed",
                rules::MAX_ARGUMENT_LEN
            ));
        }
        let outcome = if self.common.is_always_allowed(&received.caller) {
            Ok(ProxyOutcome::AlwaysAllowed)
        } else {
            match read(received) {
                Ok((name, path)) => self.through_by_policy(received, &name, &path).await,
                Err(unclear) => return ProxyOutcome::Unclear(unclear),
            }
        };
        let recorded = match outcome {
            Ok(ProxyOutcome::Refused) => return ProxyOutcome::Refused,
            Ok(passes) => self
                .record_proxy(received, &passes, deadline)
                .await
                .map(|()| passes),
            Err(error) => Err(error),
        };
        recorded.unwrap_or_else(ProxyOutcome::Failed)
    }

    /// Whether a policy that memory knows lets the caller through, and still does when it is read.
    async fn through_by_policy(
        &self,
        received: &Received,
        name: &ProxyName,
        path: &str,
    ) -> Result<ProxyOutcome, Failure> {
        let Some(through) = through(received, name, path) else {
            return Ok(ProxyOutcome::Refused);
        };
        if self
            .common
            .policies
            .current()
            .through_proxy(&through)
            .is_none()
        {
            return Ok(ProxyOutcome::Refused);
        }
        let live = self.common.live_rules().await?;
        Ok(live
            .policies
            .through_proxy(&through)
            .cloned()
            .map_or(ProxyOutcome::Refused, ProxyOutcome::Allowed))
    }

    /// Whether a policy that memory knows lets the caller through: good for looking on.
    pub(super) fn is_let_through(&self, received: &Received, name: &ProxyName, path: &str) -> bool {
        let through = through(received, name, path);
        through.is_some_and(|through| {
            self.common
                .policies
                .current()
                .through_proxy(&through)
                .is_some()
        })
    }

    async fn record_proxy(
        &self,
        received: &Received,
        outcome: &ProxyOutcome,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (allowed, policies) = match outcome {
            ProxyOutcome::AlwaysAllowed => (true, [].as_slice()),
            ProxyOutcome::Allowed(policy) => (true, std::slice::from_ref(policy)),
            ProxyOutcome::Refused | ProxyOutcome::Unclear(_) | ProxyOutcome::Failed(_) => {
                (false, [].as_slice())
            }
        };
        let always_allowed = matches!(outcome, ProxyOutcome::AlwaysAllowed);
        let basis = &basis::by_policies(outcome.name(), policies);
        let exec = AuditedAttempt {
            allowed,
            always_allowed,
            options: &ExecOptions::default(),
            basis,
        };
        Ok(self
            .common
            .extensions
            .exec(&received.review, &exec, deadline.answer_by())
            .await?)
    }
}

/// Who goes through which proxy; `None`: it is none of those that policies know.
fn through<'a>(received: &'a Received, name: &'a ProxyName, path: &'a str) -> Option<Through<'a>> {
    Some(Through {
        username: &received.caller.username,
        groups: &received.caller.groups,
        namespace: received
            .request()
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty()),
        resource: ProxyResource::of(&received.request().resource.resource)?,
        port: name.port.as_deref(),
        path,
    })
}

/// The name, and the path from the slash on, where both can be read in one way only; nothing that
/// cannot is ever let through by a rule.
pub(super) fn read(received: &Received) -> Result<(ProxyName, String), String> {
    let kind = match received.request().resource.resource.as_str() {
        "pods" => "PodProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "NodeProxyOptions",
    };
    let object = received
        .request()
        .object
        .as_deref()
        .ok_or("the review has no options: nothing is allowed")?;
    let unclear = |error: &dyn std::fmt::Display| {
        format!("what this proxy leads to is not understood, so nothing is allowed: {error}")
    };
    let options = StrictProxyOptions::decode(object, kind).map_err(|error| unclear(&error))?;
    let name = proxy::name(received.request().name.as_deref().unwrap_or_default())
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

fn conclude(received: &Received, outcome: &ProxyOutcome) -> Answer {
    let request = received.request();
    let uid = &request.uid;
    let answer = match outcome {
        ProxyOutcome::AlwaysAllowed => Answer::allow(uid),
        ProxyOutcome::Allowed(policy) => {
            Answer::allow(uid).annotated(audit_annotations::POLICY, policy.to_string())
        }
        ProxyOutcome::Refused => Answer::deny(uid, refusal(&request.resource.resource)),
        ProxyOutcome::Unclear(text) => Answer::deny(uid, text.as_str()),
        ProxyOutcome::Failed(failure) => Answer::deny(uid, failure.text(uid)),
    };
    answer
        .annotated(audit_annotations::REVIEW_UID, uid.as_str())
        .annotated(audit_annotations::DECISION, outcome.name())
}

impl ProxyOutcome {
    fn name(&self) -> &'static str {
        match self {
            Self::AlwaysAllowed => decisions::ALWAYS_ALLOWED,
            Self::Allowed(_) => decisions::ALLOWED_BY_POLICY,
            Self::Refused => decisions::DENIED_PROXY,
            Self::Unclear(_) => decisions::DENIED_UNCLEAR,
            Self::Failed(_) => decisions::DENIED_FAILURE,
        }
    }
}

fn log(received: &Received, outcome: &ProxyOutcome, options: &str, untold: Option<&Failure>) {
    let request = received.request();
    let (uid, decision) = (&request.uid, outcome.name());
    let failure = match outcome {
        ProxyOutcome::Failed(failure) => Some(failure),
        ProxyOutcome::AlwaysAllowed
        | ProxyOutcome::Allowed(_)
        | ProxyOutcome::Refused
        | ProxyOutcome::Unclear(_) => None,
    };
    tell_of_faults(uid, failure, untold);
    let (user, resource) = (&received.caller.username, &request.resource.resource);
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
