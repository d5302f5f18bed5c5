//! The kubeconfig: read from where kubectl reads it, and reduced to the one context that the flags
//! mean.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};
use secrecy::SecretString;

use crate::connect::flags::{ConnectionFlags, given};
use crate::terminal::lines::Hint;
use decide::text::{safe, safe_word};

/// Stands for the context of a command line that needs none.
pub(crate) const NAMELESS: &str = "(none)";

/// A kubeconfig, and where it was looked for.
pub struct Read {
    /// What was found, merged.
    pub kubeconfig: Kubeconfig,
    /// The files, for messages.
    pub looked: String,
}

/// Why the kubeconfig cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file that `--kubeconfig` names is not there.
    #[error("--kubeconfig: there is no file {}", safe(&path.to_string_lossy()))]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be read or understood.
    #[error("cannot load the kubeconfig {}: {}", safe(&path.to_string_lossy()), safe(&source.to_string()))]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
}

/// Why the flags mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// No such context.
    #[error(
        "context {} does not exist in the kubeconfig: see '{see}'",
        safe_word(name)
    )]
    NoContext {
        /// Its name.
        name: String,
        /// What tells which there are.
        see: String,
    },
    /// No such cluster.
    #[error(
        "cluster {} does not exist in the kubeconfig: see '{see}'",
        safe_word(name)
    )]
    NoCluster {
        /// Its name.
        name: String,
        /// What tells which there are.
        see: String,
    },
    /// No such user.
    #[error(
        "auth info {} does not exist in the kubeconfig: see '{see}'",
        safe_word(name)
    )]
    NoUser {
        /// Its name.
        name: String,
        /// What tells which there are.
        see: String,
    },
    /// Nothing says which cluster.
    #[error("the kubeconfig has no current context: choose one of '{see}' with --context")]
    NoCurrentContext {
        /// What tells which there are.
        see: String,
    },
    /// A cluster without an address.
    #[error(
        "cluster {} of the kubeconfig has no server: give one with --server",
        safe_word(name)
    )]
    NoServer {
        /// Its name.
        name: String,
    },
    /// Two ways to log in.
    #[error("give either --token, or --username and --password")]
    TokenAndPassword,
    /// Half a way to log in.
    #[error("{given} needs {missing}")]
    Half {
        /// The flag that is there.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// Checking and not checking.
    #[error("give either --certificate-authority or --insecure-skip-tls-verify")]
    CheckedAndNot,
    /// Impersonation of nobody.
    #[error("--as-group and --as-uid need --as")]
    AsNobody,
}

/// Reads `--kubeconfig`, else the files of KUBECONFIG, else `~/.kube/config`. As for kubectl, only
/// a file that is named by the flag must be there.
///
/// # Errors
/// When a file that is there cannot be read or understood.
pub fn read(flag: Option<&Path>) -> Result<Read, ReadError> {
    match flag.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) if !path.exists() => Err(ReadError::Missing {
            path: path.to_owned(),
        }),
        Some(path) => merge(vec![path.to_owned()]),
        None => merge(usual_files(std::env::var_os("KUBECONFIG"))),
    }
}

/// The one file that KUBECONFIG names, by its absolute path. Several are merged by their order, which no
/// flag says.
pub fn named_by_environment() -> Option<PathBuf> {
    one_file(std::env::var_os("KUBECONFIG"))
}

fn one_file(variable: Option<OsString>) -> Option<PathBuf> {
    let paths: Vec<PathBuf> = std::env::split_paths(&variable?)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    match paths.as_slice() {
        [path] if path.exists() => std::path::absolute(path).ok(),
        _ => None,
    }
}

fn usual_files(variable: Option<OsString>) -> Vec<PathBuf> {
    let named = variable
        .map(|value| std::env::split_paths(&value).collect::<Vec<_>>())
        .unwrap_or_default();
    let named: Vec<PathBuf> = named
        .into_iter()
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if named.is_empty() {
        std::env::home_dir()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect()
    } else {
        named
    }
}

