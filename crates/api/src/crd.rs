//! The CustomResourceDefinitions, as `deploy/` ships them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use kube::CustomResourceExt;

use crate::{
    objects::{AccessGrant, AccessRequest},
    policy::AccessPolicy,
};

/// All definitions, in the order in which they are installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![AccessRequest::crd(), access_grant(), AccessPolicy::crd()]
}

/// The grant's `status` is the original's required string: with a status subresource the API server
/// would drop it on creation, and `kubectl create` of a grant would grant nothing.
fn access_grant() -> CustomResourceDefinition {
    let mut crd = AccessGrant::crd();
    crd.spec.versions.iter_mut().for_each(require_plain_status);
    crd
}

fn require_plain_status(version: &mut CustomResourceDefinitionVersion) {
    version.subresources = None;
    if let Some(root) = version
        .schema
        .as_mut()
        .and_then(|schema| schema.open_api_v3_schema.as_mut())
    {
        root.required
            .get_or_insert_default()
            .push("status".to_owned());
        if let Some(status) = root
            .properties
            .as_mut()
            .and_then(|properties| properties.get_mut("status"))
        {
            make_not_nullable(status);
        }
    }
}

fn make_not_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = schema.enum_.as_mut() {
        values.retain(|value| !value.0.is_null());
    }
}
