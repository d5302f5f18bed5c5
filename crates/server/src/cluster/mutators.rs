//! Who may change objects on their way to us: nothing is granted, and no policy is taken, while
//! somebody may whom no installer has named. What was read must be what is stored.
//!
//! Mutating policies are shown to no webhook and to no policy of the API, so the guard cannot
//! refuse them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use decide::mutators::{Kind, Mutator, Rule, Trusted};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{Event, watcher},
    },
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::{
    clients::{WATCH_RETRY, watching},
    together::{Together, TogetherError},
};
use crate::metrics::Metrics;

/// The ConfigMap in which installers name the mutators that they trust.
pub const TRUSTED: &str = "kube-request-access-trusted-mutators";
/// Our own configuration.
const OWN: &str = "kube-request-access";
/// How long something may still act after it was last seen: API servers learn of a deletion one
/// after the other.
pub const ACTS_AFTER: Duration = Duration::from_secs(10);
/// More than these are not looked at, and then nobody is trusted.
const MAX_MUTATORS: u32 = 500;
/// How often it is looked whether a kind that is absent is there, and who is not trusted.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// What is known of mutators.
pub struct Mutators {
    client: Client,
    namespace: String,
    memory: Mutex<Memory>,
    live: Together<Arc<[Mutator]>>,
}

#[derive(Default)]
struct Memory {
    /// Those that reach our objects, and when they were last seen.
    seen: BTreeMap<(Kind, String), (Mutator, Instant)>,
    /// The kinds of which every event is seen.
    watched: BTreeSet<Kind>,
}

/// Why it is not known who may change objects. Then nothing is granted.
#[derive(Debug, thiserror::Error)]
pub enum MutatorsError {
    /// The API server did not answer.
    #[error("cannot read who changes objects on their way")]
    Api(#[from] kube::Error),
    /// No answer in time, or a read for several failed.
    #[error("cannot read who changes objects on their way")]
    Together(#[from] TogetherError),
    /// More than are looked at.
    #[error("there are more than {MAX_MUTATORS} objects of kind {}", .0.name())]
    TooMany(Kind),
    /// What came and went meanwhile is not known.
    #[error("the watch on {} does not run", .0.name())]
    Unwatched(Kind),
}

impl Mutators {
    /// One that knows nothing yet, with the namespace of the server.
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            memory: Mutex::default(),
            live: Together::default(),
        }
    }

    /// Those that reach our objects, or did a moment ago, and that nobody trusts; read from the API
    /// server.
    ///
    /// # Errors
    /// It is not known.
    pub async fn untrusted(&self) -> Result<Arc<[Mutator]>, MutatorsError> {
        self.live
            .get(async || self.read().await.map(Arc::from))
            .await
    }

    async fn read(&self) -> Result<Vec<Mutator>, MutatorsError> {
        let (webhooks, policies, trusted) = tokio::try_join!(
            self.list(Kind::Webhook),
            self.list(Kind::Policy),
            self.trusted()
        )?;
        let now = Instant::now();
        for mutator in webhooks.into_iter().chain(policies) {
            self.see(mutator, now);
        }
        let mut memory = self.memory();
        memory
            .seen
            .retain(|_, (_, last)| now.duration_since(*last) < ACTS_AFTER);
        let seen = memory.seen.values().map(|(mutator, _)| mutator);
        let untrusted: Vec<_> = seen
            .filter(|mutator| !mutator.is_trusted(&trusted))
            .cloned()
            .collect();
        match [Kind::Webhook, Kind::Policy]
            .into_iter()
            .find(|kind| !memory.watched.contains(kind))
        {
            Some(kind) if untrusted.is_empty() => Err(MutatorsError::Unwatched(kind)),
            _ => Ok(untrusted),
        }
    }

    /// All of a kind; none where this API server has no such kind.
    async fn list(&self, kind: Kind) -> Result<Vec<Mutator>, MutatorsError> {
        let Some((_, list)) = find(&self.client, kind).await? else {
            return Ok(Vec::new());
        };
        if list
            .metadata
            .continue_
            .is_some_and(|token| !token.is_empty())
        {
            return Err(MutatorsError::TooMany(kind));
        }
        Ok(list
            .items
            .iter()
            .map(|object| mutator(kind, object))
            .collect())
    }

    async fn trusted(&self) -> Result<Trusted, MutatorsError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api
            .get_opt(TRUSTED)
            .await?
            .and_then(|found| found.data)
            .unwrap_or_default())
    }

    fn see(&self, mutator: Mutator, now: Instant) {
        if mutator.reaches_objects() {
            self.memory()
                .seen
                .insert((mutator.kind, mutator.name.clone()), (mutator, now));
        }
    }

    /// Says whether every event of a kind is seen from now on.
    pub fn watches(&self, kind: Kind, does: bool) {
        let watched = &mut self.memory().watched;
        if does {
            watched.insert(kind)
        } else {
            watched.remove(&kind)
        };
    }

    /// Takes an event of the watch.
    pub fn apply(&self, kind: Kind, event: Event<DynamicObject>) {
        match event {
            Event::Init => {}
            Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => {
                self.see(mutator(kind, &object), Instant::now());
            }
            Event::InitDone => self.watches(kind, true),
        }
    }

    // A poisoned lock leaves nothing half done.
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches both kinds. Never ends.
pub async fn watch(client: &Client, mutators: &Mutators, metrics: &Metrics) {
    tokio::join!(
        watch_kind(client, mutators, Kind::Webhook),
        watch_kind(client, mutators, Kind::Policy),
        count(mutators, metrics)
    );
}

