//! Requests as they are stored, and what of them this version does not know.
//!
//! A later server may know a field that widens a request. A plugin that drops it on reading shows an
//! ordinary request, and what an approver then grants is more than they read.

use api::AccessRequest;
use kube::api::{GetParams, Request};
use kube::{Error, Resource as _};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Cluster, ClusterError};

/// A request, and all that it asks for.
#[derive(Debug, Clone)]
pub struct Whole {
    /// As far as it is known.
    pub request: AccessRequest,
    /// Its spec as it is stored.
    spec: Box<RawValue>,
}

impl Whole {
    pub(super) fn of(stored: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Stored {
            spec: Box<RawValue>,
        }
        Ok(Self {
            request: serde_json::from_slice(stored)?,
            spec: serde_json::from_slice::<Stored>(stored)?.spec,
        })
    }

    /// Fields of its spec that are not known, such as `spec.execOptions.newest`. What cannot be
    /// compared is not known.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        let known = serde_json::to_value(&self.request.spec).unwrap_or_default();
        match serde_json::from_str(self.spec.get()) {
            Ok(stored) => missing("spec", &stored, &known, &mut unknown),
            Err(_not_json) => unknown.push("spec".to_owned()),
        }
        unknown
    }
}

/// The fields of `raw` that are not in `known`. Nothing, and an empty list, are left out as they are
/// written again.
fn missing(path: &str, raw: &Value, known: &Value, into: &mut Vec<String>) {
    match (raw, known) {
        (Value::Object(raw), Value::Object(known)) => {
            for (key, value) in raw {
                let path = format!("{path}.{key}");
                match known.get(key) {
                    Some(known) => missing(&path, value, known, into),
                    None if value.is_null() || value.as_array().is_some_and(Vec::is_empty) => {}
                    None => into.push(path),
                }
            }
        }
        (Value::Array(raw), Value::Array(known)) => {
            for (at, value) in raw.iter().enumerate() {
                missing(
                    &format!("{path}[{at}]"),
                    value,
                    known.get(at).unwrap_or(&Value::Null),
                    into,
                );
            }
        }
        (Value::Object(_) | Value::Array(_), _) => into.push(path.to_owned()),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

impl Cluster {
    /// One request, and what this version does not know of it.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn whole(&self, name: &str) -> Result<Whole, ClusterError> {
        let url = AccessRequest::url_path(&(), Some(&self.namespace));
        let read = async {
            let request = Request::new(url)
                .get(name, &GetParams::default())
                .map_err(Error::BuildRequest)?;
            let stored = self.client.request_text(request).await?;
            Whole::of(stored.as_bytes()).map_err(Error::SerdeError)
        };
        self.ours(read).await
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn stored(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut raw = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": "a", "labels": {"new": "one"}},
            "spec": {
                "userInfo": {"username": "jane", "extra": {"scopes": ["x"]}},
                "forObject": {
                    "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p",
                },
                "execOptions": {"kind": "PodExecOptions", "apiVersion": "v1", "stdin": false, "command": ["ls"]},
                "ephemeralContainer": {"image": "box", "env": [{"name": "A", "value": "1"}]},
                "customKeys": {"ticket": "1"}, "reason": null,
            },
            "status": {"newest": true},
        });
        change(&mut raw["spec"]);
        Whole::of(raw.to_string().as_bytes()).unwrap().unknown()
    }

    // P23
    #[rstest]
    #[case(|_: &mut Value| (), "")]
    #[case(|spec: &mut Value| spec["alsoOn"] = json!("nodes"), "spec.alsoOn")]
    #[case(|spec: &mut Value| spec["execOptions"]["asRoot"] = json!(false), "spec.execOptions.asRoot")]
    #[case(|spec: &mut Value| spec["forObject"]["everywhere"] = json!({}), "spec.forObject.everywhere")]
    #[case(|spec: &mut Value| spec["ephemeralContainer"]["env"][0]["from"] = json!({"secret": "s"}), "spec.ephemeralContainer.env[0].from")]
    fn a_field_that_this_version_does_not_know_is_found(
        #[case] change: fn(&mut Value),
        #[case] unknown: &str,
    ) {
        assert_eq!(stored(change).join(" "), unknown);
    }
}
