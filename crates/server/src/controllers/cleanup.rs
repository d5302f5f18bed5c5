//! Deletes requests of which nothing more will come. Never a live one: each is read again, with its grants, and
//! deleted only as it was read. And records of deleted ones, when they are too old or too many.

use std::{sync::Arc, time::Duration};

use api::AccessRequest;
use decide::{lifecycle, standing::Candidate};
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{Context, observe};
use crate::cluster::{index::Index, records::Records};

/// Looks for requests and records to delete, every `every`. Never ends.
pub async fn run(context: Arc<Context>, index: Arc<Index>, records: Records, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = (context.clock)();
        for candidate in index.all().iter().filter(|candidate| is_due(candidate, now, &context)) {
            if let Err(error) = delete(candidate, now, &context).await {
                let (namespace, name) = (&candidate.request.namespace, &candidate.request.name);
                warn!(namespace, name, error = crate::chain(&error), "cannot delete; trying again at the next round");
            }
        }
        if let Err(error) = records.clean_up(now).await {
            warn!(error = crate::chain(&error), "cannot delete records; trying again at the next round");
        }
    }
}

fn is_due(candidate: &Candidate, now: Timestamp, context: &Context) -> bool {
    lifecycle::plan(candidate, now, context.keep, &context.rules()).delete_at.is_some_and(|at| at <= now)
}

async fn delete(candidate: &Candidate, now: Timestamp, context: &Context) -> Result<(), kube::Error> {
    let request = &candidate.request;
    let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), &request.namespace);
    let Some(object) = api.get_opt(&request.name).await? else { return Ok(()) };
    let Some(live) = observe::with_grants(context, object).await? else { return Ok(()) };
    if live.candidate.request.uid != request.uid || !is_due(&live.candidate, now, context) {
        return Ok(());
    }
    let as_read = Preconditions {
        uid: live.object.metadata.uid.clone(),
        resource_version: live.object.metadata.resource_version.clone(),
    };
    let parameters = DeleteParams { preconditions: Some(as_read), ..DeleteParams::default() };
    match api.delete(&request.name, &parameters).await {
        // Changed or gone meanwhile: whoever was first may know better.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            info!(namespace = request.namespace, name = request.name, "deleted: nothing more will come of it");
            Ok(())
        }
    }
}
