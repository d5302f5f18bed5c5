//! From kubectl's connection flags and the kubeconfig to a client.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use decide::duration;
use http::Uri;
use kube::client::AuthError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::cluster::{Cluster, root_cause};
use crate::kubeconfig::{self, ReadError, SelectError};
use crate::proxy::{Proxies, ProxyError};
use crate::safe::safe_lines;

/// A day: nobody waits longer for one request.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);

/// kubectl's global connection flags. They may stand before or after the verb.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection, as kubectl's flags (all: --help)")]
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
    /// Username to impersonate: a user, or system:serviceaccount:NAMESPACE:NAME
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
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

/// Why there is no connection to try.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The kubeconfig does not have what the flags name, or the flags contradict each other.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The kubeconfig's entries are of no use.
    #[error("cannot use context {context} of the kubeconfig: {}", safe_lines(&source.to_string()))]
    Use {
        /// The context.
        context: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod.
    #[error(
        "no cluster is configured: there is no kubeconfig ({looked}), and this is no pod. \
         Set KUBECONFIG, or give --kubeconfig or --server"
    )]
    NoCluster {
        /// Where a kubeconfig was looked for.
        looked: String,
        /// Why this is no pod.
        source: InClusterError,
    },
    /// A proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// `--request-timeout` is not a duration.
    #[error("--request-timeout: {text:?} is not a duration: write it like 30, 30s or 1m")]
    Timeout {
        /// What was typed.
        text: String,
    },
    /// The program that logs in failed.
    #[error("getting credentials: {} failed with {}{}", command, status, told(stderr))]
    Login {
        /// The program.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// Credentials or certificates that cannot be used.
    #[error("cannot connect with the credentials of context {context}: {}", safe_lines(&root_cause(source)))]
    Credentials {
        /// The context.
        context: String,
        /// What is wrong.
        source: kube::Error,
    },
}

/// A client's configuration, and the name it has for people.
struct Place {
    config: Config,
    context: String,
}

/// Connects as kubectl would with the same flags. Nothing is sent yet, except by login plugins.
///
/// # Errors
/// When the flags or the kubeconfig are of no use, or a login plugin fails.
pub async fn connect(flags: &ConnectionFlags, watched: bool) -> Result<Cluster, ConnectError> {
    let Place { mut config, context } = place(flags).await?;
    if let Some(text) = &flags.request_timeout {
        set_timeouts(&mut config, timeout(text)?);
    }
    // A create that is repeated after a 504 could file the same request twice.
    config.default_retry = false;
    let (namespace, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
    let client = Client::try_from(config).map_err(|source| explain(context.clone(), source))?;
    let server = server.trim_end_matches('/').to_owned();
    Ok(Cluster { client, namespace, context, server, watched })
}

async fn place(flags: &ConnectionFlags) -> Result<Place, ConnectError> {
    let read = kubeconfig::read(flags.kubeconfig.as_deref())?;
    if kubeconfig::is_empty(&read.kubeconfig) && flags.server.is_none() && flags.context.is_none() {
        return in_cluster(flags, read.looked);
    }
    let selected = kubeconfig::select(&read.kubeconfig, flags)?;
    from_kubeconfig(selected, flags).await
}

async fn from_kubeconfig(mut selected: Kubeconfig, flags: &ConnectionFlags) -> Result<Place, ConnectError> {
    let context = selected.current_context.clone().unwrap_or_default();
    // Taken out, because kube would match NO_PROXY against the proxy itself.
    let proxy_url = kubeconfig::take_proxy(&mut selected);
    let config = Config::from_custom_kubeconfig(selected, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|source| ConnectError::Use { context: context.clone(), source })?;
    if let Some(namespace) = given(flags.namespace.as_ref()) {
        config.default_namespace = namespace;
    }
    config.proxy_url = Proxies::from_env().for_server(&config.cluster_url, proxy_url.as_deref())?;
    Ok(Place { config, context })
}

fn in_cluster(flags: &ConnectionFlags, looked: String) -> Result<Place, ConnectError> {
    let mut config = Config::incluster().map_err(|source| ConnectError::NoCluster { looked, source })?;
    kubeconfig::override_user(&mut config.auth_info, flags)?;
    if let Some(namespace) = given(flags.namespace.as_ref()) {
        config.default_namespace = namespace;
    }
    Ok(Place { config, context: "in-cluster".to_owned() })
}

/// A flag that says something: kubectl takes an empty one for none.
pub(crate) fn given(flag: Option<&String>) -> Option<String> {
    flag.filter(|value| !value.is_empty()).cloned()
}

fn set_timeouts(config: &mut Config, timeout: Option<Duration>) {
    config.connect_timeout = timeout;
    config.read_timeout = timeout;
    config.write_timeout = timeout;
    config.reset_reader_on_write = true;
}

/// Seconds, or a duration in Go's syntax. `None`: for ever.
fn timeout(text: &str) -> Result<Option<Duration>, ConnectError> {
    let malformed = || ConnectError::Timeout { text: text.to_owned() };
    if ["0", "0s"].contains(&text) {
        return Ok(None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map(Some).map_err(|_overflow| malformed());
    }
    let milliseconds = text.strip_suffix("ms").and_then(|number| number.parse().ok());
    if let Some(number) = milliseconds {
        return Ok(Some(Duration::from_millis(number)));
    }
    duration::parse(text, LONGEST_TIMEOUT).map(Some).map_err(|_error| malformed())
}

fn explain(context: String, error: kube::Error) -> ConnectError {
    if let kube::Error::Auth(AuthError::AuthExecRun { cmd, out }) = error {
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        return ConnectError::Login { command: safe_lines(&cmd), status: out.status, stderr };
    }
    ConnectError::Credentials { context, source: error }
}

fn told(stderr: &str) -> String {
    let text = safe_lines(stderr.trim());
    if text.is_empty() { text } else { format!(": {text}") }
}

/// Whether a URL asks for TLS.
pub(crate) fn is_https(url: &Uri) -> bool {
    url.scheme() == Some(&http::uri::Scheme::HTTPS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", None)]
    #[case("0s", None)]
    #[case("30", Some(Duration::from_secs(30)))]
    #[case("1m30s", Some(Duration::from_secs(90)))]
    #[case("500ms", Some(Duration::from_millis(500)))]
    fn a_timeout_is_read_as_kubectl_reads_it(#[case] text: &str, #[case] expected: Option<Duration>) {
        assert_eq!(timeout(text).unwrap(), expected);
    }

    #[rstest]
    #[case("-1s")]
    #[case("soon")]
    #[case("99999999999999999999")]
    #[case("ms")]
    fn what_is_no_timeout_is_refused(#[case] text: &str) {
        assert!(matches!(timeout(text), Err(ConnectError::Timeout { .. })));
    }
}
