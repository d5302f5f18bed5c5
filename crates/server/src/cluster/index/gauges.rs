//! What Prometheus reads of the index: how much there is, and how near the limits are.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Counts, Fullest};

/// The metrics.
#[derive(Debug, Clone, Default)]
pub struct IndexGauges {
    requests: Family<StateLabels, Gauge>,
    grants: Gauge,
    left_out: Gauge,
    complete: Family<ResourceLabels, Gauge>,
    listed: Family<ResourceLabels, Counter>,
    used: Family<LimitLabels, Gauge>,
    limits: Family<LimitLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    /// `open` or `finished`.
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    /// The plural of a kind.
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    /// What is limited, by the flag where one sets it.
    limit: &'static str,
}

/// What the limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// The most of one user, of each kind.
    pub of_one: Fullest,
    /// Open requests of all users.
    pub open_in_all: usize,
}

impl IndexGauges {
    /// Some that stand in this registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register(
            "indexed_requests",
            "Requests in memory: those that wait or give access, and those that are over",
            all.requests.clone(),
        );
        registry.register(
            "indexed_grants",
            "Grants in memory: those of most requests that are over are not",
            all.grants.clone(),
        );
        registry.register(
            "left_out_requests",
            "Requests that are over and not in memory (--max-indexed-requests): they count against their users, and are deleted later",
            all.left_out.clone(),
        );
        registry.register(
            "list_complete",
            "1 once all objects of a kind that were there at the start are known: the server is ready once all lists are complete",
            all.complete.clone(),
        );
        registry.register(
            "listed_objects",
            "Objects that lists have brought, at the start and whenever a watch began anew",
            all.listed.clone(),
        );
        registry.register(
            "limit_used",
            "How much of a limit is used, by the user who uses most of it, or by all users together",
            all.used.clone(),
        );
        registry.register(
            "limit",
            "The limit that limit_used counts towards",
            all.limits.clone(),
        );
        all
    }

    /// Counts an object that a list brought.
    pub fn listed(&self, resource: &str) {
        let resource = resource.to_owned();
        self.listed
            .get_or_create(&ResourceLabels { resource })
            .inc();
    }

    /// Tells whether all objects of a kind are known.
    pub fn complete(&self, resource: &str, complete: bool) {
        let resource = resource.to_owned();
        self.complete
            .get_or_create(&ResourceLabels { resource })
            .set(i64::from(complete));
    }

    /// Shows how much there is, and of how much.
    pub fn show(&self, counts: Counts, fullest: Fullest, most: Most) {
        for (state, count) in [("open", counts.open), ("finished", counts.finished)] {
            set(&self.requests.get_or_create(&StateLabels { state }), count);
        }
        set(&self.grants, counts.grants);
        set(&self.left_out, counts.left_out);
        let Most {
            of_one,
            open_in_all,
        } = most;
        let limits = [
            ("max-open-requests-per-user", fullest.open, of_one.open),
            ("max-kept-requests", fullest.requests, of_one.requests),
            ("max-kept-bytes", fullest.stored, of_one.stored),
            ("max-open-requests-in-all", counts.open, open_in_all),
        ];
        for (limit, used, most) in limits {
            set(&self.used.get_or_create(&LimitLabels { limit }), used);
            set(&self.limits.get_or_create(&LimitLabels { limit }), most);
        }
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
