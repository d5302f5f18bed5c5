//! An attempt to get into a pod, through whichever door, from its review to its answer.
//!
//! Nothing here allows by default: the only ways to `Outcome::Allowed` are an always-allowed caller, and a permit
//! that [`decide::verdict::confirm`] gave on what was just read, after it was recorded and, if it is for one use,
//! spent.

use api::{
    ExecOptions, UserInfo, convert,
    payload::{self, ObjectRef},
    review::{Answer, Operation, Review, StrictAttachOptions, StrictExecOptions, StrictPortForwardOptions},
};
use decide::{
    argv,
    attempt::{Action, Attempt, Door},
    explain::{self, Context},
    policy_id::PolicyId,
    record, rules,
    settings::Rules,
    standing::Candidate,
    verdict::{self, Denied, Miss, Permit, Pod, PodMiss, Screened, Spend, Verdict},
};
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use tracing::{error, info, warn};

use super::{Admission, Deadline, Decision, Step, Waiter, basis, failure::Failure};
use crate::{
    audit::{Exec, WebhookError},
    cluster::{
        ledger::{self, Live, Spent},
        outcomes::SpentUse,
        pods,
        rights::{self, Right},
    },
    failpoints::Failpoint,
};

/// Maximum number of candidates that are read live before the attempt is denied: a user has few grants for one command.
const MAX_READS: usize = 8;
/// A denial that the audit webhook was not told of, nor the log.
const UNTOLD: &str = "audit-webhook-not-told";

/// What becomes of an attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It may proceed.
    Allowed(Basis),
    /// It may not, and this is the nearest miss.
    Denied(Denied),
    /// RBAC would refuse it after us, so nothing was spent.
    NoRight,
    /// The options cannot be understood in full, so nobody knows what they would run.
    Unclear(String),
    /// We could not do our part.
    Failed(Failure),
}

/// Why an attempt may proceed.
#[derive(Debug)]
pub(super) enum Basis {
    /// The caller needs no request.
    AlwaysAllowed,
    /// A policy says that no request is needed.
    Policy(PolicyId),
    /// By a request, and by this use where it is for one use.
    Permit(Box<Permit>, Option<SpentUse>),
}

/// A permit, and what it was confirmed on.
struct Confirmed {
    permit: Permit,
    live: Live,
    pod: Pod,
    rules: Rules,
}

impl Confirmed {
    /// The use of the request that this review spent.
    fn spent(&self, review_uid: &str) -> SpentUse {
        SpentUse {
            namespace: self.live.candidate.request.namespace.clone(),
            request: self.permit.request.clone(),
            request_uid: self.permit.request_uid.clone(),
            review_uid: review_uid.to_owned(),
        }
    }

    /// The use that this attempt spent when it was asked about before, be it under another review.
    fn spent_before(&self, attempt: &Attempt) -> Option<SpentUse> {
        match self.permit.use_ {
            Spend::AlreadySpentByThisReview => {
                let one = self.live.candidate.request.used(attempt.door())?;
                Some(self.spent(&one.review_uid))
            }
            Spend::SingleUse | Spend::Nothing => None,
        }
    }
}

impl Basis {
    fn spent(self) -> Option<SpentUse> {
        match self {
            Self::Permit(_, spent) => spent,
            Self::AlwaysAllowed | Self::Policy(_) => None,
        }
    }

    /// The policies that the access is under.
    fn policies(&self) -> &[PolicyId] {
        match self {
            Self::AlwaysAllowed => &[],
            Self::Policy(policy) => std::slice::from_ref(policy),
            Self::Permit(permit, _) => &permit.policies,
        }
    }
}

/// What confirming came to.
enum Confirmation {
    Permitted(Box<Confirmed>),
    Denied(Denied),
}

/// An attempt on its way to an answer: what is derived of its review once.
#[derive(Debug)]
pub(super) struct Tried<'a> {
    /// The review.
    pub(super) review: &'a Review,
    /// What is tried, and by whom.
    pub(super) attempt: Attempt,
    /// Its options as the audit webhook of the original gets to see them.
    pub(super) options: ExecOptions,
    /// Until when it must be answered.
    pub(super) deadline: Deadline,
}

