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
}

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

    /// Marks a grant as seen in this round. False: it is not known.
    pub(super) fn see(&mut self, grant: &Key) -> bool {
        let round = self.round;
        self.named
            .get_mut(grant)
            .map(|named| named.round = round)
            .is_some()
    }

    /// Forgets which request a grant names, and says which it was.
    pub(super) fn forget(&mut self, grant: &Key) -> Option<Key> {
        let Named { request, .. } = self.named.remove(grant)?;
        Some(Key::new(Arc::clone(&grant.namespace), request))
    }

    pub(super) fn add_stray(&mut self, request: Key, grant: Grant) {
        self.strays.entry(request).or_default().push(grant);
    }

    pub(super) fn remove_stray(&mut self, request: &Key, name: &str) {
        if let Some(strays) = self.strays.get_mut(request) {
            strays.retain(|grant| grant.name != name);
            if strays.is_empty() {
                self.strays.remove(request);
            }
        }
    }

    /// Takes those that name a request, in the order of their names.
    pub(super) fn take_strays(&mut self, request: &Key) -> Vec<Grant> {
        let mut strays = self.strays.remove(request).unwrap_or_default();
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
