//! From kubectl's connection flags and the kubeconfig to a client.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use decide::duration;
use http::header::InvalidHeaderValue;
use http::uri::InvalidUri;
use http::{HeaderName, HeaderValue, Response, Uri};
use http_body_util::Limited;
use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, ExecAuthCluster, InClusterError, KubeconfigError};
use secrecy::ExposeSecret as _;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::util::MapResponseLayer;

use crate::cluster::{Cluster, Way, root_cause};
use crate::connect::authority::{self, AuthorityError};
use crate::connect::destination::Destination;
use crate::connect::flags::{ConnectionFlags, given};
use crate::connect::kubeconfig::{self, ReadError, SelectError, Selected};
use crate::connect::kuberc::PluginPolicy;
use crate::connect::login::{Login, LoginError, Purpose, Tokens};
use crate::connect::proxy::{Proxies, ProxyError};
use decide::text::{safe_lines, safe_word};

/// Maximum size of an answer, in bytes: 500 of the largest requests that the server takes.
const MAX_ANSWER: usize = 128 * 1024 * 1024;
/// Maximum number of requests that wait for a connection: as many as kube's own client takes.
const BUFFERED: usize = 1024;
/// A day: nobody waits longer for one request.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// Why there is no connection to try.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The kubeconfig does not have what the flags name, or the flags contradict each other.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The server's address is none.
    #[error(
        "cannot use the server {}: it is not a URL like https://cluster:6443",
        safe_word(server)
    )]
    Server {
        /// What is configured.
        server: String,
        /// What is wrong with it.
        source: InvalidUri,
    },
    /// A server's address with characters that a terminal may obey.
    #[error(
        "cannot use the server {}: its URL has other characters than printable ASCII",
        safe_word(server)
    )]
    ServerText {
        /// What is configured.
        server: String,
    },
    /// A way to log in that kubectl does not have any more.
    #[error(
        "cannot log in with the auth provider {}: kubectl has removed it. Use a login plugin (exec) in the kubeconfig",
        safe_word(name)
    )]
    AuthProvider {
        /// Its name.
        name: String,
    },
    /// The certificate authority cannot be read.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A name that no header can have.
    #[error(
        "cannot impersonate {}: the name has control characters",
        safe_word(name)
    )]
    Impersonate {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: InvalidHeaderValue,
    },
    /// The kubeconfig's entries are of no use.
    #[error("cannot use context {} of the kubeconfig: {}", safe_word(context), safe_lines(&source.to_string()))]
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
    /// The program that logs in gave no credentials.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Credentials or certificates that cannot be used.
    #[error("cannot connect with the credentials of context {}: {}", safe_word(context), safe_lines(&root_cause(source)))]
    Credentials {
        /// The context.
        context: String,
        /// What is wrong.
        source: kube::Error,
    },
}

/// A client's configuration, and what it was made from.
struct Place {
    config: Config,
    context: String,
    /// `None`: a pod, which is in one cluster only.
    destination: Option<Destination>,
    /// Whether the kubeconfig has more contexts than this one.
    several: bool,
}

/// Connects as kubectl would with the same flags. Nothing is sent yet, except by login plugins.
///
/// # Errors
/// When the flags or the kubeconfig are of no use, or a login plugin fails.
pub fn connect(
    flags: &ConnectionFlags,
    watched: bool,
    purpose: Purpose,
) -> Result<Cluster, ConnectError> {
    let Place {
        mut config,
        context,
        destination,
        several,
    } = place(flags)?;
    if let Some(namespace) = given(flags.namespace.as_ref()) {
        config.default_namespace = namespace;
    }
    if let Some(text) = &flags.request_timeout {
        set_timeouts(&mut config, timeout(text)?);
    }
    // A create that is repeated after a 504 could file the same request twice.
    config.default_retry = false;
    move_impersonation(&mut config)?;
    let (namespace, server) = (
        config.default_namespace.clone(),
        config.cluster_url.to_string(),
    );
    let tokens = log_in(&mut config, flags, purpose)?;
    let credentials = |source| ConnectError::Credentials {
        context: context.clone(),
        source,
    };
    let builder = ClientBuilder::try_from(config).map_err(credentials)?;
    let bounded = MapResponseLayer::new(bounded);
    let client = match tokens {
        // The layer needs a service that can be cloned.
        Some(tokens) => builder
            .with_layer(&bounded)
            .with_layer(&BufferLayer::new(BUFFERED))
            .with_layer(&AsyncFilterLayer::new(tokens.clone()))
            .with_layer(&MapResponseLayer::new(move |answer| tokens.note(answer)))
            .build(),
        None => builder.with_layer(&bounded).build(),
    };
    let server = server.trim_end_matches('/').to_owned();
    // Another shell may have another KUBECONFIG.
    let of_environment = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
    let file = kubeconfig::named_by_environment().filter(|_| destination.is_some());
    Ok(Cluster {
        client,
        namespace,
        server,
        watched,
        way: Arc::new(Way {
            names_context: several || given(flags.context.as_ref()).is_some() || of_environment,
            flags: ConnectionFlags {
                kubeconfig: flags.kubeconfig.clone().or(file),
                ..pinned(flags, &context, destination.is_some())
            },
            is_pod: destination.is_none(),
            destination,
        }),
        context,
    })
}

