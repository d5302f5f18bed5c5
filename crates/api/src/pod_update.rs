//! What an update of a pod's ephemeral containers adds. Pods are compared as JSON values: typed structs drop the fields
//! that they do not know, and those would ride along unseen.

use std::collections::BTreeMap;

use decide::debug::{DebugContainer, SECURITY_CONTEXT};
use serde_json::{Map, Value, value::RawValue};

use crate::objects::EphemeralContainer;

/// Why an update is not the addition of one container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodUpdateError {
    /// The review lacks the old or the new pod.
    #[error("the review has no pod before and after")]
    NoPod,
    /// Something beside the ephemeral containers changes.
    #[error("{field} of the pod changes too")]
    MoreChanges {
        /// What.
        field: String,
    },
    /// A container that is there already changes or goes.
    #[error("the ephemeral container {name:?} that is there already changes")]
    Changed {
        /// Its name.
        name: String,
    },
    /// Not exactly one is added.
    #[error("{count} ephemeral containers are added, and one at a time can be")]
    NotOne {
        /// How many.
        count: usize,
    },
    /// A field of a container has another type than core/v1 says.
    #[error("its field {field} is not understood")]
    Field {
        /// Which.
        field: String,
    },
}

/// The UID of the pod, and the one container that an update adds to it.
///
/// # Errors
/// It adds none or several, or changes anything else.
pub fn addition(old: Option<&RawValue>, new: Option<&RawValue>) -> Result<(String, DebugContainer), PodUpdateError> {
    let (old, new) = (pod(old)?, pod(new)?);
    let (old_containers, new_containers) = (ephemeral_containers(&old)?, ephemeral_containers(&new)?);
    check_rest(&old, &new)?;
    for (name, container) in &old_containers {
        if new_containers.get(name) != Some(container) {
            return Err(PodUpdateError::Changed { name: name.clone() });
        }
    }
    let added: Vec<_> = new_containers.iter().filter(|(name, _)| !old_containers.contains_key(*name)).collect();
    let [(_, container)] = added.as_slice() else { return Err(PodUpdateError::NotOne { count: added.len() }) };
    let uid = old.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
    let uid = uid.filter(|uid| new.pointer("/metadata/uid").and_then(Value::as_str) == Some(*uid));
    Ok((uid.ok_or(PodUpdateError::NoPod)?.to_owned(), debug_container(container)?))
}

/// The ephemeral containers of a stored pod, by name; those that are not understood are left out.
pub fn stored(pod: &Value) -> BTreeMap<String, DebugContainer> {
    let containers = ephemeral_containers(pod).unwrap_or_default();
    containers.into_iter().filter_map(|(name, container)| Some((name, debug_container(&container).ok()?))).collect()
}

/// A container that is asked for.
///
/// # Errors
/// A field is not understood.
pub fn asked(container: &EphemeralContainer) -> Result<DebugContainer, PodUpdateError> {
    let field = |_error| PodUpdateError::Field { field: "ephemeralContainer".to_owned() };
    debug_container(&serde_json::to_value(container).map_err(field)?)
}

fn pod(object: Option<&RawValue>) -> Result<Value, PodUpdateError> {
    let pod: Value = object.and_then(|object| serde_json::from_str(object.get()).ok()).ok_or(PodUpdateError::NoPod)?;
    if pod.is_object() { Ok(pod) } else { Err(PodUpdateError::NoPod) }
}

fn ephemeral_containers(pod: &Value) -> Result<BTreeMap<String, Value>, PodUpdateError> {
    let not_understood = || PodUpdateError::Field { field: "ephemeralContainers".to_owned() };
    let list = match pod.pointer("/spec/ephemeralContainers") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(list) => list.as_array().ok_or_else(not_understood)?,
    };
    let mut containers = BTreeMap::new();
    for container in list {
        let name = container.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(not_understood)?.to_owned();
        if containers.insert(name, container.clone()).is_some() {
            return Err(not_understood());
        }
    }
    Ok(containers)
}

