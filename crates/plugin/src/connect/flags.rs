//! kubectl's flags that say which cluster, and as whom.

use std::path::PathBuf;

use clap::Args;

use crate::terminal::words::Words;

/// kubectl's global connection flags. They may stand before or after the verb.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection: all of kubectl's flags")]
pub struct ConnectionFlags {
    /// The namespace
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// File with your preferences for kubectl: which login plugins may run
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kuberc: Option<PathBuf>,
    /// Username to impersonate: a user, or system:serviceaccount:NAMESPACE:NAME
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub as_user: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(long, global = true, value_name = "GROUP", hide_short_help = true)]
    pub as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, global = true, value_name = "UID", hide_short_help = true)]
    pub as_uid: Option<String>,
    /// Accepted as kubectl does; nothing is cached
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub cache_dir: Option<PathBuf>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<String>,
    /// File with a client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<String>,
    /// File with the key of the client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<String>,
    /// The kubeconfig's cluster
    #[arg(long, global = true, hide_short_help = true)]
    pub cluster: Option<String>,
    /// Accepted as kubectl does; answers are never compressed
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_short_help = true)]
    pub disable_compression: Option<bool>,
    /// Do not check the API server's certificate: the connection is then not secure
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_short_help = true)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Password for basic authentication
    #[arg(long, global = true, hide_short_help = true)]
    pub password: Option<String>,
    /// Username for basic authentication
    #[arg(long, global = true, hide_short_help = true)]
    pub username: Option<String>,
    /// How long to wait for an answer: 30, 30s, 1m; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true)]
    pub request_timeout: Option<String>,
    /// URL of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// Name that the API server's certificate must have
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Bearer token, instead of whatever the kubeconfig has
    #[arg(long, global = true, hide_short_help = true)]
    pub token: Option<String>,
    /// The kubeconfig's user
    #[arg(long, global = true, hide_short_help = true)]
    pub user: Option<String>,
}

impl ConnectionFlags {
    /// The same, as kubectl takes them.
    pub fn words(&self) -> Vec<String> {
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map(|path| path.to_string_lossy().into_owned())
        };
        let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
        let words = Words::default()
            .value("--namespace", self.namespace.as_deref())
            .value("--context", self.context.as_deref())
            .value("--kubeconfig", path(&self.kubeconfig).as_deref())
            .value("--as", self.as_user.as_deref())
            .value("--as-uid", self.as_uid.as_deref())
            .value("--cache-dir", path(&self.cache_dir).as_deref())
            .value("--kuberc", path(&self.kuberc).as_deref())
            .value(
                "--certificate-authority",
                self.certificate_authority.as_deref(),
            )
            .value("--client-certificate", self.client_certificate.as_deref())
            .value("--client-key", self.client_key.as_deref())
            .value("--cluster", self.cluster.as_deref())
            .value(
                "--disable-compression",
                flag(self.disable_compression).as_deref(),
            )
            .value(
                "--insecure-skip-tls-verify",
                flag(self.insecure_skip_tls_verify).as_deref(),
            )
            .value("--password", self.password.as_deref())
            .value("--username", self.username.as_deref())
            .value("--request-timeout", self.request_timeout.as_deref())
            .value("--server", self.server.as_deref())
            .value("--tls-server-name", self.tls_server_name.as_deref())
            .value("--token", self.token.as_deref())
            .value("--user", self.user.as_deref());
        self.as_group
            .iter()
            .fold(words, |words, group| words.value("--as-group", Some(group)))
            .command(&[])
    }
}

/// A flag that says something: kubectl takes an empty one for none.
pub(crate) fn given(flag: Option<&String>) -> Option<String> {
    flag.filter(|value| !value.is_empty()).cloned()
}
