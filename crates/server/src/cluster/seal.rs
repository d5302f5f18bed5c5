//! Seals: proof that a request, a grant or a policy was admitted by a server with our key, and has
//! not changed since.
//!
//! While our webhooks are away, whoever may create such objects could write anything into them.
//! What was written then has no seal, or a wrong one: when we are back it permits nothing, and what
//! it forbids stays forbidden.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use api::{AccessGrant, AccessPolicy, AccessRequest, contract::annotations::SEAL, objects};
use arc_swap::ArcSwap;
use decide::access;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use ring::{digest, hmac};
use serde::Serialize;
use tokio::sync::watch;

pub use super::keys::KeysError;
use super::keys::{Keys, SealKey, What};

/// A new object has no UID before it is stored. So its seal says when it was sealed, and is one for
/// what was created at that time only: nothing that was seen before can be stored again. Clocks
/// differ, and other webhooks take their time.
const CREATED_WITHIN: SignedDuration = SignedDuration::from_mins(2);

/// Whatever else is ever signed with a key must begin otherwise.
const GRANT: &str = "kube-request-access grant v1";
const REQUEST: &str = "kube-request-access request v1";
const POLICY: &str = "kube-request-access policy v1";

/// What seals, and looks at seals.
#[derive(Debug)]
pub struct Sealer {
    file: Option<PathBuf>,
    keys: ArcSwap<Keys>,
    changed: watch::Sender<()>,
}

/// What the seal of an object proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// Admitted by a server with our key, or this server seals nothing.
    Newest,
    /// The same, with a key that is no longer the first one.
    Older,
    /// It was not, or not with this content.
    Not,
}

impl Sealed {
    /// Whether it counts.
    pub fn is_good(self) -> bool {
        self != Self::Not
    }
}

impl From<Sealed> for access::Seal {
    fn from(sealed: Sealed) -> Self {
        if sealed.is_good() {
            Self::Good
        } else {
            Self::Broken
        }
    }
}