/// An answer that ends in an error where it is larger than any of a well-behaved server.
fn bounded<B>(answer: Response<B>) -> Response<Limited<B>> {
    answer.map(|body| Limited::new(body, MAX_ANSWER))
}

/// The flags with the context that they lead to: the current one may become another.
fn pinned(flags: &ConnectionFlags, context: &str, from_kubeconfig: bool) -> ConnectionFlags {
    let mut flags = flags.clone();
    if from_kubeconfig && context != kubeconfig::NAMELESS {
        flags.context = Some(context.to_owned());
    }
    flags
}

fn place(flags: &ConnectionFlags) -> Result<Place, ConnectError> {
    let read = kubeconfig::read(flags.kubeconfig.as_deref())?;
    if kubeconfig::is_empty(&read.kubeconfig) && flags.server.is_none() && flags.context.is_none() {
        return in_cluster(flags, read.looked);
    }
    let selected = kubeconfig::select(&read.kubeconfig, flags)?;
    let context = selected.context.clone();
    let destination = Some(Destination::of(&selected));
    Ok(Place {
        config: configure(selected, &Proxies::from_env())?,
        context,
        destination,
        several: read.kubeconfig.contexts.len() > 1,
    })
}

/// Built field by field, because kube's own way from a kubeconfig stops at entries of `NO_PROXY`
/// that kubectl takes, and matches them against the proxy.
fn configure(selected: Selected, proxies: &Proxies) -> Result<Config, ConnectError> {
    let Selected {
        context,
        namespace,
        cluster,
        mut user,
        ..
    } = selected;
    let server = cluster.server.clone().unwrap_or_default();
    if !server.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(ConnectError::ServerText { server });
    }
    let url: Uri = server
        .parse()
        .map_err(|source| ConnectError::Server { server, source })?;
    let login = user
        .exec
        .as_mut()
        .filter(|login| login.provide_cluster_info);
    if let Some(login) = login {
        let info = ExecAuthCluster::try_from(&cluster);
        login.cluster = Some(info.map_err(|source| ConnectError::Use { context, source })?);
    }
    let mut config = Config::new(url);
    config.proxy_url = proxies.for_server(&config.cluster_url, cluster.proxy_url.as_deref())?;
    config.root_cert = authority::load(&cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.disable_compression = cluster.disable_compression.unwrap_or_default();
    config.tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    config.auth_info = credentials(user, &config.cluster_url)?;
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }
    Ok(config)
}

fn in_cluster(flags: &ConnectionFlags, looked: String) -> Result<Place, ConnectError> {
    let mut config =
        Config::incluster().map_err(|source| ConnectError::NoCluster { looked, source })?;
    kubeconfig::override_user(&mut config.auth_info, flags)?;
    Ok(Place {
        config,
        context: "in-cluster".to_owned(),
        destination: None,
        several: false,
    })
}

/// What is sent of a user's credentials: nothing where the connection is not secure, as client-go
/// has it (`ClientConfig` of `clientcmd` reads them only for TLS), and of a login plugin only where
/// the kubeconfig or a flag has no credentials of another kind (kubernetes/kubernetes#91745, #102175).
///
/// Each way to log in is named here: what the library learns later is off until somebody adds it.
///
/// # Errors
/// The kubeconfig has an auth provider that kubectl does not have any more: some of them run programs,
/// which no preference of the user forbids.
fn credentials(user: AuthInfo, server: &Uri) -> Result<AuthInfo, ConnectError> {
    let impersonation = AuthInfo {
        impersonate: user.impersonate,
        impersonate_uid: user.impersonate_uid,
        impersonate_groups: user.impersonate_groups,
        impersonate_user_extra: user.impersonate_user_extra,
        ..AuthInfo::default()
    };
    if server.scheme_str() != Some("https") {
        return Ok(impersonation);
    }
    if let Some(provider) = &user.auth_provider
        && provider.name != "oidc"
    {
        return Err(ConnectError::AuthProvider {
            name: provider.name.clone(),
        });
    }
    let others = user.token.is_some() || user.token_file.is_some() || user.username.is_some();
    Ok(AuthInfo {
        username: user.username,
        password: user.password,
        token: user.token,
        token_file: user.token_file,
        client_certificate: user.client_certificate,
        client_certificate_data: user.client_certificate_data,
        client_key: user.client_key,
        client_key_data: user.client_key_data,
        auth_provider: user.auth_provider,
        exec: user.exec.filter(|_| !others),
        ..impersonation
    })
}

