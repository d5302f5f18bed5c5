//! Deleting requests and grants, which ends the access at once.
//!
//! RBAC alone is not enough: a third person could destroy the trail, or somebody's access.

use api::{AccessGrant, AccessRequest, convert, objects::GrantStatus, payload::ObjectRef};
use decide::{
    access::{Request, Seal},
    rules::is_name,
    standing::{Candidate, Standing},
};
use kube::Api;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::{error, info};

use super::{Objects, metadata};
use crate::{
    admission::{
        Deadline, Received,
        failure::{self, Refused},
    },
    audit::AuditType,
    cluster::rights::{self, Right},
};

/// A request that opened nothing, deleted by whoever asked.
const WITHDRAWN: &str = "withdrawn";

impl Objects {
    /// Admits the deletion of a request.
    pub(in crate::admission) async fn delete_request(
        &self,
        received: &Received,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let request: Option<AccessRequest> = old(received)?;
        let name = review_name(
            received,
            request
                .as_ref()
                .and_then(|request| request.metadata.name.as_deref()),
        );
        // Before it is marked as an emergency, it opened nothing: so nothing that happened can be
        // deleted.
        let unreviewed = request.as_ref().is_some_and(AccessRequest::is_unreviewed);
        let hers = match &request {
            Some(request) if !unreviewed => {
                self.is_hers(received, request) && !self.is_denied(request).await?
            }
            Some(_) | None => false,
        };
        let stake = request
            .as_ref()
            .is_none_or(|request| self.has_a_stake(received, request));
        let what = if unreviewed {
            "emergency, which nobody has reviewed,"
        } else {
            "request"
        };
        self.check_remover(received, hers, stake, what).await?;
        let uid = request
            .as_ref()
            .and_then(|request| request.metadata.uid.clone());
        let opened = match &request {
            Some(request) => {
                let deleted = (
                    "AccessRequest",
                    name.as_str(),
                    uid.as_deref().unwrap_or_default(),
                );
                self.keep_record(received, request, deleted, deadline)
                    .await?
            }
            None => true,
        };
        self.tell_of_deletion(AuditType::Deleted, received, (&name, uid), deadline)
            .await?;
        // A requester can file and withdraw without end: of what opened nothing only so many lines
        // are written.
        let counted = hers
            && !opened
            && !self
                .common
                .is_written(received, WITHDRAWN, removed_object(received));
        self.removed(received, &name, !counted);
        Ok(())
    }

    /// Admits the deletion of a grant.
    pub(in crate::admission) async fn delete_grant(
        &self,
        received: &Received,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let grant: Option<AccessGrant> = old(received)?;
        let request = match &grant {
            Some(grant) => self.request_of(received, grant).await?,
            None => None,
        };
        let granted = grant
            .as_ref()
            .is_some_and(|grant| grant.status == Some(GrantStatus::Granted));
        let hers = granted
            && request
                .as_ref()
                .is_some_and(|request| self.is_hers(received, request));
        let denied = grant
            .as_ref()
            .is_some_and(|grant| grant.status == Some(GrantStatus::Denied));
        // Of a denial whose request is gone nobody knows any more whom it concerns.
        let stake = match (&grant, &request) {
            (None, _) => true,
            (Some(_), None) => denied,
            (Some(_), Some(request)) => self.has_a_stake(received, request),
        };
        self.check_remover(received, hers, stake, "grant").await?;
        let noted = |request: &AccessRequest| {
            request
                .status
                .as_ref()
                .is_some_and(|status| status.denied.is_some())
        };
        let live = request
            .as_ref()
            .filter(|request| request.metadata.deletion_timestamp.is_none());
        // What is no answer denies nothing, and there is nothing to wait for.
        if denied
            && !metadata::is_controller(&received.caller.username)
            && live.is_some_and(|live| !noted(live))
        {
            return Err(Refused::because(
                "this denial is not yet written into the request's status, where it stays: try again in a moment",
            ));
        }
        // Else whoever deletes the grant first leaves a request of which nobody knows any more that
        // it opened something. Where the request is being deleted, its own record says it.
        if let (Some(grant), Some(live), true) = (&grant, live, granted) {
            let uid = grant.metadata.uid.as_deref().unwrap_or_default();
            let deleted = (
                "AccessGrant",
                grant.metadata.name.as_deref().unwrap_or_default(),
                uid,
            );
            self.keep_record(received, live, deleted, deadline).await?;
        }
        let name = grant
            .as_ref()
            .map(|grant| grant.spec.grant_for.as_str())
            .unwrap_or_default();
        let uid = request.and_then(|request| request.metadata.uid);
        self.tell_of_deletion(AuditType::Revoked, received, (name, uid), deadline)
            .await?;
        self.removed(received, name, true);
        Ok(())
    }

