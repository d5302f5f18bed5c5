//! Seals: proof that a grant was admitted by a server with our key, and has not changed since.
//!
//! While our webhooks are away, whoever may create grants could write anything into them. What was written then has no
//! seal, or a wrong one, and grants nothing when we are back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use api::{AccessGrant, AccessRequest, objects};
use arc_swap::ArcSwap;
use decide::access;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use ring::{digest, hmac};

/// A key has at least as many characters: 32 random bytes are 64 hexadecimal digits or 44 of base64.
const SHORTEST_KEY: usize = 32;
/// Whatever else is ever signed with a key must begin otherwise.
const PURPOSE: &str = "kube-request-access grant v1";

/// The keys; the first one seals, each of them is believed.
#[derive(Debug, Default)]
pub struct Sealer {
    file: Option<PathBuf>,
    keys: ArcSwap<Vec<hmac::Key>>,
}

/// Why there is no key to seal with.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file.
    #[error("cannot read the keys that seal grants from {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error(
        "{path} must hold one key a line, each of {SHORTEST_KEY} characters or more: write 32 random bytes in \
         hexadecimal"
    )]
    Content {
        /// Which.
        path: PathBuf,
    },
}

impl Sealer {
    /// One that seals with the keys of a file.
    ///
    /// # Errors
    /// The file cannot be read, or has no key or a short one.
    pub fn load(file: PathBuf) -> Result<Self, SealError> {
        let keys = ArcSwap::from_pointee(read(&file)?);
        Ok(Self { file: Some(file), keys })
    }

    /// One that seals nothing and believes everything.
    pub fn off() -> Self {
        Self::default()
    }

    /// Whether it seals.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the keys again.
    ///
    /// # Errors
    /// As [`Self::load`]; then those from before stay in use.
    pub fn reload(&self) -> Result<(), SealError> {
        if let Some(file) = &self.file {
            self.keys.store(Arc::new(read(file)?));
        }
        Ok(())
    }

    /// The seal of an answer to a request; `None` where nothing is sealed.
    pub fn seal(&self, grant: &AccessGrant, request: &AccessRequest, at: Timestamp) -> Option<objects::Seal> {
        // Kubernetes writes whole seconds.
        let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
        let keys = self.keys.load();
        let key = keys.first()?;
        let tag = hmac::sign(key, &content(grant, request, &at)?);
        Some(objects::Seal { at, mac: hex(tag.as_ref()) })
    }

    /// What the seal of a grant proves about it and the request that it names.
    pub fn check(&self, grant: &AccessGrant, request: &AccessRequest) -> access::Seal {
        if !self.is_on() || self.is_sealed(grant, request).is_some() {
            access::Seal::Good
        } else {
            access::Seal::Broken
        }
    }

    fn is_sealed(&self, grant: &AccessGrant, request: &AccessRequest) -> Option<()> {
        let seal = grant.spec.seal.as_ref()?;
        let (content, mac) = (content(grant, request, &seal.at)?, unhex(&seal.mac)?);
        self.keys.load().iter().find(|key| hmac::verify(key, &content, &mac).is_ok()).map(drop)
    }
}

fn read(file: &Path) -> Result<Vec<hmac::Key>, SealError> {
    let text = std::fs::read_to_string(file).map_err(|source| SealError::Read { path: file.to_owned(), source })?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() || lines.iter().any(|line| line.len() < SHORTEST_KEY) {
        return Err(SealError::Content { path: file.to_owned() });
    }
    Ok(lines.into_iter().map(|line| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes())).collect())
}

/// Everything that a seal vouches for, so that no two different answers have the same bytes. `None` where the request
/// has no UID, so that it is none that is stored.
fn content(grant: &AccessGrant, request: &AccessRequest, at: &Time) -> Option<Vec<u8>> {
    let spec = serde_json::to_vec(&request.spec).ok()?;
    let fields = (
        (PURPOSE, &request.metadata.namespace, &request.metadata.name, request.metadata.uid.as_ref()?),
        hex(digest::digest(&digest::SHA256, &spec).as_ref()),
        (&grant.metadata.namespace, &grant.spec.grant_for, &grant.spec.request_uid, &grant.spec.granted_by),
        (&grant.spec.valid_for, &grant.spec.reason, &grant.status, at),
    );
    serde_json::to_vec(&fields).ok()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| pair.iter().fold(0_u8, |byte, digit| byte.wrapping_shl(4) | digit)).collect();
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
        sealer.check(&serde_json::from_value(grant.clone()).unwrap(), &serde_json::from_value(request.clone()).unwrap())
    }

    fn sealed(sealer: &Sealer) -> Value {
        let mut object: AccessGrant = serde_json::from_value(grant()).unwrap();
        let request: AccessRequest = serde_json::from_value(request()).unwrap();
        object.spec.seal = sealer.seal(&object, &request, "2026-11-23T15:00:00.123456789Z".parse().unwrap());
        serde_json::to_value(object).unwrap()
    }

    #[test]
    fn a_sealed_grant_is_believed_and_an_unsealed_one_is_not() {
        let sealer = sealer(KEY);
        assert_eq!(checked(&sealer, &sealed(&sealer), &request()), access::Seal::Good);
        assert_eq!(checked(&sealer, &grant(), &request()), access::Seal::Broken);
        assert_eq!(checked(&Sealer::off(), &grant(), &request()), access::Seal::Good);
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
    fn whatever_was_changed_breaks_the_seal(#[case] which: &str, #[case] pointer: &str, #[case] value: Value) {
        let sealer = sealer(KEY);
        let (mut grant, mut request) = (sealed(&sealer), request());
        let object = if which == "grant" { &mut grant } else { &mut request };
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(checked(&sealer, &grant, &request), access::Seal::Broken);
    }

    #[test]
    fn another_key_seals_nothing_that_is_believed_and_an_old_one_is_believed_while_it_is_listed() {
        let old = sealed(&sealer(OLD));
        assert_eq!(checked(&sealer(KEY), &old, &request()), access::Seal::Broken);
        let both = sealer(&format!("{KEY}\n{OLD}\n"));
        assert_eq!(checked(&both, &old, &request()), access::Seal::Good);
        assert_eq!(checked(&sealer(KEY), &sealed(&both), &request()), access::Seal::Good, "the first one seals");
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
        assert!(Sealer::load(file).unwrap_err().to_string().contains("one key a line"));
        assert!(Sealer::load(dir.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