/// Says by a metric how many there are that nobody trusts, before an approver runs into one.
async fn count(mutators: &Mutators, metrics: &Metrics) {
    loop {
        sleep(LOOK_INTERVAL).await;
        match mutators.untrusted().await {
            Ok(untrusted) => metrics.untrusted_mutators(untrusted.len()),
            Err(error) => debug!(
                error = crate::chain(&error),
                "cannot count who changes objects on their way"
            ),
        }
    }
}

async fn watch_kind(client: &Client, mutators: &Mutators, kind: Kind) {
    loop {
        match find(client, kind).await {
            Ok(Some((resource, _))) => drain(client, mutators, kind, &resource).await,
            Ok(None) => {
                // None of a kind that is not there does anything.
                mutators.watches(kind, true);
                sleep(LOOK_INTERVAL).await;
            }
            Err(error) => {
                mutators.watches(kind, false);
                warn!(
                    kind = kind.name(),
                    error = crate::chain(&error),
                    "cannot be watched; trying again"
                );
                sleep(WATCH_RETRY).await;
            }
        }
    }
}

/// Ends when the watch breaks.
async fn drain(client: &Client, mutators: &Mutators, kind: Kind, resource: &ApiResource) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let mut events = watcher(api, watching()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => mutators.apply(kind, event),
            Err(error) => {
                mutators.watches(kind, false);
                warn!(
                    kind = kind.name(),
                    error = crate::chain(&error),
                    "the watch failed; restarting it"
                );
                return sleep(WATCH_RETRY).await;
            }
        }
    }
}

type List = kube::core::ObjectList<DynamicObject>;

/// The version in which this API server has a kind, and what there is of it; `None`: it has no such
/// kind.
async fn find(client: &Client, kind: Kind) -> Result<Option<(ApiResource, List)>, kube::Error> {
    let versions: &[&str] = match kind {
        Kind::Webhook => &["v1"],
        Kind::Policy => &["v1", "v1beta1", "v1alpha1"],
    };
    for version in versions {
        let resource = resource(kind, version);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match api.list(&ListParams::default().limit(MAX_MUTATORS)).await {
            Ok(list) => return Ok(Some((resource, list))),
            // Of webhooks there is always a list. By the code: where there is no such API, the answer
            // gives no reason.
            Err(kube::Error::Api(status)) if status.code == 404 && kind == Kind::Policy => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn resource(kind: Kind, version: &str) -> ApiResource {
    const GROUP: &str = "admissionregistration.k8s.io";
    let plural = match kind {
        Kind::Webhook => "mutatingwebhookconfigurations",
        Kind::Policy => "mutatingadmissionpolicies",
    };
    ApiResource {
        group: GROUP.to_owned(),
        version: version.to_owned(),
        api_version: format!("{GROUP}/{version}"),
        kind: kind.name().to_owned(),
        plural: plural.to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRule {
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
}

/// Whether it is our own configuration, with our own webhook and no other beside it.
fn is_own(kind: Kind, object: &DynamicObject) -> bool {
    let webhooks = object.data.get("webhooks").and_then(Value::as_array);
    kind == Kind::Webhook
        && object.name_any() == OWN
        && webhooks.is_none_or(|webhooks| webhooks.len() <= 1)
}

fn mutator(kind: Kind, object: &DynamicObject) -> Mutator {
    Mutator {
        kind,
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        rules: if is_own(kind, object) {
            Some(Vec::new())
        } else {
            rules(kind, &object.data)
        },
        has_parameters: object
            .data
            .pointer("/spec/paramKind")
            .is_some_and(|kind| !kind.is_null()),
    }
}

/// Its rules; `None` where they are not written as we know it.
fn rules(kind: Kind, data: &Value) -> Option<Vec<Rule>> {
    let read = |rules: &Value| serde_json::from_value::<Vec<WrittenRule>>(rules.clone()).ok();
    let written = match (kind, data.get("webhooks")) {
        // A configuration without webhooks does nothing.
        (Kind::Webhook, None | Some(Value::Null)) => Vec::new(),
        (Kind::Webhook, Some(webhooks)) => {
            let each = webhooks
                .as_array()?
                .iter()
                .map(|webhook| webhook.get("rules").map_or(Some(Vec::new()), read));
            each.collect::<Option<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect()
        }
        (Kind::Policy, _) => read(data.pointer("/spec/matchConstraints/resourceRules")?)?,
    };
    let rule = |one: WrittenRule| Rule {
        groups: one.api_groups,
        resources: one.resources,
        operations: one.operations,
    };
    Some(written.into_iter().map(rule).collect())
}
