//! The policies: in memory, as the watch shows them, where they may refuse; read live before
//! anything is allowed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use api::{AccessPolicy, policy};
use arc_swap::ArcSwap;
use decide::{
    policy::{Effect, Policy},
    policy_id::PolicyId,
    ruling::Policies,
};
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{Event, watcher},
    },
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    clients::watching,
    seal::{KeySet, Sealed, Sealer},
    together::{Together, TogetherError},
};

/// Maximum number of policies: all are read before an allow.
pub const MAX_POLICIES: u32 = 500;

/// What to know of a policy without a good seal, and to do about it.
pub const UNSEALED: &str = "it has no good seal, and so permits nothing: it was written past the server, or sealed under a key \
    that is gone. Read it, then have its owner seal it: kubectl annotate accesspolicy NAME --overwrite \
    spreadgroup.com/seal=RESOURCEVERSION, with the resourceVersion that was read";

/// What memory knows of the policies. Written by the one task that drains the watch.
pub struct PolicyStore {
    sealer: Arc<Sealer>,
    current: ArcSwap<Policies>,
    /// By name; `None` for one that permits nothing because it is not understood.
    known: Mutex<BTreeMap<String, Option<Policy>>>,
    changed: watch::Sender<()>,
    events: watch::Sender<()>,
    live: Together<Arc<Policies>>,
    last: LastRead,
}

impl Default for PolicyStore {
    fn default() -> Self {
        Self::new(Arc::new(Sealer::off()))
    }
}

/// Why the policies could not be read. Then nothing is allowed.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// The API server did not answer.
    #[error("cannot list accesspolicies")]
    List(#[from] kube::Error),
    /// No answer in time, or a read for several failed.
    #[error("cannot list accesspolicies")]
    Together(#[from] TogetherError),
    /// More than are read.
    #[error("there are more than {MAX_POLICIES} accesspolicies")]
    TooMany,
}

impl PolicyStore {
    /// One that knows nothing yet.
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self {
            sealer,
            current: ArcSwap::default(),
            known: Mutex::default(),
            changed: watch::channel(()).0,
            events: watch::channel(()).0,
            live: Together::default(),
            last: LastRead::default(),
        }
    }

    /// The policies as the API server has them now: a read that begins after this is called, for
    /// all who wait for one.
    ///
    /// # Errors
    /// It did not answer, or there are too many. Then nothing may be allowed.
    pub async fn read(&self, client: &Client) -> Result<Arc<Policies>, PoliciesError> {
        self.live
            .get(async || read(client, &self.sealer, &self.last).await)
            .await
    }

    /// The policies as the watch last showed them.
    pub fn current(&self) -> Arc<Policies> {
        self.current.load_full()
    }

    /// Tells of every event, of policies that do nothing too.
    pub fn events(&self) -> watch::Receiver<()> {
        self.events.subscribe()
    }

    /// Tells of every change of what policies do.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes an event of the watch. True when a list has become complete.
    pub fn apply(&self, event: Event<DynamicObject>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = matches!(event, Event::InitDone);
        match event {
            // What a new list does not name is forgotten once it is complete; until then the old
            // ones stand.
            Event::Init => return false,
            Event::InitApply(object) | Event::Apply(object) => {
                let Understood { policy, fault } = understood(&object, &self.sealer);
                if let Some(fault) = fault {
                    warn!(kind = %AccessPolicy::kind(&()), name = object.name_any(), fault, "a policy does not do what it says");
                }
                known.insert(object.name_any(), policy);
            }
            Event::Delete(object) => {
                known.remove(&object.name_any());
            }
            Event::InitDone => {}
        }
        self.events.send_replace(());
        self.publish(&known);
        complete
    }

    /// Forgets those that a complete list did not name.
    fn keep_only(&self, names: &[String]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, _| names.contains(name));
        self.publish(&known);
    }

    fn publish(&self, known: &BTreeMap<String, Option<Policy>>) {
        let policies: Policies = known.values().flatten().cloned().collect();
        if **self.current.load() != policies {
            self.current.store(Arc::new(policies));
            self.changed.send_replace(());
        }
    }
}

/// Drains the watch into the store, and tells when its list is complete. Begins anew with other
/// keys. Never ends.
pub async fn watch(client: &Client, store: &PolicyStore, complete: impl Fn()) {
    let mut keys = store.sealer.changes();
    loop {
        // The store holds the sender.
        tokio::select! {
            () = drain(client, store, &complete) => {}
            Ok(()) = keys.changed() => info!(kind = "AccessPolicy", "the keys changed; looking at all seals again"),
        }
    }
}

async fn drain(client: &Client, store: &PolicyStore, complete: &impl Fn()) {
    let mut events = watcher(api(client), watching()).default_backoff().boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                match &event {
                    Event::Init => listed.clear(),
                    Event::InitApply(object) => listed.push(object.name_any()),
                    Event::InitDone => store.keep_only(&listed),
                    Event::Apply(_) | Event::Delete(_) => {}
                }
                if store.apply(event) {
                    info!(kind = "AccessPolicy", "the list is complete");
                    complete();
                }
            }
            Err(error) => warn!(
                kind = "AccessPolicy",
                error = crate::chain(&error),
                "the watch failed; restarting it"
            ),
        }
    }
}

/// Policies as they were last read, and what they were understood to mean: what is stored byte for
/// byte as before means the same, under the same keys.
#[derive(Default)]
struct LastRead(Mutex<Option<AsRead>>);

struct AsRead {
    keys: KeySet,
    /// The objects, as the API server wrote them.
    items: Box<str>,
    policies: Arc<Policies>,
}

