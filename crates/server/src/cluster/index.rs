//! All requests and grants, by namespace and user. Written by the one task that drains the watches; readers take
//! what they need under a short lock and never wait for the API server.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::{replace, take},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use api::{AccessGrant, AccessRequest, convert};
use decide::{
    access::{Grant, Request, Seal},
    identity::Person,
    standing::Candidate,
};
use kube::{ResourceExt as _, runtime::watcher::Event};
use tokio::sync::watch;
use tracing::warn;

/// Namespace and name of an object.
pub type Key = (String, String);

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    state: RwLock<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    requests: Requests,
    grants: Grants,
    /// What a new list has brought so far; it takes the place of the old one when it is complete.
    relisted_requests: Requests,
    relisted_grants: Grants,
}

#[derive(Debug, Default)]
struct Requests {
    by_name: HashMap<Key, Request>,
    /// Names of requests by namespace and user name.
    by_user: HashMap<Key, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Grants {
    /// By namespace and name of the request that they name, by their own name.
    by_request: HashMap<Key, BTreeMap<String, Grant>>,
    /// Which request a grant names, by the grant's namespace and name.
    grant_for: HashMap<Key, String>,
}

impl Index {
    /// The requests of a user in a namespace, each with the grants that name it.
    pub fn candidates(&self, namespace: &str, user: &Person) -> Vec<Candidate> {
        let state = self.read();
        let names = state.requests.by_user.get(&(namespace.to_owned(), user.name.clone()));
        names.into_iter().flatten().filter_map(|name| state.candidate(namespace, name)).collect()
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Every request, each with the grants that name it.
    pub fn all(&self) -> Vec<Candidate> {
        let state = self.read();
        state.requests.by_name.keys().filter_map(|(namespace, name)| state.candidate(namespace, name)).collect()
    }

    /// Takes an event of the watch on requests. True when a list has become complete.
    ///
    /// A list is built beside the one that readers use, and each object of it becomes what is kept of it at once: neither
    /// time under the lock nor memory grows with whole objects.
    pub fn apply_request(&self, event: Event<AccessRequest>) -> bool {
        match event {
            Event::Apply(object) => self.change(|state| state.requests.put(&object)),
            Event::Delete(object) => self.change(|state| state.requests.remove(&key(&object))),
            Event::Init => drop(self.change(|state| take(&mut state.relisted_requests))),
            Event::InitApply(object) => self.change(|state| state.relisted_requests.put(&object)),
            Event::InitDone => {
                // The old ones are dropped after the lock is gone.
                let _old = self.change(|state| replace(&mut state.requests, take(&mut state.relisted_requests)));
                return true;
            }
        }
        false
    }

    /// Takes an event of the watch on grants. True when a list has become complete.
    pub fn apply_grant(&self, event: Event<AccessGrant>) -> bool {
        match event {
            Event::Apply(object) => self.change(|state| state.grants.put(&object)),
            Event::Delete(object) => self.change(|state| state.grants.remove(&key(&object))),
            Event::Init => drop(self.change(|state| take(&mut state.relisted_grants))),
            Event::InitApply(object) => self.change(|state| state.relisted_grants.put(&object)),
            Event::InitDone => {
                let _old = self.change(|state| replace(&mut state.grants, take(&mut state.relisted_grants)));
                return true;
            }
        }
        false
    }

    /// Forgets a request that cannot be decoded any more: it gives access to nobody.
    pub fn forget_request(&self, key: &Key) {
        self.change(|state| state.requests.remove(key));
    }

    /// Forgets a grant that cannot be decoded any more: it grants nothing.
    pub fn forget_grant(&self, key: &Key) {
        self.change(|state| state.grants.remove(key));
    }

    // A poisoned lock means a panic in one of the short functions below, which leave nothing half done that could
    // allow anything: every allow is read live.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells of it once that can be read.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        changed
    }
}

impl State {
    fn candidate(&self, namespace: &str, name: &str) -> Option<Candidate> {
        let key = (namespace.to_owned(), name.to_owned());
        let request = self.requests.by_name.get(&key)?.clone();
        let grants =
            self.grants.by_request.get(&key).map(|grants| grants.values().cloned().collect()).unwrap_or_default();
        Some(Candidate { request, grants })
    }
}

impl Requests {
    fn put(&mut self, object: &AccessRequest) {
        let key = key(object);
        self.remove(&key);
        // Seals are looked at where objects are read live: memory only promises.
        match convert::request(object, Seal::Good) {
            Ok(request) => {
                let user = (key.0.clone(), request.user.name.clone());
                self.by_user.entry(user).or_default().insert(key.1.clone());
                self.by_name.insert(key, request);
            }
            Err(error) => {
                warn!(namespace = key.0, name = key.1, %error, "an AccessRequest that gives access to nobody");
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(request) = self.by_name.remove(key) else { return };
        let user = (key.0.clone(), request.user.name);
        if let Some(names) = self.by_user.get_mut(&user) {
            names.remove(&key.1);
            if names.is_empty() {
                self.by_user.remove(&user);
            }
        }
    }
}

impl Grants {
    fn put(&mut self, object: &AccessGrant) {
        let key = key(object);
        self.remove(&key);
        match convert::grant(object, Seal::Good) {
            Ok(grant) => {
                let request = (key.0.clone(), object.spec.grant_for.clone());
                self.by_request.entry(request).or_default().insert(key.1.clone(), grant);
                self.grant_for.insert(key, object.spec.grant_for.clone());
            }
            Err(error) => warn!(namespace = key.0, name = key.1, %error, "an AccessGrant that grants nothing"),
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(request) = self.grant_for.remove(key) else { return };
        let request = (key.0.clone(), request);
        if let Some(grants) = self.by_request.get_mut(&request) {
            grants.remove(&key.1);
            if grants.is_empty() {
                self.by_request.remove(&request);
            }
        }
    }
}

fn key(object: &impl kube::Resource<DynamicType = ()>) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(name: &str, user: &str) -> AccessRequest {
        object(&json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": "a", "uid": format!("{name}-uid"), "creationTimestamp": "2026-11-23T15:00:00Z"},
            "spec": {
                "userInfo": {"username": user},
                "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p"},
                "execOptions": {"command": ["date"]},
            },
        }))
    }

