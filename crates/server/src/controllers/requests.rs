//! Looks at each request when something about it changes, or its time comes.

use std::{sync::Arc, time::Duration};

use api::{AccessGrant, AccessRequest};
use futures::{Stream, StreamExt as _};
use kube::{
    Api, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        controller::{self, Action, Controller},
        reflector::ObjectRef,
    },
};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{ControllerContext, bare::Bare, status};
use crate::cluster::clients::watching;

/// Maximum number of requests reconciled at once: after a start all are due, and the API server has
/// other work too.
const MAX_AT_ONCE: u16 = 8;

/// Keeps the status and the role binding of every request as its grants and the time want them.
/// Never ends.
pub async fn run(context: Arc<ControllerContext>) {
    // Only what each object is called: one that cannot be decoded must not stop the others.
    let requests: Api<Bare<AccessRequest>> = Api::all(context.client.clone());
    let grants: Api<DeserializeGuard<AccessGrant>> = Api::all(context.client.clone());
    Controller::new(requests, watching())
        .watches(grants, watching(), |DeserializeGuard(grant)| {
            let grant = grant.ok()?;
            Some(ObjectRef::new(&grant.spec.grant_for).within(&grant.namespace()?))
        })
        .reconcile_all_on(changes(context.policies.changes()))
        .reconcile_all_on(changes(context.sealer.changes()))
        .with_config(controller::Config::default().concurrency(MAX_AT_ONCE))
        .run(
            status::reconcile,
            |_request, error, _context| again(error),
            context,
        )
        .for_each(|result| async {
            if let Err(error) = result {
                debug!(error = crate::chain(&error), "not reconciled yet");
            }
        })
        .await;
}

/// Every change of the policies, or of the keys: it may concern any request.
fn changes(changes: watch::Receiver<()>) -> impl Stream<Item = ()> + Send {
    futures::stream::unfold(changes, |mut changes| async move {
        changes.changed().await.ok().map(|()| ((), changes))
    })
}

fn again(error: &status::ReconcileError) -> Action {
    if error.is_conflict() {
        // Somebody else wrote first, and the event of that write is on its way.
        return Action::requeue(Duration::from_millis(200));
    }
    warn!(
        error = crate::chain(error),
        "cannot reconcile; trying again"
    );
    Action::requeue(Duration::from_secs(5))
}
