//! The one task that writes the index.

use std::sync::Arc;

use api::{AccessGrant, AccessRequest};
use futures::{StreamExt as _, stream::BoxStream};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
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
    index::{Index, Key, gauges::IndexGauges},
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
    gauges: IndexGauges,
    synced: watch::Sender<Synced>,
) {
    let (requests_listed, is_listed) = oneshot::channel();
    let requests = async {
        if list_open(&clients.requests, &index).await {
            info!("all open requests are known");
            synced.send_modify(|synced| synced.requests = Requests::Open);
        }
        let mut requests_listed = Some(requests_listed);
        drain::<AccessRequest>(&clients.requests, &index, &gauges, |list| {
            if list == List::Complete {
                synced.send_modify(|synced| synced.requests = Requests::All);
                // The task that listens ends with this one.
                requests_listed.take().map(|listed| listed.send(()));
            }
        })
        .await;
    };
    // Of grants only those are kept whose requests are not over: it is known by then which these
    // are.
    let grants = async {
        let _: Result<(), oneshot::error::RecvError> = is_listed.await;
        drain::<AccessGrant>(&clients.grants, &index, &gauges, |list| {
            clients.pulse.lists(list == List::Begins);
            if list == List::Complete {
                synced.send_modify(|synced| synced.grants = true);
            }
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
    watcher(api.clone(), watching()).default_backoff().boxed()
}

/// What the index holds.
trait Indexed:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static
{
    /// Takes an event. True when a list has become complete.
    fn apply(index: &Index, event: Event<Self>) -> bool;
    /// Whether all should be listed anew.
    fn wants_list(index: &Index) -> bool;
    /// Forgets an object that cannot be decoded.
    fn forget(index: &Index, key: &Key);
}

impl Indexed for AccessRequest {
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

/// What becomes of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Begins,
    Complete,
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
        let gauges = IndexGauges::default();
        let draining = drain::<AccessRequest>(&client, &index, &gauges, |list| {
            done.send_replace(list == List::Complete);
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

    /// A cluster that answers each page with this, by its query.
    fn pages(answer: impl Fn(&str) -> (u16, serde_json::Value) + Send + Sync + 'static) -> Client {
        let answer = Arc::new(answer);
        let service = service_fn(move |request: Request<Body>| {
            let (status, body) = answer(request.uri().query().unwrap_or_default());
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        Client::new(service, "default")
    }

    fn open_request(name: &str) -> serde_json::Value {
        json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": "a", "uid": name, "creationTimestamp": "2026-11-23T15:00:00Z"},
            "spec": {
                "userInfo": {"username": "jane"},
                "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p"},
                "execOptions": {"command": ["date"]},
            },
        })
    }

    #[tokio::test]
    async fn what_is_open_is_listed_first_page_by_page() {
        let client = pages(|query| {
            assert!(
                query.contains("fieldSelector=status.phase%21%3DUsed"),
                "{query}"
            );
            let (name, next) = if query.contains("continue=more") {
                ("two", "")
            } else {
                ("one", "more")
            };
            // One that cannot be decoded stops nothing.
            let items = [
                open_request(name),
                json!({"metadata": {"name": "x"}, "spec": 1}),
            ];
            let list = json!({
                "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequestList",
                "metadata": {"resourceVersion": "1", "continue": next}, "items": items,
            });
            (200, list)
        });
        let index = Index::default();
        assert!(list_open(&client, &index).await);
        assert_eq!(index.counts().open, 2);
    }

    #[tokio::test]
    async fn an_api_server_that_cannot_select_leaves_it_to_the_whole_list() {
        let client = pages(|_| {
            let message = "field label not supported: status.phase";
            (
                400,
                json!({"status": "Failure", "message": message, "reason": "BadRequest", "code": 400}),
            )
        });
        assert!(!list_open(&client, &Index::default()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_fails_has_what_is_open_listed_again() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let client = pages(move |_| {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return (
                    410,
                    json!({"status": "Failure", "message": "too old", "reason": "Expired", "code": 410}),
                );
            }
            let list = json!({
                "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequestList",
                "metadata": {"resourceVersion": "1"}, "items": [open_request("one")],
            });
            (200, list)
        });
        let index = Index::default();
        assert!(list_open(&client, &index).await);
        assert_eq!(index.counts().open, 1);
    }
}
