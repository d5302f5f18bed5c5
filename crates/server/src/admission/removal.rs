//! Deleting requests and grants, which ends the access at once.
//!
//! RBAC alone is not enough: a third person could destroy the trail, or somebody's access.

use api::{
    AccessGrant, AccessRequest, convert, objects::GrantStatus, payload::ObjectRef, review::Review,
};
use decide::{
    access::{Request, Seal},
    rules::is_name,
    standing::{Candidate, Standing},
};
use kube::Api;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::{error, info};

use super::{
    Admission, Deadline,
    failure::{self, Refused},
    metadata,
};
use crate::{
    audit::AuditType,
    cluster::rights::{self, Right},
};

/// A request that opened nothing, deleted by whoever asked.
const WITHDRAWN: &str = "withdrawn";

impl Admission {
    /// Admits the deletion of a request.
    pub(super) async fn delete_request(
        &self,
        review: &Review,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let request: Option<AccessRequest> = old(review)?;
        let name = review_name(
            review,
            request
                .as_ref()
                .and_then(|request| request.metadata.name.as_deref()),
        );
        // Before it is marked as an emergency, it opened nothing: so nothing that happened can be
        // deleted.
        let unreviewed = request.as_ref().is_some_and(AccessRequest::is_unreviewed);
        let hers = match &request {
            Some(request) if !unreviewed => {
                self.is_hers(review, request) && !self.is_denied(request).await?
            }
            Some(_) | None => false,
        };
        let stake = request
            .as_ref()
            .is_none_or(|request| self.has_a_stake(review, request));
        let what = if unreviewed {
            "emergency, which nobody has reviewed,"
        } else {
            "request"
        };
        self.check_remover(review, hers, stake, what).await?;
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
                self.keep_record(review, request, deleted, deadline).await?
            }
            None => true,
        };
        self.tell_of_deletion(AuditType::Deleted, review, (&name, uid), deadline)
            .await?;
        // A requester can file and withdraw without end: of what opened nothing only so many lines
        // are written.
        let counted =
            hers && !opened && !self.is_written(review, WITHDRAWN, removed_object(review));
        self.removed(review, &name, !counted);
        Ok(())
    }

    /// Admits the deletion of a grant.
    pub(super) async fn delete_grant(
        &self,
        review: &Review,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let grant: Option<AccessGrant> = old(review)?;
        let request = match &grant {
            Some(grant) => self.request_of(review, grant).await?,
            None => None,
        };
        let granted = grant
            .as_ref()
            .is_some_and(|grant| grant.status == Some(GrantStatus::Granted));
        let hers = granted
            && request
                .as_ref()
                .is_some_and(|request| self.is_hers(review, request));
        let denied = grant
            .as_ref()
            .is_some_and(|grant| grant.status == Some(GrantStatus::Denied));
        // Of a denial whose request is gone nobody knows any more whom it concerns.
        let stake = match (&grant, &request) {
            (None, _) => true,
            (Some(_), None) => denied,
            (Some(_), Some(request)) => self.has_a_stake(review, request),
        };
        self.check_remover(review, hers, stake, "grant").await?;
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
            && !metadata::is_controller(&Self::caller(review).username)
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
            self.keep_record(review, live, deleted, deadline).await?;
        }
        let name = grant
            .as_ref()
            .map(|grant| grant.spec.grant_for.as_str())
            .unwrap_or_default();
        let uid = request.and_then(|request| request.metadata.uid);
        self.tell_of_deletion(AuditType::Revoked, review, (name, uid), deadline)
            .await?;
        self.removed(review, name, true);
        Ok(())
    }

    /// The requester, whoever could grant it (an approver who neither asked nor filed), the always
    /// allowed, ourselves, and the cluster's own controllers.
    async fn check_remover(
        &self,
        review: &Review,
        hers: bool,
        stake: bool,
        what: &str,
    ) -> Result<(), Refused> {
        let caller = Self::caller(review);
        let own = caller.username == self.own_name;
        if hers
            || own
            || metadata::is_controller(&caller.username)
            || self.is_always_allowed(&caller)
        {
            return Ok(());
        }
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        let neutral = !stake
            && self
                .settings
                .approvers
                .check(&caller.groups, &self.recorded_as(&caller))
                .is_ok();
        if neutral
            && rights::has(
                self.ledger.client(),
                &review.request.user_info,
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

    fn is_hers(&self, review: &Review, request: &AccessRequest) -> bool {
        let user = request.spec.user_info.as_ref().and_then(convert::person);
        let caller = self.settings.prefix.person(&Self::caller(review));
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
        };
        Ok(matches!(
            candidate.standing(self.now(), &self.rules()),
            Standing::Denied(_)
        ))
    }

    /// Whether the caller asked, or filed for whoever asked: then her right to grant is none for
    /// this request.
    fn has_a_stake(&self, review: &Review, request: &AccessRequest) -> bool {
        let person = self.recorded_as(&Self::caller(review));
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
        review: &Review,
        grant: &AccessGrant,
    ) -> Result<Option<AccessRequest>, Refused> {
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        if !is_name(&grant.spec.grant_for) {
            return Ok(None);
        }
        let api: Api<AccessRequest> = Api::namespaced(self.ledger.client().clone(), namespace);
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
        review: &Review,
        (name, uid): (&str, Option<String>),
        deadline: Deadline,
    ) -> Result<(), Refused> {
        if review.request.is_dry_run() {
            return Ok(());
        }
        let namespace = review.request.namespace.clone().unwrap_or_default();
        let request = ObjectRef {
            namespace,
            name: name.to_owned(),
            uid,
        };
        let Err(error) = self
            .extensions
            .deleted(kind, review, request, deadline.answer_by())
            .await
        else {
            return Ok(());
        };
        let username = Self::caller(review).username;
        if username != self.own_name && !metadata::is_controller(&username) {
            return Err(error.into());
        }
        error!(
            uid = review.request.uid,
            error = crate::chain(&error),
            "the audit webhook was not told of a deletion by a controller"
        );
        Ok(())
    }

    /// Keeps the object in the log, where it is written there, and remembers that memory may not
    /// know of the deletion yet.
    fn removed(&self, review: &Review, request: &str, is_written: bool) {
        if review.request.is_dry_run() {
            return;
        }
        let namespace = review.request.namespace.as_deref().unwrap_or_default();
        self.ledger.suspect(namespace, request);
        if !is_written {
            return;
        }
        let (object, user) = (removed_object(review), review.request.user_info.name());
        info!(target: "audit", uid = review.request.uid, user, namespace, request, object, "deletion admitted");
    }
}

fn removed_object(review: &Review) -> &str {
    review
        .request
        .old_object
        .as_deref()
        .map(RawValue::get)
        .unwrap_or_default()
}

/// The object that is deleted; `None` where it means nothing to us: then its requester is nobody,
/// and anybody may have a stake in it.
fn old<T: DeserializeOwned>(review: &Review) -> Result<Option<T>, Refused> {
    let object = review.request.old_object.as_deref();
    let object =
        object.ok_or_else(|| Refused::because("the review of a deletion has no oldObject"))?;
    // It must be JSON; what it says may be of another time.
    let _: serde_json::Value =
        serde_json::from_str(object.get()).map_err(|error| failure::unreadable(&error))?;
    Ok(serde_json::from_str(object.get()).ok())
}

/// deletecollection sends no name.
fn review_name(review: &Review, object: Option<&str>) -> String {
    object
        .or(review.request.name.as_deref())
        .unwrap_or_default()
        .to_owned()
}
