//! What a pod is right now: its containers, and the workloads that its controller references lead to, by UID.

use std::collections::BTreeMap;

use api::pod_update;
use decide::{
    access::TargetKind,
    debug::DebugContainer,
    rules::is_name,
    verdict::{Container, Pod, Workload},
};
use k8s_openapi::{
    api::core::v1::{self, PodSpec},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use super::lineage::{self, Named};

/// The annotation by which a pod names its default container, as kubectl reads it.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A chain of controllers is this long at the most: pod, replica set, deployment.
const LONGEST_CHAIN: usize = 3;

/// What a pod or workload is, as needed to file a request for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
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
pub async fn read(client: &Client, namespace: &str, name: &str, chain: bool) -> Result<Option<Pod>, kube::Error> {
    let Some(object) = get(client, namespace, &resource(TargetKind::Pod), name).await? else { return Ok(None) };
    let Some((pod, ephemeral)) = typed(&object) else { return Ok(None) };
    let workloads = if chain { workloads(client, namespace, &object).await? } else { vec![] };
    Ok(Some(Pod {
        uid: pod.uid().unwrap_or_default(),
        being_deleted: pod.metadata.deletion_timestamp.is_some(),
        service_account: service_account(pod.spec.as_ref()),
        containers: containers(&pod, &ephemeral),
        workloads,
    }))
}

/// A pod as far as typed structs know it, and its ephemeral containers with every field that they have. `None`: what
/// the API server sent is no pod.
fn typed(object: &DynamicObject) -> Option<(v1::Pod, BTreeMap<String, DebugContainer>)> {
    let value = serde_json::to_value(object).ok()?;
    let ephemeral = pod_update::stored(&value);
    Some((serde_json::from_value(value).ok()?, ephemeral))
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
) -> Result<Option<Target>, kube::Error> {
    if kind == TargetKind::Pod {
        if !is_name(name) {
            return Ok(None);
        }
        let api: Api<v1::Pod> = Api::namespaced(client.clone(), namespace);
        let pod = api.get_opt(name).await?;
        return Ok(pod.map(|pod| {
            let annotation = pod.annotations().get(DEFAULT_CONTAINER).cloned();
            target(pod.uid().unwrap_or_default(), pod.spec.as_ref(), annotation)
        }));
    }
    let Some(object) = get(client, namespace, &resource(kind), name).await? else { return Ok(None) };
    let annotation =
        object.data.pointer("/spec/template/metadata/annotations").and_then(|all| all.get(DEFAULT_CONTAINER));
    let annotation = annotation.and_then(|name| name.as_str()).map(str::to_owned);
    Ok(Some(target(object.uid().unwrap_or_default(), template(&object).as_ref(), annotation)))
}

fn target(uid: String, spec: Option<&PodSpec>, annotation: Option<String>) -> Target {
    let main = || spec.into_iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone());
    let init = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let ephemeral = spec.into_iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    let containers: Vec<String> = main()
        .chain(init.map(|container| container.name.clone()))
        .chain(ephemeral.map(|container| container.name.clone()))
        .collect();
    let default_container = annotation.filter(|name| containers.contains(name)).or_else(|| main().next());
    Target { uid, containers, default_container }
}

/// The containers of a pod, each with its image and whether it runs.
fn containers(pod: &v1::Pod, added: &BTreeMap<String, DebugContainer>) -> Vec<Container> {
    let status = pod.status.as_ref();
    let running: Vec<&str> = status
        .into_iter()
        .flat_map(|status| {
            let statuses =
                [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
            statuses.into_iter().flatten().flatten()
        })
        .filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
        .map(|status| status.name.as_str())
        .collect();
    let container = |name: &str, image: Option<&String>, main| Container {
        name: name.to_owned(),
        image: image.cloned().unwrap_or_default(),
        running: running.contains(&name),
        main,
        ephemeral: None,
    };
    let Some(spec) = &pod.spec else { return Vec::new() };
    let main = spec.containers.iter().map(|c| container(&c.name, c.image.as_ref(), true));
    let init = spec.init_containers.iter().flatten().map(|c| container(&c.name, c.image.as_ref(), false));
    let ephemeral = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|c| Container { ephemeral: added.get(&c.name).cloned(), ..container(&c.name, c.image.as_ref(), false) });
    main.chain(init).chain(ephemeral).collect()
}

