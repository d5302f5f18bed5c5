//! Deletes requests of which nothing more will come. Never a live one: each is read again, with its
//! grants, and deleted only as it was read. And records of deleted ones, when they are too old or
//! too many.

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

use super::{ControllerContext, observe};
use crate::cluster::{
    index::{Index, Key},
    records::Records,
};

/// Looks for requests and records to delete, every `every`. Never ends.
pub async fn run(
    context: Arc<ControllerContext>,
    index: Arc<Index>,
    records: Records,
    every: Duration,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = (context.clock)();
        for (key, uid) in due(&index, now, &context) {
            if let Err(error) = delete(&key, &uid, now, &context).await {
                let (namespace, name) = key;
                warn!(
                    namespace,
                    name,
                    error = crate::chain(&error),
                    "cannot delete; trying again at the next round"
                );
            }
        }
        if let Err(error) = records.clean_up(now).await {
            warn!(
                error = crate::chain(&error),
                "cannot delete records; trying again at the next round"
            );
        }
    }
}

/// The requests that are due as far as memory knows, one after the other: no more than one is
/// copied at a time.
fn due(
    index: &Index,
    now: Timestamp,
    context: &ControllerContext,
) -> impl Iterator<Item = (Key, String)> {
    let since = now
        .checked_sub(context.keep.finished)
        .unwrap_or(Timestamp::MIN);
    let finished = index
        .finished(since)
        .into_iter()
        .map(|(key, finished)| (key, finished.uid));
    let whole = index.keys().into_iter().filter_map(move |key| {
        let candidate = index.candidate(&key)?;
        is_due(&candidate, now, context).then_some((key, candidate.request.uid))
    });
    whole.chain(finished)
}

fn is_due(candidate: &Candidate, now: Timestamp, context: &ControllerContext) -> bool {
    lifecycle::plan(candidate, now, context.keep, &context.rules())
        .delete_at
        .is_some_and(|at| at <= now)
}

async fn delete(
    (namespace, name): &Key,
    uid: &str,
    now: Timestamp,
    context: &ControllerContext,
) -> Result<(), kube::Error> {
    let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), namespace);
    let Some(object) = api.get_opt(name).await? else {
        return Ok(());
    };
    let Some(live) = observe::with_grants(context, object).await? else {
        return Ok(());
    };
    if live.candidate.request.uid != uid || !is_due(&live.candidate, now, context) {
        return Ok(());
    }
    let as_read = Preconditions {
        uid: live.object.metadata.uid.clone(),
        resource_version: live.object.metadata.resource_version.clone(),
    };
    let parameters = DeleteParams {
        preconditions: Some(as_read),
        ..DeleteParams::default()
    };
    match api.delete(name, &parameters).await {
        // Changed or gone meanwhile: whoever was first may know better.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            info!(namespace, name, "deleted: nothing more will come of it");
            Ok(())
        }
    }
}
