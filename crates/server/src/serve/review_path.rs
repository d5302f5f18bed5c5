//! Secrets that stand in the paths of reviews. Only the webhook configurations and this server know
//! them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use arc_swap::ArcSwap;
use subtle::{Choice, ConstantTimeEq as _};

use super::endpoint::Way;

/// Minimum length of a secret, in characters: 16 random bytes as hexadecimal digits.
const MIN_SECRET_LEN: usize = 32;

/// The secrets of a file, one a line: while one replaces another, both are taken.
pub struct ReviewPaths {
    file: PathBuf,
    secrets: ArcSwap<Vec<String>>,
}

/// Why a file of secrets cannot be used. No error shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ReviewPathError {
    /// Not readable, or no text.
    #[error("cannot read the secret path of reviews from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing in it.
    #[error(
        "there is no secret path in {path}: it takes a line of {MIN_SECRET_LEN} characters or more, as of `openssl rand -hex 32`"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line that is none.
    #[error(
        "line {line} of {path} is no secret path: it takes {MIN_SECRET_LEN} characters or more of a-z, A-Z, 0-9, - and _"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Which, counted from 1.
        line: usize,
    },
}

impl ReviewPaths {
    /// Loads the file.
    ///
    /// # Errors
    /// It cannot be read, or holds none, or a line that is none.
    pub fn load(file: PathBuf) -> Result<Self, ReviewPathError> {
        let secrets = ArcSwap::from_pointee(read(&file)?);
        Ok(Self { file, secrets })
    }

    /// Loads the file again.
    ///
    /// # Errors
    /// As [`Self::load`]; then what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), ReviewPathError> {
        self.secrets.store(read(&self.file)?.into());
        Ok(())
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Which way a review on `/validate/SECRET`, `/mutate/SECRET`, `/observe/SECRET` or the
    /// original's `/SECRET` has come.
    pub fn way(&self, path: &str) -> Option<Way> {
        let (way, candidate) = split(path)?;
        self.hold(candidate).then_some(way)
    }

    /// Every secret is compared to its end: the time that it takes tells nothing but lengths.
    fn hold(&self, candidate: &str) -> bool {
        let secrets = self.secrets.load();
        let equal = |secret: &String| secret.as_bytes().ct_eq(candidate.as_bytes());
        secrets
            .iter()
            .map(equal)
            .fold(Choice::from(0), |found, this| found | this)
            .into()
    }
}

fn split(path: &str) -> Option<(Way, &str)> {
    let validate = path
        .strip_prefix("/validate/")
        .map(|rest| (Way::Validate, rest));
    let mutate = || {
        path.strip_prefix("/mutate/")
            .map(|rest| (Way::Mutate, rest))
    };
    let observe = || {
        path.strip_prefix("/observe/")
            .map(|rest| (Way::Observe, rest))
    };
    // A secret has no slash: what is one here is one in no other way.
    let original = || path.strip_prefix('/').map(|rest| (Way::Validate, rest));
    validate.or_else(mutate).or_else(observe).or_else(original)
}

