//! Policies: what needs no request, what needs several approvals, what nobody may; and its way into
//! `decide`.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column has a type and a path"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod understood;

pub use understood::{PolicyFault, id, in_place_of, policy};

/// What needs no request, what needs several approvals, and what nobody may.
///
/// Of all policies that match, `Deny` wins, then `Require`, then `Allow`. Where none matches, one
/// approval is needed.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "spreadgroup.com",
    version = "v1",
    kind = "AccessPolicy",
    plural = "accesspolicies",
    singular = "accesspolicy",
    shortname = "acp",
    derive = "PartialEq",
    status = "AccessPolicyStatus",
    doc = "What needs no request, what needs several approvals, and what nobody may.",
    printcolumn(name = "Effect", type_ = "string", json_path = ".spec.effect"),
    printcolumn(
        name = "Subresources",
        type_ = "string",
        json_path = ".spec.subresources"
    ),
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".spec.namespaces"),
    printcolumn(name = "Approvals", type_ = "integer", json_path = ".spec.approvals"),
    printcolumn(
        name = "Sealed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Sealed')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicySpec {
    /// What it does where it matches.
    pub effect: PolicyEffect,
    /// For whom. An `Allow` must say; otherwise absent means everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub subjects: Option<Vec<PolicySubject>>,
    /// In which namespaces, by name; `*` stands for any text. An `Allow` must say; otherwise absent
    /// means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Option<Vec<String>>,
    /// Which subresources of pods: `exec`, `attach`, `portforward`, `ephemeralcontainers`. An
    /// `Allow` must say; otherwise absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(length(max = 63)))]
    pub subresources: Option<Vec<String>>,
    /// What `subresources` was called before 0.2.0: a policy that still says so is not understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(length(max = 63)))]
    pub doors: Option<Vec<String>>,
    /// Which commands; only with the one subresource `exec`. Absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub commands: Option<Vec<PolicyCommand>>,
    /// With `Allow`: paths behind the proxies of pods, services and nodes, which nobody can ask
    /// for. Neither the method nor the query of what goes through is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub proxies: Option<Vec<PolicyProxy>>,
    /// With `Allow`: also what somebody can type into (`-i`, `-t`). With `Require`, `false` forbids
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactive: Option<bool>,
    /// With `Allow` and `ephemeralcontainers`: also debug containers with rights beyond those of the
    /// profiles general, baseline and restricted of `kubectl debug`, which may be root on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// How long access lasts at most, in Go's duration syntax. A request for longer is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub valid_for: Option<String>,
    /// With `Require`: how many people must approve. Absent: as many as there are sets of
    /// approvers, and at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub approvals: Option<u32>,
    /// With `Require`: sets of people. One of each must approve, and nobody outside of them counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub approvers: Option<Vec<PolicyApprovers>>,
    /// The reason that a request must give. An `Allow` with it grants requests, not plain attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<PolicyText>,
    /// The custom keys that a request must have. An `Allow` with them grants requests, not plain
    /// attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub keys: Option<Vec<PolicyKey>>,
    /// With `Allow` and a `reason`: for emergencies. A request is granted at once, and must be
    /// reviewed afterwards; its user cannot delete it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<PolicyEmergency>,
    /// Whom to ask about it, as those read who are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub contact: Option<String>,
}

/// What the server found of a policy, for display; decisions look themselves.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicyStatus {
    /// `Sealed`: whether it was admitted by a server with the cluster's key. Without that an
    /// `Allow` permits nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
}

/// What a policy does.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PolicyEffect {
    /// No approval is needed.
    Allow,
    /// More is needed than one approval.
    Require,
    /// Nobody may.
    Deny,
}

/// Somebody, as RBAC names subjects.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PolicySubject {
    /// `User`, `Group` or `ServiceAccount`.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The name, as the API server gives it.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// The namespace of a `ServiceAccount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// A command: one of the two.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct PolicyCommand {
    /// This one, argument by argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 4096)))]
    pub exactly: Option<Vec<String>>,
    /// Any whose first argument is this. A shell or an interpreter here means any command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub program: Option<String>,
}

/// Paths behind a proxy.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PolicyProxy {
    /// `pods`, `services` or `nodes`.
    #[schemars(length(max = 63))]
    pub resource: String,
    /// The ports, by number or name, as they stand behind the name in the URL (`NAME:PORT`).
    /// Absent: only without one. Of a node only the kubelet's can be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub ports: Option<Vec<String>>,
    /// The paths: `/metrics`, or `/metrics/*` for all below it.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 1024)))]
    pub paths: Vec<String>,
}

/// People of whom one must approve.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PolicyApprovers {
    /// What texts call them.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The people.
    #[schemars(length(min = 1, max = 256))]
    pub subjects: Vec<PolicySubject>,
}

/// What a text must be like.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct PolicyText {
    /// A regular expression (RE2 syntax) for the whole text. Absent: there must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
    /// What to tell whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub prompt: Option<String>,
}

/// What follows an emergency.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyEmergency {
    /// Within which time somebody who may answer requests must review it, in Go's duration syntax,
    /// at most 720h.
    #[schemars(length(max = 64))]
    pub review_within: String,
}

/// A custom key that a request must have.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PolicyKey {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A regular expression (RE2 syntax) for the whole value. Absent: there must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
    /// What to tell whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub prompt: Option<String>,
}
