//! Parts of the lock that an overlay changes on purpose.

use std::str::FromStr;

use super::part::{Part, PartError};

/// How a part may differ from what is shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// It is not installed.
    Absent,
    /// It has this content, by its digest.
    Digest(String),
    /// It is not compared; changes are told all the same.
    Any,
}

/// An exception for one part, as `--lock-exception` takes it: `KIND/NAME=absent`, `=any` or
/// `=sha256:HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excepted {
    /// The part.
    pub part: Part,
    /// How it may differ.
    pub exception: Exception,
}

/// It was written otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionError {
    /// There is no such part.
    #[error(transparent)]
    Part(#[from] PartError),
    /// It is not said how it differs.
    #[error(
        "write KIND/NAME=absent, KIND/NAME=any, or KIND/NAME=sha256:HEX with the digest that the log names"
    )]
    Form,
}

impl FromStr for Excepted {
    type Err = ExceptionError;

    fn from_str(text: &str) -> Result<Self, ExceptionError> {
        const HEX: usize = 64;
        let (part, how) = text.split_once('=').ok_or(ExceptionError::Form)?;
        let exception = match how.strip_prefix("sha256:") {
            Some(hex)
                if hex.len() == HEX
                    && hex
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) =>
            {
                Exception::Digest(how.to_owned())
            }
            None if how == "absent" => Exception::Absent,
            None if how == "any" => Exception::Any,
            _ => return Err(ExceptionError::Form),
        };
        Ok(Self {
            part: part.parse()?,
            exception,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_names_a_part_and_how_it_differs() {
        let part = "ValidatingAdmissionPolicy/kube-request-access-guard";
        let read = |how: &str| {
            format!("{part}={how}")
                .parse::<Excepted>()
                .map(|excepted| excepted.exception)
        };
        assert_eq!(read("absent").unwrap(), Exception::Absent);
        assert_eq!(read("any").unwrap(), Exception::Any);
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(read(&digest).unwrap(), Exception::Digest(digest.clone()));
        for wrong in [
            "",
            "Any",
            "sha256:",
            "sha256:0A",
            &format!("{digest}0"),
            &digest.replace('a', "A"),
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!("Pod/x=any".parse::<Excepted>().is_err());
        assert!(part.parse::<Excepted>().is_err());
    }
}
