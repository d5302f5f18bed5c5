//! What the controllers' queue remembers of an object: what it is called, and no more. Kubernetes'
//! metadata holds who wrote which field, which takes several times as much.

use std::{borrow::Cow, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// An object of a kind, without anything but its name.
#[derive(Debug)]
pub struct Bare<K> {
    metadata: ObjectMeta,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Bare<K> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            kind: PhantomData,
        }
    }
}

impl<'de, K> Deserialize<'de> for Bare<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: Option<String>,
            namespace: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
        }
        let Named {
            metadata:
                Metadata {
                    name,
                    namespace,
                    uid,
                    resource_version,
                },
        } = Named::deserialize(deserializer)?;
        let metadata = ObjectMeta {
            name,
            namespace,
            uid,
            resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self {
            metadata,
            kind: PhantomData,
        })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Bare<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use api::AccessRequest;
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_it_is_called_is_remembered() {
        let object = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "spec": {"anything": true},
            "metadata": {
                "name": "ask", "namespace": "a", "uid": "1", "resourceVersion": "2", "labels": {"a": "b"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}], "creationTimestamp": "not a time",
            },
        });
        let bare: Bare<AccessRequest> = serde_json::from_value(object).unwrap();
        assert_eq!(
            (bare.name_any().as_str(), bare.namespace().as_deref()),
            ("ask", Some("a"))
        );
        assert_eq!(
            (bare.uid().as_deref(), bare.resource_version().as_deref()),
            (Some("1"), Some("2"))
        );
        assert!(bare.labels().is_empty() && bare.managed_fields().is_empty());
        assert_eq!(Bare::<AccessRequest>::plural(&()), "accessrequests");
    }
}
