//! kubectl's flags that say which cluster, and as whom.

use std::path::PathBuf;

use clap::Args;

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

/// A flag that says something: kubectl takes an empty one for none.
pub(crate) fn given(flag: Option<&String>) -> Option<String> {
    flag.filter(|value| !value.is_empty()).cloned()
}
