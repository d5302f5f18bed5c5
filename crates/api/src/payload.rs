//! What audit and validation webhooks receive and answer. Receivers written in Go decode these into the types of
//! k8s.io/api, so every field has the JSON type that those expect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::objects::{AccessGrant, AccessRequest, ExecOptions};

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

/// What the extended validation webhook gets when somebody files a request. Its keys start with capitals.
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