/// The first file to set something wins.
fn merge(paths: Vec<PathBuf>) -> Result<Read, ReadError> {
    let looked: Vec<String> = paths
        .iter()
        .map(|path| safe(&path.to_string_lossy()))
        .collect();
    let mut kubeconfig = Kubeconfig::default();
    for path in paths.into_iter().filter(|path| path.exists()) {
        let merged = Kubeconfig::read_from(&path)
            .map(without_emptiness)
            .and_then(|next| kubeconfig.merge(next));
        kubeconfig = merged.map_err(|source| ReadError::Load {
            path,
            source: Box::new(source),
        })?;
    }
    Ok(Read {
        kubeconfig,
        looked: looked.join(", "),
    })
}

/// `kubectl config` writes an empty current context where there is none; it must not win over
/// another file's.
fn without_emptiness(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    kubeconfig.current_context = given(kubeconfig.current_context.as_ref());
    kubeconfig
}

/// Whether a kubeconfig says nothing at all.
pub fn is_empty(kubeconfig: &Kubeconfig) -> bool {
    kubeconfig.contexts.is_empty()
        && kubeconfig.clusters.is_empty()
        && kubeconfig.auth_infos.is_empty()
}

/// What the flags mean: one cluster, one way to log in, one namespace.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Name of the context, for messages.
    pub context: String,
    /// Namespace of the context.
    pub namespace: Option<String>,
    /// The cluster. Its server is set.
    pub cluster: Cluster,
    /// Name of the user's entry.
    pub user_name: Option<String>,
    /// How to log in.
    pub user: AuthInfo,
}

/// The context, cluster and user that the flags mean, changed as they say.
///
/// # Errors
/// When the flags name what is not there, or contradict each other.
pub fn select(kubeconfig: &Kubeconfig, flags: &ConnectionFlags) -> Result<Selected, SelectError> {
    let (name, context) = context(kubeconfig, flags)?;
    let mut cluster = cluster(kubeconfig, &context, flags)?;
    override_cluster(&mut cluster, flags)?;
    let mut user = user(kubeconfig, &context, flags)?;
    override_user(&mut user, flags)?;
    let server = given(cluster.server.as_ref()).ok_or(SelectError::NoServer {
        name: context.cluster,
    })?;
    cluster.server = Some(with_scheme(&server, &cluster, &user));
    Ok(Selected {
        context: name,
        namespace: context.namespace,
        cluster,
        user_name: given(flags.user.as_ref()).or(context.user),
        user,
    })
}

fn context(
    kubeconfig: &Kubeconfig,
    flags: &ConnectionFlags,
) -> Result<(String, Context), SelectError> {
    let contexts = || Hint::Contexts.of_kubeconfig(flags);
    let Some(name) = given(flags.context.as_ref()).or_else(|| kubeconfig.current_context.clone())
    else {
        // --server or --cluster say enough.
        let enough = given(flags.server.as_ref()).or_else(|| given(flags.cluster.as_ref()));
        return enough
            .map(|_| (NAMELESS.to_owned(), Context::default()))
            .ok_or_else(|| SelectError::NoCurrentContext { see: contexts() });
    };
    let found = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == name)
        .and_then(|named| named.context.clone());
    match found {
        Some(context) => Ok((name, context)),
        None => Err(SelectError::NoContext {
            name,
            see: contexts(),
        }),
    }
}

fn cluster(
    kubeconfig: &Kubeconfig,
    context: &Context,
    flags: &ConnectionFlags,
) -> Result<Cluster, SelectError> {
    let asked = given(flags.cluster.as_ref());
    let name = asked.as_ref().unwrap_or(&context.cluster);
    let found = kubeconfig
        .clusters
        .iter()
        .find(|named| named.name == *name)
        .and_then(|named| named.cluster.clone());
    match found {
        Some(cluster) => Ok(cluster),
        // A context may dangle as long as the flag says where to go.
        None if asked.is_none() && given(flags.server.as_ref()).is_some() => Ok(Cluster::default()),
        None => Err(SelectError::NoCluster {
            name: name.clone(),
            see: Hint::Clusters.of_kubeconfig(flags),
        }),
    }
}

fn user(
    kubeconfig: &Kubeconfig,
    context: &Context,
    flags: &ConnectionFlags,
) -> Result<AuthInfo, SelectError> {
    let asked = given(flags.user.as_ref());
    let name = asked.as_ref().or(context.user.as_ref());
    let named = kubeconfig
        .auth_infos
        .iter()
        .find(|named| Some(&named.name) == name);
    match (named, asked) {
        (Some(named), _) => Ok(named.auth_info.clone().unwrap_or_default()),
        (None, Some(name)) => Err(SelectError::NoUser {
            name,
            see: Hint::Users.of_kubeconfig(flags),
        }),
        // Like kubectl: a context without a user logs in as nobody.
        (None, None) => Ok(AuthInfo::default()),
    }
}

