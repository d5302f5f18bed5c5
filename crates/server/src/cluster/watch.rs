//! The one task that writes the index.

use std::sync::Arc;

use api::{AccessGrant, AccessRequest};
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tracing::{info, warn};

use super::{
    clients::{Clients, OPEN_PAGE, WATCH_RETRY, watching},
    index::{Index, Key},
    policies::{self, PolicyStore},
};

/// What is not over, by what the server has written into the status: an object without a phase is
/// new. Of what is over nothing is needed before a decision.
const OPEN: &str = "status.phase!=Used,status.phase!=Denied,status.phase!=Expired";

/// What is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    requests: Requests,
    grants: bool,
    policies: bool,
}

/// Which requests are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Requests {
    #[default]
    None,
    /// All that were open.
    Open,
    All,
}

impl Synced {
    /// Whether decisions can be made: whatever is open is known, and the policies. Grants that are
    /// not known yet are read where they matter.
    pub fn is_ready(self) -> bool {
        self.requests >= Requests::Open && self.policies
    }

    /// Whether the index knows all that there was.
    pub fn is_complete(self) -> bool {
        self.requests == Requests::All && self.grants && self.policies
    }
}

/// Drains the watches into index and store, and tells when their lists are complete. Never ends.
pub async fn run(
    clients: Clients,
    index: Arc<Index>,
    store: Arc<PolicyStore>,
    synced: watch::Sender<Synced>,
) {
    let (requests_listed, is_listed) = oneshot::channel();
    let requests = async {
        if list_open(&clients.requests, &index).await {
            info!("all open requests are known");
            synced.send_modify(|synced| synced.requests = Requests::Open);
        }
        let mut requests_listed = Some(requests_listed);
        drain::<AccessRequest>(
            &clients.requests,
            &index,
            |_listing| {},
            || {
                synced.send_modify(|synced| synced.requests = Requests::All);
                // The task that listens ends with this one.
                requests_listed.take().map(|listed| listed.send(()));
            },
        )
        .await;
    };
    // Of grants only those are kept whose requests are not over: it is known by then which these
    // are.
    let grants = async {
        let _: Result<(), oneshot::error::RecvError> = is_listed.await;
        let listing = |begins| clients.pulse.lists(begins);
        drain::<AccessGrant>(&clients.grants, &index, listing, || {
            synced.send_modify(|synced| synced.grants = true);
        })
        .await;
    };
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

/// Lists what is open, ahead of all that is over. False: the API server cannot tell, because the
/// definition of the kind is an older one.
async fn list_open(client: &Client, index: &Index) -> bool {
    let api: Api<DeserializeGuard<AccessRequest>> = Api::all(client.clone());
    loop {
        match list_pages(&api, index).await {
            Ok(()) => return true,
            Err(kube::Error::Api(status)) if status.code == 400 => {
                warn!(
                    error = status.message,
                    "open requests cannot be listed by themselves; apply the shipped definitions"
                );
                return false;
            }
            Err(error) => {
                warn!(
                    error = crate::chain(&error),
                    "cannot list open requests; trying again"
                );
                sleep(WATCH_RETRY).await;
            }
        }
    }
}

async fn list_pages(
    api: &Api<DeserializeGuard<AccessRequest>>,
    index: &Index,
) -> Result<(), kube::Error> {
    let mut page = ListParams::default().fields(OPEN).limit(OPEN_PAGE);
    loop {
        let list = api.list(&page).await?;
        // What cannot be decoded gives access to nobody.
        for object in list.items.into_iter().filter_map(|guard| guard.0.ok()) {
            index.take_listed(&object);
        }
        page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            return Ok(());
        }
    }
}

/// `listing`: whether a list begins or ends.
async fn drain<K: Indexed>(
    client: &Client,
    index: &Index,
    listing: impl Fn(bool),
    mut complete: impl FnMut(),
) {
    // Each object on its own: one that cannot be decoded must not stop the others.
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let mut events = watcher(api, watching()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if matches!(event, Event::Init) {
                    listing(true);
                }
                if apply(index, event) {
                    info!(kind = %K::kind(&()), "the list is complete");
                    listing(false);
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
        let draining = drain::<AccessRequest>(
            &client,
            &index,
            |_| {},
            || {
                done.send_replace(true);
            },
        );
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
