//! All requests and grants, by namespace and user. Written by the one task that drains the watches; readers take
//! what they need under a short lock and never wait for the API server.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use api::{AccessGrant, AccessRequest, convert};
use decide::{
    access::{Candidate, Grant, Request},
    identity::Person,
};
use kube::{ResourceExt as _, runtime::watcher::Event};
use tracing::warn;

/// Namespace and name of an object.
pub type Key = (String, String);

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: HashMap<Key, Request>,
    /// Names of requests by namespace and user name.
    by_user: HashMap<Key, BTreeSet<String>>,
    /// Grants by namespace and name of the request that they name, by their own name.
    grants: HashMap<Key, BTreeMap<String, Grant>>,
    /// Which request a grant names, by the grant's namespace and name.
    grant_for: HashMap<Key, String>,
    /// What a new list has brought so far; it replaces the old one when it is complete.
    relisted_requests: Option<Vec<AccessRequest>>,
    relisted_grants: Option<Vec<AccessGrant>>,
}

impl Index {
    /// The requests of a user in a namespace, each with the grants that name it.
    pub fn candidates(&self, namespace: &str, user: &Person) -> Vec<Candidate> {
        let state = self.read();
        let names = state.by_user.get(&(namespace.to_owned(), user.name.clone()));
        names.into_iter().flatten().filter_map(|name| state.candidate(namespace, name)).collect()
    }

    /// Every request, each with the grants that name it.
    pub fn all(&self) -> Vec<Candidate> {
        let state = self.read();
        state.requests.keys().filter_map(|(namespace, name)| state.candidate(namespace, name)).collect()
    }

    /// Takes an event of the watch on requests. True when a list has become complete.
    pub fn apply_request(&self, event: Event<AccessRequest>) -> bool {
        let mut state = self.write();
        match event {
            Event::Apply(request) => state.put_request(&request),
            Event::Delete(request) => state.remove_request(&key(&request)),
            Event::Init => state.relisted_requests = Some(Vec::new()),
            Event::InitApply(request) => state.relisted_requests.get_or_insert_default().push(request),
            Event::InitDone => {
                let all = state.relisted_requests.take().unwrap_or_default();
                state.requests.clear();
                state.by_user.clear();
                for request in &all {
                    state.put_request(request);
                }
                return true;
            }
        }
        false
    }

    /// Takes an event of the watch on grants. True when a list has become complete.
    pub fn apply_grant(&self, event: Event<AccessGrant>) -> bool {
        let mut state = self.write();
        match event {
            Event::Apply(grant) => state.put_grant(&grant),
            Event::Delete(grant) => state.remove_grant(&key(&grant)),
            Event::Init => state.relisted_grants = Some(Vec::new()),
            Event::InitApply(grant) => state.relisted_grants.get_or_insert_default().push(grant),
            Event::InitDone => {
                let all = state.relisted_grants.take().unwrap_or_default();
                state.grants.clear();
                state.grant_for.clear();
                for grant in &all {
                    state.put_grant(grant);
                }
                return true;
            }
        }
        false
    }

    /// Forgets a request that cannot be decoded any more: it gives access to nobody.
    pub fn forget_request(&self, key: &Key) {
        self.write().remove_request(key);
    }

    /// Forgets a grant that cannot be decoded any more: it grants nothing.
    pub fn forget_grant(&self, key: &Key) {
        self.write().remove_grant(key);
    }

    // A poisoned lock means a panic in one of the short functions below, which leave nothing half done that could
    // allow anything: every allow is read live.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn candidate(&self, namespace: &str, name: &str) -> Option<Candidate> {
        let key = (namespace.to_owned(), name.to_owned());
        let request = self.requests.get(&key)?.clone();
        let grants = self.grants.get(&key).map(|grants| grants.values().cloned().collect()).unwrap_or_default();
        Some(Candidate { request, grants })
    }

    fn put_request(&mut self, object: &AccessRequest) {
        let key = key(object);
        self.remove_request(&key);
        match convert::request(object) {
            Ok(request) => {
                let user = (key.0.clone(), request.user.name.clone());
                self.by_user.entry(user).or_default().insert(key.1.clone());
                self.requests.insert(key, request);
            }
            Err(error) => {
                warn!(namespace = key.0, name = key.1, %error, "an AccessRequest that gives access to nobody");
            }
        }
    }

    fn remove_request(&mut self, key: &Key) {
        let Some(request) = self.requests.remove(key) else { return };
        let user = (key.0.clone(), request.user.name);
        if let Some(names) = self.by_user.get_mut(&user) {
            names.remove(&key.1);
            if names.is_empty() {
                self.by_user.remove(&user);
            }
        }
    }

    fn put_grant(&mut self, object: &AccessGrant) {
        let key = key(object);
        self.remove_grant(&key);
        match convert::grant(object) {
            Ok(grant) => {
                let request = (key.0.clone(), object.spec.grant_for.clone());
                self.grants.entry(request).or_default().insert(key.1.clone(), grant);
                self.grant_for.insert(key, object.spec.grant_for.clone());
            }
            Err(error) => warn!(namespace = key.0, name = key.1, %error, "an AccessGrant that grants nothing"),
        }
    }

    fn remove_grant(&mut self, key: &Key) {
        let Some(request) = self.grant_for.remove(key) else { return };
        let request = (key.0.clone(), request);
        if let Some(grants) = self.grants.get_mut(&request) {
            grants.remove(&key.1);
            if grants.is_empty() {
                self.grants.remove(&request);
            }
        }
    }
}

fn key(object: &impl kube::Resource<DynamicType = ()>) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}
