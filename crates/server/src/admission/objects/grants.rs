//! Answering a request.

use api::{AccessGrant, AccessRequest, convert};
use decide::{
    access::{Answer, Grant, Request, Seal, Validity},
    explain,
    identity::{Caller, NoApprover, Person},
    rules,
    standing::{Candidate, Standing},
    text::safe,
};
use kube::Api;
use tracing::info;

use super::{Objects, decoding, metadata};
use crate::{
    admission::{
        Deadline, Received,
        failure::{self, Refused},
    },
    audit::AuditType,
};

/// Maximum number of answers to a request, without denials: each is read before every use.
const MAX_ANSWERS: usize = 16;

/// Writes who answered which request, and how: the attempt that is let in names the request.
fn tell(received: &Received, grant: &AccessGrant, request: &Request, answer: Answer) {
    let Request {
        namespace,
        name,
        uid: request_uid,
        ..
    } = request;
    let answer = match answer {
        Answer::Granted => "granted",
        Answer::Denied => "denied",
        Answer::Reviewed => "reviewed",
    };
    let (uid, user, requester) = (
        &received.request().uid,
        &received.caller.username,
        &request.user.name,
    );
    let name_of_grant = grant.metadata.name.as_deref().unwrap_or_default();
    let valid_for = grant.spec.valid_for.as_deref().unwrap_or_default();
    let reason = grant.spec.reason.as_deref().unwrap_or_default();
    info!(
        target: "audit",
        uid, user, namespace, request = name, request_uid, requester, answer, grant = name_of_grant, valid_for, reason,
        "answer admitted"
    );
}

impl Objects {
    /// Admits a grant or denial: of a live request that somebody else filed, as whoever answers
    /// read it.
    pub(in crate::admission) async fn create_grant(
        &self,
        received: &Received,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let grant: AccessGrant = decoding::object(received)?;
        metadata::check_finalizers(&grant.metadata)?;
        metadata::check_size(&grant.metadata)?;
        rules::check_text("reason", grant.spec.reason.as_deref().unwrap_or_default())
            .map_err(|refusal| failure::refusal(&refusal))?;
        let caller = &received.caller;
        let person = self.common.recorded_as(caller);
        let prefix = &self.common.settings.prefix;
        let stamped = convert::stamped_answerer(&person, caller, prefix);
        if grant.spec.granted_by.as_ref() != Some(&stamped) {
            return Err(failure::unstamped("grantedBy"));
        }
        // Before anything tells whether there is such a request.
        self.check_answers(caller, &person)?;
        let object = self.meant_request(&grant, received).await?;
        let seal = self.common.ledger.sealer().grant(&grant, &object).into();
        let value = convert::grant(&grant, seal).map_err(|error| failure::nonsense(&error))?;

        metadata::check_owners(&grant.metadata, &object)?;
        let sealed = self.common.ledger.sealer().request(&object).into();
        let request =
            convert::request(&object, sealed).map_err(|error| failure::nonsense(&error))?;
        check_approver(&person, &request)?;
        if seal == Seal::Broken && !received.request().is_dry_run() {
            return Err(failure::unstamped("seal"));
        }
        match value.answer {
            Answer::Reviewed => check_reviewable(&grant, &request)?,
            Answer::Granted | Answer::Denied => {
                check_filed_here(&request, value.answer)?;
                self.check_open(&object, &request, value.answer == Answer::Denied)
                    .await?;
                self.check_counts(caller, &value, &request)?;
                check_shorter(value.valid_for, &request)?;
            }
        }
        if value.answer == Answer::Granted && !received.request().is_dry_run() {
            self.check_mutators("grant").await?;
        }
        match value.answer {
            _ if received.request().is_dry_run() => {}
            Answer::Denied => {
                self.common
                    .extensions
                    .answered(
                        AuditType::Denied,
                        &received.review,
                        &object,
                        &grant,
                        deadline.answer_by(),
                    )
                    .await?;
                self.common
                    .ledger
                    .suspect(&request.namespace, &request.name);
            }
            Answer::Granted => {
                self.common
                    .extensions
                    .granted(&received.review, &object, &grant, deadline.answer_by())
                    .await?;
            }
            // It gives nothing, and receivers of the original know of no such answer.
            Answer::Reviewed => {
                self.common
                    .extensions
                    .answered(
                        AuditType::Reviewed,
                        &received.review,
                        &object,
                        &grant,
                        deadline.answer_by(),
                    )
                    .await?;
            }
        }
        if !received.request().is_dry_run() {
            tell(received, &grant, &request, value.answer);
        }
        Ok(())
    }

