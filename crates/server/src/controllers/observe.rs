//! A request with all its grants, as the API server has them now.

use api::{AccessGrant, AccessRequest};
use kube::{Api, Client, api::ListParams, core::DeserializeGuard};

use crate::cluster::ledger::{Live, live};

/// Reads the grants of a request. `None`: the request means nothing to us.
///
/// # Errors
/// The API server did not answer.
pub async fn with_grants(client: &Client, request: AccessRequest) -> Result<Option<Live>, kube::Error> {
    let namespace = request.metadata.namespace.clone().unwrap_or_default();
    let (name, uid) =
        (request.metadata.name.clone().unwrap_or_default(), request.metadata.uid.clone().unwrap_or_default());
    let api: Api<DeserializeGuard<AccessGrant>> = Api::namespaced(client.clone(), &namespace);
    let grants = api.list(&ListParams::default().fields(&format!("spec.grantFor={name}"))).await?;
    let grants: Vec<AccessGrant> = grants.items.into_iter().filter_map(|guard| guard.0.ok()).collect();
    Ok(live(request, &uid, &grants))
}
