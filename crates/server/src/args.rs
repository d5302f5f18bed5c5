//! Flags, as the original has them and a few more; each can be given in the environment too.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, builder::NonEmptyStringValueParser};
use decide::{
    duration,
    identity::{Approvers, Listed, NamePrefix},
    lifecycle::Keep,
    settings::Settings,
};
use http::Uri;

use crate::{
    admission::RequestLimits, audit::AuditType, canary::account::CanaryAccount,
    controllers::notices::UrlTemplate, lock::exception::Excepted,
};

/// Longest time that requests are kept: ten years.
const MAX_KEEP: Duration = Duration::from_hours(24 * 3650);

/// Lets developers ask for `kubectl exec` and every other door into a pod, and allows just what was
/// granted.
///
/// An admission webhook of the API server: it refuses exec, attach, port-forward, cp and debug
/// containers until an AccessRequest for exactly this was granted by somebody else, and explains in
/// the developer's terminal how to ask.
///
/// Two access models. Standing rights (the default): RBAC lets developers through these doors, and
/// this server is the lock. Granted role (--granted-role-name): developers have no such right, and
/// are bound to the named Role in the request's namespace for as long as a grant lasts.
///
/// The cluster is found by $KUBECONFIG or ~/.kube/config if present, else in-cluster.
#[derive(Debug, Clone, Parser)]
#[command(name = "kube-request-access", version = env!("KRA_VERSION"), max_term_width = 110)]
pub struct Args {
    /// Address to listen on, for HTTPS
    #[arg(
        short,
        long,
        env = "KRA_ADDRESS",
        default_value = "localhost:8443",
        value_name = "HOST:PORT"
    )]
    pub address: String,

    /// File with the certificate of this server and its intermediates, in PEM; read again when it
    /// changes
    #[arg(short, long, env = "KRA_CERT_FILE", value_name = "FILE")]
    pub cert_file: PathBuf,

    /// File with the certificate's private key, in PEM; read again when it changes
    #[arg(short, long, env = "KRA_KEY_FILE", value_name = "FILE")]
    pub key_file: PathBuf,

    /// File with the secret of the reviews' paths, 32 characters or more of a-z, A-Z, 0-9, - and _
    /// (`openssl rand -hex 32`; the API server takes no upper case and no _ in the path of a
    /// Service): reviews are taken at /validate/SECRET, /mutate/SECRET, /observe/SECRET and
    /// /SECRET, and all else is not found. Several lines are several secrets, to replace one by
    /// another; read again when it changes
    #[arg(long, env = "KRA_REVIEW_PATH_FILE", value_name = "FILE")]
    pub review_path_file: Option<PathBuf>,

    /// File with the authority of the API server's client certificate, in PEM: reviews over
    /// connections without such a certificate are not found. Best an authority for nothing else:
    /// whoever has a certificate of it is believed. With --review-path-file, both are needed; read
    /// again when it changes
    #[arg(long, env = "KRA_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// Believe only client certificates with this common name (repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_CLIENT_ALLOWED_NAME",
        value_delimiter = ',',
        requires = "client_ca_file",
        value_parser = NonEmptyStringValueParser::new(),
        value_name = "NAME"
    )]
    pub client_allowed_name: Vec<String>,

    /// How often to look for requests to delete
    #[arg(long, env = "KRA_CLEANUP_INTERVAL", default_value = "5m", value_parser = any_duration, value_name = "DURATION")]
    pub cleanup_interval: Duration,

    /// Delete requests that nobody answered or used after this time; until then a single use stays
    /// usable
    #[arg(long, env = "KRA_DELETE_AFTER", default_value = "48h", value_parser = any_duration, value_name = "DURATION")]
    pub delete_after: Duration,

    /// How many requests of one user in one namespace may be waiting or granted at once
    #[arg(
        long,
        env = "KRA_MAX_OPEN_REQUESTS",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    pub max_open_requests: usize,

    /// How many requests of one user may be waiting or granted at once, in all namespaces
    #[arg(
        long,
        env = "KRA_MAX_OPEN_REQUESTS_PER_USER",
        default_value_t = 200,
        value_name = "COUNT"
    )]
    pub max_open_requests_per_user: usize,

    /// How many requests of all users together may be waiting or granted at once. The fuller it is,
    /// the fewer one user may have: an eighth of the room that is left
    #[arg(
        long,
        env = "KRA_MAX_OPEN_REQUESTS_IN_ALL",
        default_value_t = 5000,
        value_name = "COUNT"
    )]
    pub max_open_requests_in_all: usize,

    /// How many requests one user may file in a minute, at each replica
    #[arg(
        long,
        env = "KRA_MAX_REQUESTS_PER_MINUTE",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..),
        value_name = "COUNT"
    )]
    pub max_requests_per_minute: u32,

    /// How many requests of one user there may be in all namespaces, those that are over included
    #[arg(
        long,
        env = "KRA_MAX_KEPT_REQUESTS",
        default_value_t = 2000,
        value_name = "COUNT"
    )]
    pub max_kept_requests: usize,

    /// How many requests that are over the server remembers, at 250 to 600 bytes each. Others still
    /// count against their users, and are deleted once there is room for them
    #[arg(
        long,
        env = "KRA_MAX_INDEXED_REQUESTS",
        default_value_t = 250_000,
        value_name = "COUNT"
    )]
    pub max_indexed_requests: usize,

    /// Delete requests that were used, denied or expired after this time
    #[arg(long, env = "KRA_KEEP_FINISHED", default_value = "168h", value_parser = any_duration, value_name = "DURATION")]
    pub keep_finished: Duration,

    /// Bind the user to this Role of the request's namespace while a grant lasts, for clusters
    /// where developers have no standing rights. The Role must exist and allow `get` and `create`
    /// on pods/exec, or on whichever doors there are
    #[arg(long, env = "KRA_GRANTED_ROLE_NAME", value_name = "ROLE")]
    pub granted_role_name: Option<String>,

    /// Members of this group need no request (repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_ALWAYS_ALLOWED_GROUP_NAME",
        value_delimiter = ',',
        value_name = "GROUP"
    )]
    pub always_allowed_group_name: Vec<String>,

    /// This user needs no request (repeatable, or separated by commas). The whole name, with the
    /// authenticator's prefix where it has one
    #[arg(
        long,
        env = "KRA_ALWAYS_ALLOWED_USER_NAME",
        value_delimiter = ',',
        value_name = "USER"
    )]
    pub always_allowed_user_name: Vec<String>,

    /// Members of this group may write access policies (repeatable, or separated by commas). Name
    /// whom deploy/lock/policies.yaml names
    #[arg(
        long,
        env = "KRA_POLICY_OWNER_GROUP",
        value_delimiter = ',',
        default_value = "kube-request-access:policy-owners,kube-request-access:installers",
        value_name = "GROUP"
    )]
    pub policy_owner_group: Vec<String>,

    /// This user may write access policies, as a program that applies them by an identity of its
    /// own (system:serviceaccount:NAMESPACE:NAME; repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_POLICY_OWNER_USER",
        value_delimiter = ',',
        value_name = "USER"
    )]
    pub policy_owner_user: Vec<String>,

    /// Only members of this group may answer requests, besides having the right to create
    /// accessgrants (repeatable, or separated by commas; an empty value lets nobody) [default:
    /// whoever has the right]
    #[arg(
        long,
        env = "KRA_APPROVER_GROUP",
        value_delimiter = ',',
        value_name = "GROUP"
    )]
    pub approver_group: Option<Vec<String>>,

    /// This ServiceAccount may answer requests: no other does (repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_APPROVER_SERVICE_ACCOUNT",
        value_delimiter = ',',
        value_parser = service_account,
        value_name = "NAMESPACE:NAME"
    )]
    pub approver_service_account: Vec<String>,

    /// Requests may be for this ServiceAccount: for no other, because whoever may use its token
    /// could grant herself what she asked for in its name (repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_REQUESTER_SERVICE_ACCOUNT",
        value_delimiter = ',',
        value_parser = service_account,
        value_name = "NAMESPACE:NAME"
    )]
    pub requester_service_account: Vec<String>,

    /// File with the keys that seal requests, grants and policies, one a line, each of 32
    /// characters or more: the first one seals, all are believed. A line "epoch TEXT" ends requests
    /// and grants from before it. Read again when it changes. Without the file those that were
    /// written while the webhooks were away count
    #[arg(long, env = "KRA_SEAL_KEY_FILE", value_name = "FILE")]
    pub seal_key_file: Option<PathBuf>,

    /// What the cluster's authenticator puts before user names; objects carry names without it
    #[arg(
        long,
        env = "KRA_USERNAME_PREFIX",
        default_value = "",
        value_name = "PREFIX"
    )]
    pub username_prefix: String,

    /// Let requests ask for standard input and terminals (kubectl exec, attach and debug with -i or
    /// -t)
    #[arg(long, env = "KRA_ALLOW_INTERACTIVE")]
    pub allow_interactive: bool,

    /// Hold an attempt that nobody has asked for: file a request for it, and let it through when it
    /// is granted in time. For as long as the webhook's timeoutSeconds allow (the maximum is 30),
    /// so raise them. Needs --review-path-file or --client-ca-file
    #[arg(long, env = "KRA_IN_BAND_WAIT")]
    pub in_band_wait: bool,

    /// Watch whether each API server asks this server: as this `ServiceAccount`, which may do
    /// nothing else (deploy/canary.yaml), a pod that cannot exist is tried at each one, about twice
    /// a minute
    #[arg(
        long,
        env = "KRA_CANARY_SERVICE_ACCOUNT",
        value_name = "NAMESPACE:NAME"
    )]
    pub canary_service_account: Option<CanaryAccount>,

    /// Watch the policies, bindings and webhook configurations of the lock (deploy/lock,
    /// deploy/webhooks.yaml), and tell of whatever is missing, is not as it is shipped, or changes
    #[arg(long, env = "KRA_WATCH_LOCK")]
    pub watch_lock: bool,

    /// A part of the lock that your overlay changes: `KIND/NAME=absent`, `KIND/NAME=sha256:HEX`
    /// with the digest that the log names, or `KIND/NAME=any`, which is told of only when it
    /// changes (repeatable, or separated by commas)
    #[arg(
        long,
        env = "KRA_LOCK_EXCEPTION",
        value_delimiter = ',',
        requires = "watch_lock",
        value_name = "KIND/NAME=HOW"
    )]
    pub lock_exception: Vec<Excepted>,

    /// Name of this cluster, for denials, notices and audit
    #[arg(
        long,
        env = "KRA_CLUSTER_NAME",
        default_value = "",
        value_name = "NAME"
    )]
    pub cluster_name: String,

    /// Append the audit to this file, or write it to standard output (`-`), instead of to the log
    /// on standard error. What cannot be written is refused. A file that was renamed or removed is
    /// opened anew
    #[arg(long, env = "KRA_AUDIT_LOG_FILE", value_name = "FILE")]
    pub audit_log_file: Option<PathBuf>,

    /// Post every attempt, request and grant to this URL; when it does not answer 200, the action
    /// is refused
    #[arg(long, env = "KRA_AUDIT_WEBHOOK_URL", hide_env_values = true, value_parser = https, value_name = "URL")]
    pub audit_webhook_url: Option<Uri>,

    /// File with the certificates to trust for the audit webhook, in PEM (default: the system's)
    #[arg(
        long,
        env = "KRA_AUDIT_WEBHOOK_CA_BUNDLE",
        requires = "audit_webhook_url",
        value_name = "FILE"
    )]
    pub audit_webhook_ca_bundle: Option<PathBuf>,

    /// Post these to the audit webhook too (repeatable, or separated by commas). Receivers of the
    /// original answer 400 to types that they do not know, and then the action is refused
    #[arg(
        long,
        env = "KRA_AUDIT_WEBHOOK_TYPES",
        value_delimiter = ',',
        requires = "audit_webhook_url",
        value_name = "TYPE"
    )]
    pub audit_webhook_types: Vec<AuditType>,

    /// Ask this URL whether a new request is valid
    #[arg(long, env = "KRA_EXTENDED_VALIDATION_WEBHOOK_URL", hide_env_values = true, value_parser = https, value_name = "URL")]
    pub extended_validation_webhook_url: Option<Uri>,

    /// File with the certificates to trust for the validation webhook, in PEM (default: the
    /// system's)
    #[arg(
        long,
        env = "KRA_EXTENDED_VALIDATION_WEBHOOK_CA_BUNDLE",
        requires = "extended_validation_webhook_url",
        value_name = "FILE"
    )]
    pub extended_validation_webhook_ca_bundle: Option<PathBuf>,

    /// Post an event (cloudevents.io, 1.0) to this URL when something becomes of a request: it is
    /// filed, granted, denied, used, over. With commands and reasons; only arguments that look like
    /// passwords are masked. Nothing waits for it. Plain http is taken too, because it decides
    /// nothing: whoever is on the way then reads it
    #[arg(long, env = "KRA_NOTICE_URL", hide_env_values = true, value_parser = http_or_https, value_name = "URL")]
    pub notice_url: Option<Uri>,

    /// File with the certificates to trust for notices, in PEM (default: the system's)
    #[arg(
        long,
        env = "KRA_NOTICE_CA_BUNDLE",
        requires = "notice_url",
        value_name = "FILE"
    )]
    pub notice_ca_bundle: Option<PathBuf>,

    /// A page about a request, for notices: an http or https URL with {cluster}, {namespace},
    /// {name} or {uid} in it
    #[arg(long, env = "KRA_REQUEST_URL_TEMPLATE", requires = "notice_url", value_parser = UrlTemplate::parse, value_name = "URL")]
    pub request_url_template: Option<UrlTemplate>,

    /// How much to log: 0 to 10 as in Kubernetes, or error, warn, info, debug, trace
    #[arg(short = 'v', long = "v", env = "KRA_LOG_LEVEL", default_value = "info", value_parser = level, value_name = "LEVEL")]
    pub log_level: tracing::Level,
}