    /// The live request that the grant names, if it is the one that whoever answers read.
    async fn meant_request(
        &self,
        grant: &AccessGrant,
        received: &Received,
    ) -> Result<AccessRequest, Refused> {
        let namespace = received.request().namespace.as_deref().unwrap_or_default();
        let name = &grant.spec.grant_for;
        rules::check_name("grantFor", name).map_err(|refusal| failure::refusal(&refusal))?;
        let api: Api<AccessRequest> =
            Api::namespaced(self.common.ledger.client().clone(), namespace);
        let request = api.get_opt(name).await?.ok_or_else(|| {
            Refused::because(format!(
                "there is no accessrequest {name:?} in namespace {namespace}"
            ))
        })?;
        if request.metadata.deletion_timestamp.is_some() {
            return Err(Refused::because(format!(
                "accessrequest {name:?} is being deleted"
            )));
        }
        let meant = convert::meant_request(grant).map_err(|error| failure::nonsense(&error))?;
        if meant.is_none() || meant != request.metadata.uid {
            return Err(Refused::because(format!(
                "accessrequest {name:?} is no longer the request you read: it was deleted and filed again. Read it again before you answer"
            )));
        }
        Ok(request)
    }

    /// A request that is over cannot be granted, and one that was denied or used cannot be denied
    /// either.
    async fn check_open(
        &self,
        object: &AccessRequest,
        request: &Request,
        denies: bool,
    ) -> Result<(), Refused> {
        let grants = self
            .common
            .ledger
            .list_grants(&request.namespace, &request.name)
            .await?;
        if grants.len() >= MAX_ANSWERS && !denies {
            return Err(Refused::because(format!(
                "accessrequest {:?} has {} answers already; the maximum is {MAX_ANSWERS}",
                request.name,
                grants.len()
            )));
        }
        let sealer = self.common.ledger.sealer();
        let value = |grant| convert::grant(grant, sealer.grant(grant, object).into()).ok();
        let candidate = Candidate {
            request: request.clone(),
            grants: grants.iter().filter_map(value).collect(),
            has_all_grants: true,
        };
        let name = &request.name;
        let rules = self.common.rules();
        match candidate.standing(self.common.now(), &rules) {
            Standing::Pending | Standing::Granted(_) => Ok(()),
            Standing::Expired { .. } | Standing::Forbidden(_) if denies => Ok(()),
            Standing::Denied(denial) => Err(Refused::because(format!(
                "accessrequest {name:?} was denied by {}: a denial is final",
                safe(&denial.by)
            ))),
            Standing::Forbidden(forbidden) => Err(Refused::because(format!(
                "accessrequest {name:?} cannot be granted: {}",
                explain::forbids(&forbidden)
            ))),
            Standing::Used { .. } if request.is_unreviewed() => Err(Refused::because(format!(
                "accessrequest {name:?} was used already, in an emergency: review it (kubectl request review)"
            ))),
            Standing::Used { .. } => Err(Refused::because(format!(
                "accessrequest {name:?} was used already"
            ))),
            Standing::Expired { .. } => Err(Refused::because(format!(
                "accessrequest {name:?} is over: its time has passed"
            ))),
            Standing::Revoked => Err(Refused::because(format!(
                "accessrequest {name:?} is being deleted"
            ))),
        }
    }

