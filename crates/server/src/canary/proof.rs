//! The proof that a server of ours was asked: a nonce of the canary's, signed. Whoever has another
//! webhook deny the canary in our words has no key.

use std::fmt;

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};

use crate::cluster::seal::{Sealer, hex};

/// Whatever else is ever signed with a key begins otherwise.
const PURPOSE: &str = "kube-request-access canary v1";
/// How many bytes are random.
const LENGTH: usize = 16;

/// What one call of the canary's carries, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// A new one.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn new() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; LENGTH];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(hex(&bytes)))
    }

    /// One that somebody sent.
    pub fn read(text: &str) -> Option<Self> {
        let is_one = text.len() == LENGTH.saturating_mul(2)
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(text.to_owned()))
    }

    /// What a server of ours answers to it. Without a key whoever knows this program can say the
    /// same.
    pub fn proof(&self, sealer: &Sealer) -> String {
        let content = self.content();
        let signed = sealer.tag(content.as_bytes());
        signed.unwrap_or_else(|| hex(digest::digest(&digest::SHA256, content.as_bytes()).as_ref()))
    }

    /// Whether that was answered, by whichever replica.
    pub fn is_proven_by(&self, proof: &str, sealer: &Sealer) -> bool {
        if sealer.is_on() {
            sealer.is_tag(self.content().as_bytes(), proof)
        } else {
            proof == self.proof(sealer)
        }
    }

    fn content(&self) -> String {
        format!("{PURPOSE}\n{}", self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a warning with a proof begins.
const WARNING: &str = "kube-request-access was asked: ";

/// The warning that carries a proof to the canary: the API server passes warnings on whether it was
/// allowed or not.
pub fn warning(proof: &str) -> String {
    format!("{WARNING}{proof}")
}

/// The proof in the value of a `Warning` header, `299 - "TEXT"`.
pub fn in_warning(value: &str) -> Option<&str> {
    value
        .split_once(WARNING)
        .map(|(_, rest)| rest.trim_end_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(keys: &str) -> Sealer {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, keys).unwrap();
        Sealer::load(file).unwrap()
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn a_proof_is_of_one_nonce_under_our_key() {
        let (nonce, other) = (Nonce::new().unwrap(), Nonce::new().unwrap());
        assert_ne!(nonce, other);
        let (ours, theirs, keyless) = (sealer(KEY), sealer(OTHER), Sealer::off());
        assert!(nonce.is_proven_by(&nonce.proof(&ours), &ours));
        assert!(nonce.is_proven_by(&nonce.proof(&theirs), &sealer(&format!("{KEY}\n{OTHER}"))));
        assert!(nonce.is_proven_by(&nonce.proof(&keyless), &keyless));
        for wrong in [
            &other.proof(&ours),
            &nonce.proof(&theirs),
            &nonce.proof(&keyless),
            "",
            "zz",
            nonce.0.as_str(),
        ] {
            assert!(!nonce.is_proven_by(wrong, &ours), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_nonce_is_not_read_as_one() {
        let nonce = Nonce::new().unwrap();
        assert_eq!(Nonce::read(&nonce.to_string()), Some(nonce));
        for text in [
            "",
            "ab",
            "0123456789abcdef0123456789abcdeg",
            "0123456789abcdef0123456789abcdef0",
        ] {
            assert_eq!(Nonce::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_proof_is_found_in_the_header() {
        let header = format!("299 - \"{}\"", warning("abc"));
        assert_eq!(in_warning(&header), Some("abc"));
        assert_eq!(in_warning("299 - \"deprecated\""), None);
    }
}
