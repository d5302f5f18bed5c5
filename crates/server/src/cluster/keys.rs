//! The keys that seal, as a file has them.

use std::path::{Path, PathBuf};

use ring::{digest, hmac};

/// Minimum length of a key, in characters: 32 random bytes are 64 hexadecimal digits or 44
/// characters of base64.
const MIN_KEY_LEN: usize = 32;
/// Minimum length of an epoch, in characters: 16 random bytes are 32 hexadecimal digits.
const MIN_EPOCH_LEN: usize = 16;
/// How the line with the epoch begins.
const EPOCH: &str = "epoch ";

/// Why there is no key to seal with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file.
    #[error("cannot read the keys that seal from {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error(
        "{path} must hold one key a line, each of {MIN_KEY_LEN} characters or more: write 32 random bytes in hexadecimal"
    )]
    Content {
        /// Which.
        path: PathBuf,
    },
    /// Its epoch.
    #[error(
        "{path} may hold one line \"{EPOCH}TEXT\", with {MIN_EPOCH_LEN} characters or more: write 16 random bytes in \
         hexadecimal"
    )]
    Epoch {
        /// Which.
        path: PathBuf,
    },
}

/// What is vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Requests and grants: they end with their epoch.
    Access,
    /// Policies: they stay.
    Policy,
}

/// A key, and what it becomes in an epoch.
#[derive(Debug, Clone)]
pub(super) struct SealKey {
    root: hmac::Key,
    access: hmac::Key,
    id: Vec<u8>,
}

impl SealKey {
    fn new(line: &str, epoch: Option<&str>) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes());
        let id = digest::digest(&digest::SHA256, line.as_bytes())
            .as_ref()
            .to_vec();
        let access = in_epoch(&root, epoch);
        Self { root, access, id }
    }

    /// The key for something.
    pub(super) fn of(&self, what: What) -> &hmac::Key {
        match what {
            What::Access => &self.access,
            What::Policy => &self.root,
        }
    }
}

/// Without an epoch a key is itself; in each one it is another, of which nobody learns from those
/// of others.
fn in_epoch(root: &hmac::Key, epoch: Option<&str>) -> hmac::Key {
    let derived = |epoch| {
        hmac::sign(
            root,
            format!("kube-request-access epoch v1\n{epoch}").as_bytes(),
        )
    };
    epoch.map_or_else(
        || root.clone(),
        |epoch| hmac::Key::new(hmac::HMAC_SHA256, derived(epoch).as_ref()),
    )
}

/// The keys of a file; the first one seals, each of them is believed.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    epoch: Option<String>,
    listed: Vec<SealKey>,
    /// Those that the file had before, and has no more: believed until nothing counts by them
    /// alone.
    retiring: Vec<SealKey>,
}

impl Keys {
    /// Reads a file.
    pub(super) fn read(file: &Path) -> Result<Self, KeysError> {
        let path = || file.to_owned();
        let text = std::fs::read_to_string(file).map_err(|source| KeysError::Read {
            path: path(),
            source,
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (epochs, keys): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| line.starts_with(EPOCH));
        let epoch = match epochs.as_slice() {
            [] => None,
            [line] => Some(line.trim_start_matches(EPOCH).trim().to_owned()),
            [_, _, ..] => return Err(KeysError::Epoch { path: path() }),
        };
        if epoch
            .as_ref()
            .is_some_and(|epoch| epoch.len() < MIN_EPOCH_LEN)
        {
            return Err(KeysError::Epoch { path: path() });
        }
        if keys.is_empty() || keys.iter().any(|line| line.len() < MIN_KEY_LEN) {
            return Err(KeysError::Content { path: path() });
        }
        let listed = keys
            .into_iter()
            .map(|line| SealKey::new(line, epoch.as_deref()))
            .collect();
        Ok(Self {
            epoch,
            listed,
            retiring: Vec::new(),
        })
    }

    /// These after those: what is no more in the file is retired once nothing counts by it alone,
    /// in the epoch of these.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let gone = before.listed.iter().chain(&before.retiring);
        let gone = gone.filter(|key| self.listed.iter().all(|kept| kept.id != key.id));
        let now = |key: &SealKey| SealKey {
            access: in_epoch(&key.root, self.epoch.as_deref()),
            ..key.clone()
        };
        self.retiring = gone.map(now).collect();
        self
    }

    /// The same without those that were to be retired.
    pub(super) fn retired(&self) -> Self {
        Self {
            retiring: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether some are to be retired.
    pub(super) fn is_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// Whether something may count by another key than the one that seals.
    pub(super) fn is_more_than_one(&self) -> bool {
        self.listed.len() > 1 || self.is_retiring()
    }

    /// The one that seals; none where nothing is sealed.
    pub(super) fn newest(&self) -> Option<&SealKey> {
        self.listed.first()
    }

    /// The others, which are believed.
    pub(super) fn older(&self) -> impl Iterator<Item = &SealKey> {
        self.listed.iter().skip(1).chain(&self.retiring)
    }
}
