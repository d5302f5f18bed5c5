//! What is sent, and what is read of the answer.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Fault;

/// The UID that stands in a template until it is sent.
const PLACE: &str = "00000000-0000-4000-8000-0000000000ff";

/// An AdmissionReview that is sent many times, each time under a UID of its own: servers may
/// remember what they answered.
#[derive(Debug, Clone)]
pub struct Template {
    before: Bytes,
    after: Bytes,
}

/// Why a text is no review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It is no JSON.
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    /// It is something else.
    #[error("it is not an AdmissionReview of admission.k8s.io/v1: {0}")]
    Other(&'static str),
}

impl Template {
    /// Reads a review, as API servers send it.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &[u8]) -> Result<Self, ReviewError> {
        Self::new(serde_json::from_slice(text)?)
    }

    /// The same of a value.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn new(mut review: Value) -> Result<Self, ReviewError> {
        if review.get("kind") != Some(&json!("AdmissionReview")) {
            return Err(ReviewError::Other("its kind is another"));
        }
        if review.get("apiVersion") != Some(&json!("admission.k8s.io/v1")) {
            return Err(ReviewError::Other("its apiVersion is another"));
        }
        let uid = review
            .pointer_mut("/request/uid")
            .filter(|uid| uid.is_string())
            .ok_or(ReviewError::Other("it has no request with a uid"))?;
        *uid = json!(PLACE);
        let text = Bytes::from(serde_json::to_vec(&review)?);
        let place = text
            .windows(PLACE.len())
            .position(|window| window == PLACE.as_bytes())
            .ok_or(ReviewError::Other("it has no request with a uid"))?;
        let end = place.saturating_add(PLACE.len());
        Ok(Self {
            before: text.slice(..place),
            after: text.slice(end..),
        })
    }

    /// The body under this UID.
    pub fn body(&self, uid: &str) -> Bytes {
        [&self.before, uid.as_bytes(), &self.after].concat().into()
    }
}

/// A random UID, as API servers make them.
pub fn uid() -> String {
    let [a, b] = [fastrand::u64(..), fastrand::u64(..)];
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff,
    )
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the review is allowed.
    pub allowed: bool,
    /// The HTTP code that the API server would give to whoever is refused; 0 where there is none.
    pub code: u16,
    /// What they would read.
    pub message: String,
    /// The patch, in Base64.
    pub patch: Option<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    allowed: bool,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
    #[serde(borrow, default)]
    patch: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: Option<u16>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
}

/// Reads the answer to the review with this UID.
///
/// # Errors
/// The API server would not take it for an answer.
pub fn decision(answer: &[u8], uid: &str) -> Result<Decision, Fault> {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(answer) else {
        return Err(Fault::Garbage);
    };
    if answer.kind != "AdmissionReview" {
        return Err(Fault::Garbage);
    }
    let response = answer.response;
    if response.uid != uid {
        return Err(Fault::OtherUid);
    }
    let (code, message) = response
        .status
        .map(|status| (status.code.unwrap_or_default(), status.message))
        .unwrap_or_default();
    Ok(Decision {
        allowed: response.allowed,
        code,
        message: message.unwrap_or_default().into_owned(),
        patch: response.patch.map(Cow::into_owned),
    })
}

/// How often each code was among denials.
pub type Codes = BTreeMap<u16, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    fn review() -> Value {
        json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "1", "name": "nginx", "operation": "CONNECT"},
        })
    }

    #[test]
    fn each_review_has_a_uid_of_its_own_and_else_its_order() {
        let template = Template::new(review()).unwrap();
        let uid = uid();
        let body = template.body(&uid);
        let wanted = review().to_string().replace("\"1\"", &format!("\"{uid}\""));
        assert_eq!(body, wanted);
        assert_eq!(uid.len(), 36);
    }

    #[test]
    fn what_is_no_review_is_refused_with_words() {
        for (text, why) in [
            ("{", "not JSON"),
            ("[]", "its kind is another"),
            (
                r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#,
                "its apiVersion",
            ),
            (
                r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#,
                "no request with a uid",
            ),
        ] {
            let error = Template::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_answer_is_one_to_its_own_review_alone() {
        let answer = br#"{"kind":"AdmissionReview","response":{"uid":"a","allowed":false,"status":{"code":403,"message":"you \"may\" not"}}}"#;
        let read = decision(answer, "a").unwrap();
        assert_eq!((read.allowed, read.code), (false, 403));
        assert_eq!(read.message, "you \"may\" not");
        assert_eq!(decision(answer, "b"), Err(Fault::OtherUid));
        assert_eq!(decision(b"hello", "a"), Err(Fault::Garbage));
        assert_eq!(decision(b"{}", "a"), Err(Fault::Garbage));
    }
}
