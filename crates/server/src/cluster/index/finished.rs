//! What is kept of requests that are over.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use api::{AccessRequest, Phase};
use decide::access::{Request, Validity};
use jiff::{SignedDuration, Timestamp};

use super::key::Key;

/// That a request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Since when, or earlier; `None`: nothing came of it, and nobody needs it any more. Clean-up
    /// looks at the live one before it deletes it.
    pub(super) since: Option<Timestamp>,
    /// Until when it gives access again as soon as a policy that cut it short is gone.
    pub(super) may_return: MayReturn,
}

/// Whether and until when something that is over may give access again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MayReturn {
    Never,
    /// Seconds since 1970.
    Until(i64),
    AtAnyTime,
}

impl End {
    /// Whether a request is over, by what the server has written into its status; `None`: it may
    /// give access, or could again as soon as a policy that forbids it is gone. An emergency that
    /// nobody has reviewed is not over.
    pub(super) fn of(object: &AccessRequest, request: &Request) -> Option<Self> {
        let is_final =
            request.denied.is_some() || object.phase() == Phase::Used && !request.uses.is_empty();
        let is_over = is_final || object.phase() == Phase::Expired;
        (is_over && !object.is_unreviewed()).then(|| Self {
            since: since(object, request),
            may_return: if is_final {
                MayReturn::Never
            } else {
                may_return(object, request)
            },
        })
    }
}

fn since(object: &AccessRequest, request: &Request) -> Option<Timestamp> {
    let status = object.status.as_ref();
    let answered = status
        .is_some_and(|status| !status.granted_by.is_empty() || status.granted_by_policy.is_some());
    let lasted = answered && request.validity != Validity::Once;
    let happened =
        !request.uses.is_empty() || request.denied.is_some() || request.reviewed.is_some();
    (happened || lasted).then(|| last_event(request))
}

/// Its approvals came before it ended, and none lasts longer than was asked for.
fn may_return(object: &AccessRequest, request: &Request) -> MayReturn {
    let ended = object
        .status
        .as_ref()
        .and_then(|status| status.expires_at.as_ref());
    match (request.validity, ended) {
        (Validity::For(asked), Some(ended)) => {
            let asked = SignedDuration::try_from(asked).unwrap_or(SignedDuration::MAX);
            let until = ended.0.checked_add(asked).unwrap_or(Timestamp::MAX);
            MayReturn::Until(until.as_second())
        }
        (Validity::Once, _) | (Validity::For(_), None) => MayReturn::AtAnyTime,
    }
}

/// When something last came of a request: who has added a debug container attaches to it after
/// that.
pub(super) fn last_event(request: &Request) -> Timestamp {
    let used = request.uses.iter().map(|one| one.at);
    let denied = request.denied.iter().map(|denial| denial.at);
    let reviewed = request.reviewed.iter().map(|reviewed| reviewed.at);
    used.chain(denied)
        .chain(reviewed)
        .max()
        .unwrap_or(request.created)
}

/// What is kept of a request that is over: what limits, clean-up and denials need.
#[derive(Debug)]
pub(super) struct Finished {
    /// A digest of its UID: grants that name it are of no use in memory.
    pub(super) uid: u64,
    pub(super) user: Arc<str>,
    /// How many bytes it takes where it is stored.
    pub(super) size: usize,
    /// In which round of listing it was last seen.
    pub(super) round: u32,
    due: i64,
    may_return: MayReturn,
}

impl Finished {
    pub(super) fn new(end: End, uid: u64, user: Arc<str>, size: usize, round: u32) -> Self {
        Self {
            uid,
            user,
            size,
            round,
            due: end.since.map_or(i64::MIN, Timestamp::as_second),
            may_return: end.may_return,
        }
    }
}

/// All that are over and not remembered whole.
#[derive(Debug, Default)]
pub(super) struct AllFinished {
    by_name: HashMap<Key, Finished>,
    /// Since when they are over, the one first that is over for longest.
    due: BTreeSet<(i64, Key)>,
}

impl AllFinished {
    pub(super) fn insert(&mut self, key: Key, finished: Finished) {
        self.remove(&key);
        self.due.insert((finished.due, key.clone()));
        self.by_name.insert(key, finished);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Finished> {
        let finished = self.by_name.remove(key)?;
        self.due.remove(&(finished.due, key.clone()));
        Some(finished)
    }

    /// Takes out the one that is over for the shortest time.
    pub(super) fn pop_newest(&mut self) -> Option<Finished> {
        let (_, key) = self.due.pop_last()?;
        self.by_name.remove(&key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Finished> {
        self.by_name.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Those that were over by a time, the one first that is over for longest, from the place
    /// `after` on.
    pub(super) fn due(&self, by: Timestamp, after: Option<&Due>, count: usize) -> Vec<Due> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |Due(place)| Excluded(place.clone()));
        self.due
            .range((from, Unbounded))
            .take_while(|(since, _)| *since <= by.as_second())
            .take(count)
            .map(|place| Due(place.clone()))
            .collect()
    }

    /// The keys of those that may give access again at a time, once policies have changed.
    pub(super) fn may_return(&self, now: Timestamp) -> Vec<Key> {
        let now = MayReturn::Until(now.as_second());
        self.by_name
            .iter()
            .filter(|(_, one)| one.may_return > now)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The keys of those that the round of listing did not show.
    pub(super) fn unseen(&self, round: u32) -> impl Iterator<Item = &Key> {
        self.by_name
            .iter()
            .filter(move |(_, one)| one.round != round)
            .map(|(key, _)| key)
    }
}

/// A request that is over, and its place in the order in which clean-up takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due((i64, Key));

impl Due {
    /// What it is called.
    pub fn key(&self) -> &Key {
        &self.0.1
    }
}
