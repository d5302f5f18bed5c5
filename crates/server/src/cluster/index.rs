//! Requests and grants, by namespace and user. Written by the one task that drains the watches;
//! readers take what they need under a short lock and never wait for the API server.
//!
//! Of what is over only the newest few of each person are remembered whole, for denials that say
//! what became of them. Of the others only what clean-up needs is kept: nothing that anybody does
//! makes more than that of memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::{replace, take},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use api::{AccessGrant, AccessRequest, Phase, convert};
use decide::{
    access::{Grant, Request, Seal, Validity},
    identity::Person,
    standing::Candidate,
};
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::watcher::Event};
use tokio::sync::watch;
use tracing::warn;

/// Namespace and name of an object.
pub type Key = (String, String);

/// Maximum number of finished requests of one person that are remembered whole, over all
/// namespaces.
const MAX_OVER_WHOLE: usize = 20;

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
    /// Those that are over, and not remembered whole.
    finished: HashMap<Key, Finished>,
    /// What each person has, over all namespaces.
    people: HashMap<String, Share>,
}

/// What is kept of a request that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its UID.
    pub uid: String,
    /// Since when it is over; `None`: nothing came of it, and nobody needs it any more.
    pub since: Option<Timestamp>,
    user: String,
    /// How many bytes it takes where it is stored.
    size: usize,
    /// Whether it stays over whatever becomes of the policies: then nobody needs its grants.
    is_final: bool,
}

impl Finished {
    /// Whether a grant that names this request is of no use to anybody any more. By UID: the name
    /// may be another request's by now.
    fn needs_no(&self, grant: &Grant) -> bool {
        self.is_final && grant.request_uid.as_ref() == Some(&self.uid)
    }
}

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
    /// One request more, which is remembered whole.
    fn add(&mut self, size: usize) {
        self.add_over(size);
        self.bytes = self.bytes.saturating_add(size);
    }

    /// One request more, which is over and not remembered whole.
    fn add_over(&mut self, size: usize) {
        self.requests = self.requests.saturating_add(1);
        self.stored = self.stored.saturating_add(size);
    }

    /// One request less of this size, of which so much was remembered.
    fn remove(&mut self, size: usize, remembered: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(remembered);
        self.stored = self.stored.saturating_sub(size);
    }
}

#[derive(Debug, Default)]
struct Share {
    held: Held,
    /// Those that are over and remembered whole, the one first that something last came of longest
    /// ago, and since when.
    over: BTreeMap<(Timestamp, Key), End>,
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
        let names = state
            .requests
            .by_user
            .get(&(namespace.to_owned(), user.name.clone()));
        names
            .into_iter()
            .flatten()
            .filter_map(|name| state.candidate(namespace, name))
            .collect()
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The keys of all requests that are remembered whole.
    pub fn keys(&self) -> Vec<Key> {
        self.read().requests.by_name.keys().cloned().collect()
    }

    /// A request that is remembered whole, with the grants that name it.
    pub fn candidate(&self, (namespace, name): &Key) -> Option<Candidate> {
        self.read().candidate(namespace, name)
    }

    /// Those that were over by this time, of those that are not remembered whole.
    pub fn finished(&self, by: Timestamp) -> Vec<(Key, Finished)> {
        let state = self.read();
        let due = state
            .requests
            .finished
            .iter()
            .filter(|(_, one)| one.since.is_none_or(|since| since <= by));
        due.map(|(key, one)| (key.clone(), one.clone())).collect()
    }

    /// What a person has, over all namespaces.
    pub fn held(&self, user: &str) -> Held {
        self.read()
            .requests
            .people
            .get(user)
            .map(|share| share.held)
            .unwrap_or_default()
    }

    /// Takes an event of the watch on requests. True when a list has become complete.
    ///
    /// A list is built beside the one that readers use, and each object of it becomes what is kept
    /// of it at once: neither time under the lock nor memory grows with whole objects.
    pub fn apply_request(&self, event: Event<AccessRequest>) -> bool {
        match event {
            Event::Apply(object) => self.change(|state| {
                if let Some(shrunk) = state.requests.put(&object) {
                    state.grants.forget(&state.requests.finished, &shrunk);
                }
            }),
            Event::Delete(object) => self.change(|state| state.requests.remove(&key(&object))),
            Event::Init => drop(self.prepare(|state| take(&mut state.relisted_requests))),
            Event::InitApply(object) => {
                drop(self.prepare(|state| state.relisted_requests.put(&object)));
            }
            Event::InitDone => {
                // The old ones are dropped after the lock is gone.
                let _old = self.change(|state| {
                    let old = replace(&mut state.requests, take(&mut state.relisted_requests));
                    state.forget_needless_grants();
                    old
                });
                return true;
            }
        }
        false
    }

