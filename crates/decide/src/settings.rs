//! What decisions go by.

use std::{sync::Arc, time::Duration};

use crate::{
    identity::{Approvers, NamePrefix, Person},
    ruling::Policies,
};

/// What the server was told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether standard input and terminals can be granted at all.
    pub allow_interactive: bool,
    /// How long a request that nobody used can be used.
    pub unused: Duration,
    /// The prefix before user names.
    pub prefix: NamePrefix,
    /// Who may answer requests, beside what RBAC says.
    pub approvers: Approvers,
    /// The programs that requests may be for, whole names of ServiceAccounts: whoever may use
    /// another's token could grant herself what she asked for in its name.
    pub requesters: Vec<String>,
}

impl Settings {
    /// Whether a request may be for somebody.
    pub fn may_request(&self, person: &Person) -> bool {
        !person.is_service_account() || self.requesters.contains(&person.name)
    }
}

/// What decisions go by: the settings, and the policies as they stand. Neither is ever left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What the server was told.
    pub settings: Arc<Settings>,
    /// The policies.
    pub policies: Arc<Policies>,
}
