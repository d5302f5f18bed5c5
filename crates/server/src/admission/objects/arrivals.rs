//! Requests that were admitted a moment ago, and that the watch may not have shown yet: so that
//! many at once are not each the first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use decide::access::Request;
use tokio::time::Instant;

/// What was admitted is stored by then, and the watch has shown it, or it was refused after us.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// Requests that were admitted a moment ago, by namespace and user.
#[derive(Debug, Default)]
pub struct Arrivals {
    recent: Mutex<HashMap<(String, String), Vec<Arrival>>>,
}

#[derive(Debug)]
struct Arrival {
    uid: String,
    size: usize,
    at: Instant,
}

/// How many requests are on their way, and how large they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Coming {
    /// How many.
    pub(super) count: usize,
    /// In bytes.
    pub(super) bytes: usize,
}

impl Arrivals {
    /// Remembers a request, if `fits` says so of those of the same user and namespace that are on
    /// their way, and neither this one nor `known`. Nobody else's is admitted in between.
    ///
    /// # Errors
    /// What `fits` says.
    pub(super) fn admit<E>(
        &self,
        request: &Request,
        known: &[&str],
        fits: impl FnOnce(Coming) -> Result<(), E>,
    ) -> Result<(), E> {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, arrivals| {
            arrivals.retain(|arrival| now.duration_since(arrival.at) < REMEMBERED_FOR);
            !arrivals.is_empty()
        });
        let arrivals = recent.entry(key(request)).or_default();
        arrivals.retain(|arrival| arrival.uid != request.uid);
        let coming = arrivals
            .iter()
            .filter(|arrival| !known.contains(&arrival.uid.as_str()));
        fits(coming.fold(Coming::default(), |sum, arrival| Coming {
            count: sum.count.saturating_add(1),
            bytes: sum.bytes.saturating_add(arrival.size),
        }))?;
        arrivals.push(Arrival {
            uid: request.uid.clone(),
            size: request.size,
            at: now,
        });
        Ok(())
    }
}

fn key(request: &Request) -> (String, String) {
    (request.namespace.clone(), request.user.name.clone())
}