    /// The requester, whoever could grant it (an approver who neither asked nor filed), the always
    /// allowed, ourselves, and the cluster's own controllers.
    async fn check_remover(
        &self,
        received: &Received,
        hers: bool,
        stake: bool,
        what: &str,
    ) -> Result<(), Refused> {
        let caller = &received.caller;
        let own = caller.username == self.own_name;
        if hers
            || own
            || metadata::is_controller(&caller.username)
            || self.common.is_always_allowed(caller)
        {
            return Ok(());
        }
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        let neutral = !stake
            && self
                .common
                .settings
                .approvers
                .check(&caller.groups, &self.common.recorded_as(caller))
                .is_ok();
        if neutral
            && rights::has(
                self.common.ledger.client(),
                &received.request().user_info,
                namespace,
                Right::Grant,
            )
            .await?
        {
            // Where RBAC alone says yes, it must be RBAC that says so.
            return self.check_mutators("review of rights").await;
        }
        Err(Refused::because(format!(
            "this {what} is not yours to delete: its requester may (unless it was denied, or is an emergency that must be \
             reviewed), and whoever may grant in namespace {namespace}"
        )))
    }

    fn is_hers(&self, received: &Received, request: &AccessRequest) -> bool {
        let user = request.spec.user_info.as_ref().and_then(convert::person);
        let caller = self.common.settings.prefix.person(&received.caller);
        user.zip(caller)
            .is_some_and(|(user, caller)| caller.is(&user))
    }

    async fn is_denied(&self, request: &AccessRequest) -> Result<bool, Refused> {
        // What cannot be understood may have been denied.
        // Of denials no seal matters.
        let Ok(value) = convert::request(request, Seal::Broken) else {
            return Ok(true);
        };
        let grants = self
            .common
            .ledger
            .list_grants(&value.namespace, &value.name)
            .await?;
        let grants = grants
            .iter()
            .filter_map(|grant| convert::grant(grant, Seal::Broken).ok())
            .collect();
        let candidate = Candidate {
            request: Request {
                being_deleted: false,
                ..value
            },
            grants,
            has_all_grants: true,
        };
        Ok(matches!(
            candidate.standing(self.common.now(), &self.common.rules()),
            Standing::Denied(_)
        ))
    }

    /// Whether the caller asked, or filed for whoever asked: then her right to grant is none for
    /// this request.
    fn has_a_stake(&self, received: &Received, request: &AccessRequest) -> bool {
        let person = self.common.recorded_as(&received.caller);
        let sides = [&request.spec.user_info, &request.spec.created_by];
        sides
            .into_iter()
            .flatten()
            .filter_map(convert::person)
            .any(|side| person.may_be(&side))
    }

    /// The request that a grant is for, if it is still there: not another one of its name.
    async fn request_of(
        &self,
        received: &Received,
        grant: &AccessGrant,
    ) -> Result<Option<AccessRequest>, Refused> {
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        if !is_name(&grant.spec.grant_for) {
            return Ok(None);
        }
        let api: Api<AccessRequest> =
            Api::namespaced(self.common.ledger.client().clone(), namespace);
        let meant = convert::stamped_request(grant);
        let there = api.get_opt(&grant.spec.grant_for).await?;
        Ok(there.filter(|request| meant.is_none() || request.metadata.uid == meant))
    }

    /// Tells the audit webhook of a deletion, where asked for. Where it fails, people delete
    /// nothing; the cluster's own controllers and ourselves do, since a namespace would not end
    /// otherwise.
    async fn tell_of_deletion(
        &self,
        kind: AuditType,
        received: &Received,
        (name, uid): (&str, Option<String>),
        deadline: Deadline,
    ) -> Result<(), Refused> {
        if received.request().is_dry_run() {
            return Ok(());
        }
        let namespace = received.request().namespace.clone().unwrap_or_default();
        let request = ObjectRef {
            namespace,
            name: name.to_owned(),
            uid,
        };
        let Err(error) = self
            .common
            .extensions
            .deleted(kind, &received.review, request, deadline.answer_by())
            .await
        else {
            return Ok(());
        };
        let username = &received.caller.username;
        if *username != self.own_name && !metadata::is_controller(username) {
            return Err(error.into());
        }
        error!(
            uid = received.request().uid,
            error = crate::chain(&error),
            "the audit webhook was not told of a deletion by a controller"
        );
        Ok(())
    }

    /// Keeps the object in the log, where it is written there, and remembers that memory may not
    /// know of the deletion yet.
    fn removed(&self, received: &Received, request: &str, is_written: bool) {
        if received.request().is_dry_run() {
            return;
        }
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        self.common.ledger.suspect(namespace, request);
        if !is_written {
            return;
        }
        let (object, user) = (removed_object(received), &received.caller.username);
        info!(target: "audit", uid = received.request().uid, user, namespace, request, object, "deletion admitted");
    }
}

fn removed_object(received: &Received) -> &str {
    received
        .request()
        .old_object
        .as_deref()
        .map(RawValue::get)
        .unwrap_or_default()
}

/// The object that is deleted; `None` where it means nothing to us: then its requester is nobody,
/// and anybody may have a stake in it.
fn old<T: DeserializeOwned>(received: &Received) -> Result<Option<T>, Refused> {
    let object = received.request().old_object.as_deref();
    let object =
        object.ok_or_else(|| Refused::because("the review of a deletion has no oldObject"))?;
    // It must be JSON; what it says may be of another time.
    let _: serde_json::Value =
        serde_json::from_str(object.get()).map_err(|error| failure::unreadable(&error))?;
    Ok(serde_json::from_str(object.get()).ok())
}

/// deletecollection sends no name.
fn review_name(received: &Received, object: Option<&str>) -> String {
    object
        .or(received.request().name.as_deref())
        .unwrap_or_default()
        .to_owned()
}
