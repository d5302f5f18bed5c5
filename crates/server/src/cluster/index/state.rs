//! What the index holds: requests with their grants, and how they change.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
};

use api::{AccessGrant, AccessRequest, convert};
use decide::{
    access::{Grant, Request, Seal},
    standing::Candidate,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tracing::warn;

use super::{
    finished::{AllFinished, End, Finished, last_event},
    grants::Grants,
    key::{Key, Texts},
    people::People,
};

/// Maximum number of finished requests of one person that are remembered whole, over all
/// namespaces.
pub(super) const MAX_OVER_WHOLE: usize = 20;
/// Maximum number of finished requests of all people that are remembered whole.
const MAX_OVER_WHOLE_IN_ALL: usize = 4000;

/// What the index holds.
#[derive(Debug, Default)]
pub(super) struct State {
    whole: HashMap<Key, Whole>,
    pub(super) finished: AllFinished,
    pub(super) people: People,
    /// All that are over and remembered whole, the one first that something last came of longest
    /// ago.
    over: BTreeSet<(Timestamp, Key)>,
    pub(super) grants: Grants,
    /// Which round of listing requests this is.
    round: u32,
    is_listing: bool,
    texts: Texts,
    /// Maximum number of finished requests that something is kept of; `None`: as many as there are.
    most_finished: Option<usize>,
    /// How many were left out since requests were last listed.
    pub(super) left_out: usize,
    /// Of UIDs only digests are kept of what is over. Nobody can choose two that collide.
    digests: RandomState,
}

/// A request that is remembered whole.
#[derive(Debug)]
struct Whole {
    candidate: Arc<Candidate>,
    round: u32,
    /// In which round of listing grants some of its grants were not in memory.
    incomplete: Option<u32>,
}

/// The grants that memory has for a request.
struct Known {
    grants: Vec<Grant>,
    incomplete: Option<u32>,
}

impl State {
    pub(super) fn with_room(most_finished: usize) -> Self {
        Self {
            most_finished: Some(most_finished),
            ..Self::default()
        }
    }

    /// Begins to list requests: what is known stays until the list is complete.
    pub(super) fn begin_requests(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.is_listing = true;
        self.left_out = 0;
        self.people.forget_all_left_out();
    }

    /// Whether there is room again for what was left out.
    pub(super) fn has_room_for_left_out(&self) -> bool {
        let enough = self.most_finished.map(|most| most.saturating_sub(most / 4));
        self.left_out > 0 && enough.is_some_and(|enough| self.finished.len() < enough)
    }

    /// The list of requests is complete.
    pub(super) fn end_requests(&mut self) {
        self.is_listing = false;
    }

    /// Begins to list grants.
    pub(super) fn begin_grants(&mut self) {
        self.grants.round = self.grants.round.wrapping_add(1);
    }

    /// The requests that the list did not show: they are gone.
    pub(super) fn unseen_requests(&self) -> Vec<Key> {
        let whole = self
            .whole
            .iter()
            .filter(|(_, whole)| whole.round != self.round)
            .map(|(key, _)| key);
        whole
            .chain(self.finished.unseen(self.round))
            .cloned()
            .collect()
    }

    /// The list of grants is complete: what began before it has all of its grants.
    pub(super) fn end_grants(&mut self) {
        self.grants.end_list();
        let round = self.grants.round;
        for whole in self.whole.values_mut() {
            if whole.incomplete.is_some_and(|since| since != round) {
                whole.incomplete = None;
                Arc::make_mut(&mut whole.candidate).has_all_grants = true;
            }
        }
    }

    /// The keys of all requests that are remembered whole.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.whole.keys()
    }

    pub(super) fn candidate(&self, key: &Key) -> Option<Arc<Candidate>> {
        self.whole
            .get(key)
            .map(|whole| Arc::clone(&whole.candidate))
    }

    /// How many requests may give access or wait, as far as their status says.
    pub(super) fn open(&self) -> usize {
        self.whole.len().saturating_sub(self.over.len())
    }

    /// How many requests are over.
    pub(super) fn over(&self) -> usize {
        self.finished.len().saturating_add(self.over.len())
    }

    pub(super) fn key(&mut self, object: &impl kube::Resource<DynamicType = ()>) -> Key {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        Key::new(self.texts.share(namespace), object.name_any())
    }

    /// Takes a request as it is now. Answers whether controllers have nothing more to do about it.
    pub(super) fn put_request(&mut self, key: &Key, object: &AccessRequest) -> bool {
        let known = self.take_request(key);
        let is_new = object.status.is_none();
        // Seals are looked at where objects are read live: memory only promises.
        match convert::request(object, Seal::Good) {
            Ok(request) => {
                let over = End::of(object, &request);
                if known.is_none() && !is_new && !self.is_listing {
                    // What changes and is not known was left out, and counts already.
                    self.count_less(&request);
                }
                let known = known.unwrap_or_else(|| self.strays_of(key, is_new));
                self.remember(key.clone(), request, known, over);
                over.is_some() && is_told(object)
            }
            Err(error) => {
                warn!(namespace = &*key.namespace, name = &*key.name, %error, "an AccessRequest that gives access to nobody");
                self.let_stray(key, known);
                true
            }
        }
    }

    /// Forgets a request. False: memory did not know it.
    pub(super) fn remove_request(&mut self, key: &Key) -> bool {
        let known = self.take_request(key);
        let was_known = known.is_some();
        self.let_stray(key, known);
        was_known
    }

    /// Counts a request as gone that was left out.
    pub(super) fn forget_left_out(&mut self, object: &AccessRequest) {
        if let Ok(request) = convert::request(object, Seal::Good) {
            self.count_less(&request);
        }
    }

    /// One less that was left out, if any was of this person.
    fn count_less(&mut self, request: &Request) {
        let was_left_out = self
            .people
            .forget_left_out(&request.user.name, request.size);
        self.left_out = self.left_out.saturating_sub(usize::from(was_left_out));
    }

    /// Takes a grant as it is now. Answers which request it concerns, if memory did not know it so.
    pub(super) fn put_grant(&mut self, object: &AccessGrant) -> Option<Key> {
        let key = self.key(object);
        let request = Key::new(Arc::clone(&key.namespace), object.spec.grant_for.as_str());
        match convert::grant(object, Seal::Good) {
            Ok(grant) if self.has(&request, &grant) => {
                self.grants.see(&key);
                return None;
            }
            Ok(grant) => {
                self.remove_grant(&key);
                self.add_grant(key, request.clone(), grant);
            }
            Err(error) => {
                self.remove_grant(&key);
                warn!(namespace = &*key.namespace, name = &*key.name, %error, "an AccessGrant that grants nothing");
            }
        }
        Some(request)
    }

    /// Forgets a grant. Answers which request it concerns.
    pub(super) fn remove_grant(&mut self, key: &Key) -> Option<Key> {
        let request = self.grants.forget(key)?;
        match self.whole.get_mut(&request) {
            Some(whole) => Arc::make_mut(&mut whole.candidate)
                .grants
                .retain(|grant| grant.name != *key.name),
            None => self.grants.remove_stray(&request, &key.name),
        }
        Some(request)
    }

    fn has(&self, request: &Key, grant: &Grant) -> bool {
        self.whole
            .get(request)
            .is_some_and(|whole| whole.candidate.grants.contains(grant))
    }

    fn add_grant(&mut self, key: Key, request: Key, grant: Grant) {
        if let Some(whole) = self.whole.get_mut(&request) {
            let grants = &mut Arc::make_mut(&mut whole.candidate).grants;
            let place = grants.partition_point(|other| other.name < grant.name);
            grants.insert(place, grant);
        } else if self.is_needless(&request, &grant)
            || !self.grants.add_stray(request.clone(), grant)
        {
            return;
        }
        self.grants.name(key, request.name);
    }

    /// Whether a grant names a request that is over. By UID: the name may be another request's by
    /// now.
    fn is_needless(&self, request: &Key, grant: &Grant) -> bool {
        let uid = grant.request_uid.as_ref().map(|uid| self.digest(uid));
        self.finished
            .get(request)
            .is_some_and(|finished| Some(finished.uid) == uid)
    }

    fn digest(&self, uid: &str) -> u64 {
        self.digests.hash_one(uid)
    }

    fn remember(&mut self, key: Key, request: Request, known: Known, over: Option<End>) {
        let user = self.texts.share(&request.user.name);
        let share = self
            .people
            .add(Arc::clone(&user), request.size, request.size);
        share.whole.insert(key.clone());
        let mut too_many = None;
        if let Some(over) = over {
            let place = (last_event(&request), key.clone());
            share.over.insert(place.clone(), over);
            if share.over.len() > MAX_OVER_WHOLE {
                too_many = share.over.keys().next().cloned();
            }
            self.over.insert(place);
        }
        let Known { grants, incomplete } = known;
        let candidate = Arc::new(Candidate {
            request,
            grants,
            has_all_grants: incomplete.is_none(),
        });
        let round = self.round;
        self.whole.insert(
            key,
            Whole {
                candidate,
                round,
                incomplete,
            },
        );
        if self.over.len() > MAX_OVER_WHOLE_IN_ALL {
            too_many = too_many.or_else(|| self.over.first().cloned());
        }
        if let Some(place) = too_many {
            self.shrink(&place);
        }
    }

    /// Keeps of a request that is over only what others than denials need.
    fn shrink(&mut self, place: &(Timestamp, Key)) {
        let key = &place.1;
        let Some(whole) = self.whole.get(key) else {
            return;
        };
        let (request, round) = (&whole.candidate.request, whole.round);
        let user = self.texts.share(&request.user.name);
        let end = self
            .people
            .get(&user)
            .and_then(|share| share.over.get(place).copied());
        let Some(end) = end else {
            return;
        };
        let (size, uid) = (request.size, self.digest(&request.uid));
        let known = self.take_request(key);
        self.people.add(Arc::clone(&user), size, 0);
        self.finished
            .insert(key.clone(), Finished::new(end, uid, user, size, round));
        self.let_stray(key, known);
        self.make_room();
    }

    /// Leaves out what is over for the shortest time, where there is too much: clean-up takes the
    /// others first, and then there is room.
    fn make_room(&mut self) {
        if self
            .most_finished
            .is_none_or(|most| self.finished.len() <= most)
        {
            return;
        }
        let Some(newest) = self.finished.pop_newest() else {
            return;
        };
        self.grants.left_out();
        if newest.round == self.round {
            self.people.leave_out(&newest.user, newest.size);
            self.left_out = self.left_out.saturating_add(1);
        } else {
            // This list has not come to it yet, and will bring it.
            self.people.remove(&newest.user, newest.size, 0);
        }
    }

    /// Takes out a request, and what is known of its grants.
    fn take_request(&mut self, key: &Key) -> Option<Known> {
        if let Some(finished) = self.finished.remove(key) {
            self.people.remove(&finished.user, finished.size, 0);
            return Some(Known {
                grants: self.grants.take_strays(key),
                incomplete: Some(self.grants.round),
            });
        }
        let Whole {
            candidate,
            incomplete,
            ..
        } = self.whole.remove(key)?;
        let request = &candidate.request;
        let place = (last_event(request), key.clone());
        self.over.remove(&place);
        if let Some(share) = self.people.get_mut(&request.user.name) {
            share.over.remove(&place);
            share.whole.remove(key);
        }
        self.people
            .remove(&request.user.name, request.size, request.size);
        // A reader may hold it: of the request nobody needs a copy.
        let grants = Arc::try_unwrap(candidate)
            .map_or_else(|shared| shared.grants.clone(), |candidate| candidate.grants);
        Some(Known { grants, incomplete })
    }

    /// The grants of a request that memory did not have. All grants of one that no server has
    /// looked at yet came in this round of listing, or are still to come.
    fn strays_of(&mut self, key: &Key, is_new: bool) -> Known {
        let incomplete = if is_new && self.grants.is_complete {
            None
        } else {
            self.grants.incomplete()
        };
        Known {
            grants: self.grants.take_strays(key),
            incomplete,
        }
    }

    /// Keeps the grants of a request that is not remembered whole any more, as far as they are not
    /// needless.
    fn let_stray(&mut self, request: &Key, known: Option<Known>) {
        for grant in known.into_iter().flat_map(|known| known.grants) {
            let key = Key::new(Arc::clone(&request.namespace), grant.name.as_str());
            if self.is_needless(request, &grant) || !self.grants.add_stray(request.clone(), grant) {
                self.grants.forget(&key);
            }
        }
    }
}

/// Whether all that came of a request is written down and told.
fn is_told(object: &AccessRequest) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.uses.iter().all(|one| one.outcome.is_some()) && status.untold().is_empty()
    })
}
