//! What the server itself writes into new objects: who somebody is, which request is meant, and a
//! seal. Side effects: none, but reads.

use api::{
    AccessGrant, AccessPolicy, AccessRequest, UserInfo,
    contract::annotations::{EXPLANATION, SEAL},
    convert,
    objects::GrantStatus,
    review::Answer,
};
use base64::Engine as _;
use decide::{
    identity::{Caller, Person},
    rules::check_name,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Objects,
    decoding::{is_same_policy, object, old_policy},
    grants::check_approver,
};
use crate::{
    admission::{
        Received,
        failure::{self, Failure, Refused},
    },
    cluster::seal::annotated,
};

/// What the server says of itself in each request.
pub(super) struct RequestContext {
    pub(super) cluster_name: Option<String>,
    pub(super) username_prefix: Option<String>,
}

impl Objects {
    /// Completes a new request: who asks, who files, what exactly is meant.
    pub(in crate::admission) async fn stamp_request(
        &self,
        received: &Received,
    ) -> Result<Answer, Refused> {
        let mut object: AccessRequest = object(received)?;
        let caller = &received.caller;
        let written = object.spec.user_info.clone().unwrap_or_default();
        object.spec.user_info = Some(self.requester(&written, caller)?);
        object.spec.created_by = Some(convert::stamped(&self.common.recorded_as(caller), caller));
        let context = self.request_context();
        object.spec.cluster_name = context.cluster_name;
        object.spec.username_prefix = context.username_prefix;
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        self.stamp_target(&mut object, namespace, &received.request().user_info)
            .await?;
        let explanation = self
            .explanation(received, &object)
            .map(|text| (EXPLANATION, text));
        object.metadata.namespace = Some(namespace.to_owned());
        let seal = unless_dry(received, || {
            self.common
                .ledger
                .sealer()
                .seal_request(&object, self.common.now())
        });
        let notes = [explanation, seal.map(|seal| (SEAL, seal))]
            .into_iter()
            .flatten()
            .collect();
        patch(received, Some(&object.spec), &object.metadata, notes)
    }

    /// What whoever reads the request needs to know of this server, to tell clusters and people
    /// apart.
    pub(super) fn request_context(&self) -> RequestContext {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        RequestContext {
            cluster_name: given(&self.common.cluster_name),
            username_prefix: given(self.common.settings.prefix.as_str()),
        }
    }

    /// Who the access is for: the caller, or whom an always-allowed caller names.
    pub(super) fn requester(
        &self,
        written: &UserInfo,
        caller: &Caller,
    ) -> Result<UserInfo, Refused> {
        let name = self.common.settings.prefix.written(written.name());
        if self.in_band_wait && caller.username == self.own_name {
            // Filed for an attempt that waits: who she is was read from its review.
            return Ok(UserInfo {
                extra: None,
                ..written.clone()
            });
        }
        match self.common.settings.prefix.person(caller) {
            Some(own) if name.is_empty() || name == own.name => Ok(convert::stamped(&own, caller)),
            _ if !name.is_empty() && self.common.is_always_allowed(caller) => {
                // Whatever else is written of her could be wrong: only the name is taken.
                Ok(UserInfo {
                    username: Some(name.to_owned()),
                    ..UserInfo::default()
                })
            }
            Some(own) => Err(other_user(name, &own.name)),
            None => Err(no_prefix(&caller.username)),
        }
    }

    /// Completes a new grant: who answers, and which request was read.
    pub(in crate::admission) async fn stamp_grant(
        &self,
        received: &Received,
    ) -> Result<Answer, Refused> {
        let mut object: AccessGrant = object(received)?;
        let caller = &received.caller;
        let person = self.common.recorded_as(caller);
        let prefix = &self.common.settings.prefix;
        object.spec.granted_by = Some(convert::stamped_answerer(&person, caller, prefix));
        check_name("grantFor", &object.spec.grant_for)
            .map_err(|refusal| failure::refusal(&refusal))?;
        let meant = convert::meant_request(&object).map_err(|error| failure::nonsense(&error))?;
        // Before anything is read: whoever may not answer must not learn which requests there are.
        // Nor is anything sealed for them: nobody else may be asked about it later.
        self.check_answers(caller, &person)?;
        if meant.is_none() && object.status != Some(GrantStatus::Denied) {
            return Err(unread(&object.spec.grant_for));
        }
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        let api: Api<AccessRequest> =
            Api::namespaced(self.common.ledger.client().clone(), namespace);
        let request = api.get_opt(&object.spec.grant_for).await?;
        // A denial of an emergency is its review, too.
        if meant.is_none() && request.as_ref().is_some_and(AccessRequest::is_unreviewed) {
            return Err(unread(&object.spec.grant_for));
        }
        // In the spec it is frozen; an ownerReference is not.
        object.spec.request_uid = meant.or_else(|| request.as_ref()?.metadata.uid.clone());
        // Only what was read can be sealed: for another request of that name, `validate` says what
        // is wrong.
        let sealed = request.filter(|request| request.metadata.uid == object.spec.request_uid);
        object.metadata.namespace = Some(namespace.to_owned());
        // What will be refused is not sealed either: whoever is shown it meanwhile could store it
        // later.
        if let Some(request) = &sealed {
            self.check_before_sealing(received, &object, &person, request)
                .await?;
        }
        let seal = || {
            self.common
                .ledger
                .sealer()
                .seal_grant(&object, &sealed?, self.common.now())
        };
        object.spec.seal = unless_dry(received, seal);
        patch(received, Some(&object.spec), &object.metadata, Vec::new())
    }