impl Admission {
    /// Decides on an attempt, records it, and spends what it uses up; or says that it may wait, and records nothing yet.
    pub(super) async fn attempt(&self, review: &Review, door: Door, deadline: Deadline) -> Step {
        let (attempt, options) = match read(review, door) {
            Ok(read) => read,
            Err(unclear) => {
                let outcome = Outcome::Unclear(unclear);
                let untold = self.record_denial(review, &ExecOptions::default(), &outcome, deadline).await;
                return self.conclude(review, None, outcome, untold.as_ref()).into();
            }
        };
        let tried = Tried { review, attempt, options, deadline };
        let outcome = self.outcome_of(&tried).await;
        if let Outcome::Denied(denied) = &outcome
            && let Some(may) = self.may_wait(&tried.attempt, denied, deadline)
        {
            return Step::Wait(Box::new(Waiter { attempt: tried.attempt, options: tried.options, may }));
        }
        self.finish(&tried, outcome).await.into()
    }

    /// What an attempt comes to. Bounded, so that one that takes too long is recorded like any other.
    pub(super) async fn outcome_of(&self, tried: &Tried<'_>) -> Outcome {
        match timeout_at(tried.deadline.decide_by(), self.decide(tried)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_elapsed) => Outcome::Failed(Failure::Timeout),
        }
    }

    /// Records a denial, and answers. What is allowed was recorded before.
    pub(super) async fn finish(&self, tried: &Tried<'_>, outcome: Outcome) -> Decision {
        let Tried { review, attempt, options, deadline } = tried;
        let denied = !matches!(outcome, Outcome::Allowed(_));
        let untold = if denied { self.record_denial(review, options, &outcome, *deadline).await } else { None };
        self.conclude(review, Some(attempt), outcome, untold.as_ref())
    }

    async fn decide(&self, tried: &Tried<'_>) -> Result<Outcome, Failure> {
        let Tried { review, attempt, options, deadline } = tried;
        // What nobody approved must be read from the record: what does not stand there whole is not run.
        let whole = record::is_whole(&what(&attempt.action));
        if self.is_always_allowed(&attempt.caller) {
            if !whole {
                return Ok(Outcome::Unclear(too_long(attempt)));
            }
            let basis = &basis::by_policies("always-allowed", &[]);
            self.record(review, &Exec { allowed: true, always_allowed: true, options, basis }, *deadline).await?;
            return Ok(Outcome::Allowed(Basis::AlwaysAllowed));
        }
        if whole && let Some(policy) = self.policy(attempt).await? {
            let basis = &basis::by_policies("allowed-by-policy", std::slice::from_ref(&policy));
            self.record(review, &Exec { allowed: true, always_allowed: false, options, basis }, *deadline).await?;
            return Ok(Outcome::Allowed(Basis::Policy(policy)));
        }
        let promising = match self.screened(attempt) {
            Screened::Denied(denied) => return Ok(Outcome::Denied(denied)),
            Screened::Promising(promising) => promising,
        };
        match self.confirm(attempt, &promising).await? {
            Confirmation::Denied(denied) => Ok(Outcome::Denied(denied)),
            // Nobody approved what a policy granted either.
            Confirmation::Permitted(confirmed) if !whole && confirmed.permit.access.grants.is_empty() => {
                Ok(Outcome::Unclear(too_long(attempt)))
            }
            Confirmation::Permitted(confirmed) => self.carry_out(tried, *confirmed).await,
        }
    }

    /// What memory says of an attempt.
    pub(super) fn screened(&self, attempt: &Attempt) -> Screened {
        let candidates = match self.settings.prefix.person(&attempt.caller) {
            Some(person) => self.index.candidates(&attempt.namespace, &person),
            None => Vec::new(),
        };
        verdict::screen(attempt, &candidates, self.now(), &self.rules())
    }

    /// The policy by which an attempt needs no request: one that memory knows, and that still says so when it is read.
    async fn policy(&self, attempt: &Attempt) -> Result<Option<PolicyId>, Failure> {
        if verdict::allowed_by_policy(attempt, &self.rules()).is_none() {
            return Ok(None);
        }
        let rules = self.live_rules().await?;
        Ok(verdict::allowed_by_policy(attempt, &rules).cloned())
    }

    /// Reads the promising candidates and the pod from the API server, and decides again on what it says now.
    async fn confirm(&self, attempt: &Attempt, promising: &[Candidate]) -> Result<Confirmation, Failure> {
        let Some(best) = promising.first() else { return Ok(Confirmation::Denied(Denied::NoRequest)) };
        let workload = promising.iter().any(|known| known.request.target.kind != decide::access::TargetKind::Pod);
        let pod = pods::read(self.ledger.client(), &attempt.namespace, &attempt.pod, workload);
        let first = async { Ok::<_, Failure>(Some(self.ledger.read(best).await?)) };
        // Three clients' futures in one are larger than a stack likes.
        let pod = Box::pin(async { Ok(pod.await?) });
        let rules = Box::pin(async { Ok(self.live_rules().await?) });
        let (mut first, pod, rules) = tokio::try_join!(first, pod, rules)?;
        // Of many workloads' requests only those of this pod are worth a read.
        let meant = |known: &&Candidate| pod.as_ref().is_some_and(|pod| verdict::is_meant(&known.request.target, pod));
        let worth = promising.iter().take(1).chain(promising.iter().skip(1).filter(meant)).take(MAX_READS);
        let mut nearest = Denied::NoRequest;
        for known in worth {
            let live = match first.take() {
                Some(live) => live,
                None => self.ledger.read(known).await?,
            };
            let Some(live) = live else { continue };
            match verdict::confirm(attempt, &live.candidate, pod.as_ref(), self.now(), &rules) {
                Verdict::Deny(denied) => nearest = denied,
                Verdict::Allow(permit) => {
                    let Some(pod) = pod else { return Ok(Confirmation::Denied(not_the_one(known))) };
                    return Ok(Confirmation::Permitted(Box::new(Confirmed { permit, live, pod, rules })));
                }
            }
        }
        Ok(Confirmation::Denied(nearest))
    }

    /// Records the intent, then spends the single use; in this order, so that nothing is used up unrecorded.
    async fn carry_out(&self, tried: &Tried<'_>, confirmed: Confirmed) -> Result<Outcome, Failure> {
        let Tried { review, attempt, options, deadline } = tried;
        let uid = &review.request.uid;
        // Nothing comes of a dry run, and so it costs nothing.
        let dry_run = attempt.door() == Door::EphemeralContainers && review.request.is_dry_run();
        let single = confirmed.permit.use_ == Spend::SingleUse && !dry_run;
        if single && !self.may_connect(&review.request.user_info, attempt).await? {
            return Ok(Outcome::NoRight);
        }
        Failpoint::BeforeIntent.reached(uid).await;
        let basis = &basis::by_request("granted", &confirmed.permit, &confirmed.live);
        self.record(review, &Exec { allowed: true, always_allowed: false, options, basis }, *deadline).await?;
        Failpoint::AfterIntent.reached(uid).await;
        if single {
            self.spend(attempt, &confirmed, *deadline).await
        } else {
            let spent = confirmed.spent_before(attempt).filter(|_| !review.request.is_dry_run());
            Ok(Outcome::Allowed(Basis::Permit(Box::new(confirmed.permit), spent)))
        }
    }

    /// Whether RBAC will let the caller through after us: it is asked before anything is spent. Of an update it was
    /// asked before us.
    async fn may_connect(&self, user: &UserInfo, attempt: &Attempt) -> Result<bool, kube::Error> {
        let door = attempt.door();
        if door == Door::EphemeralContainers {
            return Ok(true);
        }
        rights::has(self.ledger.client(), user, &attempt.namespace, Right::Door { pod: &attempt.pod, door }).await
    }

    async fn spend(&self, attempt: &Attempt, confirmed: &Confirmed, deadline: Deadline) -> Result<Outcome, Failure> {
        if !deadline.allows_spend() {
            return Err(Failure::Late);
        }
        let use_ = ledger::use_of(attempt, &confirmed.pod.uid, self.now());
        let still = |candidate: &Candidate| {
            let verdict = verdict::confirm(attempt, candidate, Some(&confirmed.pod), self.now(), &confirmed.rules);
            matches!(verdict, Verdict::Allow(_))
        };
        Failpoint::BeforeSpend.reached(&attempt.review_uid).await;
        match self.ledger.spend(&confirmed.live, &use_, still).await? {
            Spent::Ours => {
                Failpoint::AfterSpend.reached(&attempt.review_uid).await;
                let spent = confirmed.spent(&attempt.review_uid);
                Ok(Outcome::Allowed(Basis::Permit(Box::new(confirmed.permit.clone()), Some(spent))))
            }
            Spent::Lost => {
                warn!(uid = attempt.review_uid, request = confirmed.permit.request, "another attempt was first");
                Ok(Outcome::Denied(self.lost(attempt, confirmed).await?))
            }
        }
    }

    /// The miss of an attempt that another was faster than.
    async fn lost(&self, attempt: &Attempt, confirmed: &Confirmed) -> Result<Denied, kube::Error> {
        let Some(live) = self.ledger.read(&confirmed.live.candidate).await? else { return Ok(Denied::NoRequest) };
        let verdict = verdict::confirm(attempt, &live.candidate, Some(&confirmed.pod), self.now(), &confirmed.rules);
        Ok(match verdict {
            Verdict::Deny(denied) => denied,
            Verdict::Allow(_) => Denied::NoRequest,
        })
    }

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
        self.extensions.exec(review, exec, deadline.answer_by()).await
    }

    /// Tells the audit webhook of a denial. Where it fails, the denial stands, and the line about it says why.
    async fn record_denial(
        &self,
        review: &Review,
        options: &ExecOptions,
        outcome: &Outcome,
        deadline: Deadline,
    ) -> Option<WebhookError> {
        let basis = &self.basis_of_denial(review, outcome);
        let exec = Exec { allowed: false, always_allowed: false, options, basis };
        self.record(review, &exec, deadline).await.err()
    }

    /// What a denial was decided by: the request that came nearest, as memory knows it, and the policies.
    fn basis_of_denial(&self, review: &Review, outcome: &Outcome) -> payload::Basis {
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        let nearest = outcome.request().map(|name| {
            let person = self.settings.prefix.person(&Self::caller(review));
            let hers = person.map(|person| self.index.candidates(namespace, &person)).unwrap_or_default();
            let uid = hers.into_iter().map(|one| one.request).find(|one| one.name == name).map(|one| one.uid);
            ObjectRef { namespace: namespace.to_owned(), name: name.to_owned(), uid }
        });
        payload::Basis { access_request: nearest, ..basis::by_policies(outcome.name(), outcome.policies()) }
    }

    /// What could not be written where the audit has a file of its own is not allowed, even though it was decided.
    fn only_if_written(&self, uid: &str, outcome: Outcome) -> Outcome {
        match (&outcome, self.extensions.check_written()) {
            (Outcome::Allowed(_), Err(error)) => {
                error!(uid, error = crate::chain(&error), "the audit could not be written, and denied");
                Outcome::Failed(error.into())
            }
            _ => outcome,
        }
    }

    /// Writes the decision to the log, and the answer.
    fn conclude(
        &self,
        review: &Review,
        attempt: Option<&Attempt>,
        outcome: Outcome,
        untold: Option<&WebhookError>,
    ) -> Decision {
        let uid = &review.request.uid;
        let decision = outcome.name();
        let what = attempt.map(|attempt| what(&attempt.action)).unwrap_or_default();
        // What is allowed is always written, but a dry run, which opens nothing, and costs nobody anything.
        let opens = matches!(outcome, Outcome::Allowed(_)) && !review.request.is_dry_run();
        if opens || self.is_written(review, decision, tried(review, &what)) {
            tell_of_faults(uid, &outcome, untold);
            log(review, attempt, &outcome, &what);
        } else if untold.is_some() && self.is_written(review, UNTOLD, tried(review, &what)) {
            // Counted twice: that it was denied, and that nobody was told.
            tell_of_faults(uid, &outcome, untold);
        }
        let outcome = self.only_if_written(uid, outcome);
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
        let answer = answer.annotated("review-uid", uid.as_str()).annotated("decision", decision);
        let answer = match request {
            Some(request) => answer.annotated("request", request),
            None => answer,
        };
        let answer = if policies.is_empty() { answer } else { answer.annotated("policy", policies) };
        Decision { answer, spent }
    }

    fn explain(&self, denied: &Denied, attempt: Option<&Attempt>) -> String {
        let context = Context { cluster: &self.cluster_name, now: self.now() };
        attempt.map_or_else(String::new, |attempt| explain::denial(denied, attempt, context))
    }
}

