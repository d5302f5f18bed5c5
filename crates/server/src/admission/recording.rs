//! What is written of an attempt: to the audit webhook before anything is spent, to the log, and
//! into the answer.

use api::{
    ExecOptions,
    payload::{self, ObjectRef},
    review::{Answer, Operation, Review},
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

use super::{Admission, Deadline, Decision, basis, outcome::Outcome};
use crate::audit::{Exec, WebhookError};

/// A denial that the audit webhook was not told of, nor the log.
const UNTOLD: &str = "audit-webhook-not-told";

impl Admission {
    /// Tells the audit webhook, unless nothing comes of it whatever is answered.
    pub(super) async fn record(
        &self,
        review: &Review,
        exec: &Exec<'_>,
        deadline: Deadline,
    ) -> Result<(), WebhookError> {
        // No connection is ever a dry run.
        if review.request.is_dry_run() && review.request.operation == Operation::Update {
            return Ok(());
        }
        self.extensions
            .exec(review, exec, deadline.answer_by())
            .await
    }

    /// Tells the audit webhook of a denial. Where it fails, the denial stands, and the line about
    /// it says why.
    pub(super) async fn record_denial(
        &self,
        review: &Review,
        options: &ExecOptions,
        outcome: &Outcome,
        deadline: Deadline,
    ) -> Option<WebhookError> {
        let basis = &self.basis_of_denial(review, outcome);
        let exec = Exec {
            allowed: false,
            always_allowed: false,
            options,
            basis,
        };
        self.record(review, &exec, deadline).await.err()
    }

    /// What a denial was decided by: the request that came nearest, as memory knows it, and the
    /// policies.
    fn basis_of_denial(&self, review: &Review, outcome: &Outcome) -> payload::Basis {
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        let nearest = outcome.request().map(|name| {
            let person = self.settings.prefix.person(&Self::caller(review));
            let hers = person
                .map(|person| self.index.candidates(namespace, &person))
                .unwrap_or_default();
            let uid = hers
                .into_iter()
                .map(|one| one.request)
                .find(|one| one.name == name)
                .map(|one| one.uid);
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
    fn only_if_written(&self, uid: &str, outcome: Outcome, failures: u64) -> Outcome {
        match (&outcome, self.extensions.check_written(failures)) {
            (Outcome::Allowed(_), Err(error)) => {
                error!(
                    uid,
                    error = crate::chain(&error),
                    "the audit could not be written, and denied"
                );
                Outcome::Failed(error.into())
            }
            _ => outcome,
        }
    }

    /// Writes the decision to the log, and the answer.
    pub(super) fn conclude(
        &self,
        review: &Review,
        attempt: Option<&Attempt>,
        outcome: Outcome,
        untold: Option<&WebhookError>,
    ) -> Decision {
        let uid = &review.request.uid;
        let decision = outcome.name();
        let what = attempt
            .map(|attempt| what(&attempt.action))
            .unwrap_or_default();
        let failures = self.extensions.failures();
        // What is allowed is always written, but a dry run, which opens nothing, and costs nobody
        // anything.
        let opens = matches!(outcome, Outcome::Allowed(_)) && !review.request.is_dry_run();
        if opens || self.is_written(review, decision, tried(review, &what)) {
            tell_of_faults(uid, &outcome, untold);
            log(review, attempt, &outcome, &what);
        } else if untold.is_some() && self.is_written(review, UNTOLD, tried(review, &what)) {
            // Counted twice: that it was denied, and that nobody was told.
            tell_of_faults(uid, &outcome, untold);
        }
        let outcome = self.only_if_written(uid, outcome, failures);
        let decision = outcome.name();
        let request = outcome.request().map(str::to_owned);
        let policies = outcome.policies_shown();
        let mut spent = None;
        let answer = match outcome {
            Outcome::Allowed(basis) => {
                spent = basis.spent();
                Answer::allow(uid)
            }
            Outcome::Denied(denied) => Answer::deny(uid, self.explain(&denied, attempt)),
            Outcome::NoRight => Answer::deny(uid, no_right(review)),
            Outcome::Unclear(text) => Answer::deny(uid, text),
            Outcome::Failed(failure) => Answer::deny(uid, failure.text(uid)),
        };
        let answer = answer
            .annotated("review-uid", uid.as_str())
            .annotated("decision", decision);
        let answer = match request {
            Some(request) => answer.annotated("request", request),
            None => answer,
        };
        let answer = if policies.is_empty() {
            answer
        } else {
            answer.annotated("policy", policies)
        };
        Decision { answer, spent }
    }

    fn explain(&self, denied: &Denied, attempt: Option<&Attempt>) -> String {
        let context = Context {
            cluster: &self.cluster_name,
            now: self.now(),
        };
        attempt.map_or_else(String::new, |attempt| {
            explain::denial(denied, attempt, context)
        })
    }
}

fn no_right(review: &Review) -> String {
    format!(
        "your request is granted, but RBAC does not let you create pods/{} here, so nothing was used up.\n\
         Ask your administrators for the ClusterRole kube-request-access-requester, or try again in a few seconds \
         where rights come with each grant.",
        review.request.sub_resource.as_deref().unwrap_or_default()
    )
}

/// What was tried: what runs, or the options as they came where these are not understood.
fn tried<'a>(review: &'a Review, what: &'a str) -> &'a str {
    let options = review
        .request
        .object
        .as_deref()
        .map(RawValue::get)
        .unwrap_or_default();
    if what.is_empty() { options } else { what }
}

/// What went wrong on the way to a denial.
fn tell_of_faults(uid: &str, outcome: &Outcome, untold: Option<&WebhookError>) {
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
}

fn log(review: &Review, attempt: Option<&Attempt>, outcome: &Outcome, what: &str) {
    let request = &review.request;
    let (uid, user, decision) = (&request.uid, request.user_info.name(), outcome.name());
    let (namespace, pod) = (
        request.namespace.as_deref().unwrap_or_default(),
        request.name.as_deref().unwrap_or_default(),
    );
    let door = request.sub_resource.as_deref().unwrap_or_default();
    // Of what is not understood the log has the length and the digest.
    let unclear = matches!(outcome, Outcome::Unclear(_)).then(|| tried(review, what));
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
pub(super) fn what(action: &Action) -> String {
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
            format!(
                "{} {}",
                argv::quote_json(&container.image),
                argv::show(&command)
            )
        }
    }
}