impl Args {
    /// What the decisions go by.
    pub fn settings(&self) -> Settings {
        Settings {
            allow_interactive: self.allow_interactive,
            unused: self.delete_after,
            prefix: NamePrefix::new(self.username_prefix.as_str()),
            approvers: Approvers {
                groups: self.approver_group.clone(),
                programs: self.approver_service_account.clone(),
            },
            requesters: self.requester_service_account.clone(),
        }
    }

    /// Who needs no request.
    pub fn always_allowed(&self) -> Listed {
        Listed {
            users: self.always_allowed_user_name.clone(),
            groups: self.always_allowed_group_name.clone(),
        }
    }

    /// Who may write policies.
    pub fn policy_owners(&self) -> Listed {
        Listed {
            users: self.policy_owner_user.clone(),
            groups: self.policy_owner_group.clone(),
        }
    }

    /// How many requests there may be.
    pub fn request_limits(&self) -> RequestLimits {
        RequestLimits {
            open_per_user: self.max_open_requests_per_user,
            open_in_all: self.max_open_requests_in_all,
            kept: self.max_kept_requests,
        }
    }

    /// How long requests are kept.
    pub fn keep(&self) -> Keep {
        Keep {
            finished: self.keep_finished,
        }
    }
}

fn any_duration(text: &str) -> Result<Duration, duration::DurationError> {
    duration::parse(text, MAX_KEEP)
}