    fn grant(name: &str, grant_for: &str) -> AccessGrant {
        object(&json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
            "metadata": {"name": name, "namespace": "a", "uid": name, "creationTimestamp": "2026-11-23T15:00:00Z"},
            "spec": {"grantFor": grant_for}, "status": "granted",
        }))
    }

    fn object<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn of(index: &Index, user: &str) -> Vec<(String, Vec<String>)> {
        let person = Person { name: user.to_owned(), uid: None };
        let candidates = index.candidates("a", &person);
        candidates.into_iter().map(|c| (c.request.name, c.grants.into_iter().map(|g| g.name).collect())).collect()
    }

    #[test]
    fn a_grant_that_comes_before_its_request_is_found_with_it() {
        let index = Index::default();
        index.apply_grant(Event::Apply(grant("g", "ask")));
        assert!(of(&index, "jane").is_empty());
        index.apply_request(Event::Apply(request("ask", "jane")));
        assert_eq!(of(&index, "jane"), [("ask".to_owned(), vec!["g".to_owned()])]);
        assert!(of(&index, "bob").is_empty());
    }

    #[test]
    fn what_is_deleted_is_gone() {
        let index = Index::default();
        index.apply_request(Event::Apply(request("ask", "jane")));
        index.apply_grant(Event::Apply(grant("g", "ask")));
        index.apply_grant(Event::Delete(grant("g", "ask")));
        assert_eq!(of(&index, "jane"), [("ask".to_owned(), vec![])]);
        index.apply_request(Event::Delete(request("ask", "jane")));
        assert!(of(&index, "jane").is_empty() && index.all().is_empty());
    }

    #[test]
    fn a_new_list_replaces_the_old_one_only_when_it_is_complete() {
        let index = Index::default();
        index.apply_request(Event::Apply(request("old", "jane")));
        assert!(!index.apply_request(Event::Init));
        assert!(!index.apply_request(Event::InitApply(request("new", "jane"))));
        assert_eq!(of(&index, "jane")[0].0, "old");
        assert!(index.apply_request(Event::InitDone));
        assert_eq!(of(&index, "jane"), [("new".to_owned(), vec![])]);
    }

    #[test]
    fn what_cannot_be_understood_is_nobodys_and_stops_nobody() {
        let index = Index::default();
        index.apply_request(Event::Apply(request("ask", "jane")));
        let mut poison = request("poison", "jane");
        poison.spec.for_object.resource.resource = "services".to_owned();
        index.apply_request(Event::Apply(poison));
        assert_eq!(of(&index, "jane").len(), 1);
        let mut worse = request("ask", "jane");
        worse.spec.valid_for = Some("for ever".to_owned());
        index.apply_request(Event::Apply(worse));
        assert!(of(&index, "jane").is_empty(), "it was valid once, and is not any more");
    }

    #[test]
    fn a_request_that_cannot_be_decoded_takes_no_grant_of_that_name_with_it() {
        let index = Index::default();
        index.apply_request(Event::Apply(request("same", "jane")));
        index.apply_grant(Event::Apply(grant("same", "same")));
        index.forget_grant(&("a".to_owned(), "same".to_owned()));
        assert_eq!(of(&index, "jane"), [("same".to_owned(), vec![])]);
        index.forget_request(&("a".to_owned(), "same".to_owned()));
        assert!(of(&index, "jane").is_empty());
    }
}
