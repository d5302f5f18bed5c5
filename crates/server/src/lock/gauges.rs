//! The metrics of the lock.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{knowledge::PartState, part::Part};

/// The metrics.
#[derive(Debug, Clone, Default)]
pub struct LockGauges {
    intact: Family<PartLabels, Gauge>,
    changes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    /// One of the few parts, as `KIND/NAME`.
    object: String,
}

impl LockGauges {
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
    pub fn show(&self, part: &Part, state: &PartState) {
        let labels = PartLabels {
            object: part.to_string(),
        };
        self.intact
            .get_or_create(&labels)
            .set(i64::from(*state == PartState::Intact));
    }
}
