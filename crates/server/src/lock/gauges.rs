//! The metrics of the lock.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{knowledge::State, part::Part};

/// The metrics.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    intact: Family<Labels, Gauge>,
    changes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// One of the few parts, as `KIND/NAME`.
    object: String,
}

impl Gauges {
    /// Some that stand in this registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register(
            "lock_intact",
            "1 where a policy, binding or webhook configuration of the lock is as it is shipped",
            all.intact.clone(),
        );
        registry.register(
            "lock_changes",
            "Changes of the lock that were seen",
            all.changes.clone(),
        );
        all
    }

    /// Counts a change.
    pub fn changed(&self) {
        self.changes.inc();
    }

    /// Shows how a part stands.
    pub fn show(&self, part: &Part, state: &State) {
        let labels = Labels {
            object: part.to_string(),
        };
        self.intact
            .get_or_create(&labels)
            .set(i64::from(*state == State::Intact));
    }
}
