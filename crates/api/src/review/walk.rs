//! One walk over the text of a review, before anything is built from it: counts its nodes, and
//! refuses duplicate keys.
//!
//! It keeps eight bytes for each key of the objects that it is inside of, and nothing else, however
//! long the texts are.

use std::{
    collections::{HashSet, hash_map::RandomState},
    fmt,
    hash::BuildHasher as _,
};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why a text is refused.
#[derive(Debug)]
pub(super) enum WalkError {
    /// It is not JSON, is nested too deeply, or has a duplicate key.
    Json(serde_json::Error),
    /// It has more nodes than it may.
    TooManyNodes,
}

/// Counts the values and keys of a text of JSON, and refuses one with more than `limit`, or in
/// which any object has the same key twice.
///
/// # Errors
/// See [`WalkError`].
pub(super) fn check_unambiguous(body: &[u8], limit: usize) -> Result<usize, WalkError> {
    let mut walk = Walk {
        hashes: RandomState::new(),
        nodes: 0,
        limit,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let walked = Node(&mut walk)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match walked {
        Err(_too_many) if walk.nodes > limit => Err(WalkError::TooManyNodes),
        Err(error) => Err(WalkError::Json(error)),
        Ok(()) => Ok(walk.nodes),
    }
}

struct Walk {
    /// Keys are compared by their hashes, so that long ones need no memory. The hash is keyed anew
    /// for each walk: no one can make two keys collide on purpose, and where two do by chance the
    /// review is refused.
    hashes: RandomState,
    nodes: usize,
    limit: usize,
}

impl Walk {
    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limit {
            Err(E::custom("too many values"))
        } else {
            Ok(())
        }
    }
}

/// Any value.
struct Node<'a>(&'a mut Walk);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Node(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key_seed(Key(self.0))? {
            map.next_value_seed(Node(self.0))?;
            if !keys.insert(key) {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(())
    }
}

/// A key of an object, as its hash.
struct Key<'a>(&'a mut Walk);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        self.0.count()?;
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<u64, E> {
        Ok(self.0.hashes.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"a":[1,{"b":null}]}"#, 7)]
    #[case("[]", 1)]
    #[case(r#""text""#, 1)]
    fn values_and_keys_are_counted(#[case] json: &str, #[case] nodes: usize) {
        assert_eq!(check_unambiguous(json.as_bytes(), nodes).unwrap(), nodes);
        assert!(matches!(
            check_unambiguous(json.as_bytes(), nodes.saturating_sub(1)),
            Err(WalkError::TooManyNodes)
        ));
    }

    #[rstest]
    #[case(r#"{"a":1,"a":1}"#)]
    #[case(r#"{"a":1,"\u0061":2}"#)]
    #[case(r#"[{"x":{"a":1,"b":2,"a":3}}]"#)]
    #[case("{} {}")]
    #[case("[1,")]
    fn what_is_ambiguous_or_no_json_is_refused(#[case] json: &str) {
        assert!(matches!(
            check_unambiguous(json.as_bytes(), 100),
            Err(WalkError::Json(_))
        ));
    }
}