/// The user name of a ServiceAccount, which may be written whole too.
fn service_account(text: &str) -> Result<String, String> {
    const PREFIX: &str = "system:serviceaccount:";
    match text
        .strip_prefix(PREFIX)
        .unwrap_or(text)
        .split(':')
        .collect::<Vec<_>>()
        .as_slice()
    {
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
            Ok(format!("{PREFIX}{namespace}:{name}"))
        }
        _ => Err("write it as NAMESPACE:NAME".to_owned()),
    }
}

/// Notices decide nothing.
fn http_or_https(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("https" | "http"), Some(_)) => Ok(url),
        _ => Err("write it as https://… or http://…".to_owned()),
    }
}

fn https(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => Ok(url),
        _ => Err("only https:// URLs are taken: what is sent there decides over access".to_owned()),
    }
}

/// Kubernetes' numbers: 0 to 3 are for operators, 4 and 5 for debugging, from 6 on everything.
fn level(text: &str) -> Result<tracing::Level, String> {
    match text.parse::<u8>() {
        Ok(0..=3) => Ok(tracing::Level::INFO),
        Ok(4..=5) => Ok(tracing::Level::DEBUG),
        Ok(6..=10) => Ok(tracing::Level::TRACE),
        Ok(_) => Err("levels go from 0 to 10".to_owned()),
        Err(_) => text.parse().map_err(|error| format!("{error}")),
    }
}

