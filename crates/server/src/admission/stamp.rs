//! What the server itself writes into new objects: who somebody is, and which pod, workload or
//! request is meant. Side effects: none, but reads.

use api::{
    AccessGrant, AccessPolicy, AccessRequest, AccessRequestSpec, UserInfo, convert,
    objects::GrantStatus,
    review::{Answer, Review},
};
use base64::Engine as _;
use decide::{
    access::TargetKind,
    attempt::Door,
    copy::Direction,
    identity::{Caller, Person},
    rules::check_name,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Admission,
    failure::{self, Failure, Refused},
    grants::check_approver,
    objects::{is_same_policy, object, old_policy},
    why,
};
use crate::cluster::{
    pods::{self, Target},
    rights::{self, Right},
    seal::{SEAL, annotated},
};

impl Admission {
    /// Completes a new request: who asks, who files, what exactly is meant.
    pub(super) async fn stamp_request(&self, review: &Review) -> Result<Answer, Refused> {
        let mut object: AccessRequest = object(review)?;
        let caller = Self::caller(review);
        let written = object.spec.user_info.clone().unwrap_or_default();
        object.spec.user_info = Some(self.requester(&written, &caller)?);
        object.spec.created_by = Some(convert::stamped(&self.recorded_as(&caller), &caller));
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        self.stamp_target(&mut object, namespace, &review.request.user_info)
            .await?;
        let explanation = self
            .explanation(review, &object)
            .map(|text| (why::ANSWER, text));
        object.metadata.namespace = Some(namespace.to_owned());
        let seal = unless_dry(review, || {
            self.ledger.sealer().seal_request(&object, self.now())
        });
        let notes = [explanation, seal.map(|seal| (SEAL, seal))]
            .into_iter()
            .flatten()
            .collect();
        patch(review, Some(&object.spec), &object.metadata, notes)
    }

