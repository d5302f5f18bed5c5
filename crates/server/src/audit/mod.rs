//! What leaves the cluster's door: posts to the audit webhook and the validation webhook, and the
//! log's audit lines.

pub mod file;
pub mod lines;
pub mod trust;
pub mod turns;
pub mod webhook;

use api::{
    AccessGrant, AccessRequest, ExecOptions,
    contract::audit_types,
    payload::{
        AuditAnswered, AuditCreated, AuditDeleted, AuditExec, AuditGranted, Basis, ObjectRef,
        Validation, ValidationAnswer, Validity,
    },
    review::Review,
};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

pub use file::AuditFile;
pub use lines::Limits;
pub use turns::{Topic, Turns};
pub use webhook::{SetupError, Webhook, WebhookError};

/// The configured webhooks. Where one is not configured its posts succeed at once.
#[derive(Debug, Default)]
pub struct Extensions {
    /// `--audit-webhook-url`
    pub audit: Option<Webhook>,
    /// `--extended-validation-webhook-url`
    pub validation: Option<Webhook>,
    /// `--audit-webhook-types`
    pub types: Vec<AuditType>,
    /// `--audit-log-file`
    pub file: Option<Arc<AuditFile>>,
    /// Whose post is next.
    pub turns: Turns,
}

/// What the audit webhook is told of only where asked for: receivers of the original do not know
/// these types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AuditType {
    /// Somebody denies a request (`audit-denied`)
    Denied,
    /// Somebody reviews an emergency (`audit-reviewed`)
    Reviewed,
    /// Somebody deletes a request (`audit-deleted`)
    Deleted,
    /// Somebody deletes a grant, or another answer (`audit-revoked`)
    Revoked,
}

impl AuditType {
    fn name(self) -> &'static str {
        match self {
            Self::Denied => audit_types::DENIED,
            Self::Reviewed => audit_types::REVIEWED,
            Self::Deleted => audit_types::DELETED,
            Self::Revoked => audit_types::REVOKED,
        }
    }
}

