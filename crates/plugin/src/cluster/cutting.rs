//! The answer to a list, cut into its items as its bytes come: nothing waits for the last one, and
//! nobody holds them all.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;

/// How deep in the answer its items are.
const ITEMS: usize = 2;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// All but the items.
    frame: Vec<u8>,
    /// The item that is not whole yet.
    item: Vec<u8>,
    depth: usize,
    in_items: bool,
    in_text: bool,
    escaped: bool,
}

impl Cutter {
    /// Takes the next bytes; hands out the items that they complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for &byte in bytes {
            let ends = !self.in_text && self.depth == ITEMS && matches!(byte, b',' | b']');
            if self.in_items && ends {
                if !self.item.trim_ascii().is_empty() {
                    whole.push(std::mem::take(&mut self.item));
                }
                self.in_items = byte == b',';
                if self.in_items {
                    continue;
                }
            }
            let starts = !self.in_text && self.depth == ITEMS.saturating_sub(1) && byte == b'[';
            let items = starts && is_key_of_items(&self.frame);
            self.follow(byte);
            if self.in_items {
                self.item.push(byte);
            } else {
                self.frame.push(byte);
            }
            self.in_items |= items;
        }
        whole
    }

    /// What the answer says of the list, once it is whole.
    ///
    /// # Errors
    /// When it is no list, or not whole.
    pub(super) fn end(self) -> serde_json::Result<ListMeta> {
        #[derive(Deserialize)]
        struct Frame<'a> {
            #[serde(default)]
            metadata: ListMeta,
            #[serde(borrow)]
            items: &'a RawValue,
        }
        let frame: Frame<'_> = serde_json::from_slice(&self.frame)?;
        if matches!(frame.items.get(), "[]" | "null") {
            Ok(frame.metadata)
        } else {
            Err(serde_json::Error::custom("items is no list"))
        }
    }

    fn follow(&mut self, byte: u8) {
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

fn is_key_of_items(frame: &[u8]) -> bool {
    let key = frame.trim_ascii_end().strip_suffix(b":");
    key.is_some_and(|key| key.trim_ascii_end().ends_with(b"\"items\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cut(text: &str, sizes: &[usize]) -> (Vec<Value>, serde_json::Result<ListMeta>) {
        let (mut cutter, mut items) = (Cutter::default(), Vec::new());
        let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            items.extend(cutter.take(now));
            rest = later;
        }
        let items = items
            .iter()
            .map(|item| serde_json::from_slice(item).unwrap());
        (items.collect(), cutter.end())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\[\\]{}\",:\\\\ a]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = "items|[a-z\"\\\\]{1,3}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_are_whole_however_their_bytes_come(
            items in prop::collection::vec(values(), 0..5),
            before in values(),
            after in values(),
            sizes in prop::collection::vec(1_usize..20, 1..5),
            pretty in any::<bool>(),
        ) {
            let answer = json!({"before": before, "metadata": {"continue": "x"}, "items": items, "after": after});
            let text = if pretty { serde_json::to_string_pretty(&answer) } else { serde_json::to_string(&answer) };
            let (cut, end) = cut(&text.unwrap(), &sizes);
            prop_assert_eq!(cut, items);
            prop_assert_eq!(end.unwrap().continue_, Some("x".to_owned()));
        }
    }

    #[rstest]
    #[case::not_whole(r#"{"metadata":{},"items":[{"a":1},{"b""#)]
    #[case::not_closed(r#"{"metadata":{},"items":[{"a":1}]"#)]
    #[case::no_items(r#"{"metadata":{}}"#)]
    #[case::an_object(r#"{"items":{"a":1}}"#)]
    #[case::no_json("<html>")]
    #[case::nothing("")]
    #[case::more_behind(r#"{"items":[]}]"#)]
    fn what_is_no_whole_list_is_an_error(#[case] text: &str) {
        cut(text, &[4]).1.unwrap_err();
    }

    #[test]
    fn no_list_at_all_is_an_empty_one() {
        let (items, end) = cut(r#"{"items":null}"#, &[4]);
        assert_eq!((items, end.unwrap()), (Vec::new(), ListMeta::default()));
    }
}
