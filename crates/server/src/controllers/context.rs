//! What controllers work with.

use std::sync::Arc;

use decide::{
    lifecycle::Keep,
    settings::{Rules, Settings},
};
use kube::{Client, runtime::events::Recorder};

use super::notices::Notices;
use crate::{
    clock::Clock,
    cluster::{policies::PolicyStore, seal::Sealer},
    metrics::Metrics,
};

/// What controllers work with.
pub struct ControllerContext {
    /// A client with kube's defaults.
    pub client: Client,
    /// Publishes Kubernetes Events.
    pub recorder: Recorder,
    /// Tells people who want to be told (`--notice-url`).
    pub notices: Option<Notices>,
    /// `--granted-role-name`
    pub role: Option<String>,
    /// What the server was told.
    pub settings: Arc<Settings>,
    /// The policies.
    pub policies: Arc<PolicyStore>,
    /// What looks at seals.
    pub sealer: Arc<Sealer>,
    /// How long requests are kept.
    pub keep: Keep,
    /// The clock.
    pub clock: Clock,
    /// What Prometheus reads.
    pub metrics: Metrics,
}

impl ControllerContext {
    /// What decisions go by, as memory has it.
    pub fn rules(&self) -> Rules {
        Rules {
            settings: Arc::clone(&self.settings),
            policies: self.policies.current(),
        }
    }
}
