//! What Prometheus reads at `/metrics`.

use std::{fmt, sync::Arc, time::Duration};

use api::{
    contract::audit_annotations::{DECISION, WAITED},
    review::Answer,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{
    canary::gauges::CanaryGauges, cluster::index::gauges::IndexGauges, lock::gauges::LockGauges,
    serve::endpoint::Way,
};

/// The metrics, and how they are written out.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reviews: Family<ReviewLabels, Counter>,
    seconds: Family<ReviewLabels, Histogram>,
    waits: Family<ReviewLabels, Histogram>,
    unauthenticated: Counter,
    unread: Counter,
    notices: Family<NoticeLabels, Counter>,
    unsealed_policies: Gauge,
    older_keys_needed: Gauge,
    untrusted_mutators: Gauge,
    broken_seals: Family<KindLabels, Counter>,
    /// Whether API servers ask us.
    pub canary: CanaryGauges,
    /// Whether the lock is as it is shipped.
    pub lock: LockGauges,
    /// How much there is in memory, and how near the limits are.
    pub index: IndexGauges,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    /// `validate`, `mutate` or `observe`.
    path: &'static str,
    /// What was decided: one of a fixed few, never a text of a caller's.
    decision: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// The plural of a kind of object.
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    /// `sent`, `failed`, `dropped` or `withdrawn`.
    result: &'static str,
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("kube_request_access");
        let histogram = |buckets: fn() -> Histogram| {
            Family::<ReviewLabels, Histogram>::new_with_constructor(buckets)
        };
        let all = Self {
            registry: Arc::default(),
            reviews: Family::default(),
            seconds: histogram(|| Histogram::new(exponential_buckets(0.0005, 2.0, 15))),
            // Of people: to the half minute that a webhook may take.
            waits: histogram(|| Histogram::new(exponential_buckets(0.5, 2.0, 7))),
            unauthenticated: Counter::default(),
            unread: Counter::default(),
            notices: Family::default(),
            unsealed_policies: Gauge::default(),
            older_keys_needed: Gauge::default(),
            untrusted_mutators: Gauge::default(),
            broken_seals: Family::default(),
            canary: CanaryGauges::registered(&mut registry),
            lock: LockGauges::registered(&mut registry),
            index: IndexGauges::registered(&mut registry),
        };
        all.register(&mut registry);
        Self {
            registry: Arc::new(registry),
            ..all
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "reviews",
            "Answered reviews by decision",
            self.reviews.clone(),
        );
        let decided = "Time to an answer, but for those that waited";
        registry.register("review_duration_seconds", decided, self.seconds.clone());
        let waited = "Time to an answer of attempts that waited for their grant";
        registry.register("wait_duration_seconds", waited, self.waits.clone());
        let turned_away = "POSTs answered 404: other paths, no client certificate";
        registry.register(
            "unauthenticated_requests",
            turned_away,
            self.unauthenticated.clone(),
        );
        let unread = "Reviews of which not even the uid could be read";
        registry.register("unread_reviews", unread, self.unread.clone());
        registry.register(
            "notifications",
            "Notifications by what became of them",
            self.notices.clone(),
        );
        registry.register(
            "unsealed_policies",
            "Policies without a good seal",
            self.unsealed_policies.clone(),
        );
        let older = "1 while something may count by a seal key that is not the first one";
        registry.register("older_keys_needed", older, self.older_keys_needed.clone());
        let untrusted = "Mutating webhook configurations and policies that may change our objects, and that no installer has named";
        registry.register(
            "untrusted_mutators",
            untrusted,
            self.untrusted_mutators.clone(),
        );
        let broken = "Requests and grants found without a good seal";
        registry.register("broken_seals", broken, self.broken_seals.clone());
    }

    /// Counts what was not believed to be a review of the API server's.
    pub fn unauthenticated(&self) {
        self.unauthenticated.inc();
    }

    /// Counts a review that could not be answered as one.
    pub fn unread(&self) {
        self.unread.inc();
    }

    /// Counts a notice, by what became of it: `sent`, `failed`, `dropped` or `withdrawn`.
    pub fn notice(&self, result: &'static str) {
        self.notices.get_or_create(&NoticeLabels { result }).inc();
    }

    /// Tells how many policies have no good seal.
    pub fn unsealed_policies(&self, count: i64) {
        self.unsealed_policies.set(count);
    }

    /// Tells whether something may count by an older seal key alone.
    pub fn older_keys_needed(&self, needed: bool) {
        self.older_keys_needed.set(i64::from(needed));
    }

    /// Tells how many may change our objects on their way without being trusted: while there are
    /// any, nothing is granted.
    pub fn untrusted_mutators(&self, count: usize) {
        self.untrusted_mutators
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts an object without a good seal: of `accessrequests` or `accessgrants`.
    pub fn broken_seal(&self, resource: &'static str) {
        self.broken_seals
            .get_or_create(&KindLabels { resource })
            .inc();
    }

    /// Counts an answer.
    pub fn answered(&self, way: Way, answer: &Answer, took: Duration) {
        let response = &answer.response;
        let plain = if response.allowed {
            "admitted"
        } else {
            "refused"
        };
        let decision = response
            .audit_annotations
            .get(DECISION)
            .map_or(plain, String::as_str)
            .to_owned();
        let path = match way {
            Way::Validate => "validate",
            Way::Mutate => "mutate",
            Way::Observe => "observe",
        };
        let labels = ReviewLabels { path, decision };
        self.reviews.get_or_create(&labels).inc();
        let waited = response.audit_annotations.contains_key(WAITED);
        let times = if waited { &self.waits } else { &self.seconds };
        times.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// All metrics in the `OpenMetrics` text format.
    ///
    /// # Errors
    /// Never in practice: writing to a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