impl Extensions {
    /// Whether the audit can be written; it always can where it has no file of its own.
    ///
    /// # Errors
    /// It cannot: then nothing may be allowed.
    pub fn check_file(&self) -> Result<(), WebhookError> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.check().map_err(WebhookError::File))
    }

    /// How many lines of the audit could not be written so far: for [`Self::check_written`].
    pub fn failures(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.failures())
    }

    /// Whether all lines could be written since there were so many that could not: the one about
    /// what was just decided is among them, and whatever others could be says nothing of it.
    ///
    /// # Errors
    /// One could not: then nothing may be allowed.
    pub fn check_written(&self, before: u64) -> Result<(), WebhookError> {
        if self.failures() == before {
            Ok(())
        } else {
            Err(WebhookError::File(std::io::ErrorKind::WriteZero.into()))
        }
    }

    /// Tells that somebody tried a door, before anything is spent.
    ///
    /// # Errors
    /// The webhook did not answer 200 in time; then the attempt must be refused.
    pub async fn exec(
        &self,
        review: &Review,
        exec: &AuditedAttempt<'_>,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        if exec.allowed {
            self.check_file()?;
        }
        let topic = if exec.allowed {
            Topic::Other
        } else {
            Topic::Denial
        };
        let body = AuditExec {
            request: &review.raw,
            is_allowed: exec.allowed,
            exec_options: exec.options,
            is_admin: exec.always_allowed,
            basis: Some(exec.basis),
        };
        self.tell(audit_types::EXEC, review, topic, &body, deadline)
            .await
    }

    /// Tells that somebody files a request.
    ///
    /// # Errors
    /// The webhook did not answer 200 in time; then the request must be refused.
    pub async fn created(
        &self,
        review: &Review,
        request: &AccessRequest,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        self.check_file()?;
        let body = AuditCreated {
            request: &review.raw,
            access_request: request,
        };
        self.tell(audit_types::CREATED, review, Topic::Other, &body, deadline)
            .await
    }

    /// Tells that somebody grants a request.
    ///
    /// # Errors
    /// The webhook did not answer 200 in time; then the grant must be refused.
    pub async fn granted(
        &self,
        review: &Review,
        request: &AccessRequest,
        grant: &AccessGrant,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        self.check_file()?;
        let body = AuditGranted {
            request: &review.raw,
            access_request: request,
            access_grant: grant,
        };
        self.tell(audit_types::GRANTED, review, Topic::Other, &body, deadline)
            .await
    }

    /// Tells of an answer that grants nothing, where asked for.
    ///
    /// # Errors
    /// The webhook did not answer 200 in time; then the answer must be refused.
    pub async fn answered(
        &self,
        kind: AuditType,
        review: &Review,
        request: &AccessRequest,
        grant: &AccessGrant,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        self.check_file()?;
        if !self.types.contains(&kind) {
            return Ok(());
        }
        let body = AuditAnswered {
            request: &review.raw,
            access_request: request,
            access_grant: grant,
        };
        self.tell(kind.name(), review, Topic::Other, &body, deadline)
            .await
    }

    /// Tells of a deletion, where asked for.
    ///
    /// # Errors
    /// The webhook did not answer 200 in time; then the deletion must be refused.
    pub async fn deleted(
        &self,
        kind: AuditType,
        review: &Review,
        request: ObjectRef,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        self.check_file()?;
        if !self.types.contains(&kind) {
            return Ok(());
        }
        let body = AuditDeleted {
            request: &review.raw,
            access_request: request,
        };
        self.tell(kind.name(), review, Topic::Other, &body, deadline)
            .await
    }

    /// Posts to the audit webhook, where there is one, when it is the user's turn.
    async fn tell(
        &self,
        kind: &str,
        review: &Review,
        topic: Topic,
        body: &impl Serialize,
        deadline: Instant,
    ) -> Result<(), WebhookError> {
        let Some(webhook) = &self.audit else {
            return Ok(());
        };
        let user = review.request.user_info.name();
        self.post(webhook, kind, (user, topic), body, deadline)
            .await
            .map(drop)
    }

    /// Posts when it is the user's turn.
    async fn post(
        &self,
        webhook: &Webhook,
        kind: &str,
        (user, topic): (&str, Topic),
        body: &impl Serialize,
        deadline: Instant,
    ) -> Result<Bytes, WebhookError> {
        // Together with the post it takes no longer than the post alone may.
        let deadline = webhook::patience(deadline);
        let turn = timeout_at(deadline, self.turns.take(user, topic)).await;
        let Ok(Some(_turn)) = turn else {
            return Err(WebhookError::NoTurn {
                origin: webhook.origin(),
            });
        };
        webhook.post(kind, body, deadline).await
    }

    /// Asks whether a new request is valid, when it is this user's turn: `Ok(None)` if it is,
    /// `Ok(Some(message))` if not.
    ///
    /// # Errors
    /// The webhook did not answer 200 with a status in time; then the request must be refused.
    pub async fn validate(
        &self,
        review: &Review,
        request: &AccessRequest,
        user: &str,
        deadline: Instant,
    ) -> Result<Option<String>, WebhookError> {
        let Some(webhook) = &self.validation else {
            return Ok(None);
        };
        let body = Validation {
            request: &review.raw,
            access_request: request,
        };
        let turn = (user, Topic::Validation);
        let answer = self.post(webhook, "", turn, &body, deadline).await?;
        let answer: ValidationAnswer =
            serde_json::from_slice(&answer).map_err(|source| WebhookError::Answer {
                origin: webhook.origin(),
                source,
            })?;
        Ok(match answer.status {
            Validity::Valid => None,
            Validity::Invalid => Some(answer.message.unwrap_or_default()),
        })
    }
}

/// An attempt, as the audit webhook is told of it.
#[derive(Debug, Clone, Copy)]
pub struct AuditedAttempt<'a> {
    /// Whether it may proceed.
    pub allowed: bool,
    /// Whether the caller is always allowed.
    pub always_allowed: bool,
    /// The options.
    pub options: &'a ExecOptions,
    /// What was decided, and by what.
    pub basis: &'a Basis,
}
