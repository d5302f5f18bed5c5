//! The one task that writes the index.

use std::sync::Arc;

use api::{AccessGrant, AccessRequest};
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    clients::{Clients, WATCH_TIMEOUT},
    index::{Index, Key},
    policies::{self, PolicyStore},
};

/// Which lists are complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    requests: bool,
    grants: bool,
    policies: bool,
}

impl Synced {
    /// Whether all policies are known.
    pub fn knows_policies(self) -> bool {
        self.policies
    }

    /// Whether the index knows all that there was.
    pub fn is_complete(self) -> bool {
        self.requests && self.grants && self.policies
    }
}

/// Drains the watches into index and store, and tells when their lists are complete. Never ends.
pub async fn run(
    clients: Clients,
    index: Arc<Index>,
    store: Arc<PolicyStore>,
    synced: watch::Sender<Synced>,
) {
    let requests = drain::<AccessRequest>(&clients.requests, &index, || {
        synced.send_modify(|synced| synced.requests = true);
    });
    let grants = drain::<AccessGrant>(&clients.grants, &index, || {
        synced.send_modify(|synced| synced.grants = true);
    });
    let policies = policies::watch(&clients.requests, &store, || {
        synced.send_modify(|synced| synced.policies = true);
    });
    tokio::join!(requests, grants, policies);
}

/// What the index holds.
trait Indexed:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static
{
    /// Takes an event. True when a list has become complete.
    fn apply(index: &Index, event: Event<Self>) -> bool;
    /// Forgets an object that cannot be decoded.
    fn forget(index: &Index, key: &Key);
}

impl Indexed for AccessRequest {
    fn apply(index: &Index, event: Event<Self>) -> bool {
        index.apply_request(event)
    }
    fn forget(index: &Index, key: &Key) {
        index.forget_request(key);
    }
}

impl Indexed for AccessGrant {
    fn apply(index: &Index, event: Event<Self>) -> bool {
        index.apply_grant(event)
    }
    fn forget(index: &Index, key: &Key) {
        index.forget_grant(key);
    }
}

async fn drain<K: Indexed>(client: &Client, index: &Index, complete: impl Fn()) {
    let seconds = u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(30);
    // Each object on its own: one that cannot be decoded must not stop the others.
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let mut events = watcher(api, Config::default().timeout(seconds))
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if apply(index, event) {
                    info!(kind = %K::kind(&()), "the list is complete");
                    complete();
                }
            }
            Err(error) => {
                warn!(kind = %K::kind(&()), error = crate::chain(&error), "the watch failed; restarting it");
            }
        }
    }
}

fn apply<K: Indexed>(index: &Index, event: Event<DeserializeGuard<K>>) -> bool {
    let event = match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(object),
        Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(object),
        Event::Delete(DeserializeGuard(Ok(object))) => Event::Delete(object),
        Event::Apply(guard) | Event::InitApply(guard) | Event::Delete(guard) => {
            let key = (guard.namespace().unwrap_or_default(), guard.name_any());
            let error = guard
                .0
                .err()
                .map(|invalid| invalid.error)
                .unwrap_or_default();
            warn!(kind = %K::kind(&()), namespace = key.0, name = key.1, error, "cannot be decoded; ignored");
            K::forget(index, &key);
            return false;
        }
    };
    K::apply(index, event)
}
