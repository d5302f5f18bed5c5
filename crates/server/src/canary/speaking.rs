//! How the canary tells: a line of the log, an Event, and a condition of our own pod.

use decide::canary::{Finding, News};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::{ObjectReference, Pod},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::events::{Event, EventType, Recorder},
};
use serde_json::json;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{PATIENCE, account::Account};

/// The condition of our pod.
pub const CONDITION: &str = "spreadgroup.com/AskedByAPIServers";
/// The API server takes a kilobyte.
const LONGEST_NOTE: usize = 250;

/// See the module.
pub struct Speaker {
    client: Client,
    recorder: Recorder,
    account: Account,
    /// The pod that this is, where and once the API server has said it.
    pod: Option<OwnPod>,
    /// What was last written into the condition.
    written: Option<Finding>,
}

/// The pod that this server runs in.
#[derive(Debug, Clone)]
struct OwnPod {
    name: String,
    uid: Option<String>,
}

impl Speaker {
    /// One that speaks with our own rights.
    pub fn new(client: Client, recorder: Recorder, account: Account) -> Self {
        Self { client, recorder, account, pod: None, written: None }
    }

    /// Tells of an API server.
    pub async fn tell(&mut self, news: News, address: &str, said: &str, silent: SignedDuration) {
        let seconds = silent.as_secs();
        match news {
            News::NotAsked => error!(
                address,
                said,
                seconds,
                "an API server does not ask kube-request-access: its doors may be open to everybody, unrecorded. See docs/incident.md, 4"
            ),
            News::Unknown => error!(
                address,
                said,
                seconds,
                "it is not known whether an API server asks kube-request-access. See docs/incident.md, 4"
            ),
            News::AskedAgain => info!(address, "an API server asks kube-request-access again"),
        }
        let event = event(news, address, said);
        let regarding = self.regarding().await;
        match timeout(PATIENCE, self.recorder.publish(&event, &regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = crate::chain(&error), "an event was not published"),
            Err(_elapsed) => warn!("an event was not published in time"),
        }
    }

    /// Writes into our own pod how all API servers stand, where that has changed. What fails is tried at the next round.
    pub async fn stand(&mut self, stands: Finding, now: Timestamp) {
        if self.written == Some(stands) {
            return;
        }
        let Some(pod) = self.own_pod().await else { return };
        let (status, reason, message) = match stands {
            Finding::Asked => ("True", "Asked", "every API server asks this server"),
            Finding::NotAsked => {
                ("False", "NotAsked", "an API server does not ask: see the log and docs/incident.md, 4")
            }
            Finding::Unknown => ("Unknown", "NotKnown", "it is not known of every API server whether it asks"),
        };
        let condition = json!({"type": CONDITION, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": format!("{now:.0}")});
        // By strategic merge other conditions stay as they are.
        let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.account.namespace);
        match timeout(PATIENCE, api.patch_status(&pod.name, &PatchParams::default(), &patch)).await {
            Ok(Ok(_)) => self.written = Some(stands),
            Ok(Err(error)) => warn!(error = crate::chain(&error), "the condition of our own pod was not written"),
            Err(_elapsed) => warn!("the condition of our own pod was not written in time"),
        }
    }

    /// What events are about: our pod, or the canary's account where we run in none.
    async fn regarding(&mut self) -> ObjectReference {
        let (kind, name, uid) = match self.own_pod().await {
            Some(pod) => ("Pod", pod.name, pod.uid),
            None => ("ServiceAccount", self.account.name.clone(), None),
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(self.account.namespace.clone()),
            name: Some(name),
            uid,
            ..ObjectReference::default()
        }
    }

    async fn own_pod(&mut self) -> Option<OwnPod> {
        if self.pod.is_none() {
            self.pod = timeout(PATIENCE, own_pod(&self.client)).await.ok().and_then(Result::ok).flatten();
        }
        self.pod.clone()
    }
}

/// The pod that our token is bound to.
async fn own_pod(client: &Client) -> Result<Option<OwnPod>, kube::Error> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let extra = answer.status.and_then(|status| status.user_info).and_then(|user| user.extra).unwrap_or_default();
    let of = |key: &str| extra.get(&format!("authentication.kubernetes.io/{key}")).and_then(|all| all.first()).cloned();
    Ok(of("pod-name").map(|name| OwnPod { name, uid: of("pod-uid") }))
}

fn event(news: News, address: &str, said: &str) -> Event {
    let (type_, note) = match news {
        News::NotAsked => (EventType::Warning, format!("the API server at {address} does not ask this server: {said}")),
        News::Unknown => (
            EventType::Warning,
            format!("it is not known whether the API server at {address} asks this server: {said}"),
        ),
        News::AskedAgain => (EventType::Normal, format!("the API server at {address} asks this server again")),
    };
    let note = note.chars().take(LONGEST_NOTE).collect();
    Event { type_, reason: news.to_string(), note: Some(note), action: "Probe".to_owned(), secondary: None }
}