/// Follows controller references upwards, each by UID: an owner re-created under the same name ends the chain, and so
/// does one that cannot have made what names it.
async fn workloads(client: &Client, namespace: &str, pod: &DynamicObject) -> Result<Vec<Workload>, kube::Error> {
    let mut found = Vec::new();
    let mut made = pod.clone();
    for _ in 1..LONGEST_CHAIN {
        let Some(owner) = controller(made.owner_references()) else { break };
        let Some(resource) = owner_resource(&owner) else { break };
        let Some(object) = get(client, namespace, &resource, &owner.name).await? else { break };
        if object.uid().as_deref() != Some(owner.uid.as_str()) || !can_have_made(&owner.kind, &object, &made) {
            break;
        }
        found.extend(workload(&owner, &object));
        made = object;
    }
    Ok(found)
}

fn can_have_made(kind: &str, owner: &DynamicObject, made: &DynamicObject) -> bool {
    let (owner_name, made_name) = (owner.name_any(), made.name_any());
    let is_replica_set = made.types.as_ref().is_some_and(|types| types.kind == "ReplicaSet");
    match (kind, is_replica_set) {
        ("Deployment", true) => lineage::made_replica_set(&owner_name, &made_name),
        (_, true) => false,
        (kind, false) => {
            let created = |object: &DynamicObject| object.metadata.creation_timestamp.as_ref().map(|time| time.0);
            let owner = Named { name: &owner_name, created: created(owner) };
            lineage::made_pod(kind, owner, Named { name: &made_name, created: created(made) })
        }
    }
}

fn controller(owners: &[OwnerReference]) -> Option<OwnerReference> {
    owners.iter().find(|owner| owner.controller == Some(true)).cloned()
}

fn workload(owner: &OwnerReference, object: &DynamicObject) -> Option<Workload> {
    let kind = match owner.kind.as_str() {
        "Deployment" => TargetKind::Deployment,
        "StatefulSet" => TargetKind::StatefulSet,
        "DaemonSet" => TargetKind::DaemonSet,
        "Job" => TargetKind::Job,
        _ => return None,
    };
    let spec = template(object)?;
    let main = spec.containers.iter().map(|c| (c.name.clone(), c.image.clone().unwrap_or_default()));
    let init = spec.init_containers.iter().flatten().map(|c| (c.name.clone(), c.image.clone().unwrap_or_default()));
    let images = main.chain(init).collect();
    Some(Workload { kind, uid: owner.uid.clone(), service_account: service_account(Some(&spec)), images })
}

/// The pod spec of a workload's template.
fn template(object: &DynamicObject) -> Option<PodSpec> {
    serde_json::from_value(object.data.pointer("/spec/template/spec")?.clone()).ok()
}

/// The API server writes `default` into pods, and leaves templates as they are.
fn service_account(spec: Option<&PodSpec>) -> String {
    let name = spec.and_then(|spec| spec.service_account_name.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "default".to_owned())
}

async fn get(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    if !is_name(name) {
        return Ok(None);
    }
    Api::<DynamicObject>::namespaced_with(client.clone(), namespace, resource).get_opt(name).await
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

/// The resource of an owner that can be part of a chain: its group is compared too, since anybody may define another
/// `Deployment`.
fn owner_resource(owner: &OwnerReference) -> Option<ApiResource> {
    match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "ReplicaSet") => Some(ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "ReplicaSet"))),
        ("apps/v1", "Deployment") => Some(resource(TargetKind::Deployment)),
        ("apps/v1", "StatefulSet") => Some(resource(TargetKind::StatefulSet)),
        ("apps/v1", "DaemonSet") => Some(resource(TargetKind::DaemonSet)),
        ("batch/v1", "Job") => Some(resource(TargetKind::Job)),
        _ => None,
    }
}
