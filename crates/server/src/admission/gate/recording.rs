//! What is written of an attempt: to the audit webhook before anything is spent, to the log, and
//! into the answer.

use api::{
    ExecOptions,
    contract::{audit_annotations, decisions},
    payload::{self, ObjectRef},
    review::{Answer, Operation},
};
use decide::{
    argv,
    attempt::{Action, Attempt},
    explain::{self, Context},
    record,
    verdict::Denied,
};
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use super::{Gate, basis, outcome::AttemptOutcome, tried::Tried};
use crate::{
    admission::{Deadline, Decision, Received, failure::Failure},
    audit::{AuditedAttempt, WebhookError},
};

/// A denial that the audit webhook was not told of, nor the log.
const UNTOLD: &str = "audit-webhook-not-told";

impl Gate {
    /// Tells the audit webhook, unless nothing comes of it whatever is answered.
    pub(super) async fn record(
        &self,
        received: &Received,
        exec: &AuditedAttempt<'_>,
        deadline: Deadline,
    ) -> Result<(), WebhookError> {
        // No connection is ever a dry run.
        if received.request().is_dry_run() && received.request().operation == Operation::Update {
            return Ok(());
        }
        self.common
            .extensions
            .exec(&received.review, exec, deadline.answer_by())
            .await
    }

    /// Tells the audit webhook of an attempt that may proceed by this.
    pub(super) async fn record_allow(
        &self,
        tried: &Tried<'_>,
        basis: &payload::Basis,
    ) -> Result<(), WebhookError> {
        let exec = AuditedAttempt {
            allowed: true,
            always_allowed: basis.decision == decisions::ALWAYS_ALLOWED,
            options: &tried.options,
            basis,
        };
        self.record(tried.received, &exec, tried.deadline).await
    }

    /// Tells the audit webhook of a denial. Where it fails, the denial stands, and the line about
    /// it says why.
    pub(super) async fn record_denial(
        &self,
        received: &Received,
        options: &ExecOptions,
        outcome: &AttemptOutcome,
        deadline: Deadline,
    ) -> Option<WebhookError> {
        let basis = &self.basis_of_denial(received, outcome);
        let exec = AuditedAttempt {
            allowed: false,
            always_allowed: false,
            options,
            basis,
        };
        self.record(received, &exec, deadline).await.err()
    }

    /// What a denial was decided by: the request that came nearest, as memory knows it, and the
    /// policies.
    fn basis_of_denial(&self, received: &Received, outcome: &AttemptOutcome) -> payload::Basis {
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        let nearest = outcome.request().map(|name| {
            let person = self.common.settings.prefix.person(&received.caller);
            let hers = person
                .map(|person| self.common.index.candidates(namespace, &person))
                .unwrap_or_default();
            let uid = hers
                .iter()
                .map(|one| &one.request)
                .find(|one| one.name == name)
                .map(|one| one.uid.clone());
            ObjectRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid,
            }
        });
        payload::Basis {
            access_request: nearest,
            ..basis::by_policies(outcome.name(), outcome.policies())
        }
    }

    /// What could not be written where the audit has a file of its own is not allowed, even though
    /// it was decided.
    fn only_if_written(&self, uid: &str, outcome: AttemptOutcome, failures: u64) -> AttemptOutcome {
        match (&outcome, self.common.extensions.check_written(failures)) {
            (AttemptOutcome::Allowed(_), Err(error)) => {
                error!(
                    uid,
                    error = crate::chain(&error),
                    "the audit could not be written, and denied"
                );
                AttemptOutcome::Failed(error.into())
            }
            _ => outcome,
        }
    }

    /// Writes the decision to the log, and the answer.
    pub(super) fn conclude(
        &self,
        received: &Received,
        attempt: Option<&Attempt>,
        outcome: AttemptOutcome,
        untold: Option<&WebhookError>,
    ) -> Decision {
        let uid = &received.request().uid;
        let decision = outcome.name();
        let what = attempt
            .map(|attempt| describe_action(&attempt.action))
            .unwrap_or_default();
        let failures = self.common.extensions.failures();
        // What is allowed is always written, but a dry run, which opens nothing, and costs nobody
        // anything.
        let opens =
            matches!(outcome, AttemptOutcome::Allowed(_)) && !received.request().is_dry_run();
        if opens
            || self
                .common
                .is_written(received, decision, tried(received, &what))
        {
            tell_of_faults(uid, outcome.failure(), untold);
            log(received, attempt, &outcome, &what);
        } else if untold.is_some()
            && self
                .common
                .is_written(received, UNTOLD, tried(received, &what))
        {
            // Counted twice: that it was denied, and that nobody was told.
            tell_of_faults(uid, outcome.failure(), untold);
        }
        let outcome = self.only_if_written(uid, outcome, failures);
        let decision = outcome.name();
        let request = outcome.request().map(str::to_owned);
        let policies = outcome.policies_shown();
        let mut spent = None;
        let answer = match outcome {
            AttemptOutcome::Allowed(basis) => {
                spent = basis.spent();
                Answer::allow(uid)
            }
            AttemptOutcome::Denied(denied) => Answer::deny(uid, self.explain(&denied, attempt)),
            AttemptOutcome::NoRight => Answer::deny(uid, no_right(received)),
            AttemptOutcome::Unclear(text) => Answer::deny(uid, text),
            AttemptOutcome::Failed(failure) => Answer::deny(uid, failure.text(uid)),
        };
        let answer = answer
            .annotated(audit_annotations::REVIEW_UID, uid.as_str())
            .annotated(audit_annotations::DECISION, decision);
        let answer = match request {
            Some(request) => answer.annotated(audit_annotations::REQUEST, request),
            None => answer,
        };
        let answer = if policies.is_empty() {
            answer
        } else {
            answer.annotated(audit_annotations::POLICY, policies)
        };
        Decision { answer, spent }
    }

    fn explain(&self, denied: &Denied, attempt: Option<&Attempt>) -> String {
        let context = Context {
            cluster: &self.common.cluster_name,
            now: self.common.now(),
        };
        attempt.map_or_else(String::new, |attempt| {
            explain::denial(denied, attempt, context)
        })
    }
}

