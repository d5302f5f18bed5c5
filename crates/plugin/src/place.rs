//! From what was typed to the place in the cluster that a request is for: one pod or workload, one container.

use api::GroupVersionResource;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::core::{ParseExpressionError, Selector};

use crate::cluster::{Cluster, ClusterError, WorkloadObject};
use crate::container::{self, Choice, ContainerError, DEFAULT_CONTAINER};
use crate::target::{Target, Workload};

/// Where a command is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What kind of object it is.
    pub resource: GroupVersionResource,
    /// Its name.
    pub name: String,
    /// The container.
    pub container: Choice,
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The API server could not be asked, or has no such object.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No container to choose.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A workload without pods, for `--pin-pod`.
    #[error("no pod of {} {name} is running: leave out --pin-pod to ask for whichever pod it runs", kind.singular())]
    NothingRuns {
        /// The kind of workload.
        kind: Workload,
        /// Its name.
        name: String,
    },
    /// A selector of a kind that this version does not know.
    #[error("cannot read the selector of {} {name}", kind.singular())]
    Selector {
        /// The kind of workload.
        kind: Workload,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: ParseExpressionError,
    },
    /// A pod in which nothing runs any more.
    #[error("cannot exec into a container in a completed pod; current phase is {phase}")]
    Completed {
        /// `Succeeded` or `Failed`.
        phase: &'static str,
    },
    /// `--pin-pod` for a pod.
    #[error("--pin-pod chooses a pod of a workload, and {name} is a pod already: leave it out")]
    PinnedAlready {
        /// Name of the pod.
        name: String,
    },
}

/// Looks the target up and chooses the container; with `pin`, chooses a running pod of the workload first.
///
/// # Errors
/// When there is no such object or container, or the server cannot be asked.
pub async fn find(cluster: &Cluster, target: &Target, asked: Option<&str>, pin: bool) -> Result<Place, PlaceError> {
    match target {
        Target::Pod(name) if pin => Err(PlaceError::PinnedAlready { name: name.clone() }),
        Target::Pod(name) => in_pod(&cluster.pod(name).await?, asked),
        Target::Workload(kind, name) => {
            let workload = cluster.workload(*kind, name).await?;
            if pin {
                in_pod(&running_pod(cluster, *kind, &workload).await?, asked)
            } else {
                in_workload(*kind, &workload, asked)
            }
        }
    }
}

fn in_pod(pod: &Pod, asked: Option<&str>) -> Result<Place, PlaceError> {
    refuse_completed(pod)?;
    let name = pod.name_any();
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let container = container::choose(&format!("pod {name}"), spec, annotated(&pod.metadata), asked)?;
    Ok(Place { resource: GroupVersionResource::pods(), name, container })
}

/// In kubectl's words: the access could never be used.
fn refuse_completed(pod: &Pod) -> Result<(), PlaceError> {
    match phase(pod) {
        Some("Succeeded") => Err(PlaceError::Completed { phase: "Succeeded" }),
        Some("Failed") => Err(PlaceError::Completed { phase: "Failed" }),
        _ => Ok(()),
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref().and_then(|status| status.phase.as_deref())
}

fn in_workload(kind: Workload, workload: &WorkloadObject, asked: Option<&str>) -> Result<Place, PlaceError> {
    let name = workload.name_any();
    let none = PodSpec::default();
    let template = &workload.spec.template;
    let spec = template.spec.as_ref().unwrap_or(&none);
    let place = format!("{} {name}", kind.singular());
    let container = container::choose(&place, spec, template.metadata.as_ref().and_then(annotated), asked)?;
    Ok(Place { resource: kind.resource(), name, container })
}

fn annotated(metadata: &ObjectMeta) -> Option<&str> {
    metadata.annotations.as_ref()?.get(DEFAULT_CONTAINER).map(String::as_str)
}

/// A running pod of the workload: a ready one before others, then by name, so that two tries choose the same.
async fn running_pod(cluster: &Cluster, kind: Workload, workload: &WorkloadObject) -> Result<Pod, PlaceError> {
    let mut pods = cluster.pods(&selector(kind, workload)?).await?;
    pods.retain(is_running);
    pods.sort_by_key(|pod| (!is_ready(pod), pod.name_any()));
    for pod in pods {
        if belongs(cluster, &pod, workload).await? {
            return Ok(pod);
        }
    }
    Err(PlaceError::NothingRuns { kind, name: workload.name_any() })
}

fn selector(kind: Workload, workload: &WorkloadObject) -> Result<Selector, PlaceError> {
    let selector = workload.spec.selector.clone().unwrap_or_default();
    selector.try_into().map_err(|source| PlaceError::Selector { kind, name: workload.name_any(), source })
}

/// Whether the pod's controllers lead to the workload, by UID: labels alone say little.
async fn belongs(cluster: &Cluster, pod: &Pod, workload: &WorkloadObject) -> Result<bool, ClusterError> {
    let Some(controller) = controller_of(&pod.metadata) else { return Ok(false) };
    if is(controller, &workload.metadata) {
        return Ok(true);
    }
    if controller.kind != "ReplicaSet" {
        return Ok(false);
    }
    match cluster.replica_set(&controller.name).await {
        Ok(set) => {
            let owner = controller_of(&set.metadata);
            Ok(is(controller, &set.metadata) && owner.is_some_and(|owner| is(owner, &workload.metadata)))
        }
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is(owner: &OwnerReference, metadata: &ObjectMeta) -> bool {
    metadata.uid.as_ref() == Some(&owner.uid)
}

fn is_running(pod: &Pod) -> bool {
    phase(pod) == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