    /// Who the access is for: the caller, or whom an always-allowed caller names.
    pub(super) fn requester(
        &self,
        written: &UserInfo,
        caller: &Caller,
    ) -> Result<UserInfo, Refused> {
        let name = self.settings.prefix.written(written.name());
        if self.waiting.is_some() && caller.username == self.own_name {
            // Filed for an attempt that waits: who she is was read from its review.
            return Ok(UserInfo {
                extra: None,
                ..written.clone()
            });
        }
        match self.settings.prefix.person(caller) {
            Some(own) if name.is_empty() || name == own.name => Ok(convert::stamped(&own, caller)),
            _ if !name.is_empty() && self.is_always_allowed(caller) => {
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

    /// Writes down which pod or workload is meant, which container where none is named, and what
    /// runs.
    async fn stamp_target(
        &self,
        object: &mut AccessRequest,
        namespace: &str,
        user: &UserInfo,
    ) -> Result<(), Refused> {
        let kind = convert::target_kind(&object.spec.for_object.resource)
            .map_err(|error| failure::nonsense(&error))?;
        let for_object = &mut object.spec.for_object;
        let asked = for_object.namespace.get_or_insert_default();
        if asked.is_empty() {
            namespace.clone_into(asked);
        }
        check_name("forObject.name", &for_object.name)
            .map_err(|refusal| failure::refusal(&refusal))?;
        let target = self
            .visible_target(user, namespace, kind, &for_object.name)
            .await?;
        check_uid(for_object.uid.as_deref(), &target, &for_object.name)?;
        for_object.uid = Some(target.uid.clone());
        let name = for_object.name.clone();
        let door = Door::of(&for_object.sub_resource);
        // Clients of the original read these of every request.
        let options = object.spec.exec_options.get_or_insert_default();
        match door {
            Some(Door::Exec) => {
                stamp_container(&mut options.container, &target, &name)?;
                stamp_copy(&mut object.spec);
                Ok(())
            }
            Some(Door::Attach) => stamp_container(
                &mut object.spec.attach_options.get_or_insert_default().container,
                &target,
                &name,
            ),
            Some(Door::EphemeralContainers) => {
                let asked = object.spec.ephemeral_container.as_ref();
                check_container(
                    asked.and_then(|asked| asked.target_container_name.as_deref()),
                    &target,
                    &name,
                )
            }
            Some(Door::PortForward) | None => Ok(()),
        }
    }

    /// Reads a target, if the caller may: who may not see it learns the same of one that exists and
    /// one that does not.
    pub(super) async fn visible_target(
        &self,
        user: &UserInfo,
        namespace: &str,
        kind: TargetKind,
        name: &str,
    ) -> Result<Target, Refused> {
        let client = self.ledger.client();
        let resource = convert::resource_of(kind);
        let right = Right::Get {
            resource: &resource,
            name,
        };
        let (visible, target) = tokio::try_join!(
            rights::has(client, user, namespace, right),
            pods::read_target(client, namespace, kind, name)
        )?;
        target.filter(|_| visible).ok_or_else(|| {
            let resource = &resource.resource;
            Refused::because(format!(
                "{resource} {name:?} not found in namespace {namespace}, or you have no right to get {resource} there"
            ))
        })
    }

    /// Completes a new grant: who answers, and which request was read.
    pub(super) async fn stamp_grant(&self, review: &Review) -> Result<Answer, Refused> {
        let mut object: AccessGrant = object(review)?;
        let caller = Self::caller(review);
        let person = self.recorded_as(&caller);
        let prefix = &self.settings.prefix;
        object.spec.granted_by = Some(convert::stamped_answerer(&person, &caller, prefix));
        check_name("grantFor", &object.spec.grant_for)
            .map_err(|refusal| failure::refusal(&refusal))?;
        let meant = convert::meant_request(&object).map_err(|error| failure::nonsense(&error))?;
        // Before anything is read: whoever may not answer must not learn which requests there are.
        // Nor is anything sealed for them: nobody else may be asked about it later.
        self.check_answers(&caller, &person)?;
        if meant.is_none() && object.status != Some(GrantStatus::Denied) {
            return Err(unread(&object.spec.grant_for));
        }
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        let api: Api<AccessRequest> = Api::namespaced(self.ledger.client().clone(), namespace);
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
            self.check_before_sealing(review, &object, &person, request)
                .await?;
        }
        let seal = || {
            self.ledger
                .sealer()
                .seal_grant(&object, &sealed?, self.now())
        };
        object.spec.seal = unless_dry(review, seal);
        patch(review, Some(&object.spec), &object.metadata, Vec::new())
    }

    /// Refuses an approval of one's own request, or one that something may have changed on its way.
    async fn check_before_sealing(
        &self,
        review: &Review,
        grant: &AccessGrant,
        person: &Person,
        request: &AccessRequest,
    ) -> Result<(), Refused> {
        let sealed = self.ledger.sealer().request(request).into();
        let request =
            convert::request(request, sealed).map_err(|error| failure::nonsense(&error))?;
        check_approver(person, &request)?;
        if grant.status == Some(GrantStatus::Granted) && !review.request.is_dry_run() {
            self.check_mutators("grant").await?;
        }
        Ok(())
    }

    /// Seals a policy: a new one, and one whose seal is good before it is changed. Any other only
    /// where its owner says which they have read: a change by a program that applies what it finds
    /// must not vouch for it.
    pub(super) async fn stamp_policy(&self, review: &Review) -> Result<Answer, Refused> {
        // Before anything is sealed.
        self.check_policy_owner(review)?;
        // What cannot be read is refused after this, where its faults are named.
        let Ok(object) = object::<AccessPolicy>(review) else {
            return Ok(Answer::allow(&review.request.uid));
        };
        let sealer = self.ledger.sealer();
        let (generation, created) = match old_policy(review)? {
            None => (Some(1), self.now()),
            Some(old) => {
                let may = sealer.policy(&old).is_good() || is_to_be_sealed(&old, &object);
                let created = old
                    .metadata
                    .creation_timestamp
                    .as_ref()
                    .map_or(self.now(), |created| created.0);
                (next_generation(&old, review)?.filter(|_| may), created)
            }
        };
        let seal = unless_dry(review, || sealer.seal_policy(&object, generation?, created));
        if seal.is_some() && review.request.user_info.name() != self.own_name {
            self.check_mutators("policy").await?;
        }
        let notes = seal.map(|seal| (SEAL, seal)).into_iter().collect();
        patch(review, None::<&()>, &object.metadata, notes)
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

fn check_uid(written: Option<&str>, target: &Target, name: &str) -> Result<(), Refused> {
    match written {
        None | Some("") => Ok(()),
        Some(uid) if uid == target.uid => Ok(()),
        Some(uid) => Err(Refused::because(format!(
            "forObject.uid is {uid:?}, but {name:?} has {:?}: it was re-created meanwhile",
            target.uid
        ))),
    }
}

fn stamp_container(
    container: &mut Option<String>,
    target: &Target,
    name: &str,
) -> Result<(), Refused> {
    if container
        .as_deref()
        .is_some_and(|container| !container.is_empty())
    {
        return check_container(container.as_deref(), target, name);
    }
    let none = || Refused::because(format!("{name:?} has no containers to run a command in"));
    *container = Some(target.default_container.clone().ok_or_else(none)?);
    Ok(())
}

fn check_container(container: Option<&str>, target: &Target, name: &str) -> Result<(), Refused> {
    let Some(container) = container.filter(|container| !container.is_empty()) else {
        return Ok(());
    };
    if target.containers.iter().any(|known| known == container) {
        return Ok(());
    }
    let known = target.containers.join(", ");
    Err(Refused::because(format!(
        "container {container:?} not found in {name:?}: it has {known}"
    )))
}

/// Writes down the command that `kubectl cp` runs, for whoever reads it with a client of the
/// original.
fn stamp_copy(spec: &mut AccessRequestSpec) {
    let Some(asked) = &spec.copy else { return };
    let options = spec.exec_options.get_or_insert_default();
    if options.command.as_ref().is_none_or(Vec::is_empty) {
        let copy = convert::copy_of(asked, None);
        options.command = Some(copy.command());
        options.stdin = (copy.direction == Direction::To).then_some(true);
    }
}

/// A dry run is told to nobody, and so leaves nothing that would count.
fn unless_dry<T>(review: &Review, seal: impl FnOnce() -> Option<T>) -> Option<T> {
    if review.request.is_dry_run() {
        None
    } else {
        seal()
    }
}

/// The generation that the API server will write: it counts what is changed outside of metadata and
/// status.
fn next_generation(old: &AccessPolicy, review: &Review) -> Result<Option<i64>, Refused> {
    let changes = i64::from(!is_same_policy(review)?);
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
    review: &Review,
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
    Ok(Answer::allow(&review.request.uid)
        .patched(base64::engine::general_purpose::STANDARD.encode(operations)))
}