fn override_cluster(cluster: &mut Cluster, flags: &ConnectionFlags) -> Result<(), SelectError> {
    let authority = given(flags.certificate_authority.as_ref());
    let insecure = flags.insecure_skip_tls_verify;
    if authority.is_some() && insecure == Some(true) {
        return Err(SelectError::CheckedAndNot);
    }
    if authority.is_some() || insecure == Some(true) {
        // The data would win over the file, and a certificate authority over not checking.
        cluster.certificate_authority_data = None;
        cluster.certificate_authority = authority;
        cluster.insecure_skip_tls_verify = insecure;
    }
    if insecure == Some(false) {
        cluster.insecure_skip_tls_verify = insecure;
    }
    set(&mut cluster.server, flags.server.as_ref());
    set(&mut cluster.tls_server_name, flags.tls_server_name.as_ref());
    cluster.disable_compression = flags.disable_compression.or(cluster.disable_compression);
    Ok(())
}

/// Credentials on the command line are instead of all that the kubeconfig has: kube would prefer
/// some of those.
///
/// # Errors
/// When the flags contradict each other.
pub fn override_user(user: &mut AuthInfo, flags: &ConnectionFlags) -> Result<(), SelectError> {
    let mut login = login(flags)?;
    if login.token.is_some() || login.username.is_some() || login.client_certificate.is_some() {
        login.impersonate = user.impersonate.take();
        login.impersonate_uid = user.impersonate_uid.take();
        login.impersonate_groups = user.impersonate_groups.take();
        login.impersonate_user_extra = user.impersonate_user_extra.take();
        *user = login;
    }
    impersonate(user, flags)
}

fn login(flags: &ConnectionFlags) -> Result<AuthInfo, SelectError> {
    let [token, username, password] =
        [&flags.token, &flags.username, &flags.password].map(|flag| given(flag.as_ref()));
    let [certificate, key] =
        [&flags.client_certificate, &flags.client_key].map(|flag| given(flag.as_ref()));
    if token.is_some() && (username.is_some() || password.is_some()) {
        return Err(SelectError::TokenAndPassword);
    }
    together(
        ("--username", username.is_some()),
        ("--password", password.is_some()),
    )?;
    together(
        ("--client-certificate", certificate.is_some()),
        ("--client-key", key.is_some()),
    )?;
    Ok(AuthInfo {
        token: token.map(SecretString::from),
        username,
        password: password.map(SecretString::from),
        client_certificate: certificate,
        client_key: key,
        ..AuthInfo::default()
    })
}

fn together(one: (&'static str, bool), other: (&'static str, bool)) -> Result<(), SelectError> {
    match (one, other) {
        ((given, true), (missing, false)) | ((missing, false), (given, true)) => {
            Err(SelectError::Half { given, missing })
        }
        _ => Ok(()),
    }
}

/// Impersonating somebody by flags leaves out the groups of whom the kubeconfig impersonates.
fn impersonate(user: &mut AuthInfo, flags: &ConnectionFlags) -> Result<(), SelectError> {
    let groups = (!flags.as_group.is_empty()).then(|| flags.as_group.clone());
    let uid = given(flags.as_uid.as_ref());
    match given(flags.as_user.as_ref()) {
        Some(name) => {
            user.impersonate = Some(name);
            user.impersonate_groups = groups;
            user.impersonate_uid = uid;
            user.impersonate_user_extra = None;
        }
        None if (groups.is_some() || uid.is_some()) && user.impersonate.is_none() => {
            return Err(SelectError::AsNobody);
        }
        None => {
            user.impersonate_groups = groups.or(user.impersonate_groups.take());
            user.impersonate_uid = uid.or(user.impersonate_uid.take());
        }
    }
    Ok(())
}

fn set(field: &mut Option<String>, flag: Option<&String>) {
    *field = given(flag).or(field.take());
}

