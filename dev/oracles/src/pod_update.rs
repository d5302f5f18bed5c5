//! Updates of a pod: exactly one ephemeral container is added, and all of it is seen.

use api::pod_update::{PodUpdateError, addition};
use serde_json::{Map, Value, value::RawValue};

/// Takes a list of pods: the one before, and one or two that may follow it.
pub fn check(data: &[u8]) {
    // As reviews are: no key twice, and not too deep.
    if api::review::count_values(data, usize::MAX).is_none() {
        return;
    }
    let Ok(pods) = serde_json::from_slice::<Vec<&RawValue>>(data) else {
        return;
    };
    let [old, news @ ..] = pods.as_slice() else {
        return;
    };
    // What is too deep for one of both readers is too deep for the other.
    let read = |pod: &&RawValue| serde_json::from_str::<Value>(pod.get()).ok();
    let before = read(old);
    let mut seen = Vec::new();
    for (new, after) in news.iter().zip(news.iter().map(read)).take(2) {
        let (Some(before), Some(value)) = (&before, &after) else {
            assert!(
                addition(Some(old), Some(new)).is_err(),
                "added to what cannot be read"
            );
            continue;
        };
        let expected = added(before, value);
        match addition(Some(old), Some(new)) {
            Ok((uid, container)) => {
                let raw = expected.expect("not the addition of one container");
                assert_eq!(
                    (Some(uid.as_str()), !uid.is_empty()),
                    (before["metadata"]["uid"].as_str(), true)
                );
                assert_eq!(container.name.as_deref(), raw["name"].as_str());
                assert_eq!(container.image, raw["image"].as_str().unwrap_or_default());
                seen.push((container, meaning(raw)));
            }
            Err(PodUpdateError::Field { .. }) => {}
            Err(error) => assert!(
                expected.is_none(),
                "{error} is what is said of one container more"
            ),
        }
    }
    if let [(one, a), (other, b)] = seen.as_slice() {
        // Sameness of what is compared must be sameness of what will run.
        assert!(one != other || a == b, "{a}\n{b}\nare taken for the same");
    }
}

/// The one container that `new` has beyond `old`, where nothing else differs.
pub(crate) fn added<'a>(old: &Value, new: &'a Value) -> Option<&'a Value> {
    let uid = old["metadata"]["uid"]
        .as_str()
        .filter(|uid| !uid.is_empty());
    let list = |pod: &'a Value| {
        pod["spec"]["ephemeralContainers"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let before = old["spec"]["ephemeralContainers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let names = |list: &[Value]| {
        let mut names: Vec<Option<String>> = list
            .iter()
            .map(|one| one["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        names.len() == list.len()
            && names
                .iter()
                .flatten()
                .filter(|name| !name.is_empty())
                .count()
                == list.len()
    };
    let more: Vec<&Value> = list(new)
        .iter()
        .filter(|one| !before.contains(one))
        .collect();
    let kept = before.iter().all(|one| list(new).contains(one));
    let same = uid.is_some() && rest(old) == rest(new) && kept && names(before) && names(list(new));
    if same && more.len() == 1 && before.len() + 1 == list(new).len() {
        more.first().copied()
    } else {
        None
    }
}

/// A pod without its ephemeral containers, and without what the API server writes.
fn rest(pod: &Value) -> Value {
    let without = |value: &Value, fields: &[&str]| {
        let kept = value.as_object().map(|object| {
            object
                .iter()
                .filter(|(key, _)| !fields.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
        });
        kept.map_or_else(|| value.clone(), |kept| Value::Object(kept.collect()))
    };
    let mut fields: Map<String, Value> = pod.as_object().cloned().unwrap_or_default();
    for (field, left_out) in [
        ("spec", &["ephemeralContainers"][..]),
        (
            "metadata",
            &["managedFields", "generation", "resourceVersion"],
        ),
    ] {
        if let Some(value) = fields.get(field) {
            fields.insert(field.to_owned(), without(value, left_out));
        }
    }
    Value::Object(fields)
}

/// What a container comes to: without what is empty and what the API server fills in anyway.
pub(crate) fn meaning(container: &Value) -> Value {
    let mut kept = without_empty(container);
    let Some(fields) = kept.as_object_mut() else {
        return kept;
    };
    for (field, default) in [
        ("terminationMessagePath", "/dev/termination-log"),
        ("terminationMessagePolicy", "File"),
    ] {
        fields.retain(|key, value| key != field || value != default);
    }
    fields.retain(|key, value| {
        key != "imagePullPolicy" || (value != "Always" && value != "IfNotPresent")
    });
    fields.retain(|key, value| {
        !["stdin", "tty", "stdinOnce"].contains(&key.as_str()) || *value != Value::Bool(false)
    });
    let made_of_others = fields
        .get("env")
        .is_some_and(|env| env.to_string().contains("$("));
    if let Some(env) = fields
        .get_mut("env")
        .and_then(Value::as_array_mut)
        .filter(|_| !made_of_others)
    {
        env.sort_by_key(|variable| variable["name"].as_str().map(str::to_owned));
    }
    kept
}

fn without_empty(value: &Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), without_empty(value)))
                .filter(|(_, value)| !empty(value))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.iter().map(without_empty).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