/// The keys that were believed at a time. Equal while no others are.
#[derive(Clone)]
pub struct KeySet(Arc<Keys>);

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Sealer {
    /// One that seals with the keys of a file.
    ///
    /// # Errors
    /// The file cannot be read, or has no key or a short one.
    pub fn load(file: PathBuf) -> Result<Self, KeysError> {
        let keys = ArcSwap::from_pointee(Keys::read(&file)?);
        Ok(Self {
            file: Some(file),
            keys,
            changed: watch::channel(()).0,
        })
    }

    /// One that seals nothing and believes everything.
    pub fn off() -> Self {
        Self {
            file: None,
            keys: ArcSwap::default(),
            changed: watch::channel(()).0,
        }
    }

    /// Whether it seals.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the keys again. One that is no more in the file is believed until [`Renewal::done`].
    ///
    /// # Errors
    /// As [`Self::load`]; then those from before stay in use.
    pub fn reload(&self) -> Result<(), KeysError> {
        if let Some(file) = &self.file {
            let read = Keys::read(file)?;
            self.keys.rcu(|before| read.clone().after(before));
            self.changed.send_replace(());
        }
        Ok(())
    }

    /// The keys that are believed now, to tell whether others are later.
    pub fn key_set(&self) -> KeySet {
        KeySet(self.keys.load_full())
    }

    /// Tells of every change of the keys.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What has to be sealed anew before older keys can go; `None` where there is one key.
    pub fn renewal(&self) -> Option<Renewal<'_>> {
        let keys = self.keys.load_full();
        keys.is_more_than_one()
            .then_some(Renewal { sealer: self, keys })
    }

    /// A tag of something that is no object, which begins with a purpose of its own; `None` where
    /// there is no key.
    pub fn tag(&self, content: &[u8]) -> Option<String> {
        self.sign(What::Policy, content)
    }

    /// Whether one of our keys made that tag of it, in whichever epoch.
    pub fn is_tag(&self, content: &[u8], tag: &str) -> bool {
        let Some(tag) = unhex(tag) else { return false };
        let keys = self.keys.load();
        keys.newest()
            .into_iter()
            .chain(keys.older())
            .any(|key| hmac::verify(key.of(What::Policy), content, &tag).is_ok())
    }

    /// The seal of an answer to a request; `None` where nothing is sealed.
    pub fn seal_grant(
        &self,
        grant: &AccessGrant,
        request: &AccessRequest,
        at: Timestamp,
    ) -> Option<objects::Seal> {
        // Kubernetes writes whole seconds.
        let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
        let mac = self.sign(What::Access, &of_grant(grant, request, &at)?)?;
        Some(objects::Seal { at, mac })
    }

    /// The seal of a request that is created now; `None` where nothing is sealed.
    pub fn seal_request(&self, request: &AccessRequest, at: Timestamp) -> Option<String> {
        let at = Time(at);
        self.mark(What::Access, &at, &of_request(request, &at)?)
    }

    /// The seal of a policy that has this generation once it is stored, and was or is created then;
    /// `None` where nothing is sealed.
    pub fn seal_policy(
        &self,
        policy: &AccessPolicy,
        generation: i64,
        created: Timestamp,
    ) -> Option<String> {
        let at = Time(created);
        self.mark(What::Policy, &at, &of_policy(policy, generation, &at)?)
    }

    /// The seal of a grant under the key that seals now; `None` where it has none that is good.
    pub fn renew_grant(&self, grant: &AccessGrant, request: &AccessRequest) -> Option<String> {
        let at = &grant.spec.seal.as_ref()?.at;
        self.mark(What::Access, at, &of_grant(grant, request, at)?)
            .filter(|_| self.grant(grant, request).is_good())
    }

    /// The same of a request.
    pub fn renew_request(&self, request: &AccessRequest) -> Option<String> {
        let Mark { at, .. } = Mark::of(&request.metadata)?;
        self.mark(What::Access, &at, &of_request(request, &at)?)
            .filter(|_| self.request(request).is_good())
    }

    /// The same of a policy.
    pub fn renew_policy(&self, policy: &AccessPolicy) -> Option<String> {
        let (Mark { at, .. }, generation) =
            (Mark::of(&policy.metadata)?, policy.metadata.generation?);
        self.mark(What::Policy, &at, &of_policy(policy, generation, &at)?)
            .filter(|_| self.policy(policy).is_good())
    }

    /// What the seal of a grant proves about it and the request that it names.
    pub fn grant(&self, grant: &AccessGrant, request: &AccessRequest) -> Sealed {
        let first = grant.spec.seal.as_ref().and_then(|seal| {
            Some(Mark {
                at: seal.at.clone(),
                mac: unhex(&seal.mac)?,
            })
        });
        // Since when it counts stands in the spec.
        let renewed = Mark::of(&grant.metadata)
            .filter(|mark| first.as_ref().is_some_and(|first| first.at == mark.at));
        let marks = first.into_iter().chain(renewed);
        self.look(What::Access, marks, |at| of_grant(grant, request, at))
    }

    /// What the seal of a request proves about it.
    pub fn request(&self, request: &AccessRequest) -> Sealed {
        self.look(What::Access, created_then(&request.metadata), |at| {
            of_request(request, at)
        })
    }

    /// What the seal of a policy proves about it.
    pub fn policy(&self, policy: &AccessPolicy) -> Sealed {
        let generation = policy.metadata.generation.unwrap_or_default();
        self.look(What::Policy, created_then(&policy.metadata), |at| {
            of_policy(policy, generation, at)
        })
    }

    fn sign(&self, what: What, content: &[u8]) -> Option<String> {
        let keys = self.keys.load();
        Some(hex(hmac::sign(keys.newest()?.of(what), content).as_ref()))
    }

    fn mark(&self, what: What, at: &Time, content: &[u8]) -> Option<String> {
        Some(format!("{} {}", at.0, self.sign(what, content)?))
    }

    /// What the best of some marks proves of what `content` makes of its time.
    fn look(
        &self,
        what: What,
        marks: impl IntoIterator<Item = Mark>,
        content: impl Fn(&Time) -> Option<Vec<u8>>,
    ) -> Sealed {
        if !self.is_on() {
            return Sealed::Newest;
        }
        let proofs: Vec<_> = marks
            .into_iter()
            .filter_map(|mark| Some((content(&mark.at)?, mark.mac)))
            .collect();
        let good = |key: &SealKey| {
            proofs
                .iter()
                .any(|(content, mac)| hmac::verify(key.of(what), content, mac).is_ok())
        };
        let keys = self.keys.load();
        match keys.newest() {
            Some(newest) if good(newest) => Sealed::Newest,
            _ if keys.older().any(good) => Sealed::Older,
            _ => Sealed::Not,
        }
    }
}

