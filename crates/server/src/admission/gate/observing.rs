//! Observe mode: an attempt is looked at, counted, and let through, whatever it is. Only what
//! memory knows is asked: nothing is read, and nothing is spent. Which attempts come this way, the
//! webhook configuration says.

use api::{
    ExecOptions,
    contract::{audit_annotations, decisions},
    report::Observed,
    review::{Answer, Operation},
};
use decide::{
    attempt::{Attempt, Door},
    verdict::{self, Screened},
};
use tracing::{error, info};

use super::{Gate, basis, outcome::AttemptOutcome, proxy, tried};
use crate::{
    admission::{Deadline, Received, receiving::RefusedReview},
    audit::AuditedAttempt,
};

/// What an attempt would have come to.
struct Would {
    /// What is kept of it; nothing of what is no attempt.
    observed: Option<Observed>,
    decision: &'static str,
    passes: bool,
}

impl Gate {
    /// Lets an attempt through, and keeps what it would have come to.
    pub(in crate::admission) fn observe(&self, received: &Received) -> Answer {
        // Even that pod, which cannot exist, is entered by nobody.
        if let Some(answer) = self.answer_canary(received) {
            return answer;
        }
        // Nothing comes of a dry run, and no connection is one.
        if received.request().is_dry_run() {
            return Answer::allow(&received.request().uid);
        }
        let Would {
            observed,
            decision,
            passes,
        } = self.would(received);
        let request = received.request();
        let (uid, user) = (&request.uid, &received.caller.username);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let resource = &request.resource.resource;
        let door = request.sub_resource.as_deref().unwrap_or_default();
        info!(target: "audit", uid, user, namespace, resource, subresource = door, decision, passes, "observed");
        if let Some(observed) = observed {
            self.observations.saw(observed, passes, self.common.now());
        }
        Answer::allow(uid)
            .annotated(audit_annotations::REVIEW_UID, uid.as_str())
            .annotated(audit_annotations::DECISION, decisions::OBSERVED)
            .annotated(audit_annotations::WOULD_BE, decision)
    }

    /// Lets an attempt through that is too large to be looked at, or one too many, and keeps that
    /// there was one.
    pub(in crate::admission) fn observe_unread(&self, refusal: &RefusedReview) -> Answer {
        let RefusedReview {
            head,
            decision,
            answer,
            ..
        } = refusal;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let door = format!("{}/{}", text(&head.resource), text(&head.sub_resource));
        self.observations.saw(
            Observed::unread(&text(&head.user), head.namespace.as_deref(), &door),
            false,
            self.common.now(),
        );
        Answer::allow(&answer.response.uid)
            .annotated(audit_annotations::REVIEW_UID, answer.response.uid.as_str())
            .annotated(audit_annotations::DECISION, decisions::OBSERVED)
            .annotated(audit_annotations::WOULD_BE, *decision)
    }

    /// Tells the audit webhook that an attempt was let through; it may fail, and stops nobody.
    pub(in crate::admission) async fn tell_of_observed(
        &self,
        received: &Received,
        deadline: Deadline,
    ) {
        if self.is_canary(received) {
            return;
        }
        let options = Door::of(
            received
                .request()
                .sub_resource
                .as_deref()
                .unwrap_or_default(),
        )
        .and_then(|door| tried::read(received, door).ok())
        .map_or_else(ExecOptions::default, |(_attempt, options)| options);
        let always_allowed = self.common.is_always_allowed(&received.caller);
        let basis = &basis::by_policies(decisions::OBSERVED, &[]);
        let exec = AuditedAttempt {
            allowed: true,
            always_allowed,
            options: &options,
            basis,
        };
        if let Err(error) = self.record(received, &exec, deadline).await {
            error!(
                uid = received.request().uid,
                error = crate::chain(&error),
                "the audit webhook was not told of an attempt in observe mode"
            );
        }
    }

    fn would(&self, received: &Received) -> Would {
        let request = received.request();
        let door = request.sub_resource.as_deref().and_then(Door::of);
        match (request.resource.resource.as_str(), door, request.operation) {
            ("pods", Some(door), Operation::Connect | Operation::Update) => {
                self.would_enter(received, door)
            }
            (_, None, Operation::Connect) => self.would_pass_proxy(received),
            _ => Would {
                observed: None,
                decision: decisions::UNEXPECTED,
                passes: false,
            },
        }
    }

    fn would_enter(&self, received: &Received, door: Door) -> Would {
        let (user, namespace) = (
            &received.caller.username,
            received.request().namespace.as_deref(),
        );
        let seen = |command: &[String], interactive| {
            Observed::door(
                user,
                namespace.unwrap_or_default(),
                door.subresource(),
                command,
                interactive,
            )
        };
        match tried::read(received, door) {
            Ok((attempt, options)) => {
                let observed = seen(
                    &options.command.unwrap_or_default(),
                    attempt.action.is_interactive(),
                );
                let (decision, passes) = self.would_decide(&attempt);
                Would {
                    observed: Some(observed),
                    decision,
                    passes,
                }
            }
            Err(_unclear) => Would {
                observed: Some(seen(&[], false)),
                decision: decisions::DENIED_UNCLEAR,
                passes: false,
            },
        }
    }

    fn would_decide(&self, attempt: &Attempt) -> (&'static str, bool) {
        if self.common.is_always_allowed(&attempt.caller) {
            return (decisions::ALWAYS_ALLOWED, true);
        }
        if verdict::allowed_by_policy(attempt, &self.common.rules()).is_some() {
            return (decisions::ALLOWED_BY_POLICY, true);
        }
        match self.screened(attempt) {
            Screened::Promising(_) => (decisions::GRANTED, true),
            Screened::Denied(denied) => (AttemptOutcome::Denied(denied).name(), false),
        }
    }

    fn would_pass_proxy(&self, received: &Received) -> Would {
        let request = received.request();
        let namespace = request
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty());
        let read = proxy::read(received);
        let to = read.as_ref().ok().map(|(name, path)| (name, path.as_str()));
        let observed = Observed::proxy(
            &received.caller.username,
            namespace,
            &request.resource.resource,
            to,
        );
        let (decision, passes) = match &read {
            _ if self.common.is_always_allowed(&received.caller) => {
                (decisions::ALWAYS_ALLOWED, true)
            }
            Ok((name, path)) if self.is_let_through(received, name, path) => {
                (decisions::ALLOWED_BY_POLICY, true)
            }
            Ok(_) => (decisions::DENIED_PROXY, false),
            Err(_unclear) => (decisions::DENIED_UNCLEAR, false),
        };
        Would {
            observed: Some(observed),
            decision,
            passes,
        }
    }
}
