//! What became of a request, as the server writes it down.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{conditions, reasons},
    objects::AccessRequest,
};

/// What became of a request. Written by the server alone.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestStatus {
    /// Where the request stands, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The uses: of a single-use request at most one of each door, of one for a time the ephemeral
    /// containers that its user may attach to. A use is written here before what it is for starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub uses: Vec<Use>,
    /// Set when somebody denied the request. Final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
    /// Who granted it, for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub granted_by: Vec<String>,
    /// The policy that grants it without an approver, for display; decisions ask the policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_by_policy: Option<PolicyRef>,
    /// Set when a policy for emergencies granted the request, before it gives access. It never
    /// changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// Set when somebody reviewed that emergency. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Reviewed>,
    /// How many approvals the policies require where that is more than one, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 16))]
    pub approvals: Option<u32>,
    /// The alarms that the receiver of notices (`--notice-url`) has taken. Any other is sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub notified: Vec<Alarm>,
    /// When the access ends or ended, for display; decisions compute it from the grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// `Granted`, `Denied`, `Used`, `Expired`, for `kubectl wait --for=condition=Granted`; of an
    /// emergency `Reviewed`, too. `Sealed` is there, and false, where it or a grant of it has no
    /// good seal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
}

impl AccessRequest {
    /// Where it stands, as its status says. A request that no server has looked at yet is pending.
    pub fn phase(&self) -> Phase {
        self.status
            .as_ref()
            .and_then(|status| status.phase)
            .unwrap_or(Phase::Pending)
    }

    /// Whether it gives access, as its status says.
    pub fn is_granted(&self) -> bool {
        self.phase() == Phase::Granted
    }

    /// Whether a policy for emergencies granted it, and nobody has reviewed that.
    pub fn is_unreviewed(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|status| status.emergency.is_some() && status.reviewed.is_none())
    }
}

/// What somebody must be told, even if that takes several attempts.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Alarm {
    /// A policy for emergencies granted a request, and somebody must review that.
    Emergency,
    /// Nobody reviewed an emergency in time.
    Overdue,
    /// A single use was taken by a server that stopped before it could answer.
    Lost,
}

impl AccessRequestStatus {
    /// Whether an emergency was not reviewed in time.
    pub fn is_overdue(&self) -> bool {
        self.condition(conditions::REVIEWED)
            .is_some_and(|condition| condition.reason == reasons::OVERDUE)
    }

    /// Whether a use is lost.
    pub fn has_lost_use(&self) -> bool {
        self.uses
            .iter()
            .any(|one| one.outcome == Some(Outcome::Lost))
    }

    /// The alarms that nobody is known to have been told of, each with the time that it is about.
    /// Those of an emergency end with its review.
    pub fn untold(&self) -> Vec<(Alarm, Timestamp)> {
        let emergency = self.emergency.as_ref().filter(|_| self.reviewed.is_none());
        let overdue = emergency.filter(|_| self.is_overdue());
        let lost = self
            .condition(conditions::LOST)
            .filter(|_| self.has_lost_use());
        let alarms = [
            emergency.map(|emergency| (Alarm::Emergency, emergency.since.0)),
            overdue.map(|emergency| (Alarm::Overdue, emergency.review_by.0)),
            lost.map(|condition| (Alarm::Lost, condition.last_transition_time.0)),
        ];
        alarms
            .into_iter()
            .flatten()
            .filter(|(alarm, _)| !self.notified.contains(alarm))
            .collect()
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == kind)
    }
}

/// That a policy granted a request without any approver, because of an emergency.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Emergency {
    /// The policy.
    pub policy: PolicyRef,
    /// Since when.
    pub since: Time,
    /// Until when somebody must review it.
    pub review_by: Time,
}

/// Who reviewed an emergency, and when.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Reviewed {
    /// Name of who reviewed it.
    #[schemars(length(max = 512))]
    pub by: String,
    /// When.
    pub at: Time,
    /// What was remarked, where something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// The policy that decided, as it stood then.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PolicyRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its generation.
    pub generation: i64,
}

/// Where a request stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Phase {
    /// Nobody has granted or denied it.
    Pending,
    /// It can be used.
    Granted,
    /// Somebody denied it.
    Denied,
    /// It was used.
    Used,
    /// Its time is over.
    Expired,
}

/// One use of a single-use request.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// UID of the AdmissionReview that spent it.
    #[serde(rename = "reviewUID")]
    #[schemars(length(max = 64))]
    pub review_uid: String,
    /// When.
    pub at: Time,
    /// Name of the pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// UID of the pod.
    #[serde(rename = "podUID")]
    #[schemars(length(max = 64))]
    pub pod_uid: String,
    /// The door. Absent: `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub sub_resource: Option<String>,
    /// The container; of an ephemeral one that was added its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// What is known of the answer to that review: `Answered` once it was given. Without it the use
    /// may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What is known of the answer to a review that spent a use.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Outcome {
    /// The API server was answered in time that the attempt may proceed.
    Answered,
    /// The API server was not answered in time, for all that is known: the use is lost.
    Lost,
}

/// Who denied a request, and when.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Denied {
    /// Name of who denied it.
    #[schemars(length(max = 512))]
    pub by: String,
    /// When.
    pub at: Time,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}
