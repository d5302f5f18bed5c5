//! A request with all its grants, as the API server has them now.

use super::ControllerContext;
use crate::cluster::ledger::{LiveRequest, list_grants, live};
use api::AccessRequest;

/// Reads the grants of a request. `None`: the request means nothing to us.
///
/// # Errors
/// The API server did not answer.
pub async fn with_grants(
    context: &ControllerContext,
    request: AccessRequest,
) -> Result<Option<LiveRequest>, kube::Error> {
    let namespace = request.metadata.namespace.clone().unwrap_or_default();
    let (name, uid) = (
        request.metadata.name.clone().unwrap_or_default(),
        request.metadata.uid.clone().unwrap_or_default(),
    );
    let grants = list_grants(&context.client, &namespace, &name).await?;
    Ok(live(request, &uid, &grants, &context.sealer))
}
