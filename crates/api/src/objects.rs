//! The stored objects. Field names, types and meanings are those of the original; what was added is
//! optional.
//!
//! Every string and list is bounded in the schema: one user must not be able to fill the store, and
//! the API server refuses CEL rules whose cost it cannot bound.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "every printer column has a type and a path"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::ephemeral::{
    Capabilities, EnvVar, EphemeralContainer, SeccompProfile, SecurityContext, VolumeMount,
};
pub use crate::status::{
    AccessRequestStatus, Alarm, Denied, Emergency, Outcome, Phase, PolicyRef, Reviewed, Use,
};

/// API group of our objects.
pub const GROUP: &str = "spreadgroup.com";
/// API version of our objects.
pub const VERSION: &str = "v1";

/// A request for access to a pod: by whom, to what, to run what, once or for how long.
///
/// The spec never changes after creation (a CEL rule, so that it holds while our server is down):
/// what an approver reads is what is granted.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "spreadgroup.com",
    version = "v1",
    kind = "AccessRequest",
    plural = "accessrequests",
    shortname = "acr",
    namespaced,
    status = "AccessRequestStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A request for access to a pod: who asks, for what, to run what, once or for how long.",
    selectable = ".status.phase",
    selectable = ".spec.userInfo.username",
    selectable = ".spec.usernamePrefix",
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.uses) || (has(self.status) && has(self.status.uses) && \
        oldSelf.status.uses.all(old, self.status.uses.exists(new, new.reviewUID == old.reviewUID && new.at == old.at && \
        new.podUID == old.podUID)))").message("a use of a request is never taken back"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.denied) || \
        (has(self.status) && has(self.status.denied) && self.status.denied == oldSelf.status.denied)")
        .message("a denial is final"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.emergency) || \
        (has(self.status) && has(self.status.emergency) && self.status.emergency == oldSelf.status.emergency)")
        .message("an emergency stays one"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.reviewed) || \
        (has(self.status) && has(self.status.reviewed) && self.status.reviewed == oldSelf.status.reviewed)")
        .message("a review is final"),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userInfo.username"),
    printcolumn(name = "For", type_ = "string", json_path = ".spec.forObject.name"),
    printcolumn(name = "Subresource", type_ = "string", json_path = ".spec.forObject.subResource"),
    printcolumn(name = "Command", type_ = "string", json_path = ".spec.execOptions.command"),
    printcolumn(name = "Any-Command", type_ = "boolean", json_path = ".spec.anyCommand", priority = 1),
    printcolumn(name = "Duration", type_ = "string", json_path = ".spec.validFor"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Container", type_ = "string", json_path = ".spec.execOptions.container", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a request never changes: file a new one"))]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestSpec {
    /// Who wants the access. Stamped by the server: name, uid and groups as the API server knows
    /// them. Only always-allowed callers may name somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_info: Option<UserInfo>,
    /// What the access is to.
    pub for_object: ForObject,
    /// How long the access lasts from the moment it is granted, in Go's duration syntax (`1h30m`),
    /// at most 12h. Absent or empty: it may be used once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub valid_for: Option<String>,
    /// What `kubectl exec` would send. Present on every request; empty for doors other than exec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_options: Option<ExecOptions>,
    /// With `subResource: exec`, for `kubectl cp`: what is copied. `execOptions.command` is then
    /// the command that kubectl runs for it, written by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
    /// With `subResource: attach`: what `kubectl attach` would send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_options: Option<AttachOptions>,
    /// With `subResource: portforward`: which ports are wanted, for people. They cannot be limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_forward_options: Option<PortForwardOptions>,
    /// With `subResource: ephemeralcontainers`: the container that `kubectl debug` would add.
    /// Without a name any name will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_container: Option<EphemeralContainer>,
    /// With `subResource: ephemeralcontainers`: the same user may attach to that container, once,
    /// without another request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<bool>,
    /// Free keys for the validation webhook and for people, such as a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    #[x_kube(validation = Rule::new("self.all(key, size(key) <= 253)").message("a key has at most 253 characters"))]
    pub custom_keys: Option<BTreeMap<String, String>>,
    /// Why the access is needed, for whoever approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Says aloud that any command may be run. Without it a command is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_command: Option<bool>,
    /// Who filed the request. Stamped by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserInfo>,
    /// Name of an earlier request, of the same user, that this one repeats or goes on with; for
    /// people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub follows: Option<String>,
    /// What the cluster is called, so that nobody approves in another one than they mean. Stamped by
    /// the server, from `--cluster-name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub cluster_name: Option<String>,
    /// What the authenticator puts before the names that stand here without it. Stamped by the
    /// server, from `--username-prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub username_prefix: Option<String>,
}

/// Who somebody is, as `authentication.k8s.io/v1` UserInfo has it, with bounds.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct UserInfo {
    /// The name, without the prefix that `--username-prefix` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub username: Option<String>,
    /// The unique id, where the authenticator gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub uid: Option<String>,
    /// The groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), inner(length(max = 512)))]
    pub groups: Option<Vec<String>>,
    /// Whatever else the authenticator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {
        "type": "array", "maxItems": 64, "nullable": true, "items": {"type": "string", "maxLength": 1024}
    }))]
    pub extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

impl UserInfo {
    /// The name, or the empty string where none is written.
    pub fn name(&self) -> &str {
        self.username.as_deref().unwrap_or_default()
    }
}

