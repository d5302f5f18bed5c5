//! What only the server, and whoever installs it, may know: the Secret `kube-request-access-keys`.
//!
//! The path of reviews is new with every installation, as the serving certificate is: while the API
//! server knows only the certificate of before it tells everybody who asks for access the path of
//! before.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    kubectl::{self, KubectlError},
    manifests::NAMESPACE,
};

/// The Secret's name.
pub const SECRET: &str = "kube-request-access-keys";
const REVIEW_PATH: &str = "review-path";
const SEAL_KEY: &str = "seal-key";

/// All keys of an installation.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The Secret's data, in Base64.
    data: Value,
    /// What stands last in the path of every review.
    pub review_path: String,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The cluster does not say which it has.
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    /// What it says cannot be read.
    #[error("the Secret {SECRET} cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// No random bytes.
    #[error("there are no random bytes")]
    Random(#[from] io::Error),
}

impl Keys {
    /// New ones.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn make() -> Result<Self, KeysError> {
        Self::renew(&Value::Null)
    }

    /// Those of a cluster, renewed.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn of(mut kubectl: Command) -> Result<Self, KeysError> {
        let get = [
            "get",
            "secret",
            "-n",
            NAMESPACE,
            SECRET,
            "--ignore-not-found",
            "-o",
            "json",
        ];
        let said = kubectl::output(kubectl.args(get), None)?;
        if said.trim().is_empty() {
            return Self::make();
        }
        let stored: Value = serde_json::from_str(&said).map_err(KeysError::Malformed)?;
        Self::renew(&stored["data"])
    }

    /// With a new path of reviews; whatever else there is stays.
    fn renew(stored: &Value) -> Result<Self, KeysError> {
        let mut data = if stored.is_object() {
            stored.clone()
        } else {
            json!({})
        };
        let review_path = random_hex()?;
        data[REVIEW_PATH] = json!(STANDARD.encode(&review_path));
        // What was sealed with the old one is to be believed.
        if data[SEAL_KEY].is_null() {
            data[SEAL_KEY] = json!(STANDARD.encode(random_hex()?));
        }
        Ok(Self { data, review_path })
    }

    /// What grants are sealed with.
    ///
    /// # Errors
    /// The Secret has something else.
    pub fn seal_key(&self) -> Result<String, KeysError> {
        let encoded = self.data[SEAL_KEY].as_str().unwrap_or_default();
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|error| KeysError::Random(io::Error::other(error)))?;
        String::from_utf8(bytes).map_err(|error| KeysError::Random(io::Error::other(error)))
    }

    /// The Secret.
    pub fn secret(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "data": self.data,
        })
    }
}

/// 32 random bytes.
fn random_hex() -> io::Result<String> {
    let mut random = File::open("/dev/urandom")?;
    let mut half = || {
        let mut bytes = [0; 16];
        random
            .read_exact(&mut bytes)
            .map(|()| u128::from_be_bytes(bytes))
    };
    Ok(format!("{:032x}{:032x}", half()?, half()?))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_are_long_and_never_the_same() {
        let [first, second] = [Keys::make().unwrap(), Keys::make().unwrap()];
        assert_eq!(first.review_path.len(), 64);
        assert_ne!(first.review_path, second.review_path);
        assert_eq!(
            first.secret()["data"][REVIEW_PATH],
            STANDARD.encode(&first.review_path)
        );
    }

    #[test]
    fn the_path_is_renewed_and_all_else_is_kept() {
        let stored = json!({"other": "eA==", REVIEW_PATH: STANDARD.encode("old")});
        let keys = Keys::renew(&stored).unwrap();
        assert_eq!(keys.review_path.len(), 64);
        let data = keys.secret()["data"].clone();
        assert_eq!(
            (&data["other"], &data[REVIEW_PATH]),
            (&json!("eA=="), &json!(STANDARD.encode(&keys.review_path)))
        );
        let again = Keys::renew(&data).unwrap();
        assert_eq!(again.seal_key().unwrap(), keys.seal_key().unwrap());
        assert_ne!(again.review_path, keys.review_path);
    }

    #[test]
    fn keys_are_not_shown() {
        let keys = Keys::make().unwrap();
        assert!(!format!("{keys:?}").contains(&keys.review_path));
    }
}
