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

/// Requests that were admitted a moment ago, by user.
#[derive(Debug, Default)]
pub struct Arrivals {
    recent: Mutex<HashMap<String, Vec<Arrival>>>,
}

#[derive(Debug)]
struct Arrival {
    uid: String,
    namespace: String,
    size: usize,
    at: Instant,
}

/// How many requests there are, and how large they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    /// How many.
    pub(super) count: usize,
    /// In bytes.
    pub(super) bytes: usize,
}

impl Sum {
    /// The sum with one more, of this size.
    pub(super) fn and(self, size: usize) -> Self {
        Self {
            count: self.count.saturating_add(1),
            bytes: self.bytes.saturating_add(size),
        }
    }
}

/// Requests of one user that are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Coming {
    /// In the same namespace.
    pub(super) here: Sum,
    /// In all namespaces.
    pub(super) all: Sum,
}

impl Arrivals {
    /// Remembers a request, if `fits` says so of those of the same user that are on their way, and
    /// neither this one nor `known`. Nobody else's is admitted in between.
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
        let arrivals = recent.entry(request.user.name.clone()).or_default();
        arrivals.retain(|arrival| arrival.uid != request.uid);
        let coming = arrivals
            .iter()
            .filter(|arrival| !known.contains(&arrival.uid.as_str()));
        fits(coming.fold(Coming::default(), |sum, arrival| Coming {
            here: if arrival.namespace == request.namespace {
                sum.here.and(arrival.size)
            } else {
                sum.here
            },
            all: sum.all.and(arrival.size),
        }))?;
        arrivals.push(Arrival {
            uid: request.uid.clone(),
            namespace: request.namespace.clone(),
            size: request.size,
            at: now,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use decide::{
        access::{Ask, Request},
        identity::Person,
    };

    use super::*;

    fn request(uid: &str, namespace: &str) -> Request {
        let jane = Person {
            name: "jane".to_owned(),
            uid: None,
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let draft = Request::draft(
            namespace.to_owned(),
            jane,
            Vec::new(),
            "p".to_owned(),
            Ask::PortForward,
            now,
        );
        Request {
            uid: uid.to_owned(),
            size: 10,
            ..draft
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_counts_until_the_watch_shows_it() {
        let arrivals = Arrivals::default();
        let coming = |uid, namespace, known: &[&str]| {
            let mut seen = Coming::default();
            arrivals
                .admit::<()>(&request(uid, namespace), known, |coming| {
                    seen = coming;
                    Ok(())
                })
                .unwrap();
            (seen.here.count, seen.all.count, seen.all.bytes)
        };
        assert_eq!(coming("1", "a", &[]), (0, 0, 0));
        assert_eq!(coming("2", "b", &[]), (0, 1, 10));
        assert_eq!(coming("2", "b", &[]), (0, 1, 10), "the same, asked again");
        assert_eq!(coming("3", "a", &["1"]), (0, 1, 10));
        assert_eq!(coming("4", "a", &["1"]), (1, 2, 20));
        tokio::time::advance(REMEMBERED_FOR).await;
        assert_eq!(coming("5", "a", &[]), (0, 0, 0));
    }
}
