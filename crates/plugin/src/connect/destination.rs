//! Where a command line leads: what must not become another while somebody waits for a grant.

use kube::config::AuthInfo;

use super::flags::ConnectionFlags;
use super::kubeconfig::{self, ReadError, SelectError, Selected};
use decide::text::safe_word;

/// A cluster and an account in it, as far as the kubeconfig and the flags name them. Credentials are
/// no part of it: logins renew them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// URL of the API server.
    pub server: String,
    /// The user's entry in the kubeconfig, and whom it impersonates.
    user: Vec<Option<String>>,
}

/// Why kubectl is not run.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The kubeconfig leads elsewhere now.
    #[error(
        "the kubeconfig changed while this waited: it led to {} and leads to {} now{}. Nothing was run: the request stays \
         as it is",
        safe_word(before), safe_word(now), if before == now { ", as another user" } else { "" }
    )]
    Moved {
        /// The server when the request was filed.
        before: String,
        /// The server now.
        now: String,
    },
    /// It cannot be read any more.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not have that context any more.
    #[error(transparent)]
    Select(#[from] SelectError),
}

impl Destination {
    /// Where a selection leads.
    pub fn of(selected: &Selected) -> Self {
        let AuthInfo {
            username,
            impersonate,
            impersonate_uid,
            impersonate_groups,
            client_certificate,
            token_file,
            exec,
            ..
        } = &selected.user;
        let groups = impersonate_groups.as_ref().map(|groups| groups.join("\n"));
        let login = exec.as_ref().and_then(|exec| exec.command.clone());
        Self {
            server: selected.cluster.server.clone().unwrap_or_default(),
            user: vec![
                selected.user_name.clone(),
                username.clone(),
                impersonate.clone(),
                impersonate_uid.clone(),
                groups,
                client_certificate.clone(),
                token_file.clone(),
                login,
            ],
        }
    }

    /// Reads the kubeconfig once more, and makes sure that the flags lead where they led.
    ///
    /// # Errors
    /// When they lead to another server or user, or nowhere.
    pub fn check(&self, flags: &ConnectionFlags) -> Result<(), DestinationError> {
        let read = kubeconfig::read(flags.kubeconfig.as_deref())?;
        let now = Self::of(&kubeconfig::select(&read.kubeconfig, flags)?);
        if now == *self {
            return Ok(());
        }
        Err(DestinationError::Moved {
            before: self.server.clone(),
            now: now.server,
        })
    }
}