fn too_long(attempt: &Attempt) -> String {
    format!(
        "this {} is too long to stand whole in the record (the maximum is {} bytes of JSON), so it is not allowed: send \
         what is long over standard input, or as a file",
        attempt.door().verb(),
        record::MAX_WHOLE_LEN
    )
}

fn not_the_one(known: &Candidate) -> Denied {
    Denied::Near { request: known.request.name.clone(), miss: Miss::Pod(PodMiss::NotTheOne) }
}

fn no_right(review: &Review) -> String {
    format!(
        "your request is granted, but RBAC does not let you create pods/{} here, so nothing was used up.\n\
         Ask your administrators for the ClusterRole kube-request-access-requester, or try again in a few seconds \
         where rights come with each grant.",
        review.request.sub_resource.as_deref().unwrap_or_default()
    )
}

impl Outcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Allowed(Basis::AlwaysAllowed) => "always-allowed",
            Self::Allowed(Basis::Policy(_)) => "allowed-by-policy",
            Self::Allowed(Basis::Permit(..)) => "granted",
            Self::Denied(Denied::Forbidden(_)) => "denied-by-policy",
            Self::Denied(Denied::InteractiveOff) => "denied-interactive",
            Self::Denied(Denied::NoRequest) => "denied-no-request",
            Self::Denied(Denied::Near { .. }) => "denied-near-miss",
            Self::NoRight => "denied-no-right",
            Self::Unclear(_) => "denied-unclear",
            Self::Failed(_) => "denied-failure",
        }
    }

    /// The policies that decided, for the record.
    fn policies(&self) -> &[PolicyId] {
        match self {
            Self::Allowed(basis) => basis.policies(),
            Self::Denied(Denied::Forbidden(forbidden)) => std::slice::from_ref(&forbidden.policy),
            Self::Denied(Denied::InteractiveOff | Denied::NoRequest | Denied::Near { .. })
            | Self::NoRight
            | Self::Unclear(_)
            | Self::Failed(_) => &[],
        }
    }

    fn policies_shown(&self) -> String {
        self.policies().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Who approved it; `None`: nobody did.
    fn approvers(&self) -> Option<&[String]> {
        match self {
            Self::Allowed(Basis::Permit(permit, _)) if !permit.access.grants.is_empty() => Some(&permit.access.by),
            Self::Allowed(_) | Self::Denied(_) | Self::NoRight | Self::Unclear(_) | Self::Failed(_) => None,
        }
    }

    fn is_emergency(&self) -> bool {
        matches!(self, Self::Allowed(Basis::Permit(permit, _)) if permit.emergency)
    }

    fn request(&self) -> Option<&str> {
        match self {
            Self::Allowed(Basis::Permit(permit, _)) => Some(&permit.request),
            Self::Denied(Denied::Near { request, .. }) => Some(request),
            Self::Allowed(Basis::AlwaysAllowed | Basis::Policy(_))
            | Self::Denied(Denied::InteractiveOff | Denied::NoRequest | Denied::Forbidden(_))
            | Self::NoRight
            | Self::Unclear(_)
            | Self::Failed(_) => None,
        }
    }
}