/// As client-go: an address without a scheme means TLS where something about TLS is configured.
fn with_scheme(server: &str, cluster: &Cluster, user: &AuthInfo) -> String {
    if server.contains("://") {
        return server.to_owned();
    }
    let authority =
        cluster.certificate_authority.is_some() || cluster.certificate_authority_data.is_some();
    let certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    let tls = authority || certificate || cluster.insecure_skip_tls_verify == Some(true);
    format!("{}://{server}", if tls { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const TWO: &str = r#"
apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: dev, user: jane, namespace: web}
- name: prod
  context: {cluster: prod, user: amy}
clusters:
- name: dev
  cluster: {server: "https://dev:6443", certificate-authority-data: "QQ==", proxy-url: "http://proxy:3128"}
- name: prod
  cluster: {server: "https://prod:6443"}
users:
- name: jane
  user: {client-certificate-data: "QQ==", client-key-data: "QQ==", exec: {command: login}, username: x, password: y}
- name: amy
  user: {token: amys, as: robot, as-groups: [robots]}
"#;

    fn two() -> Kubeconfig {
        Kubeconfig::from_yaml(TWO).unwrap()
    }

    fn selected(flags: &ConnectionFlags) -> Selected {
        select(&two(), flags).unwrap()
    }

    #[test]
    fn the_current_context_is_used() {
        let Selected {
            cluster,
            user,
            namespace,
            ..
        } = selected(&ConnectionFlags::default());
        assert_eq!(cluster.server, Some("https://dev:6443".to_owned()));
        assert!(user.exec.is_some());
        assert_eq!(namespace, Some("web".to_owned()));
    }

    #[test]
    fn context_cluster_and_user_can_be_chosen_one_by_one() {
        let flags = ConnectionFlags {
            context: Some("dev".to_owned()),
            cluster: Some("prod".to_owned()),
            user: Some("amy".to_owned()),
            ..Default::default()
        };
        let Selected {
            cluster,
            user,
            namespace,
            ..
        } = selected(&flags);
        assert_eq!(cluster.server, Some("https://prod:6443".to_owned()));
        assert_eq!(user.token.unwrap().expose_secret(), "amys");
        assert_eq!(namespace, Some("web".to_owned()));
    }

    #[test]
    fn a_token_is_instead_of_every_other_credential() {
        let Selected { user, .. } = selected(&ConnectionFlags {
            token: Some("secret".to_owned()),
            ..Default::default()
        });
        assert_eq!(user.token.as_ref().unwrap().expose_secret(), "secret");
        let rest = AuthInfo {
            token: None,
            ..user
        };
        assert_eq!(
            serde_json::to_value(rest).unwrap(),
            serde_json::to_value(AuthInfo::default()).unwrap()
        );
    }

    #[test]
    fn a_server_and_a_token_need_no_kubeconfig() {
        let flags = ConnectionFlags {
            server: Some("https://other:1".to_owned()),
            token: Some("secret".to_owned()),
            ..Default::default()
        };
        let selected = select(&Kubeconfig::default(), &flags).unwrap();
        assert_eq!(selected.cluster.server, Some("https://other:1".to_owned()));
        assert!(selected.user.token.is_some());
    }

    #[test]
    fn not_checking_the_certificate_drops_the_certificate_authority() {
        let Selected { cluster, .. } = selected(&ConnectionFlags {
            insecure_skip_tls_verify: Some(true),
            ..Default::default()
        });
        assert_eq!(cluster.certificate_authority_data, None);
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
    }

    #[test]
    fn a_certificate_authority_file_goes_before_the_data_of_the_kubeconfig() {
        let Selected { cluster, .. } = selected(&ConnectionFlags {
            certificate_authority: Some("ca.crt".to_owned()),
            ..Default::default()
        });
        assert_eq!(cluster.certificate_authority_data, None);
        assert_eq!(cluster.certificate_authority, Some("ca.crt".to_owned()));
    }

    #[test]
    fn impersonating_another_leaves_out_the_groups_of_the_one_in_the_kubeconfig() {
        let flags = ConnectionFlags {
            context: Some("prod".to_owned()),
            as_user: Some("bob".to_owned()),
            ..Default::default()
        };
        let Selected { user, .. } = selected(&flags);
        assert_eq!(user.impersonate, Some("bob".to_owned()));
        assert_eq!(user.impersonate_groups, None);
        assert!(user.token.is_some());
    }

    #[test]
    fn a_server_without_a_scheme_is_asked_over_tls_where_tls_is_configured() {
        let Selected { cluster, .. } = selected(&ConnectionFlags {
            server: Some("other:1".to_owned()),
            ..Default::default()
        });
        assert_eq!(cluster.server, Some("https://other:1".to_owned()));
        let flags = ConnectionFlags {
            server: Some("other:1".to_owned()),
            ..Default::default()
        };
        let selected = select(&Kubeconfig::default(), &flags).unwrap();
        assert_eq!(selected.cluster.server, Some("http://other:1".to_owned()));
    }

    fn refused(flags: &ConnectionFlags) -> String {
        select(&two(), flags).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = refused(&ConnectionFlags {
            context: Some("tset".to_owned()),
            ..Default::default()
        });
        assert!(
            message.starts_with("context tset does not exist"),
            "{message}"
        );
        let message = refused(&ConnectionFlags {
            cluster: Some("tset".to_owned()),
            ..Default::default()
        });
        assert!(
            message.starts_with("cluster tset does not exist"),
            "{message}"
        );
        let message = refused(&ConnectionFlags {
            user: Some("tset".to_owned()),
            ..Default::default()
        });
        assert!(
            message.starts_with("auth info tset does not exist"),
            "{message}"
        );
        let message = select(&Kubeconfig::default(), &ConnectionFlags::default())
            .unwrap_err()
            .to_string();
        assert!(message.contains("no current context"), "{message}");
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        let both = ConnectionFlags {
            token: Some("t".to_owned()),
            username: Some("u".to_owned()),
            password: Some("p".to_owned()),
            ..Default::default()
        };
        assert!(refused(&both).contains("either --token"));
        let half = ConnectionFlags {
            client_key: Some("k".to_owned()),
            ..Default::default()
        };
        assert_eq!(refused(&half), "--client-key needs --client-certificate");
        let checked = ConnectionFlags {
            certificate_authority: Some("ca".to_owned()),
            insecure_skip_tls_verify: Some(true),
            ..Default::default()
        };
        assert!(refused(&checked).contains("either --certificate-authority"));
        let nobody = ConnectionFlags {
            as_group: vec!["g".to_owned()],
            ..Default::default()
        };
        assert!(refused(&nobody).contains("need --as"));
    }

    #[test]
    fn of_several_files_the_first_wins_missing_ones_are_passed_over_and_paths_are_relative_to_the_file()
     {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "one",
            "current-context: ''\nusers: [{name: jane, user: {tokenFile: jane.token}}]\n",
        );
        write(
            "two",
            "current-context: dev\nusers: [{name: jane, user: {token: other}}]\n",
        );
        let files = ["one", "gone", "two"].map(|name| dir.path().join(name));
        let joined = std::env::join_paths(&files).unwrap();
        let read = merge(usual_files(Some(joined))).unwrap().kubeconfig;
        assert_eq!(read.current_context, Some("dev".to_owned()));
        let jane = read.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(
            jane.token_file,
            Some(dir.path().join("jane.token").to_string_lossy().into_owned())
        );
        assert!(jane.token.is_none());
    }

    // P3
    #[test]
    fn the_one_file_of_the_environment_is_named_in_lines_and_several_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, "").unwrap();
        let one = |paths: &[&Path]| one_file(Some(std::env::join_paths(paths).unwrap()));
        assert_eq!(one(&[&file]), Some(file.clone()));
        assert_eq!(one(&[Path::new(""), &file]), Some(file.clone()));
        assert_eq!(one(&[&file, &file]), None);
        assert_eq!(one(&[&dir.path().join("gone")]), None);
        assert_eq!(one_file(None), None);
    }

    #[test]
    fn a_file_that_the_flag_names_must_be_there() {
        let message = read(Some(Path::new("/nowhere/config")))
            .err()
            .unwrap()
            .to_string();
        assert_eq!(message, "--kubeconfig: there is no file /nowhere/config");
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, "users: 3").unwrap();
        let message = read(Some(&path)).err().unwrap().to_string();
        assert!(
            message.starts_with(&format!("cannot load the kubeconfig {}", path.display())),
            "{message}"
        );
    }
}
