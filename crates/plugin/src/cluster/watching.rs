//! What changes while we look.

use std::future::ready;

use api::AccessRequest;
use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::core::{DeserializeGuard, Status};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};

use super::fields::Fields;
use super::{Cluster, ClusterError};

/// A watch that is silent is noticed after this many seconds.
const WATCH_TIMEOUT: u32 = 30;

/// What is seen of one request.
#[derive(Debug)]
pub enum Seen {
    /// It is there, like this.
    There(Box<AccessRequest>),
    /// It is not there any more.
    Gone,
}

impl Cluster {
    /// One request, from now on. Errors are not the end: it is looked again, with pauses between.
    pub fn watch_request(
        &self,
        name: &str,
    ) -> impl Stream<Item = Result<Seen, ClusterError>> + use<'_> {
        let config = Config::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(WATCH_TIMEOUT);
        let events = watcher(self.here::<AccessRequest>(), config).default_backoff();
        let mut there = false;
        events.filter_map(move |event| {
            let event = event.map_err(|error| self.explain_watch(error));
            ready(event.map(|event| seen(&mut there, event)).transpose())
        })
    }

    /// Requests with these labels and fields, from now on: those that are there, and each that
    /// changes, once `Ok(None)` said that all are told. Those that are not understood are left out.
    pub fn watch_requests(
        &self,
        everywhere: bool,
        labels: Option<&str>,
        fields: Option<&Fields>,
    ) -> impl Stream<Item = Result<Option<AccessRequest>, ClusterError>> + use<'_> {
        let fields = fields.and_then(Fields::text);
        let all = Config::default().timeout(WATCH_TIMEOUT);
        let config = Config {
            label_selector: labels.map(str::to_owned),
            // What is chosen comes at once, as in a list.
            page_size: all.page_size.filter(|_| fields.is_none()),
            field_selector: fields,
            ..all
        };
        let api: Api<DeserializeGuard<AccessRequest>> = if everywhere {
            Api::all(self.client.clone())
        } else {
            self.here()
        };
        watcher(api, config)
            .default_backoff()
            .filter_map(move |event| {
                ready(match event.map_err(|error| self.explain_watch(error)) {
                    Ok(
                        Event::InitApply(DeserializeGuard(request))
                        | Event::Apply(DeserializeGuard(request)),
                    ) => request.ok().map(|request| Ok(Some(request))),
                    Ok(Event::InitDone) => Some(Ok(None)),
                    Ok(Event::Init | Event::Delete(_)) => None,
                    Err(error) => Some(Err(error)),
                })
            })
    }

    fn explain_watch(&self, error: watcher::Error) -> ClusterError {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => self.explain(error),
            watcher::Error::WatchError(status) => ClusterError::Refused(status),
            watcher::Error::NoResourceVersion => ClusterError::Refused(
                Status::failure("the list has no resourceVersion", "Invalid").boxed(),
            ),
        }
    }
}

fn seen(there: &mut bool, event: Event<AccessRequest>) -> Option<Seen> {
    match event {
        Event::Init => {
            *there = false;
            None
        }
        Event::InitApply(request) | Event::Apply(request) => {
            *there = true;
            Some(Seen::There(Box::new(request)))
        }
        Event::InitDone => (!*there).then_some(Seen::Gone),
        Event::Delete(_) => Some(Seen::Gone),
    }
}