/// Everything but the ephemeral containers must stay. What the API server itself writes into the metadata of an
/// update is no change.
fn check_rest(old: &Value, new: &Value) -> Result<(), PodUpdateError> {
    let rest = |pod: &Value| {
        let mut pod = pod.clone();
        if let Some(spec) = pod.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.remove("ephemeralContainers");
        }
        if let Some(metadata) = pod.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "generation", "resourceVersion"] {
                metadata.remove(field);
            }
        }
        pod
    };
    let (old, new) = (rest(old), rest(new));
    if old == new {
        return Ok(());
    }
    let field = |value: &Value, name: &str| value.get(name).cloned();
    let names = [&old, &new].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
    let changed = names.into_iter().find(|name| field(&old, name) != field(&new, name));
    Err(PodUpdateError::MoreChanges { field: changed.cloned().unwrap_or_default() })
}

/// A container as `decide` compares it: nothing of it is left out but what is the same for every container that the
/// API server stores.
fn debug_container(container: &Value) -> Result<DebugContainer, PodUpdateError> {
    let mut fields = container.as_object().cloned().ok_or_else(|| not_understood("ephemeralContainers"))?;
    let name = text(&mut fields, "name")?;
    let image = text(&mut fields, "image")?.unwrap_or_default();
    let target = text(&mut fields, "targetContainerName")?;
    let (command, args) = (texts(&mut fields, "command")?, texts(&mut fields, "args")?);
    let (stdin, tty) = (flag(&mut fields, "stdin")?, flag(&mut fields, "tty")?);
    drop_defaults(&mut fields);
    let mut others = BTreeMap::new();
    for (field, value) in fields {
        let value = canonical(&field, value);
        if !is_empty(&value) {
            others.insert(field, value.to_string());
        }
    }
    Ok(DebugContainer { name, image, target, command, args, stdin, tty, others })
}

/// Whether a container is root on its node.
pub fn is_privileged(container: &DebugContainer) -> bool {
    let json = container.others.get(SECURITY_CONTEXT).and_then(|json| serde_json::from_str::<Value>(json).ok());
    json.is_some_and(|rights| rights.get("privileged") == Some(&Value::Bool(true)))
}

fn not_understood(field: &str) -> PodUpdateError {
    PodUpdateError::Field { field: field.to_owned() }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, PodUpdateError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(not_understood(name)),
    }
}

fn texts(fields: &mut Map<String, Value>, name: &str) -> Result<Vec<String>, PodUpdateError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list).map_err(|_other_types| not_understood(name)),
    }
}

fn flag(fields: &mut Map<String, Value>, name: &str) -> Result<bool, PodUpdateError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(not_understood(name)),
    }
}

/// What the API server fills in where it was left out (core/v1 defaults), and the pull policy, by which the same image
/// is only fetched earlier or later. `Never` could run what somebody put on the node.
fn drop_defaults(fields: &mut Map<String, Value>) {
    let defaults = [
        ("terminationMessagePath", "/dev/termination-log"),
        ("terminationMessagePolicy", "File"),
        ("imagePullPolicy", "Always"),
        ("imagePullPolicy", "IfNotPresent"),
    ];
    for (field, default) in defaults {
        if fields.get(field).and_then(Value::as_str) == Some(default) {
            fields.remove(field);
        }
    }
    if fields.get("stdinOnce") == Some(&Value::Bool(false)) {
        fields.remove("stdinOnce");
    }
}

/// Sorted keys, nothing that is null or empty, and environment variables by name: kubectl sends them in any order.
fn canonical(field: &str, value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<String, Value> = object
                .into_iter()
                .map(|(key, value)| (key, canonical("", value)))
                .filter(|(_, value)| !is_empty(value))
                .collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(|value| canonical("", value)).collect();
            // Not where one is made of others: then their order has a meaning.
            if field == "env" && !list.iter().any(|variable| variable.to_string().contains("$(")) {
                list.sort_by_key(|variable| variable.get("name").and_then(Value::as_str).map(str::to_owned));
            }
            Value::Array(list)
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        // core/v1 leaves empty strings out.
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
