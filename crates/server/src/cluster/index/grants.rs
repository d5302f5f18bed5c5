//! Which grants are known, and those of requests that memory does not have whole.

use std::{collections::HashMap, sync::Arc};

use decide::access::Grant;

use super::key::Key;

/// Which grants are known.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// What each grant names, by its own key.
    named: HashMap<Key, Named>,
    /// Those whose request is not remembered whole, by that request's key.
    strays: HashMap<Key, Vec<Grant>>,
    /// Which round of listing this is.
    pub(super) round: u32,
    /// Whether a list was complete.
    pub(super) is_complete: bool,
    /// How many strays there are.
    stray: usize,
    /// In which round of listing a stray was left out, for want of room.
    left_out_in: Option<u32>,
}

/// Maximum number of grants that are remembered without their requests: those of requests that are
/// about to come, or to be forgotten. The requests of all others are over, and were left out.
const MAX_STRAYS: usize = 10_000;

#[derive(Debug)]
struct Named {
    request: Arc<str>,
    round: u32,
}

impl Grants {
    /// Remembers which request a grant names.
    pub(super) fn name(&mut self, grant: Key, request: Arc<str>) {
        let round = self.round;
        self.named.insert(grant, Named { request, round });
    }

    /// Marks a known grant as seen in this round.
    pub(super) fn see(&mut self, grant: &Key) {
        if let Some(named) = self.named.get_mut(grant) {
            named.round = self.round;
        }
    }

    /// Forgets which request a grant names, and says which it was.
    pub(super) fn forget(&mut self, grant: &Key) -> Option<Key> {
        let Named { request, .. } = self.named.remove(grant)?;
        Some(Key::new(Arc::clone(&grant.namespace), request))
    }

    /// Remembers a grant without its request. False: there is no room.
    pub(super) fn add_stray(&mut self, request: Key, grant: Grant) -> bool {
        if self.stray >= MAX_STRAYS {
            self.left_out();
            return false;
        }
        self.stray = self.stray.saturating_add(1);
        self.strays.entry(request).or_default().push(grant);
        true
    }

    /// In which round of listing a grant of a request that comes now may not have been in memory.
    pub(super) fn incomplete(&self) -> Option<u32> {
        // What comes before the first list ends is complete with it, unless something was left out.
        let first = (!self.is_complete).then_some(0);
        self.left_out_in.or(first)
    }

    /// Remembers that grants of some request were left out in this round.
    pub(super) fn left_out(&mut self) {
        self.left_out_in = Some(self.round);
    }

    /// A list is complete: what was left out before it began is known now.
    pub(super) fn end_list(&mut self) {
        self.is_complete = true;
        self.left_out_in = self.left_out_in.filter(|round| *round == self.round);
    }

    pub(super) fn remove_stray(&mut self, request: &Key, name: &str) {
        if let Some(strays) = self.strays.get_mut(request) {
            let before = strays.len();
            strays.retain(|grant| grant.name != name);
            let gone = before.saturating_sub(strays.len());
            self.stray = self.stray.saturating_sub(gone);
            if strays.is_empty() {
                self.strays.remove(request);
            }
        }
    }

    /// Takes those that name a request, in the order of their names.
    pub(super) fn take_strays(&mut self, request: &Key) -> Vec<Grant> {
        let mut strays = self.strays.remove(request).unwrap_or_default();
        self.stray = self.stray.saturating_sub(strays.len());
        strays.sort_by(|one, other| one.name.cmp(&other.name));
        strays
    }

    /// Those that the round of listing did not show.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &Key> {
        self.named
            .iter()
            .filter(|(_, named)| named.round != self.round)
            .map(|(key, _)| key)
    }

    pub(super) fn len(&self) -> usize {
        self.named.len()
    }
}