/// What a request is for.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForObject {
    /// `pods`, or a workload: `deployments`, `statefulsets`, `daemonsets`, `jobs`.
    pub resource: GroupVersionResource,
    /// The door: `exec`, `attach`, `portforward` or `ephemeralcontainers`.
    #[schemars(length(max = 63))]
    pub sub_resource: String,
    /// Name of the pod or workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Empty, or the request's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// UID of the pod or workload. Stamped by the server: one re-created under the same name is
    /// another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
}

/// A resource, as `meta.k8s.io/v1` has it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct GroupVersionResource {
    /// API group, empty for core.
    #[schemars(length(max = 253))]
    #[serde(default)]
    pub group: String,
    /// API version.
    #[schemars(length(max = 63))]
    #[serde(default)]
    pub version: String,
    /// Plural name.
    #[schemars(length(max = 63))]
    pub resource: String,
}

impl GroupVersionResource {
    /// `v1/pods`.
    pub fn pods() -> Self {
        Self {
            group: String::new(),
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
        }
    }
}

/// core/v1 `PodExecOptions`, as the API server sends it and the original stores it: false booleans
/// are left out.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecOptions {
    /// `PodExecOptions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub kind: Option<String>,
    /// `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub api_version: Option<String>,
    /// Whether standard input is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Whether standard output comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<bool>,
    /// Whether standard error comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<bool>,
    /// Whether a terminal is allocated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Name of the container. Where it is left out, the server fills in the pod's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// The command, one element an argument. At most 256 arguments of 4 KiB, 32 KiB in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,
}

impl ExecOptions {
    /// The options as `kubectl exec` would send them, with `kind` and `apiVersion` written inside.
    pub fn new(container: Option<String>, command: Vec<String>, stdin: bool, tty: bool) -> Self {
        Self {
            kind: Some("PodExecOptions".to_owned()),
            api_version: Some("v1".to_owned()),
            stdin: stdin.then_some(true),
            stdout: Some(true),
            // With a terminal the two streams are one (kubectl does the same).
            stderr: (!tty).then_some(true),
            tty: tty.then_some(true),
            container,
            command: Some(command),
        }
    }
}

/// What `kubectl cp` copies. It is exec as kubectl makes it: `test -d PATH` and `tar -xmf - -C
/// DIRECTORY` into a container, `tar cf - PATH` out of it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// Into the container or out of it.
    pub direction: CopyDirection,
    /// The path in the container, without a slash at the end.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
    /// Into the container: where files are unpacked, which is `path` itself or the directory that
    /// it is in. Whoever copies can write any file below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub directory: Option<String>,
    /// Into the container: leave owners and permissions behind (`kubectl cp --no-preserve`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_preserve: Option<bool>,
}

/// Which way is copied.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CopyDirection {
    /// Into the container.
    To,
    /// Out of the container.
    From,
}

/// core/v1 `PodAttachOptions`: false booleans are left out.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachOptions {
    /// Whether standard input is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Whether standard output comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<bool>,
    /// Whether standard error comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<bool>,
    /// Whether a terminal is allocated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Name of the container. Where it is left out, the server fills in the pod's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
}

/// core/v1 `PodPortForwardOptions`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortForwardOptions {
    /// The ports that are wanted. Admission does not see which ones are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(range(min = 1, max = 65535)))]
    pub ports: Option<Vec<i32>>,
}

/// The answer to a request: granted, denied, or reviewed afterwards; by whom.
///
/// Its `status` is a string at the top level, as in the original, and so the object has no status
/// subresource.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "spreadgroup.com",
    version = "v1",
    kind = "AccessGrant",
    plural = "accessgrants",
    shortname = "acg",
    namespaced,
    status = "GrantStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The answer to an AccessRequest: granted, denied, or reviewed afterwards; by whom.",
    selectable = ".spec.grantFor",
    validation = Rule::new("has(self.status) && has(oldSelf.status) && self.status == oldSelf.status")
        .message("the answer to a request never changes: to end an access, delete the request or the grant"),
    printcolumn(name = "Request", type_ = "string", json_path = ".spec.grantFor"),
    printcolumn(name = "Granted by", type_ = "string", json_path = ".spec.grantedBy.username"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a grant never changes: delete it, and create another"))]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// Name of the AccessRequest, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub grant_for: String,
    /// Who answered. Stamped by the server, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_by: Option<UserInfo>,
    /// UID of the request that the approver read. Compared with the live request and refused when
    /// different; stamped only where neither it nor an ownerReference says which request was meant.
    #[serde(
        rename = "requestUID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 64))]
    pub request_uid: Option<String>,
    /// A shorter validity than the request asks for, in Go's duration syntax. For a single-use
    /// request: how long it stays usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub valid_for: Option<String>,
    /// Why, for whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Proof that this answer was admitted by the server. Stamped by it, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

/// Proof that an answer was admitted: a grant without it, or whose content or request is another,
/// grants nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Seal {
    /// When the answer was admitted.
    pub at: Time,
    /// HMAC-SHA256, in hexadecimal, of what the answer says and of the request's spec, under the
    /// server's key.
    #[schemars(length(max = 64))]
    pub mac: String,
}

/// The answer.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrantStatus {
    /// Access is granted.
    Granted,
    /// Access is denied, for good.
    Denied,
    /// It was an emergency, and was reviewed. This gives no access.
    Reviewed,
}
