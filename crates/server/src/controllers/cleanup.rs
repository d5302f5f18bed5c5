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

/// How many keys are taken out of memory at a time.
const AT_ONCE: usize = 256;

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
        for key in whole(&index, now, &context) {
            try_to_delete(&key, now, &context).await;
        }
        delete_finished(&index, now, &context).await;
        if let Err(error) = records.clean_up(now).await {
            warn!(
                error = crate::chain(&error),
                "cannot delete records; trying again at the next round"
            );
        }
    }
}

/// The requests that are due, of those that memory has whole.
fn whole(index: &Index, now: Timestamp, context: &ControllerContext) -> impl Iterator<Item = Key> {
    index.keys().into_iter().filter(move |key| {
        index
            .candidate(key)
            .is_some_and(|candidate| is_due(&candidate, now, context))
    })
}

/// Deletes those that are over for long enough, of the others: the oldest first, one after the
/// other, so that the API server has time for other things.
async fn delete_finished(index: &Index, now: Timestamp, context: &ControllerContext) {
    let by = now
        .checked_sub(context.keep.finished)
        .unwrap_or(Timestamp::MIN);
    let mut last = None;
    loop {
        let due = index.finished(by, last.as_ref(), AT_ONCE);
        for one in &due {
            try_to_delete(one.key(), now, context).await;
        }
        match due.into_iter().next_back() {
            Some(one) => last = Some(one),
            None => return,
        }
    }
}

async fn try_to_delete(key: &Key, now: Timestamp, context: &ControllerContext) {
    if let Err(error) = delete(key, now, context).await {
        warn!(
            namespace = &*key.namespace,
            name = &*key.name,
            error = crate::chain(&error),
            "cannot delete; trying again at the next round"
        );
    }
}

fn is_due(candidate: &Candidate, now: Timestamp, context: &ControllerContext) -> bool {
    lifecycle::plan(candidate, now, context.keep, &context.rules())
        .delete_at
        .is_some_and(|at| at <= now)
}

async fn delete(
    Key { namespace, name }: &Key,
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
    if !is_due(&live.candidate, now, context) {
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
            info!(
                namespace = &**namespace,
                name = &**name,
                "deleted: nothing more will come of it"
            );
            Ok(())
        }
    }
}
