//! The policies: in memory, as the watch shows them, where they may refuse; read live before anything is allowed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use api::{AccessPolicy, policy};
use arc_swap::ArcSwap;
use decide::{
    policy::{Effect, Policy, PolicyId},
    ruling::Policies,
};
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Event, watcher},
    },
};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::clients::WATCH_TIMEOUT;

/// So many policies there may be: all are read before an allow.
pub const MOST_POLICIES: u32 = 500;

/// What memory knows of the policies. Written by the one task that drains the watch.
pub struct PolicyStore {
    current: ArcSwap<Policies>,
    /// By name; `None` for one that permits nothing because it is not understood.
    known: Mutex<BTreeMap<String, Option<Policy>>>,
    changed: watch::Sender<()>,
}

impl Default for PolicyStore {
    fn default() -> Self {
        Self { current: ArcSwap::default(), known: Mutex::default(), changed: watch::channel(()).0 }
    }
}

/// Why the policies could not be read. Then nothing is allowed.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// The API server did not answer.
    #[error("cannot list accesspolicies")]
    List(#[from] kube::Error),
    /// More than are read.
    #[error("there are more than {MOST_POLICIES} accesspolicies")]
    TooMany,
}

impl PolicyStore {
    /// The policies as the watch last showed them.
    pub fn current(&self) -> Arc<Policies> {
        self.current.load_full()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes an event of the watch. True when a list has become complete.
    pub fn apply(&self, event: Event<DynamicObject>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = matches!(event, Event::InitDone);
        match event {
            // What a new list does not name is forgotten once it is complete; until then the old ones stand.
            Event::Init => return false,
            Event::InitApply(object) | Event::Apply(object) => {
                known.insert(object.name_any(), understood(&object));
            }
            Event::Delete(object) => {
                known.remove(&object.name_any());
            }
            Event::InitDone => {}
        }
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

/// Drains the watch into the store, and tells when its list is complete. Never ends.
pub async fn watch(client: &Client, store: &PolicyStore, complete: impl Fn()) {
    let seconds = u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(30);
    let mut events = watcher(api(client), Config::default().timeout(seconds)).default_backoff().boxed();
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
            Err(error) => warn!(kind = "AccessPolicy", error = crate::chain(&error), "the watch broke; beginning anew"),
        }
    }
}

/// Reads all policies from the API server.
///
/// # Errors
/// It did not answer, or there are too many. Then nothing may be allowed.
pub async fn read(client: &Client) -> Result<Policies, PoliciesError> {
    let list = api(client).list(&ListParams::default().limit(MOST_POLICIES)).await?;
    if list.metadata.continue_.is_some_and(|token| !token.is_empty()) {
        return Err(PoliciesError::TooMany);
    }
    Ok(list.items.iter().filter_map(understood).collect())
}

/// As objects of any content: one that cannot be decoded must not stop the others, nor be left out.
fn api(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::erase::<AccessPolicy>(&()))
}

/// Whether nothing of what is stored was left out: a field of a later version could restrict it.
fn is_all_of(typed: &AccessPolicy, object: &DynamicObject) -> bool {
    let spec = serde_json::to_value(&typed.spec).unwrap_or_default();
    object.data.get("spec").is_some_and(|stored| without_nulls(stored) == without_nulls(&spec))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A policy as a value. What is not understood permits nothing, and where it may refuse, it refuses all.
pub fn understood(object: &DynamicObject) -> Option<Policy> {
    let typed = serde_json::to_value(object).and_then(serde_json::from_value::<AccessPolicy>);
    let fault = match typed.map(|typed| (policy::policy(&typed), is_all_of(&typed, object))) {
        // Its deletion counts from when it begins; what restricts stands until it is gone.
        Ok((Ok(policy), true)) if matches!(policy.effect, Effect::Allow(_)) => {
            return Some(policy).filter(|_| object.metadata.deletion_timestamp.is_none());
        }
        Ok((Ok(policy), true)) => return Some(policy),
        Ok((Ok(_), false)) => "it has fields of another version".to_owned(),
        Ok((Err(fault), _)) => fault.to_string(),
        Err(error) => error.to_string(),
    };
    let id = PolicyId {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    };
    let effect = object.data.get("spec").and_then(|spec| spec.get("effect")).and_then(Value::as_str);
    warn!(kind = %AccessPolicy::kind(&()), name = id.name, effect, fault, "a policy is not understood");
    policy::in_place_of(id, effect, &fault)
}
