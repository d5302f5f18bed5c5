//! The policies: in memory, as the watch shows them, where they may refuse; read live before anything is allowed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use api::{AccessPolicy, policy};
use arc_swap::ArcSwap;
use decide::{
    policy::{Policy, PolicyId},
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

/// A policy as a value. What is not understood permits nothing, and where it may refuse, it refuses all.
pub fn understood(object: &DynamicObject) -> Option<Policy> {
    let typed = serde_json::to_value(object).and_then(serde_json::from_value::<AccessPolicy>);
    let fault = match typed {
        Ok(typed) => match policy::policy(&typed) {
            Ok(policy) => return Some(policy),
            Err(fault) => fault.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let id = PolicyId {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    };
    let effect = object.data.get("spec").and_then(|spec| spec.get("effect")).and_then(serde_json::Value::as_str);
    warn!(kind = %AccessPolicy::kind(&()), name = id.name, effect, fault, "a policy is not understood");
    policy::in_place_of(id, effect, &fault)
}
