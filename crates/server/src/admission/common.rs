//! What attempts and writes of our own objects are both decided with, and what every step asks.

use std::sync::Arc;

use decide::{
    identity::{Caller, Listed, Person},
    settings::{Rules, Settings},
};
use jiff::Timestamp;

use super::Received;
use crate::{
    audit::{Extensions, Limits},
    clock::Clock,
    cluster::{
        index::Index,
        ledger::Ledger,
        policies::{PoliciesError, PolicyStore},
    },
};

/// What the gate and the objects share.
pub struct Common {
    /// What may say no.
    pub index: Arc<Index>,
    /// What may say yes.
    pub ledger: Ledger,
    /// Who must be told.
    pub extensions: Arc<Extensions>,
    /// What the server was told.
    pub settings: Arc<Settings>,
    /// The policies.
    pub policies: Arc<PolicyStore>,
    /// Who needs no request.
    pub always_allowed: Listed,
    /// `--max-open-requests`
    pub max_open_requests: usize,
    /// `--cluster-name`
    pub cluster_name: String,
    /// Which refusals are written into the log one by one.
    pub limits: Arc<Limits>,
    /// The clock.
    pub clock: Clock,
}

impl Common {
    /// Whether a refusal, or a dry run, stands in the log by itself; else it is counted.
    pub(super) fn is_written(&self, received: &Received, kind: &'static str, what: &str) -> bool {
        self.limits.writes(
            &received.caller.username,
            kind,
            || what.to_owned(),
            self.now(),
        )
    }

    /// Who acts, as objects name her when she answers or files for somebody else. A name without
    /// the mandatory prefix stays whole; no request can be hers.
    pub(super) fn recorded_as(&self, caller: &Caller) -> Person {
        let whole = || Person {
            name: caller.username.clone(),
            uid: caller.uid.clone(),
        };
        self.settings.prefix.person(caller).unwrap_or_else(whole)
    }

    /// What decisions go by, as memory has it: good for refusing.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            settings: Arc::clone(&self.settings),
            policies: self.policies.current(),
        }
    }

    /// The same with the policies as they were just read.
    pub(super) async fn live_rules(&self) -> Result<Rules, PoliciesError> {
        let policies = self.policies.read(self.ledger.client()).await?;
        Ok(Rules {
            settings: Arc::clone(&self.settings),
            policies,
        })
    }

    pub(super) fn is_always_allowed(&self, caller: &Caller) -> bool {
        self.always_allowed.includes(caller)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
