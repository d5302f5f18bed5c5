//! The one task that writes the index.

use std::sync::Arc;

use api::{AccessGrant, AccessRequest};
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    clients::{Clients, watching},
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
    // Each object on its own: one that cannot be decoded must not stop the others.
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let mut events = watcher(api, watching()).default_backoff().boxed();
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

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Mutex, PoisonError},
    };

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::{Duration, timeout};
    use tower::service_fn;

    use super::*;
    use crate::cluster::clients::PAGE;

    // K4
    #[tokio::test]
    async fn lists_are_read_in_pages_that_have_room_in_memory() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(query);
            async move {
                let list = json!({
                    "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequestList", "metadata": {"resourceVersion": "1"},
                    "items": [],
                });
                Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
            }
        });
        let (client, index) = (Client::new(service, "default"), Index::default());
        let (done, mut is_done) = watch::channel(false);
        let draining = drain::<AccessRequest>(&client, &index, || {
            done.send_replace(true);
        });
        let listed = async { is_done.wait_for(|done| *done).await.map(drop) };
        tokio::select! {
            () = draining => {}
            listed = timeout(Duration::from_secs(5), listed) => listed.unwrap().unwrap(),
        }
        let first = asked.lock().unwrap()[0].clone();
        assert!(
            first.split('&').any(|part| part == format!("limit={PAGE}")),
            "{first}"
        );
    }
}