/// The attempt, and its options as webhooks of the original get to see them: empty for doors that it did not know.
pub(super) fn read(review: &Review, door: Door) -> Result<(Attempt, ExecOptions), String> {
    let unclear = |error: &dyn std::fmt::Display| {
        format!("what this {} asks for is not understood in full, so nothing is allowed: {error}", door.verb())
    };
    let object = || review.request.object.as_deref().ok_or("the review has no options: nothing is allowed");
    let mut shown = ExecOptions::default();
    let action = match door {
        Door::Exec => {
            let options = StrictExecOptions::decode(object()?).map_err(|error| unclear(&error))?;
            shown = self::shown(&options);
            convert::exec(options)
        }
        Door::Attach => convert::attach(StrictAttachOptions::decode(object()?).map_err(|error| unclear(&error))?),
        Door::PortForward => {
            // Its ports bind nobody, and are read only so that nothing unknown stands beside them.
            StrictPortForwardOptions::decode(object()?).map_err(|error| unclear(&error))?;
            Action::PortForward
        }
        Door::EphemeralContainers => convert::debug(&review.request).map_err(|error| unclear(&error))?,
    };
    let attempt = convert::attempt(&review.request, action)
        .map_err(|error| format!("the review is incomplete, so nothing is allowed: {error}"))?;
    // For the always allowed too, and whom a policy allows it: what runs stands in the record.
    rules::check_attempt(&attempt.action).map_err(|refusal| {
        format!("this {} is larger than any that can be asked for, so it is not allowed: {refusal}", door.verb())
    })?;
    Ok((attempt, shown))
}