/// Runs the login plugin, where there is one, and hands what it gave to the configuration; a token
/// goes into a layer of its own, which renews it.
fn log_in(
    config: &mut Config,
    flags: &ConnectionFlags,
    purpose: Purpose,
) -> Result<Option<Tokens>, LoginError> {
    let Some(plugin) = config.auth_info.exec.take() else {
        return Ok(None);
    };
    let policy = PluginPolicy::read(flags.kuberc.as_deref());
    let login = Login {
        plugin,
        policy,
        purpose,
    };
    let given = login.run()?;
    if let Some((certificate, key)) = &given.certificate {
        let encode = |pem: &str| BASE64.encode(pem);
        config.auth_info.client_certificate_data = Some(encode(certificate));
        config.auth_info.client_key_data = Some(encode(key.expose_secret()).into());
        config.auth_info.client_certificate = None;
        config.auth_info.client_key = None;
    }
    Ok(Tokens::of(login, &given))
}

/// Writes the headers of impersonation, because kube writes only those in ASCII: kubectl sends any
/// name.
fn move_impersonation(config: &mut Config) -> Result<(), ConnectError> {
    let user = config
        .auth_info
        .impersonate
        .take()
        .map(|name| ("impersonate-user", name));
    let uid = config
        .auth_info
        .impersonate_uid
        .take()
        .map(|uid| ("impersonate-uid", uid));
    let groups = config
        .auth_info
        .impersonate_groups
        .take()
        .into_iter()
        .flatten();
    let groups = groups.map(|group| ("impersonate-group", group));
    for (name, value) in user.into_iter().chain(uid).chain(groups) {
        let written = HeaderValue::from_bytes(value.as_bytes());
        let written = written.map_err(|source| ConnectError::Impersonate {
            name: value,
            source,
        })?;
        config
            .headers
            .push((HeaderName::from_static(name), written));
    }
    Ok(())
}

fn set_timeouts(config: &mut Config, timeout: Option<Duration>) {
    config.connect_timeout = timeout;
    config.read_timeout = timeout;
    config.write_timeout = timeout;
    config.reset_reader_on_write = true;
}

