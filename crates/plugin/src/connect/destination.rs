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
    /// The user's entry in the kubeconfig, whom it impersonates, how it logs in, and the way to the
    /// server.
    user: Vec<Option<String>>,
}

/// Why kubectl is not run.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The kubeconfig leads elsewhere now.
    #[error(
        "the kubeconfig changed while this waited: it led to {} and leads to {} now{}. Nothing was run: the request stays \
         as it is",
        safe_word(before), safe_word(now), if before == now { ", as another user or by another way" } else { "" }
    )]
    Moved {
        /// The server when the request was filed.
        before: String,
        /// The server now.
        now: String,
    },
    /// There is a kubeconfig where there was none.
    #[error(
        "there is a kubeconfig now, and there was none when the request was filed: it would lead elsewhere. Nothing was run: \
         the request stays as it is"
    )]
    Appeared,
    /// It cannot be read any more.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not have that context any more.
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// Makes sure that a pod, which leads to its own cluster, still has no kubeconfig.
///
/// # Errors
/// When there is one, or it cannot be read.
pub fn check_pod(flags: &ConnectionFlags) -> Result<(), DestinationError> {
    let read = kubeconfig::read(flags.kubeconfig.as_deref())?;
    if kubeconfig::is_empty(&read.kubeconfig) {
        Ok(())
    } else {
        Err(DestinationError::Appeared)
    }
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
        // Its arguments and environment name roles, accounts and clusters.
        let login = exec
            .as_ref()
            .map(|exec| format!("{:?} {:?} {:?}", exec.command, exec.args, exec.env));
        let cluster = &selected.cluster;
        let way = format!(
            "{:?} {:?} {:?} {:?} {:?}",
            cluster.certificate_authority,
            cluster.certificate_authority_data,
            cluster.insecure_skip_tls_verify,
            cluster.proxy_url,
            cluster.tls_server_name
        );
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
                Some(way),
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    const TWO: &str = r#"
apiVersion: v1
kind: Config
current-context: staging
contexts:
- name: staging
  context: {cluster: staging, user: jane}
- name: prod
  context: {cluster: prod, user: jane}
clusters:
- name: staging
  cluster: {server: "https://staging:6443"}
- name: prod
  cluster: {server: "https://prod:6443"}
users:
- name: jane
  user: {token: one}
- name: amy
  user: {token: amys}
"#;

    fn written(file: &Path, text: &str) -> ConnectionFlags {
        fs::write(file, text).unwrap();
        ConnectionFlags {
            kubeconfig: Some(file.to_owned()),
            context: Some("staging".to_owned()),
            ..ConnectionFlags::default()
        }
    }

    fn selected(flags: &ConnectionFlags) -> Destination {
        let read = kubeconfig::read(flags.kubeconfig.as_deref()).unwrap();
        Destination::of(&kubeconfig::select(&read.kubeconfig, flags).unwrap())
    }

    // P2
    #[rstest]
    #[case::another_context_is_current(("current-context: staging", "current-context: prod"), true)]
    #[case::a_new_token(("token: one", "token: another"), true)]
    #[case::another_server(("https://staging:6443", "https://prod:6443"), false)]
    #[case::another_user(("cluster: staging, user: jane", "cluster: staging, user: amy"), false)]
    #[case::somebody_is_impersonated(("token: one", "token: one, as: root"), false)]
    #[case::no_such_context(("- name: staging\n  context", "- name: gone\n  context"), false)]
    #[case::not_understood(("kind: Config", "kind: ["), false)]
    fn what_leads_elsewhere_now_is_not_run(
        #[case] (from, to): (&str, &str),
        #[case] goes_on: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let flags = written(&directory.path().join("config"), TWO);
        let before = selected(&flags);
        assert!(TWO.contains(from));
        written(&directory.path().join("config"), &TWO.replacen(from, to, 1));
        assert_eq!(before.check(&flags).is_ok(), goes_on);
    }

    #[test]
    fn who_is_led_elsewhere_is_told_where() {
        let directory = tempfile::tempdir().unwrap();
        let flags = written(&directory.path().join("config"), TWO);
        let before = selected(&flags);
        written(
            &directory.path().join("config"),
            &TWO.replace("https://staging:6443", "https://prod:6443"),
        );
        assert_eq!(
            before.check(&flags).unwrap_err().to_string(),
            "the kubeconfig changed while this waited: it led to https://staging:6443 and leads to https://prod:6443 \
             now. Nothing was run: the request stays as it is"
        );
    }
}
