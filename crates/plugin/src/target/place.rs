//! From what was typed to the place in the cluster that a request is for: one pod or workload, one
//! container.

use api::GroupVersionResource;
use decide::attempt::Door;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::core::{ParseExpressionError, Selector};

use crate::cluster::{Cluster, ClusterError, WorkloadObject};
use crate::target::container::{self, Choice, ContainerError, DEFAULT_CONTAINER};
use crate::target::{Target, Workload};

/// What a request is for: a pod or a workload, and the pod's spec as it is or as its template says.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What kind of object it is.
    pub resource: GroupVersionResource,
    /// Its name.
    pub name: String,
    /// The spec of the pod, or of the workload's pods.
    pub spec: PodSpec,
    /// The default container, where an annotation says which.
    annotated: Option<String>,
    /// The object in words, for messages: `pod nginx`.
    shown: String,
}

impl Place {
    /// The container that is meant: the one asked for, else the default one.
    ///
    /// # Errors
    /// When there is none, or none of that name.
    pub fn container(&self, asked: Option<&str>) -> Result<Choice, ContainerError> {
        container::choose(&self.shown, &self.spec, self.annotated.as_deref(), asked)
    }

    /// Whether it is a pod, not a workload.
    pub fn is_pod(&self) -> bool {
        self.resource == GroupVersionResource::pods()
    }

    /// A pod.
    pub fn of_pod(pod: &Pod) -> Self {
        let name = pod.name_any();
        Self {
            resource: GroupVersionResource::pods(),
            spec: pod.spec.clone().unwrap_or_default(),
            annotated: annotated(&pod.metadata),
            shown: format!("pod {name}"),
            name,
        }
    }

    fn of_workload(kind: Workload, workload: &WorkloadObject) -> Self {
        let name = workload.name_any();
        let template = &workload.spec.template;
        Self {
            resource: kind.resource(),
            spec: template.spec.clone().unwrap_or_default(),
            annotated: template.metadata.as_ref().and_then(annotated),
            shown: format!("{} {name}", kind.singular()),
            name,
        }
    }
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
    #[error("{}; current phase is {phase}", completed(*door))]
    Completed {
        /// The door.
        door: Door,
        /// `Succeeded` or `Failed`.
        phase: &'static str,
    },
    /// A service without a selector, in kubectl's words.
    #[error("invalid service '{name}': Service is defined without a selector")]
    SelectsNothing {
        /// Name of the service.
        name: String,
    },
    /// A service without pods.
    #[error(
        "no pod behind service {name} is running: name a workload (deployment/NAME) to ask for whichever it runs"
    )]
    NothingBehind {
        /// Name of the service.
        name: String,
    },
    /// `--pin-pod` for a service.
    #[error(
        "--pin-pod chooses a pod of a workload, and of service {name} one is chosen anyway: leave it out"
    )]
    PinnedService {
        /// Name of the service.
        name: String,
    },
    /// `--pin-pod` for a pod.
    #[error("--pin-pod chooses a pod of a workload, and {name} is a pod already: leave it out")]
    PinnedAlready {
        /// Name of the pod.
        name: String,
    },
}

/// Looks the target up; with `pin`, chooses a running pod of the workload.
///
/// # Errors
/// When there is no such object, the door leads nowhere in it, or the server cannot be asked.
pub async fn find(
    cluster: &Cluster,
    target: &Target,
    pin: bool,
    door: Door,
) -> Result<Place, PlaceError> {
    match target {
        Target::Pod(name) if pin => Err(PlaceError::PinnedAlready { name: name.clone() }),
        Target::Pod(name) => {
            let pod = cluster.pod(name).await?;
            refuse_completed(&pod, door)?;
            Ok(Place::of_pod(&pod))
        }
        Target::Workload(kind, name) => {
            let workload = cluster.workload(*kind, name).await?;
            if pin {
                Ok(Place::of_pod(
                    &running_pod(cluster, *kind, &workload).await?,
                ))
            } else {
                Ok(Place::of_workload(*kind, &workload))
            }
        }
    }
}

/// In kubectl's words, where it has some: the access could never be used.
fn refuse_completed(pod: &Pod, door: Door) -> Result<(), PlaceError> {
    match phase(pod) {
        Some("Succeeded") => Err(PlaceError::Completed {
            door,
            phase: "Succeeded",
        }),
        Some("Failed") => Err(PlaceError::Completed {
            door,
            phase: "Failed",
        }),
        _ => Ok(()),
    }
}

fn completed(door: Door) -> &'static str {
    match door {
        Door::Exec => "cannot exec into a container in a completed pod",
        Door::Attach => "cannot attach a container in a completed pod",
        Door::PortForward => "unable to forward port because pod is not running",
        Door::EphemeralContainers => "cannot add a debug container to a completed pod",
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
}

fn annotated(metadata: &ObjectMeta) -> Option<String> {
    metadata
        .annotations
        .as_ref()?
        .get(DEFAULT_CONTAINER)
        .cloned()
}

/// A running pod of the workload: a ready one before others, then by name, so that two tries choose
/// the same.
async fn running_pod(
    cluster: &Cluster,
    kind: Workload,
    workload: &WorkloadObject,
) -> Result<Pod, PlaceError> {
    let mut pods = cluster.pods(&selector(kind, workload)?).await?;
    pods.retain(is_running);
    pods.sort_by_key(|pod| (!is_ready(pod), pod.name_any()));
    for pod in pods {
        if belongs(cluster, &pod, workload).await? {
            return Ok(pod);
        }
    }
    Err(PlaceError::NothingRuns {
        kind,
        name: workload.name_any(),
    })
}

fn selector(kind: Workload, workload: &WorkloadObject) -> Result<Selector, PlaceError> {
    let selector = workload.spec.selector.clone().unwrap_or_default();
    selector.try_into().map_err(|source| PlaceError::Selector {
        kind,
        name: workload.name_any(),
        source,
    })
}

/// Whether the pod's controllers lead to the workload, by UID: labels alone say little.
async fn belongs(
    cluster: &Cluster,
    pod: &Pod,
    workload: &WorkloadObject,
) -> Result<bool, ClusterError> {
    let Some(controller) = controller_of(&pod.metadata) else {
        return Ok(false);
    };
    if is(controller, &workload.metadata) {
        return Ok(true);
    }
    if controller.kind != "ReplicaSet" {
        return Ok(false);
    }
    match cluster.replica_set(&controller.name).await {
        Ok(set) => {
            let owner = controller_of(&set.metadata);
            Ok(is(controller, &set.metadata)
                && owner.is_some_and(|owner| is(owner, &workload.metadata)))
        }
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

fn is(owner: &OwnerReference, metadata: &ObjectMeta) -> bool {
    metadata.uid.as_ref() == Some(&owner.uid)
}

pub(crate) fn is_running(pod: &Pod) -> bool {
    phase(pod) == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
