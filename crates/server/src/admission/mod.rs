//! From the bytes of a review to the bytes of its answer.
//!
//! ```text
//! bytes ─decode→ Review ─identify→ Caller ─look up→ Candidates ─screen→ Promising ─read, confirm→ Permit ─record, spend→ Answer
//! ```
//!
//! - [`router`]: HTTP in and out; a panic becomes a denial. `receiving`: reads no more than there is [`room`] for.
//! - [`door`]: an attempt to get into a pod. [`proxy`]: the doors that nobody can ask for.
//! - [`observing`]: attempts that are only looked at. [`canary`]: those that ask whether we are asked.
//! - [`waiting`]: a denied attempt that waits for its grant.
//! - [`requests`], [`grants`], [`removal`]: writes to our own objects. `keeping`: what stays of those that are deleted.
//! - [`why`]: what would become of a request. [`policy`]: writes of policies.
//! - [`stamp`]: what the server itself writes into new objects.

pub mod arrivals;
mod basis;
pub mod canary;
pub mod deadline;
pub mod door;
pub mod failure;
pub mod grants;
pub mod handover;
mod keeping;
pub mod metadata;
mod mutators;
pub mod observing;
pub mod policy;
pub mod proxy;
mod receiving;
pub mod removal;
pub mod requests;
pub mod room;
pub mod router;
pub mod stamp;
pub mod waiting;
pub mod why;

use std::sync::Arc;

use api::{
    objects::GROUP,
    review::{Answer, Operation, Review},
};
use decide::{
    attempt::Door,
    identity::{Caller, Listed, Person},
    verdict::{Rules, Settings},
};
use jiff::Timestamp;

use crate::{
    audit::{Extensions, Limits},
    cluster::{
        index::Index,
        ledger::Ledger,
        mutators::Mutators,
        outcomes::{Outcomes, SpentUse},
        policies::{self, PoliciesError, PolicyStore},
        records::Records,
    },
    controllers::report::Observations,
};
pub use arrivals::Arrivals;
pub use canary::CanaryReviews;
pub use deadline::Deadline;
pub use failure::{Failure, Refused};
pub use keeping::KeepError;
pub use waiting::{Waiter, Waiting};

/// Everything that answers a review.
pub struct Admission {
    /// What may say no.
    pub index: Arc<Index>,
    /// What may say yes.
    pub ledger: Ledger,
    /// What is kept of requests that are deleted.
    pub records: Records,
    /// What writes down that a use was answered.
    pub outcomes: Outcomes,
    /// Who must be told.
    pub extensions: Arc<Extensions>,
    /// What the server was told.
    pub settings: Arc<Settings>,
    /// The policies.
    pub policies: Arc<PolicyStore>,
    /// Who needs no request.
    pub always_allowed: Listed,
    /// Who may write policies.
    pub policy_owners: Listed,
    /// `--max-open-requests`
    pub max_open_requests: usize,
    /// Requests that were admitted a moment ago.
    pub arrivals: Arrivals,
    /// Where denied attempts wait for a grant; `None`: they do not (`--in-band-wait`).
    pub waiting: Option<Waiting>,
    /// Keeps what observe mode sees.
    pub observations: Observations,
    /// Which refusals are written into the log one by one.
    pub limits: Arc<Limits>,
    /// By which attempts API servers are watched; `None`: by none (`--canary-service-account`).
    pub canary: Option<CanaryReviews>,
    /// Who may change our objects on their way.
    pub mutators: Arc<Mutators>,
    /// `--cluster-name`
    pub cluster_name: String,
    /// The name of this server's own account.
    pub own_name: String,
    /// The clock.
    pub clock: Clock,
}

/// What is answered to a review.
#[derive(Debug)]
pub struct Decision {
    /// The answer.
    pub answer: Answer,
    /// The single use that it lets somebody make.
    pub spent: Option<SpentUse>,
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Self {
        Self { answer, spent: None }
    }
}

/// What a review comes to first.
#[derive(Debug)]
pub enum Step {
    /// To an answer.
    Answer(Box<Decision>),
    /// To a wait for a grant, in a place of its own.
    Wait(Box<Waiter>),
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Self {
        Self::Answer(Box::new(decision))
    }
}

