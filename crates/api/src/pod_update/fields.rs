//! Objects as the texts of their fields: compared without being built.

use std::{collections::BTreeMap, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::review::count_values;

/// The fields of an object, as texts.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// The fields of an object; `None`: it is none.
    pub(super) fn of(object: &'a RawValue) -> Option<Self> {
        serde_json::from_str(object.get()).ok().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name)
    }

    /// The name of a field that differs, but for those left out.
    pub(super) fn first_difference<'b>(
        &'b self,
        other: &'b Self,
        left_out: &[&str],
    ) -> Option<&'b str> {
        let names = self.0.keys().chain(other.0.keys()).map(String::as_str);
        names.filter(|name| !left_out.contains(name)).find(|name| {
            match (self.get(name), other.get(name)) {
                (Some(one), Some(other)) => !is_same(one, other),
                (one, other) => one.is_some() != other.is_some(),
            }
        })
    }
}

/// Whether two values are the same. The API server writes the same value in the same way, so the
/// texts are compared first; else two values are the same if only the order of keys, the whitespace
/// or the escapes differ.
pub(super) fn is_same(one: &RawValue, other: &RawValue) -> bool {
    let digest = |value: &RawValue| {
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        Sum.deserialize(&mut deserializer).ok()
    };
    one.get() == other.get()
        || matches!((digest(one), digest(other)), (Some(one), Some(other)) if one == other)
}

/// Whether a text has at most so many values and keys, each key once.
pub(super) fn values(text: &str, most: usize) -> bool {
    count_values(text.as_bytes(), most).is_some()
}

type Sha = [u8; 32];

/// The digest of a value: of an object, that of its sorted fields.
struct Sum;

fn leaf(kind: u8, bytes: &[u8]) -> Sha {
    Sha256::new()
        .chain_update([kind])
        .chain_update(bytes)
        .finalize()
        .into()
}

impl<'de> DeserializeSeed<'de> for Sum {
    type Value = Sha;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Sha, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sum {
    type Value = Sha;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Sha, E> {
        Ok(leaf(0, &[]))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Sha, E> {
        Ok(leaf(1, &[u8::from(value)]))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Sha, E> {
        Ok(leaf(2, &value.to_be_bytes()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Sha, E> {
        Ok(leaf(3, &value.to_be_bytes()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Sha, E> {
        Ok(leaf(4, &value.to_be_bytes()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Sha, E> {
        Ok(leaf(5, value.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sha, A::Error> {
        let mut sum = Sha256::new().chain_update([6]);
        while let Some(value) = list.next_element_seed(Self)? {
            sum.update(value);
        }
        Ok(sum.finalize().into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sha, A::Error> {
        let mut fields: Vec<Sha> = Vec::new();
        while let Some(key) = map.next_key_seed(Self)? {
            let value = map.next_value_seed(Self)?;
            fields.push(
                Sha256::new()
                    .chain_update(key)
                    .chain_update(value)
                    .finalize()
                    .into(),
            );
        }
        fields.sort_unstable();
        let mut sum = Sha256::new().chain_update([7]);
        for field in fields {
            sum.update(field);
        }
        Ok(sum.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[rstest]
    #[case(r#"{"a":1,"b":[true,null]}"#, r#"{ "b": [true, null], "a": 1 }"#, true)]
    #[case(r#""a""#, r#""\u0061""#, true)]
    #[case("[1,2]", "[2,1]", false)]
    #[case("[[1],2]", "[[1,2]]", false)]
    #[case(r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#, false)]
    #[case("null", "[]", false)]
    #[case("[]", "{}", false)]
    #[case("1", "1.0", false)]
    #[case("\"1\"", "1", false)]
    fn values_are_compared_by_what_they_say(
        #[case] one: &str,
        #[case] other: &str,
        #[case] same: bool,
    ) {
        assert_eq!(is_same(&raw(one), &raw(other)), same);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let map = prop::collection::btree_map("[ab]{1,2}", inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::from),
                map.prop_map(|map| json!(map))
            ]
        })
    }

    proptest! {
        #[test]
        fn sameness_of_texts_is_sameness_of_values(one in any_json(), other in any_json()) {
            let same = is_same(&raw(&one.to_string()), &raw(&other.to_string()));
            prop_assert_eq!(same, one == other);
            let pretty = raw(&serde_json::to_string_pretty(&one).unwrap());
            prop_assert!(is_same(&raw(&one.to_string()), &pretty));
        }
    }
}