fn no_right(received: &Received) -> String {
    format!(
        "your request is granted, but RBAC does not let you create pods/{} here, so nothing was used up.\n\
         Ask your administrators for the ClusterRole kube-request-access-requester, or try again in a few seconds \
         where rights come with each grant.",
        received
            .request()
            .sub_resource
            .as_deref()
            .unwrap_or_default()
    )
}

/// What was tried: what runs, or the options as they came where these are not understood.
fn tried<'a>(received: &'a Received, what: &'a str) -> &'a str {
    let options = received
        .request()
        .object
        .as_deref()
        .map(RawValue::get)
        .unwrap_or_default();
    if what.is_empty() { options } else { what }
}

/// What went wrong on the way to a denial: why nothing could be decided, and that the audit webhook
/// was not told.
pub(super) fn tell_of_faults<E: std::error::Error + 'static>(
    uid: &str,
    failure: Option<&Failure>,
    untold: Option<&E>,
) {
    if let Some(failure) = failure {
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
}

fn log(received: &Received, attempt: Option<&Attempt>, outcome: &AttemptOutcome, what: &str) {
    let request = received.request();
    let (uid, user, decision) = (&request.uid, &received.caller.username, outcome.name());
    let (namespace, pod) = (
        request.namespace.as_deref().unwrap_or_default(),
        request.name.as_deref().unwrap_or_default(),
    );
    let door = request.sub_resource.as_deref().unwrap_or_default();
    // Of what is not understood the log has the length and the digest.
    let unclear = matches!(outcome, AttemptOutcome::Unclear(_)).then(|| tried(received, what));
    let options_bytes = unclear.map(|options| u64::try_from(options.len()).unwrap_or(u64::MAX));
    let options_sha256 = unclear.map(|options| record::digest(options.as_bytes()));
    let container = attempt
        .and_then(|attempt| attempt.action.container())
        .unwrap_or_default();
    let interactive = attempt.is_some_and(|attempt| attempt.action.takes_input());
    let (by, dry_run) = (outcome.request().unwrap_or_default(), request.is_dry_run());
    let policy = outcome.policies_shown();
    let approvers = outcome.approvers().map(argv::show);
    if outcome.is_emergency() {
        warn!(
            target: "audit",
            uid, user, namespace, pod, subresource = door, container, command = what, interactive, decision, request = by, approvers, policy, dry_run,
            "attempt in an emergency"
        );
    } else {
        info!(
            target: "audit",
            uid, user, namespace, pod, subresource = door, container, command = what, interactive, decision, request = by, approvers, policy, dry_run,
            options_bytes, options_sha256,
            "attempt"
        );
    }
}

/// What is run or added, for the log: as JSON.
pub(super) fn describe_action(action: &Action) -> String {
    match action {
        Action::Exec(exec) => argv::show(&exec.command),
        Action::Attach(_) | Action::PortForward => String::new(),
        Action::Debug(addition) => {
            let container = &addition.container;
            let command: Vec<String> = container
                .command
                .iter()
                .chain(&container.args)
                .cloned()
                .collect();
            let (image, command) = (argv::quote_json(&container.image), argv::show(&command));
            let beside = container.beside();
            format!("{image} {command} {beside}").trim_end().to_owned()
        }
    }
}
