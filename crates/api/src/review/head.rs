//! What stands at the beginning of a review, before its objects: the API server writes the fields
//! in the order of the Go type (`k8s.io/api/admission/v1` AdmissionRequest), `uid` first and
//! `userInfo` before `object`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Operation;

/// How many bytes of a review are read before it is known whose it is: the names of what is done, a
/// user name, and room to spare. Groups may follow.
pub const HEAD_BYTES: usize = 16 * 1024;

/// Who asks for what, as far as the first bytes of a review say: enough to bound the rest, and to
/// answer a review that is not read to its end. No decision goes by it: the review is read again as
/// a whole, and strictly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// To be answered with; `None`: the first bytes did not hold it.
    pub uid: Option<String>,
    /// The API group of the resource.
    pub group: Option<String>,
    /// The resource.
    pub resource: Option<String>,
    /// The subresource.
    pub sub_resource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// What is done.
    pub operation: Option<Operation>,
    /// The user name.
    pub user: Option<String>,
}

impl Head {
    /// Reads what is there of a review that may be cut off anywhere. Where a key is written twice,
    /// the last one that was read counts; such a review is refused as a whole.
    pub fn read(prefix: &[u8]) -> Self {
        let mut head = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(prefix);
        // That the text ends too early is what is expected; what was read before stays.
        let _cut_off = Fields {
            head: &mut head,
            of: Of::Review,
        }
        .deserialize(&mut deserializer);
        head
    }

    /// Whether all is known that the answer and the bounds need.
    pub fn is_complete(&self) -> bool {
        self.uid.is_some() && self.operation.is_some() && self.user.is_some()
    }
}

/// Whose fields are read.
#[derive(Clone, Copy)]
enum Of {
    Review,
    Request,
    Resource,
    UserInfo,
}

struct Fields<'a> {
    head: &'a mut Head,
    of: Of,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let head = self.head;
        while let Some(key) = map.next_key::<String>()? {
            match (self.of, key.as_str()) {
                (Of::Review, "request") => map.next_value_seed(Fields {
                    head: &mut *head,
                    of: Of::Request,
                })?,
                (Of::Request, "uid") => head.uid = some(map.next_value()?),
                (Of::Request, "resource") => map.next_value_seed(Fields {
                    head: &mut *head,
                    of: Of::Resource,
                })?,
                (Of::Request, "userInfo") => map.next_value_seed(Fields {
                    head: &mut *head,
                    of: Of::UserInfo,
                })?,
                (Of::Request, "subResource") => head.sub_resource = some(map.next_value()?),
                (Of::Request, "namespace") => head.namespace = some(map.next_value()?),
                (Of::Request, "operation") => head.operation = Some(map.next_value()?),
                (Of::Resource, "group") => head.group = Some(map.next_value()?),
                (Of::Resource, "resource") => head.resource = some(map.next_value()?),
                (Of::UserInfo, "username") => head.user = some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",
        "kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
        "subResource":"ephemeralcontainers","name":"nginx","namespace":"default","operation":"UPDATE",
        "userInfo":{"username":"jane","groups":["devs"]},"object":{"kind":"Pod"}}}"#;

    #[test]
    fn the_head_is_read_wherever_the_text_is_cut() {
        let whole = Head::read(REVIEW.as_bytes());
        assert!(whole.is_complete());
        assert_eq!(
            (whole.uid.as_deref(), whole.user.as_deref()),
            (Some("u-1"), Some("jane"))
        );
        assert_eq!(whole.sub_resource.as_deref(), Some("ephemeralcontainers"));
        let known = REVIEW.find("\"jane\"").unwrap() + "\"jane\"".len();
        for end in 0..REVIEW.len() {
            let head = Head::read(&REVIEW.as_bytes()[..end]);
            assert_eq!(head.is_complete(), end >= known, "{end}");
            assert!(
                head.user.is_none_or(|user| user == "jane"),
                "half a name at {end}"
            );
            assert!(
                head.uid.is_none_or(|uid| uid == "u-1"),
                "half a uid at {end}"
            );
        }
    }

    #[test]
    fn what_is_no_review_has_no_head() {
        for text in [
            "",
            "[]",
            "{",
            "\"uid\"",
            r#"{"request":[]}"#,
            r#"{"request":{"uid":1}}"#,
            "\u{0}",
        ] {
            assert_eq!(Head::read(text.as_bytes()), Head::default(), "{text}");
        }
    }
}
