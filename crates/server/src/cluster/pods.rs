//! What a pod is right now: its containers, and the workloads that its controller references lead
//! to, by UID.

mod live;

use api::pod_update;
use decide::{
    access::TargetKind,
    rules::is_name,
    verdict::{Container, Pod, Workload},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Client,
    core::{ApiResource, GroupVersionKind},
};

use super::lineage::{self, Named};
use live::{Link, LiveObject, Spec, Text};

/// The annotation by which a pod names its default container, as kubectl reads it.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A chain of controllers is this long at the most: pod, replica set, deployment.
const MAX_CHAIN_LEN: usize = 3;

/// What a pod or workload is, as needed to file a request for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarget {
    /// Its UID.
    pub uid: String,
    /// Names of its containers, in order; those of the pod itself first.
    pub containers: Vec<String>,
    /// The container that kubectl would take where none is named.
    pub default_container: Option<String>,
}

/// Reads a pod, and with `chain` the workloads that control it. `None`: there is no such pod.
///
/// # Errors
/// The API server did not answer, or with something else.
pub async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
    chain: bool,
) -> Result<Option<Pod>, kube::Error> {
    let Some(text) = get(client, namespace, &resource(TargetKind::Pod), name).await? else {
        return Ok(None);
    };
    let (mut pod, link) = pod(&text)?;
    // Nothing large is held while something else is waited for.
    drop(text);
    if chain {
        pod.workloads = workloads(client, namespace, link).await?;
    }
    Ok(Some(pod))
}

fn pod(text: &Text) -> Result<(Pod, Link), kube::Error> {
    let pod = text.parse()?;
    let described = Pod {
        uid: pod.uid().to_owned(),
        being_deleted: pod.metadata.deletion_timestamp.is_some(),
        service_account: service_account(pod.spec.as_ref()),
        containers: containers(&pod),
        workloads: vec![],
    };
    Ok((described, pod.link()))
}

/// Reads what a request is filed for. `None`: there is no such thing.
///
/// # Errors
/// The API server did not answer, or with something else.
pub async fn read_target(
    client: &Client,
    namespace: &str,
    kind: TargetKind,
    name: &str,
) -> Result<Option<FoundTarget>, kube::Error> {
    let Some(text) = get(client, namespace, &resource(kind), name).await? else {
        return Ok(None);
    };
    let object = text.parse()?;
    let template = object
        .spec
        .as_ref()
        .and_then(|spec| spec.template.as_deref());
    let (metadata, spec) = match template {
        _ if kind == TargetKind::Pod => (Some(&object.metadata), object.spec.as_ref()),
        Some(template) => (template.metadata.as_ref(), template.spec.as_ref()),
        None => (None, None),
    };
    let annotation = metadata.and_then(|metadata| {
        metadata
            .annotations
            .as_ref()?
            .get(DEFAULT_CONTAINER)
            .cloned()
    });
    Ok(Some(target(object.uid().to_owned(), spec, annotation)))
}

fn target(uid: String, spec: Option<&Spec<'_>>, annotation: Option<String>) -> FoundTarget {
    let names = |containers: &[live::Container]| -> Vec<String> {
        containers
            .iter()
            .map(|container| container.name.clone())
            .collect()
    };
    let main = spec
        .map(|spec| names(spec.containers()))
        .unwrap_or_default();
    let first = main.first().cloned();
    let init = spec
        .map(|spec| names(spec.init_containers()))
        .unwrap_or_default();
    let ephemeral = spec
        .map(|spec| names(&spec.ephemeral_containers()))
        .unwrap_or_default();
    let containers = [main, init, ephemeral].concat();
    let default_container = annotation
        .filter(|name| containers.contains(name))
        .or(first);
    FoundTarget {
        uid,
        containers,
        default_container,
    }
}

/// The containers of a pod, each with its image and whether it runs.
fn containers(pod: &LiveObject<'_>) -> Vec<Container> {
    let running = pod.running();
    let container = |container: &live::Container, main| Container {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        running: running.contains(container.name.as_str()),
        main,
        ephemeral: None,
    };
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let added = pod_update::stored(spec.ephemeral());
    let main = spec.containers().iter().map(|one| container(one, true));
    let init = spec
        .init_containers()
        .iter()
        .map(|one| container(one, false));
    let ephemeral = spec.ephemeral_containers();
    let ephemeral = ephemeral.iter().map(|one| Container {
        ephemeral: added.get(&one.name).cloned(),
        ..container(one, false)
    });
    main.chain(init).chain(ephemeral).collect()
}

