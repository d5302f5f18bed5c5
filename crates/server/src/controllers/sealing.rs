//! Seals that are to be renewed, and policies that have none: older keys can go once nothing counts
//! by them alone.

use std::{sync::Arc, time::Duration};

use api::{
    AccessGrant, AccessPolicy, AccessRequest,
    contract::{annotations::SEAL, conditions, reasons},
    policy,
};
use decide::standing::Candidate;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::ControllerContext;
use crate::cluster::{
    index::Index,
    ledger::list_grants,
    policies::{MAX_POLICIES, UNSEALED},
    seal::Sealed,
};

/// How often all is looked at, beside whenever a policy or a key changes.
const LOOK_INTERVAL: Duration = Duration::from_mins(5);
/// When it is tried again: who wrote at the same time has done so by then.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Looks at all seals, again and again. Never ends.
pub async fn run(context: Arc<ControllerContext>, index: Arc<Index>) {
    if !context.sealer.is_on() {
        return;
    }
    let (mut policies, mut keys) = (context.policies.events(), context.sealer.changes());
    let mut looked = look(&context, &index).await;
    loop {
        if let Err(error) = &looked {
            warn!(
                error = crate::chain(error),
                "cannot look at all seals; trying again"
            );
        }
        let pause = sleep(if looked.is_ok() {
            LOOK_INTERVAL
        } else {
            RETRY_INTERVAL
        });
        // The store and the sealer hold the senders.
        looked = tokio::select! {
            () = pause => look(&context, &index).await,
            Ok(()) = keys.changed() => look(&context, &index).await,
            Ok(()) = policies.changed() => look_at_policies(&context).await,
        };
    }
}

/// Looks at all seals once.
///
/// # Errors
/// The API server did not answer, or somebody else wrote first. Then older keys stay.
pub async fn look(context: &ControllerContext, index: &Index) -> Result<(), kube::Error> {
    // The keys that are retired at the end are those from before the first look.
    let renewal = context.sealer.renewal();
    context.metrics.older_keys_needed(renewal.is_some());
    look_at_policies(context).await?;
    let Some(renewal) = renewal else {
        return Ok(());
    };
    let now = (context.clock)();
    for candidate in index.keys().iter().filter_map(|key| index.candidate(key)) {
        if candidate.is_open(now, &context.rules()) {
            renew(context, &candidate).await?;
        }
    }
    context.metrics.older_keys_needed(false);
    debug!("nothing counts by an older key alone any more: it can be taken out");
    renewal.done();
    Ok(())
}

async fn look_at_policies(context: &ControllerContext) -> Result<(), kube::Error> {
    let api: Api<DeserializeGuard<AccessPolicy>> = Api::all(context.client.clone());
    let mut unsealed: i64 = 0;
    // One that cannot be decoded permits nothing anyway.
    let all = api.list(&ListParams::default().limit(MAX_POLICIES)).await?;
    for policy in all.items.into_iter().filter_map(|guard| guard.0.ok()) {
        let sealed = context.sealer.policy(&policy);
        if sealed == Sealed::Older {
            annotate(
                &Api::all(context.client.clone()),
                &policy,
                context.sealer.renew_policy(&policy),
            )
            .await?;
        }
        unsealed = unsealed.saturating_add(i64::from(!sealed.is_good()));
        say(context, &policy, sealed).await?;
    }
    context.metrics.unsealed_policies(unsealed);
    Ok(())
}

/// Writes into the status of a policy whether it is sealed.
async fn say(
    context: &ControllerContext,
    policy: &AccessPolicy,
    sealed: Sealed,
) -> Result<(), kube::Error> {
    let old = policy
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|one| one.type_ == conditions::SEALED);
    let new = condition(old, policy, sealed, (context.clock)());
    if old == Some(&new) {
        return Ok(());
    }
    if !sealed.is_good() {
        warn!(
            name = policy.name_any(),
            "a policy is not sealed: {UNSEALED}"
        );
    }
    let api: Api<AccessPolicy> = Api::all(context.client.clone());
    let patch = json!({"status": {"conditions": [new]}});
    gone_is_done(
        api.patch_status(
            &policy.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await,
    )
}

fn condition(
    old: Option<&Condition>,
    policy: &AccessPolicy,
    sealed: Sealed,
    now: Timestamp,
) -> Condition {
    let (status, reason, message) = if sealed.is_good() {
        (
            "True",
            reasons::SEALED,
            "admitted by a server with the cluster's key",
        )
    } else {
        ("False", reasons::NO_SEAL, UNSEALED)
    };
    let since = old
        .filter(|old| old.status == status)
        .map(|old| old.last_transition_time.clone());
    Condition {
        type_: conditions::SEALED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since
            .unwrap_or(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
        observed_generation: Some(policy::id(policy).generation),
    }
}

/// Seals a request and its grants with the newest key, where they have good seals under older ones.
async fn renew(context: &ControllerContext, candidate: &Candidate) -> Result<(), kube::Error> {
    let (namespace, name) = (&candidate.request.namespace, &candidate.request.name);
    let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), namespace);
    let Some(request) = api.get_opt(name).await? else {
        return Ok(());
    };
    let grants: Api<AccessGrant> = Api::namespaced(context.client.clone(), namespace);
    for grant in list_grants(&context.client, namespace, name).await? {
        if context.sealer.grant(&grant, &request) == Sealed::Older {
            annotate(
                &grants,
                &grant,
                context.sealer.renew_grant(&grant, &request),
            )
            .await?;
        }
    }
    if context.sealer.request(&request) == Sealed::Older {
        annotate(&api, &request, context.sealer.renew_request(&request)).await?;
    }
    Ok(())
}

/// Writes a seal beside an object, as it was read.
async fn annotate<K>(api: &Api<K>, object: &K, seal: Option<String>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = json!({"metadata": {"resourceVersion": object.resource_version(), "annotations": {SEAL: seal}}});
    gone_is_done(
        api.patch(
            &object.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await,
    )
}

/// What was deleted meanwhile needs nothing.
fn gone_is_done<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