/// Seconds, or a duration in Go's syntax. `None`: for ever.
fn timeout(text: &str) -> Result<Option<Duration>, ConnectError> {
    let malformed = || ConnectError::Timeout {
        text: text.to_owned(),
    };
    if ["0", "0s"].contains(&text) {
        return Ok(None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .map(Duration::from_secs)
            .map(Some)
            .map_err(|_overflow| malformed());
    }
    let milliseconds = text
        .strip_suffix("ms")
        .and_then(|number| number.parse().ok());
    if let Some(number) = milliseconds {
        return Ok(Some(Duration::from_millis(number)));
    }
    duration::parse(text, MAX_TIMEOUT)
        .map(Some)
        .map_err(|_error| malformed())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", None)]
    #[case("0s", None)]
    #[case("30", Some(Duration::from_secs(30)))]
    #[case("1m30s", Some(Duration::from_secs(90)))]
    #[case("500ms", Some(Duration::from_millis(500)))]
    fn a_timeout_is_read_as_kubectl_reads_it(
        #[case] text: &str,
        #[case] expected: Option<Duration>,
    ) {
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

    fn configured(server: &str, proxies: &Proxies) -> Result<Config, ConnectError> {
        let cluster = kube::config::Cluster {
            server: Some(server.to_owned()),
            ..Default::default()
        };
        let (context, user) = ("dev".to_owned(), kube::config::AuthInfo::default());
        configure(
            Selected {
                context,
                namespace: Some(String::new()),
                cluster,
                user_name: None,
                user,
            },
            proxies,
        )
    }

    #[test]
    fn a_context_without_a_namespace_means_default() {
        assert_eq!(
            configured("https://api:6443", &Proxies::default())
                .unwrap()
                .default_namespace,
            "default"
        );
    }

    #[test]
    fn a_server_that_is_no_url_is_refused() {
        let message = configured("https://a b", &Proxies::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "cannot use the server \"https://a b\": it is not a URL like https://cluster:6443"
        );
    }

    fn full() -> AuthInfo {
        AuthInfo {
            token: Some("token".to_owned().into()),
            username: Some("jane".to_owned()),
            client_certificate: Some("file".to_owned()),
            exec: Some(kube::config::ExecConfig::default()),
            impersonate: Some("amy".to_owned()),
            ..AuthInfo::default()
        }
    }

    // P6
    #[test]
    fn over_plain_http_nothing_is_sent_but_whom_somebody_impersonates() {
        let sent = credentials(full(), &"http://api:8080".parse().unwrap()).unwrap();
        assert!(sent.token.is_none() && sent.username.is_none() && sent.exec.is_none());
        assert!(sent.client_certificate.is_none());
        assert_eq!(sent.impersonate.as_deref(), Some("amy"));
    }

    #[rstest]
    #[case::a_token(|user: &mut AuthInfo| user.token = Some("t".to_owned().into()), false)]
    #[case::a_file(|user: &mut AuthInfo| user.token_file = Some("t".to_owned()), false)]
    #[case::a_password(|user: &mut AuthInfo| user.username = Some("jane".to_owned()), false)]
    #[case::nothing_else(|_user: &mut AuthInfo| (), true)]
    fn a_login_plugin_runs_where_there_are_no_other_credentials(
        #[case] has: fn(&mut AuthInfo),
        #[case] runs: bool,
    ) {
        let mut user = AuthInfo {
            exec: Some(kube::config::ExecConfig::default()),
            ..AuthInfo::default()
        };
        has(&mut user);
        let sent = credentials(user, &"https://api:6443".parse().unwrap()).unwrap();
        assert_eq!(sent.exec.is_some(), runs);
    }

    fn provider(name: &str) -> AuthInfo {
        AuthInfo {
            auth_provider: Some(kube::config::AuthProviderConfig {
                name: name.to_owned(),
                config: [("cmd-path".to_owned(), "/usr/bin/touch".to_owned())].into(),
                ..Default::default()
            }),
            ..AuthInfo::default()
        }
    }

    // P7
    #[test]
    fn an_auth_provider_that_runs_programs_is_refused() {
        let https = "https://api:6443".parse().unwrap();
        for name in ["gcp", "azure", "other"] {
            let refused = credentials(provider(name), &https).err().unwrap();
            assert!(
                matches!(refused, ConnectError::AuthProvider { .. }),
                "{refused}"
            );
        }
        assert!(
            credentials(provider("oidc"), &https)
                .unwrap()
                .auth_provider
                .is_some()
        );
        // Nothing of it reaches a server without TLS, nor the library.
        let http = credentials(provider("gcp"), &"http://api:8080".parse().unwrap());
        assert!(http.unwrap().auth_provider.is_none());
    }

    // P15
    #[test]
    fn a_server_with_characters_that_a_terminal_obeys_is_refused() {
        let refused = configured("https://host/\u{9b}31m", &Proxies::default()).unwrap_err();
        assert!(
            matches!(refused, ConnectError::ServerText { .. }),
            "{refused}"
        );
    }

    #[test]
    fn any_name_can_be_impersonated() {
        let mut config = configured("https://api:6443", &Proxies::default()).unwrap();
        config.auth_info.impersonate = Some("jürgen".to_owned());
        config.auth_info.impersonate_groups = Some(vec!["a".to_owned(), "b".to_owned()]);
        move_impersonation(&mut config).unwrap();
        let written: Vec<_> = config
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let groups = [
            ("impersonate-group", b"a".as_slice()),
            ("impersonate-group", b"b".as_slice()),
        ];
        assert_eq!(written[0], ("impersonate-user", "jürgen".as_bytes()));
        assert_eq!(written[1..], groups);
    }

    #[test]
    fn a_name_with_a_line_break_is_not_impersonated() {
        let mut config = configured("https://api:6443", &Proxies::default()).unwrap();
        config.auth_info.impersonate = Some("a\nb".to_owned());
        let message = move_impersonation(&mut config).unwrap_err().to_string();
        assert_eq!(
            message,
            "cannot impersonate \"a\\nb\": the name has control characters"
        );
    }

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        flags: ConnectionFlags,
    }

    // kubectl is run with them: one that is left out would lead it elsewhere.
    #[test]
    fn every_flag_is_handed_to_kubectl() {
        let command = Only::command();
        let flags = command
            .get_arguments()
            .filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()));
        let given = |flag: &clap::Arg| match flag.get_id().as_str() {
            id @ ("disable_compression" | "insecure_skip_tls_verify") => {
                format!("--{}=true", id.replace('_', "-"))
            }
            _ => format!("--{}=-x y", flag.get_long().unwrap_or_default()),
        };
        let mut line: Vec<String> = flags.map(given).collect();
        let read = Only::try_parse_from(std::iter::once("kubectl".to_owned()).chain(line.clone()))
            .unwrap();
        let mut words = read.flags.words();
        line.sort();
        words.sort();
        assert_eq!(words, line);
    }
}
