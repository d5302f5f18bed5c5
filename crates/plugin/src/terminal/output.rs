//! Objects as JSON and YAML, safe to show on a terminal: what it would obey or not show is escaped,
//! as both formats allow inside strings.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use decide::text::is_hidden;

/// How one object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ObjectFormat {
    /// `accessrequest.spreadgroup.com/NAME`.
    Name,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// An object as it is printed: without `managedFields`, which say nothing to people.
///
/// # Errors
/// None for our objects; serialisation is fallible by its type.
pub fn value_of(object: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    Ok(value)
}

/// The v1 List that kubectl prints for several objects.
pub fn list_of(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// JSON, indented by four as kubectl does, with a line break at the end.
///
/// # Errors
/// None for values; serialisation is fallible by its type.
pub fn json(value: &Value) -> serde_json::Result<String> {
    let mut text = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut text, layout,
    ))?;
    // Outside of strings JSON has no such characters but the line break.
    let mut safe = escape_json(&String::from_utf8_lossy(&text));
    safe.push('\n');
    Ok(safe)
}

fn escape_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_hidden(c) {
            c.encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| push(&mut safe, format_args!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// YAML in kubectl's layout, with a line break at the end.
///
/// Written here because no library quotes what a terminal would obey or not show.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match Shape::of(value) {
        Shape::Map(map) => write_map(map, 0, &mut text),
        Shape::Items(items) => write_items(items, 0, &mut text),
        Shape::Scalar(scalar) => write_scalar_line(scalar, &mut text),
    }
    text
}

/// What a value is laid out as. Empty maps and lists stand on the line of their key, like scalars.
enum Shape<'a> {
    Map(&'a Map<String, Value>),
    Items(&'a [Value]),
    Scalar(&'a Value),
}

impl<'a> Shape<'a> {
    fn of(value: &'a Value) -> Self {
        let map = value
            .as_object()
            .filter(|map| !map.is_empty())
            .map(Self::Map);
        let items = || {
            value
                .as_array()
                .filter(|items| !items.is_empty())
                .map(|items| Self::Items(items))
        };
        map.or_else(items).unwrap_or(Self::Scalar(value))
    }
}

fn write_map(map: &Map<String, Value>, indent: usize, text: &mut String) {
    for (at, (key, value)) in map.iter().enumerate() {
        if at > 0 {
            pad(indent, text);
        }
        write_string(key, text);
        text.push(':');
        write_member(value, indent, text);
    }
}

/// What stands behind `key:`. Items of a list stand as deep as their key.
fn write_member(value: &Value, indent: usize, text: &mut String) {
    match Shape::of(value) {
        Shape::Map(map) => {
            text.push('\n');
            pad(indent.saturating_add(2), text);
            write_map(map, indent.saturating_add(2), text);
        }
        Shape::Items(items) => {
            text.push('\n');
            pad(indent, text);
            write_items(items, indent, text);
        }
        Shape::Scalar(scalar) => {
            text.push(' ');
            write_scalar_line(scalar, text);
        }
    }
}

fn write_items(items: &[Value], indent: usize, text: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            pad(indent, text);
        }
        text.push_str("- ");
        match Shape::of(item) {
            Shape::Map(map) => write_map(map, indent.saturating_add(2), text),
            Shape::Items(nested) => write_items(nested, indent.saturating_add(2), text),
            Shape::Scalar(scalar) => write_scalar_line(scalar, text),
        }
    }
}

fn write_scalar_line(value: &Value, text: &mut String) {
    match value.as_str() {
        Some(string) => write_string(string, text),
        // Empty lists and maps, numbers, booleans and null are the same in both languages.
        None => push(text, format_args!("{value}")),
    }
    text.push('\n');
}

fn write_string(string: &str, text: &mut String) {
    if is_plain(string) {
        text.push_str(string);
        return;
    }
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if is_hidden(c) => push(text, format_args!("\\U{:08x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Whether a string needs no quotes in any version of YAML: it starts like a word, and is none that
/// means something.
fn is_plain(string: &str) -> bool {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan",
    ];
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "-_./@:".contains(c);
    string.starts_with(starts)
        && string.chars().all(goes_on)
        && !string.ends_with(':')
        && !WORDS.contains(&string.to_ascii_lowercase().as_str())
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _: std::fmt::Result = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn yaml_is_laid_out_as_kubectl_does() {
        let value = json!({
            "apiVersion": "spreadgroup.com/v1",
            "metadata": {"name": "access-exec-jane-x", "labels": {}},
            "spec": {"execOptions": {"command": ["sh", "-c", "echo true"], "stdout": true}, "validFor": "1h0m0s"},
            "uses": [{"pod": "a", "at": "2026-01-01T00:00:00Z"}, {"pod": "b"}],
            "yes": "yes",
        });
        let expected = r#"apiVersion: spreadgroup.com/v1
metadata:
  name: access-exec-jane-x
  labels: {}
spec:
  execOptions:
    command:
    - sh
    - "-c"
    - "echo true"
    stdout: true
  validFor: "1h0m0s"
uses:
- pod: a
  at: "2026-01-01T00:00:00Z"
- pod: b
"yes": "yes"
"#;
        assert_eq!(yaml(&value), expected);
    }

    #[test]
    fn hostile_text_is_escaped_in_both_formats() {
        let value = json!({"reason": "\u{1b}[2J\u{202e}x\u{e0041}\u{7f}"});
        assert_eq!(
            yaml(&value),
            "reason: \"\\U0000001b[2J\\U0000202ex\\U000e0041\\U0000007f\"\n"
        );
        let text = json(&value).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn managed_fields_are_left_out() {
        let value =
            value_of(&json!({"metadata": {"name": "a", "managedFields": [{}], "uid": "1"}}))
                .unwrap();
        assert_eq!(value, json!({"metadata": {"name": "a", "uid": "1"}}));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-zA-Z0-9:/. -]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}|yes|\\PC{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in values()) {
            let text = yaml(&value);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
            let read: Value = serde_saphyr::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(serde_json::from_str::<Value>(&json(&value).unwrap()).unwrap(), value);
        }
    }
}
