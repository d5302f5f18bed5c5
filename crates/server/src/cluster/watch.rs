//! The one task that writes the index.

use std::sync::Arc;

use api::{AccessGrant, AccessRequest};
use futures::{StreamExt as _, stream::BoxStream};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use super::{
    clients::{Clients, GRANTS_PAGE, PAGE, watching},
    index::{Index, Key, gauges::IndexGauges},
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
    gauges: IndexGauges,
    synced: watch::Sender<Synced>,
) {
    let (requests_listed, is_listed) = oneshot::channel();
    let requests = async {
        let mut requests_listed = Some(requests_listed);
        drain::<AccessRequest>(&clients.requests, &index, &gauges, |list| {
            if list == List::Complete {
                synced.send_modify(|synced| synced.requests = true);
                // The task that listens ends with this one.
                if let Some(listed) = requests_listed.take() {
                    let _: Result<(), ()> = listed.send(());
                }
            }
        })
        .await;
    };
    // Of grants only those are kept whose requests are not over: it is known by then which these
    // are.
    let grants = async {
        let _: Result<(), oneshot::error::RecvError> = is_listed.await;
        drain::<AccessGrant>(&clients.grants, &index, &gauges, |list| match list {
            List::Begins => clients.pulse.lists(true),
            List::Complete => {
                clients.pulse.lists(false);
                synced.send_modify(|synced| synced.grants = true);
            }
            List::Broken => clients.pulse.lose(),
        })
        .await;
    };
    let policies = policies::watch(&clients.requests, &store, || {
        synced.send_modify(|synced| synced.policies = true);
    });
    tokio::join!(requests, grants, policies);
}

fn watched<K: Indexed>(
    api: &Api<DeserializeGuard<K>>,
) -> BoxStream<'static, watcher::Result<Event<DeserializeGuard<K>>>> {
    watcher(api.clone(), watching().page_size(K::PAGE))
        .default_backoff()
        .boxed()
}

/// What the index holds.
trait Indexed:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static
{
    /// How many objects a list brings at once.
    const PAGE: u32;

    /// Takes an event. True when a list has become complete.
    fn apply(index: &Index, event: Event<Self>) -> bool;
    /// Whether all should be listed anew.
    fn wants_list(index: &Index) -> bool;
    /// Forgets an object that cannot be decoded.
    fn forget(index: &Index, key: &Key);
}

impl Indexed for AccessRequest {
    const PAGE: u32 = PAGE;

    fn apply(index: &Index, event: Event<Self>) -> bool {
        index.apply_request(event)
    }
    fn wants_list(index: &Index) -> bool {
        index.has_room_for_left_out()
    }
    fn forget(index: &Index, key: &Key) {
        index.forget_request(key);
    }
}

impl Indexed for AccessGrant {
    const PAGE: u32 = GRANTS_PAGE;

    fn apply(index: &Index, event: Event<Self>) -> bool {
        index.apply_grant(event)
    }
    fn wants_list(_index: &Index) -> bool {
        false
    }
    fn forget(index: &Index, key: &Key) {
        index.forget_grant(key);
    }
}

/// What becomes of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Begins,
    Complete,
    /// The watch failed: what happened since is not known.
    Broken,
}

async fn drain<K: Indexed>(
    client: &Client,
    index: &Index,
    gauges: &IndexGauges,
    mut tell: impl FnMut(List),
) {
    // Each object on its own: one that cannot be decoded must not stop the others.
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let resource = K::plural(&());
    gauges.complete(&resource, false);
    let mut events = watched(&api);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                match event {
                    Event::Init => tell(List::Begins),
                    Event::InitApply(_) => gauges.listed(&resource),
                    Event::Apply(_) | Event::Delete(_) | Event::InitDone => {}
                }
                if apply(index, event) {
                    info!(kind = %K::kind(&()), "the list is complete");
                    gauges.complete(&resource, true);
                    tell(List::Complete);
                } else if K::wants_list(index) {
                    info!(kind = %K::kind(&()), "there is room for what was left out; listing anew");
                    events = watched(&api);
                }
            }
            Err(error) => {
                tell(List::Broken);
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
            let key = Key::new(guard.namespace().unwrap_or_default(), guard.name_any());
            let error = guard
                .0
                .err()
                .map(|invalid| invalid.error)
                .unwrap_or_default();
            warn!(kind = %K::kind(&()), namespace = &*key.namespace, name = &*key.name, error, "cannot be decoded; ignored");
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
        let gauges = IndexGauges::default();
        let draining = drain::<AccessRequest>(&client, &index, &gauges, |list| {
            if list == List::Complete {
                done.send_replace(true);
            }
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