/// What has a good seal under an older key is to be sealed anew.
#[derive(Debug)]
pub struct Renewal<'a> {
    sealer: &'a Sealer,
    keys: Arc<Keys>,
}

impl Renewal<'_> {
    /// Nothing counts by an older key alone any more: those that the file has no more are
    /// forgotten, unless it changed meanwhile.
    pub fn done(self) {
        if self.keys.is_retiring() {
            self.sealer
                .keys
                .compare_and_swap(&self.keys, Arc::new(self.keys.retired()));
        }
    }
}

/// A seal as an object carries it.
#[derive(Debug)]
struct Mark {
    at: Time,
    mac: Vec<u8>,
}

impl Mark {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let (at, mac) = annotated(metadata)?.split_once(' ')?;
        Some(Self {
            at: Time(at.parse().ok()?),
            mac: unhex(mac)?,
        })
    }
}

/// The mark of an object that was created when it was sealed.
fn created_then(metadata: &ObjectMeta) -> Option<Mark> {
    let created = metadata.creation_timestamp.as_ref()?.0;
    Mark::of(metadata).filter(|mark| created.duration_since(mark.at.0).abs() <= CREATED_WITHIN)
}

/// What stands in the annotation of an object.
pub fn annotated(metadata: &ObjectMeta) -> Option<&str> {
    metadata.annotations.as_ref()?.get(SEAL).map(String::as_str)
}

/// Everything that a seal of a grant vouches for, so that no two different answers have the same
/// bytes. `None` where the request has no UID, so that it is none that is stored.
fn of_grant(grant: &AccessGrant, request: &AccessRequest, at: &Time) -> Option<Vec<u8>> {
    let fields = (
        (
            GRANT,
            &request.metadata.namespace,
            &request.metadata.name,
            request.metadata.uid.as_ref()?,
        ),
        digested(&request.spec)?,
        (
            &grant.metadata.namespace,
            &grant.spec.grant_for,
            &grant.spec.request_uid,
            &grant.spec.granted_by,
        ),
        (&grant.spec.valid_for, &grant.spec.reason, &grant.status, at),
    );
    serde_json::to_vec(&fields).ok()
}

/// The same of a request. Its name may not be known yet when it is sealed (`generateName`).
fn of_request(request: &AccessRequest, at: &Time) -> Option<Vec<u8>> {
    serde_json::to_vec(&(
        REQUEST,
        request.metadata.namespace.as_ref()?,
        digested(&request.spec)?,
        at,
    ))
    .ok()
}

/// The same of a policy. By its generation no older content of it comes back.
fn of_policy(policy: &AccessPolicy, generation: i64, at: &Time) -> Option<Vec<u8>> {
    serde_json::to_vec(&(POLICY, generation, digested(&policy.spec)?, at)).ok()
}

fn digested(spec: &impl Serialize) -> Option<String> {
    Some(hex(digest::digest(
        &digest::SHA256,
        &serde_json::to_vec(spec).ok()?,
    )
    .as_ref()))
}

