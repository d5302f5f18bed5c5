//! Pods and workloads as the API server has them, read as text, of which only what is compared is
//! built: whoever may make pods decides how large they are.

use std::collections::{BTreeMap, HashSet};

use futures::{AsyncRead, AsyncReadExt as _};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::{
    Client,
    api::GetParams,
    core::{ApiResource, DynamicObject, Request, Resource as _},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

/// Objects of at most this size are read whenever they are asked for: nearly all are.
const SMALL_BYTES: u64 = 128 * 1024;
/// Maximum size of an object that is read, in bytes of JSON. etcd takes 1.5 MiB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Maximum number of larger objects in memory at once; of the process, since its memory is what
/// they fill.
static LARGE: Semaphore = Semaphore::const_new(3);

/// The text of an object.
pub(super) struct Text {
    json: Vec<u8>,
    /// Held as long as a large text is.
    _turn: Option<tokio::sync::SemaphorePermit<'static>>,
}

impl Text {
    /// What is compared of the object.
    pub(super) fn parse(&self) -> Result<LiveObject<'_>, kube::Error> {
        serde_json::from_slice(&self.json).map_err(kube::Error::SerdeError)
    }
}

/// Reads an object. `None`: there is none of that name.
pub(super) async fn get(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<Text>, kube::Error> {
    let path = DynamicObject::url_path(resource, Some(namespace));
    let request = Request::new(path)
        .get(name, &GetParams::default())
        .map_err(kube::Error::BuildRequest)?;
    match client.request_stream(request).await {
        Ok(stream) => read(stream).await.map(Some),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(stream: impl AsyncRead) -> Result<Text, kube::Error> {
    let mut stream = std::pin::pin!(stream);
    let failed = |error| kube::Error::Service(Box::new(error));
    let mut json = Vec::new();
    let read = stream
        .as_mut()
        .take(SMALL_BYTES)
        .read_to_end(&mut json)
        .await
        .map_err(failed)?;
    if (read as u64) < SMALL_BYTES {
        return Ok(Text { json, _turn: None });
    }
    // Waiting is safe: a review that waits for too long is denied.
    let turn = LARGE
        .acquire()
        .await
        .map_err(|closed| kube::Error::Service(Box::new(closed)))?;
    let more = stream
        .as_mut()
        .take(MAX_BYTES)
        .read_to_end(&mut json)
        .await
        .map_err(failed)?;
    if more as u64 >= MAX_BYTES {
        return Err(kube::Error::Service(
            format!("the object has more than {MAX_BYTES} bytes of JSON").into(),
        ));
    }
    Ok(Text {
        json,
        _turn: Some(turn),
    })
}

/// What is compared of a pod or workload.
#[derive(Debug, Deserialize)]
pub(super) struct LiveObject<'a> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(borrow)]
    pub(super) spec: Option<Spec<'a>>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    name: Option<String>,
    uid: Option<String>,
    creation_timestamp: Option<Time>,
    pub(super) deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
    /// At most 256 KiB together.
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    pub(super) service_account_name: Option<String>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    #[serde(borrow)]
    ephemeral_containers: Option<Vec<&'a RawValue>>,
    /// Of a workload.
    #[serde(borrow)]
    pub(super) template: Option<Box<Template<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Template<'a> {
    pub(super) metadata: Option<Metadata>,
    #[serde(borrow)]
    pub(super) spec: Option<Spec<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of core/v1 PodStatus")]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    name: String,
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
struct State {
    running: Option<Running>,
}

/// Since when does not matter.
#[derive(Debug, Deserialize)]
struct Running {}

/// An object in a chain of controllers.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) created: Option<Timestamp>,
    pub(super) owners: Vec<OwnerReference>,
}

impl LiveObject<'_> {
    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn link(&self) -> Link {
        Link {
            kind: self.kind.clone(),
            name: self.metadata.name.clone().unwrap_or_default(),
            created: self.metadata.creation_timestamp.as_ref().map(|time| time.0),
            owners: self.metadata.owner_references.clone().unwrap_or_default(),
        }
    }

    /// Names of the containers that run.
    pub(super) fn running(&self) -> HashSet<&str> {
        let all = self.status.iter().flat_map(statuses).flatten().flatten();
        let running = |status: &&ContainerStatus| {
            status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        };
        all.filter(running)
            .map(|status| status.name.as_str())
            .collect()
    }
}

fn statuses(status: &Status) -> [Option<&[ContainerStatus]>; 3] {
    [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ]
    .map(|list| list.as_deref())
}

impl<'a> Spec<'a> {
    pub(super) fn containers(&self) -> &[Container] {
        self.containers.as_deref().unwrap_or_default()
    }

    pub(super) fn init_containers(&self) -> &[Container] {
        self.init_containers.as_deref().unwrap_or_default()
    }

    /// The texts of the ephemeral containers.
    pub(super) fn ephemeral(&self) -> &[&'a RawValue] {
        self.ephemeral_containers.as_deref().unwrap_or_default()
    }

    /// The ephemeral containers, by name and image; what has no name is left out.
    pub(super) fn ephemeral_containers(&self) -> Vec<Container> {
        self.ephemeral()
            .iter()
            .filter_map(|container| serde_json::from_str(container.get()).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn padded(bytes: usize) -> Vec<u8> {
        json!({"kind": "Pod", "metadata": {"uid": "u"}, "x": "x".repeat(bytes)})
            .to_string()
            .into_bytes()
    }

    // K1
    #[tokio::test]
    async fn only_so_many_large_objects_are_in_memory_at_once_and_small_ones_never_wait() {
        let large = padded(1 << 20);
        let mut held = Vec::new();
        for _ in 0..LARGE.available_permits() {
            held.push(read(large.as_slice()).await.unwrap());
        }
        let waits = read(large.as_slice());
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(
            read(padded(1000).as_slice())
                .await
                .unwrap()
                .parse()
                .unwrap()
                .uid(),
            "u"
        );
        held.pop();
        assert!(waits.await.is_ok());
        drop(held);
        assert!(
            read(padded(5 << 20).as_slice()).await.is_err(),
            "larger than any object can be"
        );
    }
}