fn shown(options: &StrictExecOptions) -> ExecOptions {
    ExecOptions {
        kind: Some("PodExecOptions".to_owned()),
        api_version: Some("v1".to_owned()),
        stdin: options.stdin.then_some(true),
        stdout: options.stdout.then_some(true),
        stderr: options.stderr.then_some(true),
        tty: options.tty.then_some(true),
        container: options.container.clone(),
        command: options.command.clone(),
    }
}

/// What was tried: what runs, or the options as they came where these are not understood.
fn tried<'a>(review: &'a Review, what: &'a str) -> &'a str {
    let options = review.request.object.as_deref().map(RawValue::get).unwrap_or_default();
    if what.is_empty() { options } else { what }
}

/// What went wrong on the way to a denial.
fn tell_of_faults(uid: &str, outcome: &Outcome, untold: Option<&WebhookError>) {
    if let Outcome::Failed(failure) = outcome {
        error!(uid, error = crate::chain(failure), "could not decide, and denied");
    }
    if let Some(error) = untold {
        error!(uid, error = crate::chain(error), "the audit webhook was not told of a denial");
    }
}

fn log(review: &Review, attempt: Option<&Attempt>, outcome: &Outcome, what: &str) {
    let request = &review.request;
    let (uid, user, decision) = (&request.uid, request.user_info.name(), outcome.name());
    let (namespace, pod) =
        (request.namespace.as_deref().unwrap_or_default(), request.name.as_deref().unwrap_or_default());
    let door = request.sub_resource.as_deref().unwrap_or_default();
    // Of what is not understood the log has the length and the digest.
    let unclear = matches!(outcome, Outcome::Unclear(_)).then(|| tried(review, what));
    let options_bytes = unclear.map(|options| u64::try_from(options.len()).unwrap_or(u64::MAX));
    let options_sha256 = unclear.map(|options| record::digest(options.as_bytes()));
    let container = attempt.and_then(|attempt| attempt.action.container()).unwrap_or_default();
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
fn what(action: &Action) -> String {
    match action {
        Action::Exec(exec) => argv::show(&exec.command),
        Action::Attach(_) | Action::PortForward => String::new(),
        Action::Debug(addition) => {
            let container = &addition.container;
            let command: Vec<String> = container.command.iter().chain(&container.args).cloned().collect();
            format!("{} {}", argv::quote_json(&container.image), argv::show(&command))
        }
    }
}