    /// Takes an event of the watch on grants. True when a list has become complete.
    pub fn apply_grant(&self, event: Event<AccessGrant>) -> bool {
        match event {
            Event::Apply(object) => {
                self.change(|state| state.grants.put(&object, &state.requests.finished));
            }
            Event::Delete(object) => self.change(|state| state.grants.remove(&key(&object))),
            Event::Init => drop(self.prepare(|state| take(&mut state.relisted_grants))),
            Event::InitApply(object) => {
                self.prepare(|state| state.relisted_grants.put(&object, &state.requests.finished));
            }
            Event::InitDone => {
                // Some may have become needless while the list came.
                let _old = self.change(|state| {
                    let old = replace(&mut state.grants, take(&mut state.relisted_grants));
                    state.forget_needless_grants();
                    old
                });
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

    // A poisoned lock means a panic in one of the short functions below, which leave nothing half
    // done that could allow anything: every allow is read live.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells of it once that can be read.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = self.prepare(change);
        self.changes.send_replace(());
        changed
    }

    /// Changes what nobody reads yet. Every attempt that waits looks again at each change: a list of
    /// many objects is one.
    fn prepare<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn forget_needless_grants(&mut self) {
        for key in self.requests.finished.keys() {
            self.grants.forget(&self.requests.finished, key);
        }
    }

    fn candidate(&self, namespace: &str, name: &str) -> Option<Candidate> {
        let key = (namespace.to_owned(), name.to_owned());
        let request = self.requests.by_name.get(&key)?.clone();
        let grants = self
            .grants
            .by_request
            .get(&key)
            .map(|grants| grants.values().cloned().collect())
            .unwrap_or_default();
        Some(Candidate { request, grants })
    }
}

impl Requests {
    /// Takes a request as it is now. Answers with one that is no more remembered whole.
    fn put(&mut self, object: &AccessRequest) -> Option<Key> {
        let key = key(object);
        self.remove(&key);
        // Seals are looked at where objects are read live: memory only promises.
        match convert::request(object, Seal::Good) {
            Ok(request) => {
                let over = over(object, &request);
                self.remember(key, request, over)
            }
            Err(error) => {
                warn!(namespace = key.0, name = key.1, %error, "an AccessRequest that gives access to nobody");
                None
            }
        }
    }

    fn remember(&mut self, key: Key, request: Request, over: Option<End>) -> Option<Key> {
        let share = self.people.entry(request.user.name.clone()).or_default();
        share.held.add(request.size);
        if let Some(over) = over {
            share.over.insert((last_event(&request), key.clone()), over);
        }
        let oldest = if share.over.len() > MAX_OVER_WHOLE {
            share.over.pop_first()
        } else {
            None
        };
        self.by_user
            .entry((key.0.clone(), request.user.name.clone()))
            .or_default()
            .insert(key.1.clone());
        self.by_name.insert(key, request);
        let ((_, oldest), over) = oldest?;
        self.shrink(&oldest, over);
        Some(oldest)
    }

    /// Keeps of a request that is over what clean-up needs.
    fn shrink(&mut self, key: &Key, End { since, is_final }: End) {
        let Some(request) = self.take(key) else {
            return;
        };
        let share = self.people.entry(request.user.name.clone()).or_default();
        share.held.add_over(request.size);
        self.finished.insert(
            key.clone(),
            Finished {
                uid: request.uid,
                since,
                user: request.user.name,
                size: request.size,
                is_final,
            },
        );
    }

    fn remove(&mut self, key: &Key) {
        drop(self.take(key));
        if let Some(finished) = self.finished.remove(key) {
            self.less(&finished.user, finished.size, 0);
        }
    }

    /// Takes out one that is remembered whole.
    fn take(&mut self, key: &Key) -> Option<Request> {
        let request = self.by_name.remove(key)?;
        let user = (key.0.clone(), request.user.name.clone());
        if let Some(names) = self.by_user.get_mut(&user) {
            names.remove(&key.1);
            if names.is_empty() {
                self.by_user.remove(&user);
            }
        }
        if let Some(share) = self.people.get_mut(&request.user.name) {
            share.over.remove(&(last_event(&request), key.clone()));
        }
        self.less(&request.user.name, request.size, request.size);
        Some(request)
    }

    /// One request less of a person, of this size, of which so much was remembered.
    fn less(&mut self, user: &str, size: usize, remembered: usize) {
        let Some(share) = self.people.get_mut(user) else {
            return;
        };
        share.held.remove(size, remembered);
        if share.held.requests == 0 {
            self.people.remove(user);
        }
    }
}

/// That a request is over.
#[derive(Debug, Clone, Copy)]
struct End {
    /// Since when, see [`over_since`].
    since: Option<Timestamp>,
    /// Whether no policy that goes can make it give access again.
    is_final: bool,
}

/// Whether a request is over, by what the server has written into its status; `None`: it may give
/// access, or could again as soon as a policy that forbids it is gone. An emergency that nobody has
/// reviewed is not over.
///
/// An access that a policy cut short is over as long as the policy stands: the status says when it
/// is not, and its grants are kept until then.
fn over(object: &AccessRequest, request: &Request) -> Option<End> {
    let is_final =
        request.denied.is_some() || object.phase() == Phase::Used && !request.uses.is_empty();
    let is_over = is_final || object.phase() == Phase::Expired;
    (is_over && !object.is_unreviewed()).then(|| End {
        since: over_since(object, request),
        is_final,
    })
}

/// Since when a request is over, or earlier; `None`: nothing came of it, and nobody needs it any
/// more. Clean-up looks at the live one before it deletes it.
fn over_since(object: &AccessRequest, request: &Request) -> Option<Timestamp> {
    let status = object.status.as_ref();
    let answered = status
        .is_some_and(|status| !status.granted_by.is_empty() || status.granted_by_policy.is_some());
    let lasted = answered && request.validity != Validity::Once;
    let happened =
        !request.uses.is_empty() || request.denied.is_some() || request.reviewed.is_some();
    (happened || lasted).then(|| last_event(request))
}

/// When something last came of a request: who has added a debug container attaches to it after
/// that.
fn last_event(request: &Request) -> Timestamp {
    let used = request.uses.iter().map(|one| one.at);
    let denied = request.denied.iter().map(|denial| denial.at);
    let reviewed = request.reviewed.iter().map(|reviewed| reviewed.at);
    used.chain(denied)
        .chain(reviewed)
        .max()
        .unwrap_or(request.created)
}

impl Grants {
    fn put(&mut self, object: &AccessGrant, finished: &HashMap<Key, Finished>) {
        let key = key(object);
        self.remove(&key);
        match convert::grant(object, Seal::Good) {
            Ok(grant) => {
                let request = (key.0.clone(), object.spec.grant_for.clone());
                if finished
                    .get(&request)
                    .is_some_and(|over| over.needs_no(&grant))
                {
                    return;
                }
                self.by_request
                    .entry(request)
                    .or_default()
                    .insert(key.1.clone(), grant);
                self.grant_for.insert(key, object.spec.grant_for.clone());
            }
            Err(error) => {
                warn!(namespace = key.0, name = key.1, %error, "an AccessGrant that grants nothing");
            }
        }
    }

    /// Forgets the grants of a request of which only what clean-up needs is kept.
    fn forget(&mut self, finished: &HashMap<Key, Finished>, request: &Key) {
        let Some(over) = finished.get(request) else {
            return;
        };
        let Some(grants) = self.by_request.get_mut(request) else {
            return;
        };
        let mut gone = Vec::new();
        grants.retain(|name, grant| {
            let needless = over.needs_no(grant);
            if needless {
                gone.push((request.0.clone(), name.clone()));
            }
            !needless
        });
        if grants.is_empty() {
            self.by_request.remove(request);
        }
        for key in gone {
            self.grant_for.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(request) = self.grant_for.remove(key) else {
            return;
        };
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

    // K14
    #[test]
    fn a_list_wakes_whoever_waits_once_and_not_for_each_of_its_objects() {
        let index = Index::default();
        let mut changes = index.changes();
        for event in [
            Event::Init,
            Event::InitApply(request("one", "jane")),
            Event::InitApply(request("two", "jane")),
        ] {
            assert!(!index.apply_request(event));
            assert!(!changes.has_changed().unwrap());
        }
        assert!(index.apply_request(Event::InitDone));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        index.apply_grant(Event::Init);
        index.apply_grant(Event::InitApply(grant("g", "one")));
        assert!(!changes.has_changed().unwrap());
        index.apply_grant(Event::InitDone);
        assert!(changes.has_changed().unwrap());
    }

    fn of(index: &Index, user: &str) -> Vec<(String, Vec<String>)> {
        let person = Person {
            name: user.to_owned(),
            uid: None,
        };
        let candidates = index.candidates("a", &person);
        candidates
            .into_iter()
            .map(|c| {
                (
                    c.request.name,
                    c.grants.into_iter().map(|g| g.name).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn a_grant_that_comes_before_its_request_is_found_with_it() {
        let index = Index::default();
        index.apply_grant(Event::Apply(grant("g", "ask")));
        assert!(of(&index, "jane").is_empty());
        index.apply_request(Event::Apply(request("ask", "jane")));
        assert_eq!(
            of(&index, "jane"),
            [("ask".to_owned(), vec!["g".to_owned()])]
        );
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
        assert!(of(&index, "jane").is_empty() && index.keys().is_empty());
    }

    /// One that was used, with this many seconds after the first.
    fn used(number: usize) -> AccessRequest {
        let mut request = request(&format!("ask-{number:04}"), "jane");
        let at: Timestamp = "2026-11-23T15:00:00Z".parse().unwrap();
        let at = at
            .checked_add(jiff::SignedDuration::from_secs(
                i64::try_from(number).unwrap(),
            ))
            .unwrap();
        request.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        request.status = Some(object(&json!({
            "phase": "Used", "uses": [{"reviewUID": "r", "at": at.to_string(), "pod": "p", "podUID": "u", "container": "c"}],
        })));
        request
    }

    // K4
    #[test]
    fn of_what_is_over_the_newest_few_are_whole_and_the_others_are_what_clean_up_needs() {
        let index = Index::default();
        for number in 0..1000 {
            let mut answer = grant(&format!("grant-{number:04}"), &format!("ask-{number:04}"));
            answer.spec.request_uid = Some(format!("ask-{number:04}-uid"));
            index.apply_grant(Event::Apply(answer.clone()));
            index.apply_request(Event::Apply(used(number)));
            // Also where the grant is shown again after that.
            index.apply_grant(Event::Apply(answer));
        }
        let whole = of(&index, "jane");
        assert_eq!(whole.len(), MAX_OVER_WHOLE);
        assert_eq!(
            whole[0],
            ("ask-0980".to_owned(), vec!["grant-0980".to_owned()])
        );
        let size = convert::request(&used(0), Seal::Good).unwrap().size;
        let held = Held {
            requests: 1000,
            bytes: MAX_OVER_WHOLE * size,
            stored: 1000 * size,
        };
        assert_eq!(index.held("jane"), held);
        assert_eq!(index.read().grants.grant_for.len(), MAX_OVER_WHOLE);
        let by = "2026-11-23T15:00:09Z".parse().unwrap();
        let mut due: Vec<String> = index
            .finished(by)
            .into_iter()
            .map(|((_, name), _)| name)
            .collect();
        due.sort();
        assert_eq!(due.len(), 10, "{due:?}");
        // What waits is whole, however much is over.
        index.apply_request(Event::Apply(request("new", "jane")));
        assert!(of(&index, "jane").iter().any(|(name, _)| name == "new"));
        for number in 0..1000 {
            index.apply_request(Event::Delete(used(number)));
        }
        index.apply_request(Event::Delete(request("new", "jane")));
        assert_eq!(
            (index.held("jane"), index.finished(Timestamp::MAX)),
            (Held::default(), Vec::new())
        );
        assert!(index.read().requests.people.is_empty());
    }

    // K4
    #[test]
    fn grants_of_the_originals_client_are_forgotten_with_their_requests_too() {
        let index = Index::default();
        let mut answer = grant("g", "ask-0000");
        answer.metadata.owner_references = object(&json!([
            {"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": "ask-0000", "uid": "ask-0000-uid"},
        ]));
        index.apply_grant(Event::Init);
        index.apply_grant(Event::InitApply(answer.clone()));
        for number in 0..=MAX_OVER_WHOLE {
            index.apply_request(Event::Apply(used(number)));
        }
        index.apply_grant(Event::InitDone);
        assert!(index.read().grants.grant_for.is_empty());
        index.apply_grant(Event::Apply(answer));
        assert!(index.read().grants.grant_for.is_empty());
    }

    #[test]
    fn what_was_used_last_is_whole_however_long_ago_it_was_filed() {
        let index = Index::default();
        for number in 1..100 {
            index.apply_request(Event::Apply(used(number)));
        }
        let mut old = used(0);
        old.metadata.name = Some("filed-first".to_owned());
        old.status.as_mut().unwrap().uses[0].at.0 = "2026-11-24T15:00:00Z".parse().unwrap();
        index.apply_request(Event::Apply(old));
        assert!(
            of(&index, "jane")
                .iter()
                .any(|(name, _)| name == "filed-first"),
            "an attach may follow"
        );
    }

    #[test]
    fn what_a_policy_forbids_or_cuts_short_comes_back_with_its_grants_when_the_policy_goes() {
        for phase in ["Denied", "Expired"] {
            let index = Index::default();
            let mut lasting = request("lasting", "jane");
            lasting.spec.valid_for = Some("8h".to_owned());
            let mut answer = grant("g", "lasting");
            answer.spec.request_uid = Some("lasting-uid".to_owned());
            let in_phase = |phase: &str| {
                let mut request = lasting.clone();
                request.status = Some(object(&json!({"phase": phase, "grantedBy": ["amy"]})));
                Event::Apply(request)
            };
            index.apply_request(in_phase("Granted"));
            index.apply_grant(Event::Apply(answer.clone()));
            for number in 0..100 {
                index.apply_request(Event::Apply(used(number)));
            }
            index.apply_request(in_phase(phase));
            // A new list of grants meanwhile, too.
            index.apply_grant(Event::Init);
            index.apply_grant(Event::InitApply(answer));
            index.apply_grant(Event::InitDone);
            index.apply_request(in_phase("Granted"));
            assert!(
                of(&index, "jane").contains(&("lasting".to_owned(), vec!["g".to_owned()])),
                "{phase}"
            );
        }
    }

    #[test]
    fn a_request_of_the_name_of_one_that_is_over_keeps_its_grants() {
        let index = Index::default();
        for number in 0..=MAX_OVER_WHOLE {
            index.apply_request(Event::Apply(used(number)));
        }
        assert_eq!(index.finished(Timestamp::MAX).len(), 1);
        let mut answer = grant("g", "ask-0000");
        answer.spec.request_uid = Some("another".to_owned());
        index.apply_grant(Event::Apply(answer));
        index.apply_request(Event::Delete(used(0)));
        let mut again = request("ask-0000", "jane");
        again.metadata.uid = Some("another".to_owned());
        index.apply_request(Event::Apply(again));
        assert!(of(&index, "jane").contains(&("ask-0000".to_owned(), vec!["g".to_owned()])));
    }

    #[test]
    fn an_emergency_that_nobody_reviewed_is_whole_however_old() {
        let index = Index::default();
        let mut emergency = used(0);
        let policy = json!({"name": "night", "uid": "p", "generation": 1});
        let mark = json!({"policy": policy, "since": "2026-11-23T15:00:00Z", "reviewBy": "2026-11-24T15:00:00Z"});
        emergency.status.as_mut().unwrap().emergency = Some(object(&mark));
        index.apply_request(Event::Apply(emergency));
        for number in 1..100 {
            index.apply_request(Event::Apply(used(number)));
        }
        assert_eq!(of(&index, "jane").len(), MAX_OVER_WHOLE + 1);
        assert_eq!(of(&index, "jane")[0].0, "ask-0000");
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
        assert!(
            of(&index, "jane").is_empty(),
            "it was valid once, and is not any more"
        );
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
