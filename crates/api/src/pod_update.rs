//! What an update of a pod's ephemeral containers adds. Pods are compared field by field as text:
//! typed structs drop the fields that they do not know, and those would ride along unseen. Of all
//! that a pod holds, only the one container that is new is built in memory.

mod fields;

use std::collections::BTreeMap;

use decide::debug::{DebugContainer, SECURITY_CONTEXT};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::objects::EphemeralContainer;
use fields::{Fields, is_same};

/// The largest container that is added, in bytes of JSON: a request for one has at most 64 KiB.
const LARGEST_CONTAINER: usize = 128 * 1024;
/// How many values the container that is added may have.
pub(crate) const MAX_VALUES: usize = 4096;

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
pub fn addition(
    old: Option<&RawValue>,
    new: Option<&RawValue>,
) -> Result<(String, DebugContainer), PodUpdateError> {
    let (old, new) = (PodText::read(old)?, PodText::read(new)?);
    old.check_rest(&new)?;
    for (name, container) in &old.ephemeral {
        if !new
            .ephemeral
            .get(name)
            .is_some_and(|kept| is_same(container, kept))
        {
            return Err(PodUpdateError::Changed { name: name.clone() });
        }
    }
    let added: Vec<_> = new
        .ephemeral
        .iter()
        .filter(|(name, _)| !old.ephemeral.contains_key(*name))
        .collect();
    let [(_, container)] = added.as_slice() else {
        return Err(PodUpdateError::NotOne { count: added.len() });
    };
    let uid = old
        .uid()
        .filter(|uid| new.uid().as_ref() == Some(uid))
        .ok_or(PodUpdateError::NoPod)?;
    Ok((uid, debug_container_of(container)?))
}

/// The ephemeral containers of a stored pod, by name, from the texts of its list; those that are
/// not understood, or are larger than any that can be asked for, are left out.
pub fn stored(containers: &[&RawValue]) -> BTreeMap<String, DebugContainer> {
    let named = containers
        .iter()
        .filter_map(|container| Some((name_of(container)?, debug_container_of(container).ok()?)));
    named.collect()
}

/// A container that is asked for.
///
/// # Errors
/// A field is not understood.
pub fn asked(container: &EphemeralContainer) -> Result<DebugContainer, PodUpdateError> {
    let field = |_error| PodUpdateError::Field {
        field: "ephemeralContainer".to_owned(),
    };
    debug_container(&serde_json::to_value(container).map_err(field)?)
}

/// A pod, as the texts of its fields.
struct PodText<'a> {
    top: Fields<'a>,
    /// `None`: it is no object, or not there; then it is among those of the top, if anywhere.
    metadata: Option<Fields<'a>>,
    spec: Option<Fields<'a>>,
    /// The ephemeral containers, by name.
    ephemeral: BTreeMap<String, &'a RawValue>,
}

impl<'a> PodText<'a> {
    fn read(pod: Option<&'a RawValue>) -> Result<Self, PodUpdateError> {
        let mut top = pod.and_then(Fields::of).ok_or(PodUpdateError::NoPod)?;
        let mut inner = |name: &str| {
            let fields = top.get(name).and_then(Fields::of)?;
            top.remove(name);
            Some(fields)
        };
        let (metadata, mut spec) = (inner("metadata"), inner("spec"));
        let list = spec
            .as_mut()
            .and_then(|spec| spec.remove("ephemeralContainers"));
        let ephemeral = list.map(by_name).transpose()?.unwrap_or_default();
        Ok(Self {
            top,
            metadata,
            spec,
            ephemeral,
        })
    }

    fn uid(&self) -> Option<String> {
        let uid = self.metadata.as_ref()?.get("uid")?;
        serde_json::from_str::<String>(uid.get())
            .ok()
            .filter(|uid| !uid.is_empty())
    }

    /// Everything but the ephemeral containers must stay. What the API server itself writes into
    /// the metadata of an update is no change.
    fn check_rest(&self, new: &Self) -> Result<(), PodUpdateError> {
        const WRITTEN: [&str; 3] = ["managedFields", "generation", "resourceVersion"];
        let changed = |field: &str| {
            Err(PodUpdateError::MoreChanges {
                field: field.to_owned(),
            })
        };
        if let Some(field) = self.top.first_difference(&new.top, &[]) {
            return changed(field);
        }
        let same = |one: &Option<Fields<'_>>, other: &Option<Fields<'_>>, left_out: &[&str]| match (
            one, other,
        ) {
            (Some(one), Some(other)) => one.first_difference(other, left_out).is_none(),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !same(&self.spec, &new.spec, &[]) {
            return changed("spec");
        }
        if !same(&self.metadata, &new.metadata, &WRITTEN) {
            return changed("metadata");
        }
        Ok(())
    }
}

/// A list of containers, by name. Each has a name of its own.
fn by_name(list: &RawValue) -> Result<BTreeMap<String, &RawValue>, PodUpdateError> {
    let list: Option<Vec<&RawValue>> =
        serde_json::from_str(list.get()).map_err(|_error| no_list())?;
    let mut containers = BTreeMap::new();
    for container in list.unwrap_or_default() {
        if containers
            .insert(name_of(container).ok_or_else(no_list)?, container)
            .is_some()
        {
            return Err(no_list());
        }
    }
    Ok(containers)
}

fn no_list() -> PodUpdateError {
    not_understood("ephemeralContainers")
}

fn name_of(container: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    // A struct is also read from a list of its fields, which has no names.
    let object = container.get().starts_with('{').then_some(container)?;
    serde_json::from_str::<Named>(object.get())
        .ok()
        .map(|named| named.name)
        .filter(|name| !name.is_empty())
}

/// Builds a container, where it is not larger than one that can be asked for.
fn debug_container_of(container: &RawValue) -> Result<DebugContainer, PodUpdateError> {
    let text = container.get();
    let bounded = text.len() <= LARGEST_CONTAINER && fields::values(text, MAX_VALUES);
    if !bounded {
        return Err(not_understood("ephemeralContainers (it is too large)"));
    }
    debug_container(&serde_json::from_str(text).map_err(|_error| no_list())?)
}

/// A container as `decide` compares it: nothing of it is left out but what is the same for every
/// container that the API server stores.
fn debug_container(container: &Value) -> Result<DebugContainer, PodUpdateError> {
    let mut fields = container
        .as_object()
        .cloned()
        .ok_or_else(|| not_understood("ephemeralContainers"))?;
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
    Ok(DebugContainer {
        name,
        image,
        target,
        command,
        args,
        stdin,
        tty,
        others,
    })
}

/// Whether a container is root on its node.
pub fn is_privileged(container: &DebugContainer) -> bool {
    let json = container
        .others
        .get(SECURITY_CONTEXT)
        .and_then(|json| serde_json::from_str::<Value>(json).ok());
    json.is_some_and(|rights| rights.get("privileged") == Some(&Value::Bool(true)))
}

fn not_understood(field: &str) -> PodUpdateError {
    PodUpdateError::Field {
        field: field.to_owned(),
    }
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

/// What the API server fills in where it was left out (core/v1 defaults), and the pull policy, by
/// which the same image is only fetched earlier or later. `Never` could run what somebody put on
/// the node.
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

/// Sorted keys, nothing that is null or empty, and environment variables by name: kubectl sends
/// them in any order.
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
            if field == "env"
                && !list
                    .iter()
                    .any(|variable| variable.to_string().contains("$("))
            {
                list.sort_by_key(|variable| {
                    variable
                        .get("name")
                        .and_then(Value::as_str)
                        .map(str::to_owned)
                });
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
