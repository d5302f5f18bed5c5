//! The pod that this server runs in: what it has to say of the cluster, it says there.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::{ObjectReference, Pod},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::events::{Event, Recorder},
};
use serde_json::json;
use tokio::time::timeout;
use tracing::warn;

/// How long each call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub struct OwnPod {
    client: Client,
    namespace: String,
    /// A ServiceAccount there, which is spoken of where we run in no pod.
    account: String,
    /// Where we run in one, and once the API server has said which.
    known: Option<Named>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    uid: Option<String>,
}

/// A condition of the pod.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Its type, with our domain.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: &'static str,
    /// When it became so.
    pub now: Timestamp,
}

impl OwnPod {
    /// The pod in the server's namespace that our token is bound to, once it is needed.
    pub fn new(client: Client, namespace: impl Into<String>, account: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            account: account.into(),
            known: None,
        }
    }

    /// Writes a condition; false: it is not written, and can be tried again.
    pub async fn set(&mut self, condition: &Condition) -> bool {
        let Some(pod) = self.named().await else {
            return false;
        };
        let Condition {
            type_,
            status,
            reason,
            message,
            now,
        } = condition;
        let condition = json!({"type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": format!("{now:.0}")});
        // By strategic merge other conditions stay as they are.
        let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        match timeout(
            CALL_TIMEOUT,
            api.patch_status(&pod.name, &PatchParams::default(), &patch),
        )
        .await
        {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => warn!(
                type_,
                error = crate::chain(&error),
                "a condition of our own pod was not written"
            ),
            Err(_elapsed) => warn!(type_, "a condition of our own pod was not written in time"),
        }
        false
    }

    /// What an event about it names.
    pub async fn reference(&mut self) -> ObjectReference {
        let (kind, name, uid) = match self.named().await {
            Some(pod) => ("Pod", pod.name, pod.uid),
            None => ("ServiceAccount", self.account.clone(), None),
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(name),
            uid,
            ..ObjectReference::default()
        }
    }

    async fn named(&mut self) -> Option<Named> {
        if self.known.is_none() {
            self.known = timeout(CALL_TIMEOUT, ask(&self.client))
                .await
                .ok()
                .and_then(Result::ok)
                .flatten();
        }
        self.known.clone()
    }
}

/// The pod that our token is bound to.
async fn ask(client: &Client) -> Result<Option<Named>, kube::Error> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let extra = answer
        .status
        .and_then(|status| status.user_info)
        .and_then(|user| user.extra)
        .unwrap_or_default();
    let of = |key: &str| {
        extra
            .get(&format!("authentication.kubernetes.io/{key}"))
            .and_then(|all| all.first())
            .cloned()
    };
    Ok(of("pod-name").map(|name| Named {
        name,
        uid: of("pod-uid"),
    }))
}

/// Publishes an event; one that does not get through is a line of the log.
pub async fn publish(recorder: &Recorder, event: Event, regarding: ObjectReference) {
    match timeout(CALL_TIMEOUT, recorder.publish(&event, &regarding)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = crate::chain(&error), "an event was not published"),
        Err(_elapsed) => warn!("an event was not published in time"),
    }
}
