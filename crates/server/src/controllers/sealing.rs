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
    policies::{MAX_POLICIES, UNSEALED},
    seal::Sealed,
};

/// How often all is looked at, beside whenever a policy or a key changes.
const LOOK_INTERVAL: Duration = Duration::from_mins(5);
/// When it is tried again: who wrote at the same time has done so by then.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// How often the API server may give no answer at all until a round ends: it will not for the others
/// either.
const MAX_UNANSWERED: usize = 8;
/// Maximum number of objects that an error names.
const MAX_NAMES: usize = 16;

/// Why older keys stay.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There was no answer.
    #[error("the API server could not be asked")]
    Api(#[from] kube::Error),
    /// Some objects were not sealed anew, or it could not be said that they have no seal; all
    /// others were.
    #[error("not sealed anew, so older keys are still believed: {names}{}", more(*.count))]
    NotRenewed {
        /// Some of them.
        names: String,
        /// How many there are.
        count: usize,
        /// Why the first one was not.
        #[source]
        first: kube::Error,
    },
}

fn more(count: usize) -> String {
    match count.saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// What could not be sealed anew in a round: one object keeps no other from it.
#[derive(Debug, Default)]
struct Failures {
    names: Vec<String>,
    count: usize,
    unanswered: usize,
    first: Option<kube::Error>,
}

impl Failures {
    /// Takes what became of an object.
    ///
    /// # Errors
    /// The API server has given no answer too often.
    fn take(
        &mut self,
        name: impl FnOnce() -> String,
        result: Result<(), kube::Error>,
    ) -> Result<(), kube::Error> {
        let Err(error) = result else {
            return Ok(());
        };
        if !matches!(error, kube::Error::Api(_) | kube::Error::SerdeError(_)) {
            self.unanswered = self.unanswered.saturating_add(1);
            if self.unanswered >= MAX_UNANSWERED {
                return Err(error);
            }
        }
        self.count = self.count.saturating_add(1);
        if self.names.len() < MAX_NAMES {
            self.names.push(name());
        }
        self.first.get_or_insert(error);
        Ok(())
    }

    fn done(self) -> Result<(), LookError> {
        let Self {
            names,
            count,
            first,
            ..
        } = self;
        first.map_or(Ok(()), |first| {
            Err(LookError::NotRenewed {
                names: names.join(", "),
                count,
                first,
            })
        })
    }
}

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
/// The API server did not answer, or somebody else wrote first, or something may not be written.
/// Then older keys stay, and the error says because of what.
pub async fn look(context: &ControllerContext, index: &Index) -> Result<(), LookError> {
    // The keys that are retired at the end are those from before the first look.
    let renewal = context.sealer.renewal();
    context.metrics.older_keys_needed(renewal.is_some());
    let mut failures = Failures::default();
    look_at_each_policy(context, &mut failures).await?;
    let Some(renewal) = renewal else {
        return failures.done();
    };
    let now = (context.clock)();
    for candidate in index.keys().iter().filter_map(|key| index.candidate(key)) {
        if candidate.is_open(now, &context.rules()) {
            renew(context, &candidate, &mut failures).await?;
        }
    }
    failures.done()?;
    context.metrics.older_keys_needed(false);
    debug!("nothing counts by an older key alone any more: it can be taken out");
    renewal.done();
    Ok(())
}

async fn look_at_policies(context: &ControllerContext) -> Result<(), LookError> {
    let mut failures = Failures::default();
    look_at_each_policy(context, &mut failures).await?;
    failures.done()
}

async fn look_at_each_policy(
    context: &ControllerContext,
    failures: &mut Failures,
) -> Result<(), kube::Error> {
    let api: Api<DeserializeGuard<AccessPolicy>> = Api::all(context.client.clone());
    let mut unsealed: i64 = 0;
    // One that cannot be decoded permits nothing anyway.
    let all = api.list(&ListParams::default().limit(MAX_POLICIES)).await?;
    for policy in all.items.into_iter().filter_map(|guard| guard.0.ok()) {
        let sealed = context.sealer.policy(&policy);
        let name = || format!("accesspolicy {}", policy.name_any());
        if sealed == Sealed::Older {
            let api = Api::all(context.client.clone());
            let renewed = annotate(&api, &policy, context.sealer.renew_policy(&policy));
            failures.take(name, renewed.await)?;
        }
        unsealed = unsealed.saturating_add(i64::from(!sealed.is_good()));
        failures.take(name, say(context, &policy, sealed).await)?;
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
/// What cannot be decoded gives access to nobody, under whichever key.
async fn renew(
    context: &ControllerContext,
    candidate: &Candidate,
    failures: &mut Failures,
) -> Result<(), kube::Error> {
    let (namespace, name) = (&candidate.request.namespace, &candidate.request.name);
    let named = |kind: &str, name: &str| format!("{kind} {namespace}/{name}");
    let (request, grants) = match read(context, namespace, name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(()),
        Err(error) => return failures.take(|| named("accessrequest", name), Err(error)),
    };
    let api: Api<AccessGrant> = Api::namespaced(context.client.clone(), namespace);
    for grant in grants {
        if context.sealer.grant(&grant, &request) == Sealed::Older {
            let renewed = annotate(&api, &grant, context.sealer.renew_grant(&grant, &request));
            let name = || named("accessgrant", &grant.name_any());
            failures.take(name, renewed.await)?;
        }
    }
    if context.sealer.request(&request) == Sealed::Older {
        let api: Api<AccessRequest> = Api::namespaced(context.client.clone(), namespace);
        let renewed = annotate(&api, &request, context.sealer.renew_request(&request));
        failures.take(|| named("accessrequest", name), renewed.await)?;
    }
    Ok(())
}

/// A request and its grants, as far as they can be decoded; `None`: it is gone, or cannot be.
async fn read(
    context: &ControllerContext,
    namespace: &str,
    name: &str,
) -> Result<Option<(AccessRequest, Vec<AccessGrant>)>, kube::Error> {
    let requests: Api<DeserializeGuard<AccessRequest>> =
        Api::namespaced(context.client.clone(), namespace);
    let Some(DeserializeGuard(Ok(request))) = requests.get_opt(name).await? else {
        return Ok(None);
    };
    let grants: Api<DeserializeGuard<AccessGrant>> =
        Api::namespaced(context.client.clone(), namespace);
    let of_it = ListParams::default().fields(&format!("spec.grantFor={name}"));
    let grants = grants.list(&of_it).await?.items.into_iter();
    Ok(Some((
        request,
        grants.filter_map(|guard| guard.0.ok()).collect(),
    )))
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
