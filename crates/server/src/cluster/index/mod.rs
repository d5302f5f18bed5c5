//! Requests and grants, by namespace and user. Written by the one task that drains the watches;
//! readers take what they need under a short lock and never wait for the API server.
//!
//! Of what is over only the newest few of each person are remembered whole, for denials that say
//! what became of them. Of the others only what limits and clean-up need is kept: nothing that
//! anybody does makes more than that of memory. A new list changes what is there, object by
//! object: at no time are there two of one.

mod finished;
pub mod gauges;
mod grants;
mod key;
mod people;
mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use api::{AccessGrant, AccessRequest};
use decide::{identity::Person, standing::Candidate};
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use tokio::sync::{mpsc, watch};

use people::Share;
use state::State;
pub use {
    finished::Due,
    key::Key,
    people::{Fullest, Held},
};

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    state: RwLock<State>,
    changes: watch::Sender<()>,
    /// Where the keys of requests go that controllers are to look at.
    touched: OnceLock<mpsc::UnboundedSender<Key>>,
}

/// How much the index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that wait or give access, as far as their status says.
    pub open: usize,
    /// Requests that are over.
    pub finished: usize,
    /// Grants that are remembered: those of requests that are over mostly are not.
    pub grants: usize,
    /// Requests that are over and left out, for want of room.
    pub left_out: usize,
}

impl Index {
    /// One that keeps something of at most so many requests that are over, beside those that are
    /// remembered whole.
    pub fn with_room(most_finished: usize) -> Self {
        Self {
            state: RwLock::new(State::with_room(most_finished)),
            ..Self::default()
        }
    }

    /// Whether requests should be listed anew, because there is room for what was left out.
    pub fn has_room_for_left_out(&self) -> bool {
        self.read().has_room_for_left_out()
    }

    /// The requests of a user in a namespace, each with the grants that name it.
    pub fn candidates(&self, namespace: &str, user: &Person) -> Vec<Arc<Candidate>> {
        let state = self.read();
        let share = state.people.get(&user.name);
        share
            .into_iter()
            .flat_map(|share| share.in_namespace(namespace))
            .filter_map(|key| state.candidate(key))
            .collect()
    }

    /// The requests of a user in all namespaces that are not over, as far as their status says: the
    /// same that [`Counts::open`] counts. Those that are being deleted, or that a policy forbids
    /// now, are among them: they take room as long as they are there.
    pub fn open_of(&self, user: &str) -> Vec<Arc<Candidate>> {
        let state = self.read();
        let share = state.people.get(user);
        share
            .into_iter()
            .flat_map(Share::open)
            .filter_map(|key| state.candidate(key))
            .collect()
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The keys of requests that controllers are to look at, from now on. `None`: somebody has
    /// them already.
    pub fn touched(&self) -> Option<mpsc::UnboundedReceiver<Key>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.touched.set(sender).ok().map(|()| receiver)
    }

    /// The keys of all requests that are remembered whole.
    pub fn keys(&self) -> Vec<Key> {
        self.read().keys().cloned().collect()
    }

    /// The keys of all requests that may change with the policies: what is open, and what a policy
    /// may have cut short.
    pub fn keys_under_policies(&self, now: Timestamp) -> Vec<Key> {
        let state = self.read();
        let mut keys = state.finished.may_return(now);
        keys.extend(state.keys().cloned());
        keys
    }

    /// A request that is remembered whole, with the grants that name it.
    pub fn candidate(&self, key: &Key) -> Option<Arc<Candidate>> {
        self.read().candidate(key)
    }

    /// Those that were over by this time, of those that are not remembered whole: the next few
    /// after one of them.
    pub fn finished(&self, by: Timestamp, after: Option<&Due>, count: usize) -> Vec<Due> {
        self.read().finished.due(by, after, count)
    }

    /// What a person has, over all namespaces.
    pub fn held(&self, user: &str) -> Held {
        self.read()
            .people
            .get(user)
            .map(|share| share.held)
            .unwrap_or_default()
    }