/// The addresses that `HOST:PORT` stands for.
///
/// # Errors
/// The host has no address, or the text is not of this form.
pub async fn resolve(address: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(address).await?.collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(extra: &[&str]) -> Result<Args, clap::Error> {
        let all = ["kube-request-access", "--cert-file=c", "--key-file=k"]
            .iter()
            .chain(extra);
        Args::try_parse_from(all)
    }

    #[test]
    fn the_flags_of_the_original_have_its_defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.address, "localhost:8443");
        assert_eq!(args.cleanup_interval, Duration::from_mins(5));
        assert_eq!(args.delete_after, Duration::from_hours(48));
        assert_eq!(args.keep_finished, Duration::from_hours(168));
    }

    #[test]
    fn lists_are_repeated_or_separated_by_commas() {
        let args = parse(&[
            "--always-allowed-group-name=a,b",
            "--always-allowed-group-name=c",
        ])
        .unwrap();
        assert_eq!(args.always_allowed_group_name, ["a", "b", "c"]);
    }

    #[rstest]
    #[case("--audit-webhook-url=http://audit.example/")]
    #[case("--audit-webhook-url=audit.example")]
    #[case("--audit-webhook-ca-bundle=ca.crt")]
    #[case("--audit-webhook-types=denied")]
    #[case("--cleanup-interval=0s")]
    #[case("--delete-after=-1h")]
    #[case("--delete-after=")]
    #[case("-v=11")]
    #[case("--review-path-file=")]
    #[case("--client-ca-file=")]
    #[case("--canary-service-account=canary")]
    #[case("--canary-service-account=:canary")]
    #[case("--lock-exception=ValidatingAdmissionPolicy/kube-request-access-guard=any")]
    #[case("--client-allowed-name=kube-apiserver")]
    #[case("--notice-url=ftp://notices.example/")]
    #[case("--notice-url=notices.example")]
    #[case("--notice-ca-bundle=ca.crt")]
    #[case("--request-url-template=https://requests.example/{name}")]
    fn what_makes_no_sense_is_refused(#[case] flag: &str) {
        assert!(parse(&[flag]).is_err());
    }

    #[test]
    fn an_empty_approver_group_is_an_empty_list_and_none_is_no_list() {
        assert_eq!(parse(&[]).unwrap().settings().approvers.groups, None);
        let nobody = parse(&["--approver-group="]).unwrap().settings().approvers;
        assert_eq!(nobody.groups, Some(vec![String::new()]));
        let both = parse(&["--approver-group=a,b"])
            .unwrap()
            .settings()
            .approvers;
        assert_eq!(both.groups, Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_service_account_is_written_whole_or_short() {
        for written in ["ci:bot", "system:serviceaccount:ci:bot"] {
            let args = parse(&["--approver-service-account", written]).unwrap();
            assert_eq!(
                args.approver_service_account,
                ["system:serviceaccount:ci:bot"]
            );
        }
        for wrong in ["bot", "ci:", ":bot", "a:b:c", ""] {
            assert!(
                parse(&["--approver-service-account", wrong]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_name_that_is_empty_never_means_any_name() {
        for names in [
            "--client-allowed-name=",
            "--client-allowed-name=a,",
            "--client-allowed-name=,",
        ] {
            assert!(parse(&["--client-ca-file=ca", names]).is_err(), "{names}");
        }
        let args = parse(&["--client-ca-file=ca", "--client-allowed-name=a,b"]).unwrap();
        assert_eq!(args.client_allowed_name, ["a", "b"]);
    }

    #[test]
    fn missing_files_are_named() {
        let error = Args::try_parse_from(["kube-request-access"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--cert-file") && error.contains("--key-file"),
            "{error}"
        );
    }
}
