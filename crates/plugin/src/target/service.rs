//! From a service to the pod that `kubectl port-forward svc/NAME` would take.

use std::cmp::Reverse;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::core::Selector;

use crate::cluster::Cluster;
use crate::target::place::{self, PlaceError};

/// The name of a service, where what was typed names one as kubectl does.
pub fn named(text: &str) -> Option<&str> {
    let (kind, name) = text.split_once('/')?;
    let kind = kind.to_ascii_lowercase();
    ["svc", "service", "services", "service.v1.", "services.v1."]
        .contains(&kind.as_str())
        .then_some(name)
}

/// The service, and the pod behind it that kubectl takes first.
///
/// # Errors
/// When there is no such service, it selects nothing, none of its pods runs, or the server cannot
/// be asked.
pub async fn pod_behind(cluster: &Cluster, name: &str) -> Result<(Service, Pod), PlaceError> {
    let service = cluster.service(name).await?;
    let labels = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.clone())
        .unwrap_or_default();
    if labels.is_empty() {
        return Err(PlaceError::SelectsNothing {
            name: name.to_owned(),
        });
    }
    let mut pods = cluster.pods(&Selector::from_iter(labels)).await?;
    pods.retain(place::is_running);
    pods.sort_by_key(|pod| {
        (
            Reverse(place::is_ready(pod)),
            ready_since(pod),
            restarts(pod),
            created(pod),
            pod.name_any(),
        )
    });
    let pod = pods
        .into_iter()
        .next()
        .ok_or_else(|| PlaceError::NothingBehind {
            name: name.to_owned(),
        })?;
    Ok((service, pod))
}

/// Since when it is ready: kubectl prefers the pod that has been for longest.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    containers
        .map(|container| container.restart_count)
        .max()
        .unwrap_or_default()
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata
        .creation_timestamp
        .as_ref()
        .map(|created| created.0)
}
