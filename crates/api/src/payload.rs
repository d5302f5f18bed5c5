//! What audit and validation webhooks receive and answer. Receivers written in Go decode these into
//! the types of k8s.io/api, so every field has the JSON type that those expect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    objects::{AccessGrant, AccessRequest, ExecOptions},
    status::PolicyRef,
};

/// `?type=audit-exec`: somebody tried a door. Posted before anything is spent.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditExec<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// Whether it may proceed.
    pub is_allowed: bool,
    /// The options of the exec; empty for other doors.
    pub exec_options: &'a ExecOptions,
    /// Whether the caller is always allowed.
    pub is_admin: bool,
    /// What was decided, and by what. The original had no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<&'a Basis>,
}

/// What was decided about an attempt, and by what: joins it to its request, to who granted it, and
/// to the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Basis {
    /// Why it may proceed or not: `granted`, `always-allowed`, `denied-near-miss`, …, as in the log
    /// and the metrics.
    pub decision: String,
    /// The AccessRequest that gives the access; of a denial the one that comes nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_request: Option<ObjectRef>,
    /// The grants that give the access.
    pub grants: Vec<ObjectRef>,
    /// The users who granted it.
    pub approvers: Vec<String>,
    /// The policies that decided, or that the access is under.
    pub policies: Vec<PolicyRef>,
    /// Whether it is an emergency.
    pub emergency: bool,
}

/// One of our objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// `?type=audit-denied`, `?type=audit-reviewed`: somebody denies a request, or reviews an
/// emergency. Sent only where asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditAnswered<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// The request that is answered.
    pub access_request: &'a AccessRequest,
    /// The answer.
    pub access_grant: &'a AccessGrant,
}

/// `?type=audit-deleted`, `?type=audit-revoked`: somebody deletes a request, or a grant or another
/// answer. The object as it was is the request's `oldObject`. Sent only where asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditDeleted<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// The request that is deleted, or that the deleted answer is for.
    pub access_request: ObjectRef,
}

/// `?type=audit-created`: somebody files a request.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditCreated<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// The request.
    pub access_request: &'a AccessRequest,
}

/// `?type=audit-granted`: somebody grants a request. Never sent for a denial.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditGranted<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// The request that is granted.
    pub access_request: &'a AccessRequest,
    /// The grant.
    pub access_grant: &'a AccessGrant,
}

/// What the extended validation webhook gets when somebody files a request. Its keys start with
/// capitals.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Validation<'a> {
    /// The AdmissionRequest, as the API server sent it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub request: &'a RawValue,
    /// The request.
    pub access_request: &'a AccessRequest,
}

/// What the extended validation webhook answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationAnswer {
    /// Whether the request may be filed.
    pub status: Validity,
    /// Why not, for whoever files it.
    #[serde(default)]
    pub message: Option<String>,
}

/// Whether a request may be filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// It may.
    Valid,
    /// It may not.
    Invalid,
}