/// Follows controller references upwards, each by UID: an owner re-created under the same name ends
/// the chain, and so does one that cannot have made what names it.
async fn workloads(
    client: &Client,
    namespace: &str,
    pod: Link,
) -> Result<Vec<Workload>, kube::Error> {
    let mut found = Vec::new();
    let mut made = pod;
    for _ in 1..MAX_CHAIN_LEN {
        let Some(owner) = controller(&made.owners) else {
            break;
        };
        let Some(resource) = owner_resource(&owner) else {
            break;
        };
        let Some(text) = get(client, namespace, &resource, &owner.name).await? else {
            break;
        };
        let object = text.parse()?;
        let link = object.link();
        if object.uid() != owner.uid || !can_have_made(&owner.kind, &link, &made) {
            break;
        }
        found.extend(workload(&owner, &object));
        made = link;
    }
    Ok(found)
}

fn can_have_made(kind: &str, owner: &Link, made: &Link) -> bool {
    match (kind, made.kind == "ReplicaSet") {
        ("Deployment", true) => lineage::made_replica_set(&owner.name, &made.name),
        (_, true) => false,
        (kind, false) => {
            let (owner, made) = (
                Named {
                    name: &owner.name,
                    created: owner.created,
                },
                Named {
                    name: &made.name,
                    created: made.created,
                },
            );
            lineage::made_pod(kind, owner, made)
        }
    }
}

fn controller(owners: &[OwnerReference]) -> Option<OwnerReference> {
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .cloned()
}

fn workload(owner: &OwnerReference, object: &LiveObject<'_>) -> Option<Workload> {
    let kind = match owner.kind.as_str() {
        "Deployment" => TargetKind::Deployment,
        "StatefulSet" => TargetKind::StatefulSet,
        "DaemonSet" => TargetKind::DaemonSet,
        "Job" => TargetKind::Job,
        _ => return None,
    };
    let spec = object.spec.as_ref()?.template.as_ref()?.spec.as_ref()?;
    let all = spec.containers().iter().chain(spec.init_containers());
    let images = all
        .map(|one| (one.name.clone(), one.image.clone().unwrap_or_default()))
        .collect();
    Some(Workload {
        kind,
        uid: owner.uid.clone(),
        service_account: service_account(Some(spec)),
        images,
    })
}

/// The API server writes `default` into pods, and leaves templates as they are.
fn service_account(spec: Option<&Spec<'_>>) -> String {
    let name = spec
        .and_then(|spec| spec.service_account_name.clone())
        .filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "default".to_owned())
}

async fn get(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<Text>, kube::Error> {
    if !is_name(name) {
        return Ok(None);
    }
    live::get(client, namespace, resource, name).await
}

fn resource(kind: TargetKind) -> ApiResource {
    let (group, kind) = match kind {
        TargetKind::Pod => ("", "Pod"),
        TargetKind::Deployment => ("apps", "Deployment"),
        TargetKind::StatefulSet => ("apps", "StatefulSet"),
        TargetKind::DaemonSet => ("apps", "DaemonSet"),
        TargetKind::Job => ("batch", "Job"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

/// The resource of an owner that can be part of a chain: its group is compared too, since anybody
/// may define another `Deployment`.
fn owner_resource(owner: &OwnerReference) -> Option<ApiResource> {
    match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "ReplicaSet") => Some(ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apps",
            "v1",
            "ReplicaSet",
        ))),
        ("apps/v1", "Deployment") => Some(resource(TargetKind::Deployment)),
        ("apps/v1", "StatefulSet") => Some(resource(TargetKind::StatefulSet)),
        ("apps/v1", "DaemonSet") => Some(resource(TargetKind::DaemonSet)),
        ("batch/v1", "Job") => Some(resource(TargetKind::Job)),
        _ => None,
    }
}