fn read(path: &Path) -> Result<Vec<String>, ReviewPathError> {
    let text = std::fs::read_to_string(path).map_err(|source| ReviewPathError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut secrets = Vec::new();
    for (line, secret) in (1..).zip(text.lines().map(str::trim)) {
        if secret.is_empty() {
            continue;
        }
        if !is_secret(secret) {
            return Err(ReviewPathError::Line {
                path: path.to_owned(),
                line,
            });
        }
        secrets.push(secret.to_owned());
    }
    if secrets.is_empty() {
        Err(ReviewPathError::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(secrets)
    }
}

fn is_secret(text: &str) -> bool {
    text.len() >= MIN_SECRET_LEN
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl fmt::Debug for ReviewPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReviewPaths")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIRST: &str = "8eae7a48d8b4d8a0d3f7e2c5b9a16f04";
    const SECOND: &str = "Aa-_Aa-_Aa-_Aa-_Aa-_Aa-_Aa-_Aa-_";

    fn load(
        content: &[u8],
    ) -> (
        tempfile::NamedTempFile,
        Result<ReviewPaths, ReviewPathError>,
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let loaded = ReviewPaths::load(file.path().to_owned());
        (file, loaded)
    }

    #[test]
    fn the_secret_is_the_last_part_of_the_path() {
        let (_file, paths) = load(format!("\n  {FIRST} \r\n").as_bytes());
        let paths = paths.unwrap();
        assert_eq!(
            paths.way(&format!("/validate/{FIRST}")),
            Some(Way::Validate)
        );
        assert_eq!(paths.way(&format!("/mutate/{FIRST}")), Some(Way::Mutate));
        assert_eq!(paths.way(&format!("/{FIRST}")), Some(Way::Validate));
    }

    #[rstest]
    #[case("")]
    #[case("/")]
    #[case("*")]
    #[case("/validate")]
    #[case("/validate/")]
    #[case("/mutate/")]
    #[case("{FIRST}")]
    #[case("/validate{FIRST}")]
    #[case("/validate//{FIRST}")]
    #[case("//validate/{FIRST}")]
    #[case("//{FIRST}")]
    #[case("/validate/{FIRST}/")]
    #[case("/validate/validate/{FIRST}")]
    #[case("/other/{FIRST}")]
    #[case("/Validate/{FIRST}")]
    #[case("/validate/{FIRST}0")]
    #[case("/validate/0{FIRST}")]
    #[case("/validate/ {FIRST}")]
    #[case("/validate/8eae7a48d8b4d8a0d3f7e2c5b9a16f0")]
    #[case("/validate/eae7a48d8b4d8a0d3f7e2c5b9a16f04")]
    #[case("/validate/8EAE7A48D8B4D8A0D3F7E2C5B9A16F04")]
    #[case("/validate/%38eae7a48d8b4d8a0d3f7e2c5b9a16f04")]
    #[case("/validate/{FIRST};v=1")]
    #[case("/validate/../validate/{FIRST}")]
    #[case("/validate/{SECOND}")]
    fn what_only_resembles_it_is_none(#[case] path: &str) {
        let (_file, paths) = load(FIRST.as_bytes());
        let path = path.replace("{FIRST}", FIRST).replace("{SECOND}", SECOND);
        assert_eq!(paths.unwrap().way(&path), None, "{path}");
    }

    #[test]
    fn while_one_secret_replaces_another_both_are_taken() {
        let taken = |paths: &ReviewPaths| {
            [FIRST, SECOND].map(|secret| paths.way(&format!("/{secret}")).is_some())
        };
        let (file, paths) = load(FIRST.as_bytes());
        let paths = paths.unwrap();
        assert_eq!(taken(&paths), [true, false]);
        for (content, expected) in [
            (format!("{SECOND}\n{FIRST}\n"), [true, true]),
            (SECOND.to_owned(), [false, true]),
        ] {
            std::fs::write(file.path(), content).unwrap();
            paths.reload().unwrap();
            assert_eq!(taken(&paths), expected);
        }
        std::fs::write(file.path(), format!("{FIRST}\nshort")).unwrap();
        assert!(paths.reload().is_err());
        assert_eq!(taken(&paths), [false, true]);
    }

    #[rstest]
    #[case(b"", "there is no secret path in")]
    #[case(b" \n\n", "there is no secret path in")]
    #[case(b"too-short-for-it", "line 1 of")]
    #[case(
        b"8eae7a48d8b4d8a0d3f7e2c5b9a16f04\n\n8eae7a48d8b4d8a0d3f7e2c5b9a16f0/",
        "line 3 of"
    )]
    #[case("8eae7a48d8b4d8a0d3f7e2c5b9a16f04é".as_bytes(), "line 1 of")]
    #[case(b"8eae7a48d8b4d8a0 d3f7e2c5b9a16f04", "line 1 of")]
    #[case(
        b"8eae7a48d8b4d8a0d3f7e2c5b9a16f04\xff",
        "cannot read the secret path of reviews from"
    )]
    fn a_file_without_proper_secrets_is_refused_and_not_shown(
        #[case] content: &[u8],
        #[case] text: &str,
    ) {
        let (_file, paths) = load(content);
        let error = crate::chain(&paths.unwrap_err());
        assert!(
            error.starts_with(text) && !error.contains("8eae") && !error.contains("too-short"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = ReviewPaths::load("/nowhere/review-path".into()).unwrap_err();
        assert!(
            error.to_string().ends_with("from /nowhere/review-path"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_what_holds_it() {
        let (_file, paths) = load(FIRST.as_bytes());
        assert!(!format!("{:?}", paths.unwrap()).contains(FIRST));
    }
}
