//! What each person has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{finished::End, key::Key};

/// What a person has of memory and of the store, over all namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many requests, also of those that are over.
    pub requests: usize,
    /// How many bytes those take that are remembered whole.
    pub bytes: usize,
    /// How many bytes all of them take where they are stored.
    pub stored: usize,
}

impl Held {
    /// One request more, of which so much is remembered.
    fn add(&mut self, size: usize, remembered: usize) {
        self.requests = self.requests.saturating_add(1);
        self.bytes = self.bytes.saturating_add(remembered);
        self.stored = self.stored.saturating_add(size);
    }

    /// One request less.
    fn remove(&mut self, size: usize, remembered: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(remembered);
        self.stored = self.stored.saturating_sub(size);
    }
}

/// The most that any one person has of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fullest {
    /// Open requests, over all namespaces, as far as their status says.
    pub open: usize,
    /// Requests, also those that are over.
    pub requests: usize,
    /// How many bytes they take where they are stored.
    pub stored: usize,
}

/// What one person has.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) held: Held,
    /// Their requests that are remembered whole.
    pub(super) whole: BTreeSet<Key>,
    /// Of those, the ones that are over, the one first that something last came of longest ago.
    pub(super) over: BTreeMap<(Timestamp, Key), End>,
    /// Of what they have, what memory knows nothing else of, for want of room.
    left_out: Held,
}

impl Share {
    /// Their requests that are not over.
    pub(super) fn open(&self) -> impl Iterator<Item = &Key> {
        let over: HashSet<&Key> = self.over.keys().map(|(_, key)| key).collect();
        self.whole.iter().filter(move |key| !over.contains(key))
    }

    /// Their requests in a namespace that are remembered whole.
    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Key> {
        self.whole
            .range(Key::new(namespace, "")..)
            .take_while(move |key| *key.namespace == *namespace)
    }
}

/// All who have requests, by name.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<Arc<str>, Share>);

impl People {
    pub(super) fn get(&self, user: &str) -> Option<&Share> {
        self.0.get(user)
    }

    /// The most that any one person has of each.
    pub(super) fn fullest(&self) -> Fullest {
        self.0
            .values()
            .fold(Fullest::default(), |most, share| Fullest {
                open: most
                    .open
                    .max(share.whole.len().saturating_sub(share.over.len())),
                requests: most.requests.max(share.held.requests),
                stored: most.stored.max(share.held.stored),
            })
    }

    /// One request more of a person, of which so much is remembered.
    pub(super) fn add(&mut self, user: Arc<str>, size: usize, remembered: usize) -> &mut Share {
        let share = self.0.entry(user).or_default();
        share.held.add(size, remembered);
        share
    }

    pub(super) fn get_mut(&mut self, user: &str) -> Option<&mut Share> {
        self.0.get_mut(user)
    }

    /// One request of a person that memory knows nothing else of: it counts all the same.
    pub(super) fn leave_out(&mut self, user: &str, size: usize) {
        if let Some(share) = self.0.get_mut(user) {
            share.left_out.add(size, 0);
        }
    }

    /// One request less, if any of this person was left out.
    pub(super) fn forget_left_out(&mut self, user: &str, size: usize) -> bool {
        let Some(share) = self
            .0
            .get_mut(user)
            .filter(|share| share.left_out.requests > 0)
        else {
            return false;
        };
        share.left_out.remove(size, 0);
        self.remove(user, size, 0);
        true
    }

    /// What was left out is listed anew, and counted then.
    pub(super) fn forget_all_left_out(&mut self) {
        for share in self.0.values_mut() {
            let Held {
                requests, stored, ..
            } = std::mem::take(&mut share.left_out);
            share.held.requests = share.held.requests.saturating_sub(requests);
            share.held.stored = share.held.stored.saturating_sub(stored);
        }
        self.0.retain(|_, share| share.held.requests > 0);
    }

    /// One request less.
    pub(super) fn remove(&mut self, user: &str, size: usize, remembered: usize) {
        let Some(share) = self.0.get_mut(user) else {
            return;
        };
        share.held.remove(size, remembered);
        if share.held.requests == 0 {
            self.0.remove(user);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