/// In hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs
        .map(|pair| {
            pair.iter()
                .fold(0_u8, |byte, digit| byte.wrapping_shl(4) | digit)
        })
        .collect();
    whole.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sealer(keys: &str) -> Sealer {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, keys).unwrap();
        Sealer::load(file).unwrap()
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OLD: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    fn request() -> Value {
        json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": "ask", "namespace": "a", "uid": "ask-1"},
            "spec": {
                "userInfo": {"username": "jane"}, "validFor": "1h",
                "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p", "uid": "u"},
                "execOptions": {"command": ["date"], "container": "c"},
            },
        })
    }

    fn grant() -> Value {
        json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": "g", "namespace": "a"},
            "spec": {"grantFor": "ask", "requestUID": "ask-1", "grantedBy": {"username": "amy"}, "validFor": "10m"},
            "status": "granted",
        })
    }

    fn checked(sealer: &Sealer, grant: &Value, request: &Value) -> access::Seal {
        looked_at(sealer, grant, request).into()
    }

    fn looked_at(sealer: &Sealer, grant: &Value, request: &Value) -> Sealed {
        sealer.grant(
            &serde_json::from_value(grant.clone()).unwrap(),
            &serde_json::from_value(request.clone()).unwrap(),
        )
    }

    fn sealed(sealer: &Sealer) -> Value {
        let mut object: AccessGrant = serde_json::from_value(grant()).unwrap();
        let request: AccessRequest = serde_json::from_value(request()).unwrap();
        object.spec.seal = sealer.seal_grant(
            &object,
            &request,
            "2026-11-23T15:00:00.123456789Z".parse().unwrap(),
        );
        serde_json::to_value(object).unwrap()
    }

    #[test]
    fn a_sealed_grant_is_believed_and_an_unsealed_one_is_not() {
        let sealer = sealer(KEY);
        assert_eq!(
            checked(&sealer, &sealed(&sealer), &request()),
            access::Seal::Good
        );
        assert_eq!(checked(&sealer, &grant(), &request()), access::Seal::Broken);
        assert_eq!(
            checked(&Sealer::off(), &grant(), &request()),
            access::Seal::Good
        );
    }

    // B5, D10
    #[rstest]
    #[case::by_somebody_else("grant", "/spec/grantedBy/username", json!("eve"))]
    #[case::with_other_groups("grant", "/spec/grantedBy/groups", json!(["sre"]))]
    #[case::for_longer("grant", "/spec/validFor", json!("1h"))]
    #[case::without_an_end("grant", "/spec/validFor", json!(null))]
    #[case::granted_instead("grant", "/status", json!("denied"))]
    #[case::for_another_uid("grant", "/spec/requestUID", json!("ask-2"))]
    #[case::for_another_name("grant", "/spec/grantFor", json!("other"))]
    #[case::elsewhere("grant", "/metadata/namespace", json!("b"))]
    #[case::later("grant", "/spec/seal/at", json!("2026-11-23T16:00:00Z"))]
    #[case::no_digits("grant", "/spec/seal/mac", json!("zz"))]
    #[case::nothing("grant", "/spec/seal/mac", json!(""))]
    #[case::of_another_command("request", "/spec/execOptions/command", json!(["sh"]))]
    #[case::of_another_user("request", "/spec/userInfo/username", json!("eve"))]
    #[case::of_another_pod("request", "/spec/forObject/uid", json!("v"))]
    #[case::of_a_longer_one("request", "/spec/validFor", json!("2h"))]
    #[case::of_a_re_created_one("request", "/metadata/uid", json!("ask-2"))]
    #[case::of_one_without_a_uid("request", "/metadata/uid", json!(null))]
    fn whatever_was_changed_breaks_the_seal(
        #[case] which: &str,
        #[case] pointer: &str,
        #[case] value: Value,
    ) {
        let sealer = sealer(KEY);
        let (mut grant, mut request) = (sealed(&sealer), request());
        let object = if which == "grant" {
            &mut grant
        } else {
            &mut request
        };
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(checked(&sealer, &grant, &request), access::Seal::Broken);
    }

    #[test]
    fn another_key_seals_nothing_that_is_believed_and_an_old_one_is_believed_while_it_is_listed() {
        let old = sealed(&sealer(OLD));
        assert_eq!(
            checked(&sealer(KEY), &old, &request()),
            access::Seal::Broken
        );
        let both = sealer(&format!("{KEY}\n{OLD}\n"));
        assert_eq!(checked(&both, &old, &request()), access::Seal::Good);
        assert_eq!(
            checked(&sealer(KEY), &sealed(&both), &request()),
            access::Seal::Good,
            "the first one seals"
        );
    }

    fn filed(sealer: &Sealer) -> AccessRequest {
        let mut object: AccessRequest = serde_json::from_value(request()).unwrap();
        object.metadata.annotations = sealer
            .seal_request(&object, now())
            .map(|seal| [(SEAL.to_owned(), seal)].into());
        object.metadata.creation_timestamp = Some(Time(now()));
        object
    }

    fn now() -> Timestamp {
        "2026-11-23T15:00:00.123456789Z".parse().unwrap()
    }

    fn policy(sealer: &Sealer) -> AccessPolicy {
        let mut object: AccessPolicy = serde_json::from_value(json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy",
            "metadata": {"name": "p", "uid": "p-1", "generation": 2, "creationTimestamp": "2026-11-23T15:00:00Z"},
            "spec": {"effect": "Allow", "namespaces": ["a"], "subresources": ["exec"]},
        }))
        .unwrap();
        object.metadata.annotations = sealer
            .seal_policy(&object, 2, now())
            .map(|seal| [(SEAL.to_owned(), seal)].into());
        object
    }

    fn created(metadata: &mut ObjectMeta, at: &str) {
        metadata.creation_timestamp = Some(Time(at.parse().unwrap()));
    }

    // K6
    #[rstest]
    #[case::its_user(|request: &mut AccessRequest| request.spec.user_info.as_mut().unwrap().username = Some("eve".into()))]
    #[case::its_groups(|request: &mut AccessRequest| request.spec.user_info.as_mut().unwrap().groups = Some(vec!["sre".into()]))]
    #[case::its_filer(|request: &mut AccessRequest| request.spec.created_by = request.spec.user_info.clone())]
    #[case::its_namespace(|request: &mut AccessRequest| request.metadata.namespace = Some("b".into()))]
    #[case::created_before(|request: &mut AccessRequest| created(&mut request.metadata, "2026-11-23T14:57:59Z"))]
    #[case::stored_again(|request: &mut AccessRequest| created(&mut request.metadata, "2026-11-23T15:02:01Z"))]
    #[case::no_seal(|request: &mut AccessRequest| request.metadata.annotations = None)]
    fn whatever_was_changed_breaks_the_seal_of_a_request(#[case] change: fn(&mut AccessRequest)) {
        let sealer = sealer(KEY);
        let mut request = filed(&sealer);
        assert_eq!(sealer.request(&request), Sealed::Newest);
        change(&mut request);
        assert_eq!(sealer.request(&request), Sealed::Not);
    }

    // K6
    #[rstest]
    #[case::its_namespaces(|policy: &mut AccessPolicy| policy.spec.namespaces = Some(vec!["*".into()]))]
    #[case::its_subjects(|policy: &mut AccessPolicy| policy.spec.subjects = Some(Vec::new()))]
    #[case::its_generation(|policy: &mut AccessPolicy| policy.metadata.generation = Some(3))]
    #[case::stored_again(|policy: &mut AccessPolicy| created(&mut policy.metadata, "2026-11-23T15:02:01Z"))]
    #[case::no_seal(|policy: &mut AccessPolicy| policy.metadata.annotations = None)]
    fn whatever_was_changed_breaks_the_seal_of_a_policy(#[case] change: fn(&mut AccessPolicy)) {
        let sealer = sealer(KEY);
        let mut policy = policy(&sealer);
        assert_eq!(sealer.policy(&policy), Sealed::Newest);
        change(&mut policy);
        assert_eq!(sealer.policy(&policy), Sealed::Not);
    }

    #[test]
    fn the_seal_of_one_kind_is_none_of_another() {
        let sealer = sealer(KEY);
        let (mut request, mut policy) = (filed(&sealer), policy(&sealer));
        std::mem::swap(
            &mut request.metadata.annotations,
            &mut policy.metadata.annotations,
        );
        assert_eq!(
            (sealer.request(&request), sealer.policy(&policy)),
            (Sealed::Not, Sealed::Not)
        );
    }

    // K22
    #[rstest]
    #[case::the_first("", "epoch 0123456789abcdef\n")]
    #[case::another("epoch 0123456789abcdef\n", "epoch fedcba9876543210\n")]
    #[case::none_any_more("epoch 0123456789abcdef\n", "")]
    fn a_new_epoch_ends_requests_and_grants_and_no_policy(
        #[case] before: &str,
        #[case] after: &str,
    ) {
        let before = sealer(&format!("{before}{KEY}"));
        let after = sealer(&format!("{KEY}\n{after}"));
        let (grant, request, policy) = (sealed(&before), filed(&before), policy(&before));
        assert_eq!(
            looked_at(&before, &grant, &super::tests::request()),
            Sealed::Newest
        );
        assert_eq!(
            looked_at(&after, &grant, &super::tests::request()),
            Sealed::Not
        );
        assert_eq!(
            (after.request(&request), after.policy(&policy)),
            (Sealed::Not, Sealed::Newest)
        );
    }

    #[test]
    fn a_grant_is_sealed_anew_from_when_it_was_given() {
        let (old, both, new) = (sealer(OLD), sealer(&format!("{KEY}\n{OLD}")), sealer(KEY));
        let mut grant: AccessGrant = serde_json::from_value(sealed(&old)).unwrap();
        let request: AccessRequest = serde_json::from_value(request()).unwrap();
        assert_eq!(both.grant(&grant, &request), Sealed::Older);
        let seal = both.renew_grant(&grant, &request).unwrap();
        grant.metadata.annotations = Some([(SEAL.to_owned(), seal)].into());
        assert_eq!(
            (both.grant(&grant, &request), new.grant(&grant, &request)),
            (Sealed::Newest, Sealed::Newest)
        );
        grant.spec.seal.as_mut().unwrap().at = Time("2026-11-24T15:00:00Z".parse().unwrap());
        assert_eq!(new.grant(&grant, &request), Sealed::Not);
    }

    #[test]
    fn what_has_no_good_seal_is_not_sealed_anew() {
        let both = sealer(&format!("{KEY}\n{OLD}"));
        let grant: AccessGrant = serde_json::from_value(grant()).unwrap();
        assert_eq!(
            both.renew_grant(&grant, &serde_json::from_value(request()).unwrap()),
            None
        );
    }

    #[test]
    fn a_key_that_is_taken_out_is_believed_until_nothing_counts_by_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, OLD).unwrap();
        let sealer = Sealer::load(file.clone()).unwrap();
        let policy = policy(&sealer);
        assert!(sealer.renewal().is_none());
        std::fs::write(&file, KEY).unwrap();
        sealer.reload().unwrap();
        assert_eq!(sealer.policy(&policy), Sealed::Older);
        sealer.renewal().unwrap().done();
        assert_eq!(sealer.policy(&policy), Sealed::Not);
        assert!(sealer.renewal().is_none());
    }

    #[test]
    fn a_look_at_the_seals_retires_no_key_that_was_taken_out_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, format!("{KEY}\n{OLD}")).unwrap();
        let sealer = Sealer::load(file.clone()).unwrap();
        let policy = policy(&super::tests::sealer(OLD));
        let look = sealer.renewal().unwrap();
        std::fs::write(&file, KEY).unwrap();
        sealer.reload().unwrap();
        look.done();
        assert_eq!(sealer.policy(&policy), Sealed::Older);
    }

    #[rstest]
    #[case::two(&format!("epoch 0123456789abcdef\nepoch fedcba9876543210\n{KEY}"))]
    #[case::short(&format!("epoch 1\n{KEY}"))]
    fn a_file_without_one_good_epoch_is_refused(#[case] content: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, content).unwrap();
        assert!(
            Sealer::load(file)
                .unwrap_err()
                .to_string()
                .contains("one line \"epoch TEXT\"")
        );
    }

    #[rstest]
    #[case::empty("")]
    #[case::blank("\n \n")]
    #[case::short("0123456789abcdef")]
    #[case::one_of_two_is_short("0123456789abcdef0123456789abcdef\nabc")]
    fn a_file_without_good_keys_is_refused(#[case] content: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, content).unwrap();
        assert!(
            Sealer::load(file)
                .unwrap_err()
                .to_string()
                .contains("one key a line")
        );
        assert!(
            Sealer::load(dir.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
    }
}