    /// Refuses an approval of one's own request, or one that something may have changed on its way.
    async fn check_before_sealing(
        &self,
        received: &Received,
        grant: &AccessGrant,
        person: &Person,
        request: &AccessRequest,
    ) -> Result<(), Refused> {
        let sealed = self.common.ledger.sealer().request(request).into();
        let request =
            convert::request(request, sealed).map_err(|error| failure::nonsense(&error))?;
        check_approver(person, &request)?;
        if grant.status == Some(GrantStatus::Granted) && !received.request().is_dry_run() {
            self.check_mutators("grant").await?;
        }
        Ok(())
    }

    /// Seals a policy: a new one, and one whose seal is good before it is changed. Any other only
    /// where its owner says which they have read: a change by a program that applies what it finds
    /// must not vouch for it.
    pub(in crate::admission) async fn stamp_policy(
        &self,
        received: &Received,
    ) -> Result<Answer, Refused> {
        // Before anything is sealed.
        self.check_policy_owner(received)?;
        // What cannot be read is refused after this, where its faults are named.
        let Ok(object) = object::<AccessPolicy>(received) else {
            return Ok(Answer::allow(&received.request().uid));
        };
        let sealer = self.common.ledger.sealer();
        let (generation, created) = match old_policy(received)? {
            None => (Some(1), self.common.now()),
            Some(old) => {
                let may = sealer.policy(&old).is_good() || is_to_be_sealed(&old, &object);
                let created = old
                    .metadata
                    .creation_timestamp
                    .as_ref()
                    .map_or(self.common.now(), |created| created.0);
                (next_generation(&old, received)?.filter(|_| may), created)
            }
        };
        let seal = unless_dry(received, || {
            sealer.seal_policy(&object, generation?, created)
        });
        if seal.is_some() && received.caller.username != self.own_name {
            self.check_mutators("policy").await?;
        }
        let notes = seal.map(|seal| (SEAL, seal)).into_iter().collect();
        patch(received, None::<&()>, &object.metadata, notes)
    }
}

/// Says that an approval or review must name what was read: the request that has the name now may
/// be another one. A denial that is no review need not.
fn unread(request: &str) -> Refused {
    Refused::because(format!(
        "spec.requestUID is missing: say which request you have read, so that no other one of that name is answered (kubectl \
         get accessrequest {request} -o jsonpath='{{.metadata.uid}}', or kubectl request approve {request})"
    ))
}

pub(super) fn other_user(asked: &str, own: &str) -> Refused {
    Refused::because(format!(
        "the request is for {asked:?}, but you are {own:?}: only always-allowed users may file requests for others"
    ))
}

fn no_prefix(username: &str) -> Refused {
    Refused::because(format!(
        "{username:?} does not begin with --username-prefix, so no request can be yours: log in by the cluster's authenticator"
    ))
}

/// A dry run is told to nobody, and so leaves nothing that would count.
fn unless_dry<T>(received: &Received, seal: impl FnOnce() -> Option<T>) -> Option<T> {
    if received.request().is_dry_run() {
        None
    } else {
        seal()
    }
}

/// The generation that the API server will write: it counts what is changed outside of metadata and
/// status.
fn next_generation(old: &AccessPolicy, received: &Received) -> Result<Option<i64>, Refused> {
    let changes = i64::from(!is_same_policy(received)?);
    Ok(old
        .metadata
        .generation
        .and_then(|generation| generation.checked_add(changes)))
}

/// Whether an update names the version that its owner has read, and asks for its seal by that. What
/// stood there before asks for nothing.
fn is_to_be_sealed(old: &AccessPolicy, new: &AccessPolicy) -> bool {
    let read = annotated(&new.metadata);
    read.is_some()
        && read != annotated(&old.metadata)
        && read == old.metadata.resource_version.as_deref()
}

/// The answer that puts the stamped spec in place of the one that came, and writes annotations;
/// nothing else is ours to write.
///
/// One operation, whatever was sent: the API server applies patches before it looks at the schema's
/// bounds, and takes quadratic time for one that removes the elements of a long list.
///
/// What comes is bounded, and nothing is built of it but text.
fn patch(
    received: &Received,
    spec: Option<&impl Serialize>,
    metadata: &ObjectMeta,
    notes: Vec<(&str, String)>,
) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Add<T> {
        op: &'static str,
        path: String,
        value: T,
    }
    #[derive(Serialize)]
    struct Empty {}
    let json = |value: Result<Box<RawValue>, serde_json::Error>| value.map_err(Failure::Patch);
    let add = |path: String, value| Add {
        op: "add",
        path,
        value,
    };
    let mut operations = Vec::new();
    if let Some(spec) = spec {
        operations.push(add("/spec".to_owned(), json(to_raw_value(spec))?));
    }
    if !notes.is_empty() && metadata.annotations.is_none() {
        operations.push(add(
            "/metadata/annotations".to_owned(),
            json(to_raw_value(&Empty {}))?,
        ));
    }
    for (key, text) in notes {
        let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        operations.push(add(path, json(to_raw_value(&text))?));
    }
    let operations = serde_json::to_vec(&operations).map_err(Failure::Patch)?;
    Ok(Answer::allow(&received.request().uid)
        .patched(base64::engine::general_purpose::STANDARD.encode(operations)))
}
