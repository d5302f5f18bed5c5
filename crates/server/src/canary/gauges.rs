//! The canary's metrics.

use decide::canary::{Finding, Watched};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// By the address of the API server: there are few.
#[derive(Debug, Clone, Default)]
pub struct CanaryGauges {
    asked: Family<AddressLabels, Gauge>,
    unknown: Family<AddressLabels, Gauge>,
    last_asked: Family<AddressLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AddressLabels {
    address: String,
}

impl CanaryGauges {
    /// Some that stand in this registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register(
            "canary_asked",
            "1 where the API server asked us about the canary's last call",
            all.asked.clone(),
        );
        let unknown = "1 where the canary's last call does not say whether we are asked: no answer, or somebody else's";
        registry.register("canary_unknown", unknown, all.unknown.clone());
        let last = "When the API server last asked us about a call of the canary's; 0: not since we started";
        registry.register(
            "canary_last_asked_timestamp_seconds",
            last,
            all.last_asked.clone(),
        );
        all
    }

    /// Shows what is known of an API server.
    pub fn show(&self, address: &str, watched: &Watched) {
        let labels = AddressLabels {
            address: address.to_owned(),
        };
        let is = |finding| i64::from(watched.latest() == finding);
        self.asked.get_or_create(&labels).set(is(Finding::Asked));
        self.unknown
            .get_or_create(&labels)
            .set(is(Finding::Unknown));
        self.last_asked
            .get_or_create(&labels)
            .set(watched.asked().map_or(0, jiff::Timestamp::as_second));
    }

    /// Shows nothing of one that is gone.
    pub fn forget(&self, address: &str) {
        let labels = AddressLabels {
            address: address.to_owned(),
        };
        for family in [&self.asked, &self.unknown, &self.last_asked] {
            family.remove(&labels);
        }
    }
}