impl LastRead {
    fn get(&self, keys: &KeySet, items: &str) -> Option<Arc<Policies>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref()?;
        (last.keys == *keys && *last.items == *items).then(|| Arc::clone(&last.policies))
    }

    fn put(&self, keys: KeySet, items: &str, policies: &Arc<Policies>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(AsRead {
            keys,
            items: items.into(),
            policies: Arc::clone(policies),
        });
    }
}

async fn read(
    client: &Client,
    sealer: &Sealer,
    last: &LastRead,
) -> Result<Arc<Policies>, PoliciesError> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default)]
        metadata: ListMeta,
        #[serde(borrow)]
        items: &'a RawValue,
    }
    let request = kube::api::Request::new(AccessPolicy::url_path(&(), None))
        .list(&ListParams::default().limit(MAX_POLICIES))
        .map_err(kube::Error::BuildRequest)?;
    let text = client.request_text(request).await?;
    let answer: List<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    if answer
        .metadata
        .continue_
        .is_some_and(|token| !token.is_empty())
    {
        return Err(PoliciesError::TooMany);
    }
    // Before anything is understood: with keys that come meanwhile, it is understood anew.
    let keys = sealer.key_set();
    let items = answer.items.get();
    if let Some(policies) = last.get(&keys, items) {
        return Ok(policies);
    }
    let objects: Option<Vec<DynamicObject>> =
        serde_json::from_str(items).map_err(kube::Error::SerdeError)?;
    let policies = objects
        .iter()
        .flatten()
        .filter_map(|object| understood(object, sealer).policy);
    let policies = Arc::new(policies.collect());
    last.put(keys, items, &policies);
    Ok(policies)
}

/// As objects of any content: one that cannot be decoded must not stop the others, nor be left out.
fn api(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::erase::<AccessPolicy>(&()))
}

/// Whether nothing of what is stored was left out: a field of a later version could restrict it.
fn is_all_of(typed: &AccessPolicy, object: &DynamicObject) -> bool {
    let spec = serde_json::to_value(&typed.spec).unwrap_or_default();
    object
        .data
        .get("spec")
        .is_some_and(|stored| without_nulls(stored) == without_nulls(&spec))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What a stored policy does.
#[derive(Debug)]
pub struct Understood {
    /// The policy as a value; `None` where it permits nothing.
    pub policy: Option<Policy>,
    /// Why it does not do what it says.
    pub fault: Option<String>,
}

/// A policy as a value. What is not understood, or not sealed, permits nothing; where the first may
/// refuse, it refuses all.
pub fn understood(object: &DynamicObject, sealer: &Sealer) -> Understood {
    let typed = serde_json::to_value(object).and_then(serde_json::from_value::<AccessPolicy>);
    let seal = typed
        .as_ref()
        .map_or(Sealed::Not, |typed| sealer.policy(typed));
    let fault = match typed
        .as_ref()
        .map(|typed| (policy::policy(typed), is_all_of(typed, object)))
    {
        Ok((Ok(policy), true)) => return stored(policy, object, seal),
        Ok((Ok(_), false)) => "it has fields of another version".to_owned(),
        Ok((Err(fault), _)) => fault.to_string(),
        Err(error) => error.to_string(),
    };
    let id = PolicyId {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    };
    let effect = object
        .data
        .get("spec")
        .and_then(|spec| spec.get("effect"))
        .and_then(Value::as_str);
    Understood {
        policy: policy::in_place_of(id, effect, &fault),
        fault: Some(format!("it is not understood: {fault}")),
    }
}

/// What restricts does so until it is gone, whoever wrote it. What permits must be sealed, and its
/// deletion counts from when it begins.
fn stored(policy: Policy, object: &DynamicObject, seal: Sealed) -> Understood {
    let permits = matches!(policy.effect, Effect::Allow(_));
    if permits && !seal.is_good() {
        return Understood {
            policy: None,
            fault: Some(UNSEALED.to_owned()),
        };
    }
    let stands = !permits || object.metadata.deletion_timestamp.is_none();
    Understood {
        policy: Some(policy).filter(|_| stands),
        fault: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    fn cluster(effect: &Arc<Mutex<&'static str>>) -> Client {
        let effect = Arc::clone(effect);
        let service = service_fn(move |_: Request<Body>| {
            let effect = *effect.lock().unwrap();
            let policy = json!({
                "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy",
                "metadata": {"name": "p", "uid": "p", "generation": 1, "creationTimestamp": "2026-11-23T15:00:00Z"},
                "spec": {"effect": effect},
            });
            let list = json!({"kind": "AccessPolicyList", "items": [policy], "metadata": {"resourceVersion": "1"}});
            async move { Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes()))) }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn what_is_stored_as_before_is_understood_once_and_anew_when_it_or_a_key_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        fs::write(&file, "a".repeat(64)).unwrap();
        let sealer = Sealer::load(file.clone()).unwrap();
        let effect = Arc::new(Mutex::new("Deny"));
        let (client, last) = (cluster(&effect), LastRead::default());
        let first = read(&client, &sealer, &last).await.unwrap();
        let again = read(&client, &sealer, &last).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        *effect.lock().unwrap() = "Allow";
        let changed = read(&client, &sealer, &last).await.unwrap();
        assert!(changed != first, "an Allow without a seal is none");
        let again = read(&client, &sealer, &last).await.unwrap();
        assert!(Arc::ptr_eq(&changed, &again));
        fs::write(&file, "b".repeat(64)).unwrap();
        sealer.reload().unwrap();
        let under_others = read(&client, &sealer, &last).await.unwrap();
        assert!(!Arc::ptr_eq(&changed, &under_others));
    }
}