    /// An approval that no policy counts is not taken: whoever gives it would believe that it did
    /// something.
    fn check_counts(
        &self,
        caller: &Caller,
        grant: &Grant,
        request: &Request,
    ) -> Result<(), Refused> {
        let rules = self.common.rules();
        let ruling = rules.policies.of_request(request, &rules.settings.prefix);
        if grant.answer != Answer::Granted {
            return Ok(());
        }
        let wanted = ruling.wanted(&[], &rules.settings.prefix);
        // Stored, her name would be that of somebody whom the authenticator prefixes.
        let named = wanted.from.is_empty() || rules.settings.prefix.person(caller).is_some();
        if named && !ruling.has_no_use_for(grant, &rules.settings.prefix) {
            return Ok(());
        }
        Err(Refused::because(format!(
            "your approval would not count: one of {} must approve accessrequest {:?}",
            safe(&wanted.from.join(", and one of ")),
            request.name
        )))
    }

    /// Only approvers answer.
    pub(super) fn check_answers(&self, caller: &Caller, approver: &Person) -> Result<(), Refused> {
        self.common.settings.approvers.check(&caller.groups, approver).map_err(|no| {
            Refused::because(match no {
                NoApprover::Program => {
                    "a ServiceAccount answers no requests, unless --approver-service-account names it"
                }
                NoApprover::Group => "you are in none of the groups that answer requests here (--approver-group)",
            })
        })
    }
}

/// Nobody answers their own request, nor one that they filed for somebody else.
pub(super) fn check_approver(approver: &Person, request: &Request) -> Result<(), Refused> {
    let name = &request.name;
    if approver.may_be(&request.user) {
        return Err(Refused::because(format!(
            "accessrequest {name:?} is your own: you cannot answer your own request"
        )));
    }
    if request
        .created_by
        .as_ref()
        .is_some_and(|filer| approver.may_be(filer))
    {
        return Err(Refused::because(format!(
            "you filed accessrequest {name:?} yourself: you cannot answer what you filed"
        )));
    }
    Ok(())
}

/// What was filed while the gate was away says of its user, its filer and its target whatever
/// somebody wrote.
fn check_filed_here(request: &Request, answer: Answer) -> Result<(), Refused> {
    if request.seal == Seal::Good || answer == Answer::Denied {
        return Ok(());
    }
    Err(Refused::because(format!(
        "accessrequest {:?} has no good seal: it was filed past this server, or under a key that is gone. It can be denied; \
         to have it granted, file it anew",
        request.name
    )))
}

/// Only an emergency is reviewed, in whatever phase it is, and once.
fn check_reviewable(grant: &AccessGrant, request: &Request) -> Result<(), Refused> {
    let name = &request.name;
    match (&request.emergency, &request.reviewed) {
        (None, _) => Err(Refused::because(format!(
            "accessrequest {name:?} was not granted by a policy for emergencies: there is nothing to review"
        ))),
        (Some(_), Some(reviewed)) => Err(Refused::because(format!(
            "accessrequest {name:?} was reviewed already, by {}",
            safe(&reviewed.by)
        ))),
        (Some(_), None)
            if grant
                .spec
                .valid_for
                .as_ref()
                .is_some_and(|text| !text.is_empty()) =>
        {
            Err(Refused::because(
                "a review gives no access: leave validFor out",
            ))
        }
        (Some(_), None) => Ok(()),
    }
}

/// Whoever grants may shorten the access, never prolong it.
fn check_shorter(granted: Option<std::time::Duration>, request: &Request) -> Result<(), Refused> {
    match (granted, request.validity) {
        (Some(granted), Validity::For(asked)) if granted > asked => Err(Refused::because(format!(
            "validFor of the grant is {}, longer than the {} that were asked for",
            decide::duration::show(granted),
            decide::duration::show(asked)
        ))),
        _ => Ok(()),
    }
}
