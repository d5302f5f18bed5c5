//! Names of what there is, for completion.

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt};

use super::{Cluster, ClusterError};
use crate::target::Workload;

/// More candidates help nobody.
const MAX_CANDIDATES: u32 = 500;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Pod,
    /// Services.
    Service,
    /// Namespaces.
    Namespace,
    /// Workloads.
    Workload(Workload),
}

impl Cluster {
    /// Their names, in the namespace where they have one.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub async fn names(&self, kind: Kind) -> Result<Vec<String>, ClusterError> {
        let resource = match kind {
            Kind::Pod => ApiResource::erase::<Pod>(&()),
            Kind::Service => ApiResource::erase::<Service>(&()),
            Kind::Namespace => ApiResource::erase::<Namespace>(&()),
            Kind::Workload(workload) => workload.api_resource(),
        };
        let client = self.client.clone();
        let api: Api<DynamicObject> = match kind {
            Kind::Namespace => Api::all_with(client, &resource),
            Kind::Pod | Kind::Service | Kind::Workload(_) => {
                Api::namespaced_with(client, &self.namespace, &resource)
            }
        };
        let list = self
            .call(api.list_metadata(&ListParams::default().limit(MAX_CANDIDATES)))
            .await?;
        Ok(list.items.iter().map(ResourceExt::name_any).collect())
    }
}
