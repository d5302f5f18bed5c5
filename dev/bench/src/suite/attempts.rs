//! The reviews, as the API server sends them.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::stage::{NAMESPACE, POD, Stage};
use crate::review::{self, Template};

/// The spec of a request for exec, as the plugin writes it.
pub(super) fn spec(command: &Value) -> Value {
    json!({
        "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": POD, "namespace": NAMESPACE},
        "execOptions": {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true, "container": POD, "command": command},
        "reason": "the error rate of checkout is up since noon",
    })
}

/// Who asks, with what client certificates leave in `extra`.
fn user(name: &str, group: &str) -> Value {
    json!({
        "username": name, "groups": [group, "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id":
            ["X509SHA256=99507607ff5972b253f80c71a00a2df48373ad3c72700f0f9dc1869706ecae2a"]},
    })
}

/// An attempt to exec.
pub(super) fn exec(name: &str, pod: &str, command: &Value) -> Value {
    let kind = json!({"group": "", "version": "v1", "kind": "PodExecOptions"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "", "kind": kind, "resource": resource, "subResource": "exec",
            "requestKind": kind, "requestResource": resource, "requestSubResource": "exec",
            "name": pod, "namespace": NAMESPACE, "operation": "CONNECT", "userInfo": user(name, "devs"),
            "object": {
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true, "container": POD, "command": command,
            },
            "oldObject": null, "dryRun": false, "options": null,
        },
    })
}

/// A write of an object of ours.
fn create(kind: &str, plural: &str, user: &Value, object: &Value) -> Value {
    let kind = json!({"group": "spreadgroup.com", "version": "v1", "kind": kind});
    let resource = json!({"group": "spreadgroup.com", "version": "v1", "resource": plural});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": object["metadata"]["name"], "namespace": NAMESPACE, "operation": "CREATE", "userInfo": user,
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-request", "fieldValidation": "Strict"},
        },
    })
}

/// The two reviews of one write: before and after it was stamped.
pub(super) struct Write {
    pub(super) mutate: Template,
    pub(super) validate: Template,
}

/// The reviews of filing a request, which is not stored then.
pub(super) fn filing(stage: &Stage, name: &str, user_name: &str) -> anyhow::Result<Write> {
    let mut spec = spec(&json!(["date"]));
    spec["validFor"] = json!("1h");
    let object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    });
    write(
        stage,
        "AccessRequest",
        "accessrequests",
        &user(user_name, "devs"),
        object,
    )
}

/// The reviews of granting a request that is stored, which is not granted then.
pub(super) fn granting(
    stage: &Stage,
    request: &str,
    uid: &str,
    approver: &str,
) -> anyhow::Result<Write> {
    let object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": request, "namespace": NAMESPACE},
        "spec": {"grantFor": request, "requestUID": uid}, "status": "granted",
    });
    write(
        stage,
        "AccessGrant",
        "accessgrants",
        &user(approver, "approvers"),
        object,
    )
}

fn write(
    stage: &Stage,
    kind: &str,
    plural: &str,
    user: &Value,
    mut object: Value,
) -> anyhow::Result<Write> {
    let mutate = Template::new(create(kind, plural, user, &object))?;
    let target = stage.reviews("mutate")?;
    let uid = review::uid();
    let mut client = super::client::Client::new(target.clone())?;
    let answer = client.post(&target.path, mutate.body(&uid))?;
    let decision = review::decision(&answer, &uid)?;
    anyhow::ensure!(
        decision.allowed,
        "a {kind} was refused: {}",
        decision.message
    );
    if let Some(patch) = decision.patch {
        let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch)?)?;
        json_patch::patch(&mut object, &patch).context("the server's patch cannot be applied")?;
    }
    // What the API server adds between the two.
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())?;
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!(review::uid());
    metadata["creationTimestamp"] = json!(now.to_string());
    metadata["generation"] = json!(1);
    let validate = Template::new(create(kind, plural, user, &object))?;
    Ok(Write { mutate, validate })
}
