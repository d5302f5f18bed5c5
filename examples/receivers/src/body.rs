//! What the receivers read of the bodies they get. There is more in them, which serde skips: what
//! is added tomorrow must not break a receiver of today.
//!
//! The bodies are written for Go, where an absent list or map may arrive as `null`: hence the
//! `Option`s.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the API server asks about: `request` in audit events, `Request` in validations.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest {
    /// Names this attempt; two events about the same attempt carry the same.
    pub uid: String,
    /// Who did it, as the API server knows them.
    pub user_info: UserInfo,
    /// The namespace, empty for what has none.
    #[serde(default)]
    pub namespace: String,
    /// Name of the pod, request or grant.
    #[serde(default)]
    pub name: String,
    /// The door of an attempt: `exec`, `attach`, `portforward`, …
    #[serde(default)]
    pub sub_resource: String,
}

/// Somebody.
#[derive(Debug, Deserialize)]
pub struct UserInfo {
    /// Their name.
    pub username: String,
    /// Their groups.
    pub groups: Option<Vec<String>>,
}

/// What `kubectl exec` was asked to run. Empty for other doors.
#[derive(Debug, Default, Deserialize)]
pub struct ExecOptions {
    /// Name of the container.
    pub container: Option<String>,
    /// The command, one element an argument.
    pub command: Option<Vec<String>>,
    /// Whether the caller can type.
    #[serde(default)]
    pub stdin: bool,
    /// Whether there is a terminal.
    #[serde(default)]
    pub tty: bool,
}

/// A request for access.
#[derive(Debug, Deserialize)]
pub struct AccessRequest {
    /// Its name.
    pub metadata: Metadata,
    /// What is asked for.
    pub spec: AccessRequestSpec,
}

/// What a request asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestSpec {
    /// Who will have the access. Not always who files the request.
    pub user_info: Option<UserInfo>,
    /// What the access is to.
    pub for_object: ForObject,
    /// What will be run.
    pub exec_options: Option<ExecOptions>,
    /// Whether any command may be run.
    #[serde(default)]
    pub any_command: bool,
    /// How long the access lasts, such as `1h30m0s`. Absent: it may be used once.
    pub valid_for: Option<String>,
    /// Why it is needed.
    pub reason: Option<String>,
    /// Free keys, such as a ticket.
    pub custom_keys: Option<BTreeMap<String, String>>,
}

/// What a request is for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForObject {
    /// `pods`, or a workload.
    pub resource: Resource,
    /// The door.
    pub sub_resource: String,
    /// Name of the pod or workload.
    pub name: String,
}

/// A kind of resource.
#[derive(Debug, Deserialize)]
pub struct Resource {
    /// Its plural name.
    pub resource: String,
}

/// The grant of a request.
#[derive(Debug, Deserialize)]
pub struct AccessGrant {
    /// Its name.
    pub metadata: Metadata,
}

/// What is read of an object's metadata.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The object's name.
    pub name: String,
}
