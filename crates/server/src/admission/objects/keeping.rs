//! What opened something leaves a record behind when it is deleted (see
//! [`crate::cluster::records`]).

use api::{AccessGrant, AccessRequest, convert, objects::GrantStatus};
use decide::standing::Standing;
use kube::api::ObjectMeta;
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use super::{Objects, metadata};
use crate::{
    admission::{
        Deadline, Received,
        failure::{KeepError, Refused},
    },
    cluster::{
        ledger,
        records::{Deletion, Record},
    },
};

impl Objects {
    /// Keeps a record of a request when it, or a grant of it, is deleted, if it opened something.
    /// Where it cannot be kept, people delete nothing; the cluster's own controllers do, since a
    /// namespace would not end otherwise, and the record stands in the log. Our own clean-up comes
    /// when the time of records is over.
    ///
    /// Returns whether it opened something, for all that is known.
    pub(super) async fn keep_record(
        &self,
        received: &Received,
        request: &AccessRequest,
        (kind, name, uid): (&'static str, &str, &str),
        deadline: Deadline,
    ) -> Result<bool, Refused> {
        let by = &received.request().user_info;
        let username = &received.caller.username;
        if received.request().is_dry_run() || *username == self.own_name {
            return Ok(true);
        }
        let is_controller = metadata::is_controller(username);
        let until = if is_controller {
            deadline.decide_by().min(self.patiently())
        } else {
            deadline.decide_by()
        };
        let grants = timeout_at(until, self.answers_to(request))
            .await
            .ok()
            .flatten();
        if !self.opened(request, grants.as_deref()) {
            return Ok(false);
        }
        let now = self.common.now();
        let deletion = Deletion {
            kind,
            name,
            uid,
            by,
            at: now,
            review_uid: &received.request().uid,
        };
        let record = Record::of(deletion, request, &grants.unwrap_or_default());
        let error = match timeout_at(until, self.records.keep(&record, now)).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(error)) => KeepError::Write(error),
            Err(_elapsed) => KeepError::Timeout,
        };
        if !is_controller {
            return Err(error.into());
        }
        if matches!(error, KeepError::Timeout) {
            self.records.was_slow();
        }
        let error = crate::chain(&error);
        error!(
            target: "audit",
            uid = received.request().uid, user = username, error, record = record.for_the_log(),
            "a controller deletes what opened something, and its record is nowhere but here"
        );
        Ok(true)
    }

    /// All answers to a request. `None`: they could not be read.
    async fn answers_to(&self, request: &AccessRequest) -> Option<Vec<AccessGrant>> {
        let (namespace, name) = (
            request.metadata.namespace.as_deref()?,
            request.metadata.name.as_deref()?,
        );
        let read = self.common.ledger.list_grants(namespace, name).await;
        let read = read.inspect_err(|error| {
            warn!(name, error = crate::chain(error), "cannot read the answers");
        });
        let is_meant = |grant: &AccessGrant| {
            let meant = convert::stamped_request(grant);
            meant.is_none() || meant == request.metadata.uid
        };
        Some(read.ok()?.into_iter().filter(is_meant).collect())
    }

    /// Whether somebody may have got in by a request, as far as its status, its grants and the
    /// policies say. Of one for a time nobody counts the uses.
    fn opened(&self, request: &AccessRequest, grants: Option<&[AccessGrant]>) -> bool {
        let status = request.status.clone().unwrap_or_default();
        if !status.uses.is_empty() || status.emergency.is_some() {
            return true;
        }
        let for_a_time = request
            .spec
            .valid_for
            .as_deref()
            .is_some_and(|time| !time.is_empty());
        let Some(grants) = grants else {
            return for_a_time;
        };
        let granted = |grant: &AccessGrant| grant.status == Some(GrantStatus::Granted);
        for_a_time
            && (!status.granted_by.is_empty()
                || status.granted_by_policy.is_some()
                || grants.iter().any(granted)
                || self.was_granted(request))
    }

    /// Whether a policy grants it now or has granted it, and the status does not say so yet: access for
    /// a moment may be over before a controller has looked at it.
    fn was_granted(&self, request: &AccessRequest) -> bool {
        let metadata = ObjectMeta {
            deletion_timestamp: None,
            ..request.metadata.clone()
        };
        let alive = AccessRequest {
            metadata,
            ..request.clone()
        };
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let live = ledger::live(alive, uid, &[], self.common.ledger.sealer());
        let standing = live.map(|live| {
            live.candidate
                .standing(self.common.now(), &self.common.rules())
        });
        match standing {
            Some(Standing::Granted(_) | Standing::Used { .. }) => true,
            Some(Standing::Expired { by, .. }) => !by.is_empty(),
            Some(
                Standing::Pending
                | Standing::Denied(_)
                | Standing::Forbidden(_)
                | Standing::Revoked,
            )
            | None => false,
        }
    }

    fn patiently(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.records.patience()).unwrap_or(now)
    }
}