    /// The most that any one person has of each. It looks at every person.
    pub fn fullest(&self) -> Fullest {
        self.read().people.fullest()
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        let state = self.read();
        Counts {
            open: state.open(),
            finished: state.over(),
            grants: state.grants.len(),
            left_out: state.left_out,
        }
    }

    /// Takes an event of the watch on requests. True when a list has become complete.
    ///
    /// Each object becomes what is kept of it at once: neither time under the lock nor memory grows
    /// with whole objects, or with the length of a list.
    pub fn apply_request(&self, event: Event<AccessRequest>) -> bool {
        match event {
            Event::Apply(object) => {
                let key = self.change(|state| {
                    let key = state.key(&object);
                    state.put_request(&key, &object);
                    key
                });
                self.touch(key);
            }
            Event::Delete(object) => self.change(|state| {
                let key = state.key(&object);
                if !state.remove_request(&key) {
                    state.forget_left_out(&object);
                }
            }),
            Event::Init => self.prepare(State::begin_requests),
            Event::InitApply(object) => self.take_listed(&object),
            Event::InitDone => {
                let gone = self.read().unseen_requests();
                for key in gone {
                    self.prepare(|state| state.remove_request(&key));
                }
                self.change(State::end_requests);
                return true;
            }
        }
        false
    }

    /// Takes a request from a list that is not complete yet.
    fn take_listed(&self, object: &AccessRequest) {
        let (key, is_settled) = self.prepare(|state| {
            let key = state.key(object);
            let is_settled = state.put_request(&key, object);
            (key, is_settled)
        });
        // A list must not have the controllers look at all that ever was.
        if !is_settled {
            self.touch(key);
        }
    }

    /// Takes an event of the watch on grants. True when a list has become complete.
    pub fn apply_grant(&self, event: Event<AccessGrant>) -> bool {
        match event {
            Event::Apply(object) => {
                let request = self.change(|state| {
                    let key = state.key(&object);
                    state.put_grant(&object);
                    Key::new(key.namespace, object.spec.grant_for)
                });
                // Also where only its seal has changed, which memory does not look at.
                self.touch(request);
            }
            Event::Delete(object) => {
                let request = self.change(|state| {
                    let key = state.key(&object);
                    state.remove_grant(&key);
                    Key::new(key.namespace, object.spec.grant_for)
                });
                self.touch(request);
            }
            Event::Init => self.prepare(State::begin_grants),
            Event::InitApply(object) => {
                let request = self.prepare(|state| {
                    let request = state.put_grant(&object)?;
                    state.candidate(&request).map(|_| request)
                });
                self.touch_if(request);
            }
            Event::InitDone => {
                let gone: Vec<Key> = self.read().grants.unseen().cloned().collect();
                for key in gone {
                    let request = self.prepare(|state| state.remove_grant(&key));
                    self.touch_if(request);
                }
                self.change(State::end_grants);
                return true;
            }
        }
        false
    }

    /// Forgets a request that cannot be decoded any more: it gives access to nobody.
    pub fn forget_request(&self, key: &Key) {
        self.change(|state| state.remove_request(key));
    }

    /// Forgets a grant that cannot be decoded any more: it grants nothing.
    pub fn forget_grant(&self, key: &Key) {
        let request = self.change(|state| state.remove_grant(key));
        self.touch_if(request);
    }

    fn touch_if(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.touch(key);
        }
    }

    /// Has controllers look at a request. Before there are any, nobody needs to.
    fn touch(&self, key: Key) {
        if let Some(touched) = self.touched.get() {
            // Without a receiver the server is about to end.
            let _: Result<(), mpsc::error::SendError<Key>> = touched.send(key);
        }
    }

    // A poisoned lock means a panic in one of the short functions of the state, which leave nothing
    // half done that could allow anything: every allow is read live.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells of it once that can be read.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = self.prepare(change);
        self.changes.send_replace(());
        changed
    }

    /// Changes something without telling yet. Every attempt that waits looks again at each change: a
    /// list of many objects is one.
    fn prepare<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}