/// A clock, so that tests can turn it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Admission {
    /// Answers a review on a validating path, or says that it may wait: allows or denies, never patches.
    pub async fn validate(&self, review: &Review, deadline: Deadline) -> Step {
        if let Some(answer) = self.answer_canary(review) {
            return Decision::from(answer).into();
        }
        let request = &review.request;
        let resource = &request.resource;
        let what = (resource.group.as_str(), resource.resource.as_str(), request.sub_resource.as_deref().unwrap_or(""));
        let result = match (what, request.operation) {
            (("", "pods", "exec"), Operation::Connect) => return self.attempt(review, Door::Exec, deadline).await,
            (("", "pods", "attach"), Operation::Connect) => return self.attempt(review, Door::Attach, deadline).await,
            (("", "pods", "portforward"), Operation::Connect) => {
                return self.attempt(review, Door::PortForward, deadline).await;
            }
            (("", "pods", "ephemeralcontainers"), Operation::Update) => {
                return self.attempt(review, Door::EphemeralContainers, deadline).await;
            }
            (("", "pods" | "services" | "nodes", "proxy"), Operation::Connect) => {
                return Decision::from(self.proxy(review, deadline).await).into();
            }
            ((GROUP, "accessrequests", ""), Operation::Create) => self.create_request(review, deadline).await,
            ((GROUP, "accessgrants", ""), Operation::Create) => self.create_grant(review, deadline).await,
            ((GROUP, "accessrequests" | "accessgrants", ""), Operation::Update) => metadata::check_update(request),
            ((GROUP, "accesspolicies", ""), Operation::Create | Operation::Update) => self.write_policy(review).await,
            ((GROUP, "accesspolicies", ""), Operation::Delete) => self.check_policy_owner(review),
            ((GROUP, "accessrequests", ""), Operation::Delete) => self.delete_request(review, deadline).await,
            ((GROUP, "accessgrants", ""), Operation::Delete) => self.delete_grant(review, deadline).await,
            _ => Err(unexpected(review)),
        };
        Decision::from(self.answer(review, result.map(|()| Answer::allow(&request.uid)))).into()
    }

    /// Answers a review on the mutating path: stamps new objects.
    pub async fn mutate(&self, review: &Review) -> Answer {
        let resource = &review.request.resource;
        let result = match (resource.group.as_str(), resource.resource.as_str(), review.request.operation) {
            (GROUP, "accessrequests", Operation::Create) => self.stamp_request(review).await,
            (GROUP, "accessgrants", Operation::Create) => self.stamp_grant(review).await,
            (GROUP, "accesspolicies", Operation::Create | Operation::Update) => self.stamp_policy(review).await,
            _ => Err(unexpected(review)),
        };
        self.answer(review, result)
    }

    /// The answer to a write of one of our objects. What the server is asked for too often is not logged one by one.
    fn answer(&self, review: &Review, result: Result<Answer, Refused>) -> Answer {
        failure::answer(review, result, |kind, what| self.is_written(review, kind, what))
    }

    /// Whether a refusal, or a dry run, stands in the log by itself; else it is counted.
    fn is_written(&self, review: &Review, kind: &'static str, what: &str) -> bool {
        self.limits.writes(review.request.user_info.name(), kind, || what.to_owned(), self.now())
    }

    /// Who acts, as a review names her.
    fn caller(review: &Review) -> Caller {
        api::convert::caller(&review.request.user_info)
    }

    /// Who acts, as objects name her when she answers or files for somebody else. A name without the mandatory prefix
    /// stays whole; no request can be hers (see [`Self::requester`]).
    fn person(&self, caller: &Caller) -> Person {
        let whole = || Person { name: caller.username.clone(), uid: caller.uid.clone() };
        self.settings.prefix.person(caller).unwrap_or_else(whole)
    }

    /// What decisions go by, as memory has it: good for refusing.
    fn rules(&self) -> Rules {
        Rules { settings: Arc::clone(&self.settings), policies: self.policies.current() }
    }

    /// The same with the policies as they were just read.
    async fn live_rules(&self) -> Result<Rules, PoliciesError> {
        let policies = policies::read(self.ledger.client(), self.ledger.sealer()).await?;
        Ok(Rules { settings: Arc::clone(&self.settings), policies: Arc::new(policies) })
    }

    fn is_always_allowed(&self, caller: &Caller) -> bool {
        self.always_allowed.includes(caller)
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

fn unexpected(review: &Review) -> Refused {
    let request = &review.request;
    Refused::because(format!(
        "kube-request-access does not answer for {:?} of {}/{}: the rules of its webhook configuration are not the ones it ships",
        request.operation,
        request.resource.resource,
        request.sub_resource.as_deref().unwrap_or_default(),
    ))
}
