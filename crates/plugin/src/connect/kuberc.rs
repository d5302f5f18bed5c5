//! kuberc, the user's preferences for kubectl (KEP-3104): which login plugins may run
//! (`credentialPluginPolicy`, kubectl 1.35), and which connection flags kubectl would add by itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::program::on_the_path;
use decide::text::{safe, safe_word};

/// The versions that kubectl reads; it passes over others.
const VERSIONS: [&str; 3] = [
    "kubectl.config.k8s.io/v1",
    "kubectl.config.k8s.io/v1beta1",
    "kubectl.config.k8s.io/v1alpha1",
];

/// kubectl's flags that lead to another server, or to it as somebody else. The context and the
/// namespace are always given.
const LEADING: [&str; 15] = [
    "as",
    "as-group",
    "as-uid",
    "as-user-extra",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "cluster",
    "insecure-skip-tls-verify",
    "kubeconfig",
    "password",
    "server",
    "tls-server-name",
    "token",
    "user",
];

/// Which login plugins may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginPolicy {
    /// Each.
    AllowAll,
    /// None; why.
    DenyAll(String),
    /// Those of these names and paths.
    Allowlist(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preference {
    #[serde(default)]
    defaults: Vec<CommandDefaults>,
    #[serde(default)]
    credential_plugin_policy: String,
    credential_plugin_allowlist: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    /// Deprecated by kubectl for `command`.
    name: Option<String>,
    command: Option<String>,
}

#[derive(Deserialize)]
struct CommandDefaults {
    command: String,
    /// `flags` in the first version.
    #[serde(default, alias = "flags")]
    options: Vec<CommandOption>,
}

#[derive(Deserialize)]
struct CommandOption {
    name: String,
}

/// The connection flags that kuberc has kubectl add to this verb. Where it is not understood, kubectl
/// says so itself.
pub fn connection_defaults(flag: Option<&Path>, verb: &str) -> Vec<String> {
    let text = file(flag).and_then(|(path, _)| std::fs::read_to_string(path).ok());
    text.map(|text| connection_defaults_of(&text, verb))
        .unwrap_or_default()
}

fn connection_defaults_of(text: &str, verb: &str) -> Vec<String> {
    let Ok(Some(preference)) = preference(text) else {
        return Vec::new();
    };
    let is_for = |one: &&CommandDefaults| one.command.split_whitespace().next() == Some(verb);
    let names = preference.defaults.iter().filter(is_for);
    names
        .flat_map(|one| &one.options)
        .map(|option| option.name.trim_start_matches('-'))
        .filter(|name| LEADING.contains(name) || *name == "s")
        .map(|name| format!("--{name}"))
        .collect()
}

/// The first document that kubectl would take. `None`: there is nothing in the file.
fn preference(text: &str) -> Result<Option<Preference>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| safe(&error.to_string()))?;
    let is_preference = |document: &&Value| {
        let field = |name| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        field("kind") == "Preference" && VERSIONS.contains(&field("apiVersion"))
    };
    match documents.iter().find(is_preference) {
        Some(document) => serde_json::from_value(document.clone())
            .map(Some)
            .map_err(|error| safe(&error.to_string())),
        None if documents.iter().all(Value::is_null) => Ok(None),
        None => Err(format!(
            "no document of it is a Preference of {}",
            VERSIONS.join(", ")
        )),
    }
}

/// kuberc where kubectl reads it, and whether somebody named it. `None`: it is switched off.
fn file(flag: Option<&Path>) -> Option<(PathBuf, bool)> {
    let given = flag.filter(|path| !path.as_os_str().is_empty());
    let variable = std::env::var_os("KUBERC").filter(|value| !value.is_empty());
    let disabled = std::env::var("KUBECTL_KUBERC").is_ok_and(|value| value == "false");
    if disabled {
        return None;
    }
    place(given, variable, std::env::home_dir())
}

impl PluginPolicy {
    /// Reads kuberc where kubectl reads it: `--kuberc`, `KUBERC`, `~/.kube/kuberc`. One that is there
    /// and not understood lets no plugin run: it may forbid it.
    pub fn read(flag: Option<&Path>) -> Self {
        match file(flag) {
            None => Self::AllowAll,
            Some((path, named)) => Self::of_file(&path, named),
        }
    }

    fn of_file(path: &Path, named: bool) -> Self {
        let shown = safe(&path.to_string_lossy());
        match std::fs::read_to_string(path) {
            Ok(text) => Self::of_text(&text)
                .unwrap_or_else(|why| Self::DenyAll(format!("{shown} is not understood: {why}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Self::AllowAll,
            Err(error) => Self::DenyAll(format!("{shown} cannot be read: {error}")),
        }
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let Some(preference) = preference(text)? else {
            return Ok(Self::AllowAll);
        };
        let list = preference.credential_plugin_allowlist;
        match (preference.credential_plugin_policy.as_str(), list) {
            ("" | "AllowAll", None) => Ok(Self::AllowAll),
            ("DenyAll", None) => Ok(Self::DenyAll("policy set to \"DenyAll\"".to_owned())),
            ("" | "AllowAll" | "DenyAll", Some(_)) => {
                Err("credentialPluginAllowlist needs credentialPluginPolicy: Allowlist".to_owned())
            }
            ("Allowlist", Some(list)) if !list.is_empty() => {
                let entries = list.into_iter().map(|entry| {
                    let named = entry.command.or(entry.name);
                    named.filter(|named| !named.is_empty()).ok_or_else(|| {
                        "an entry of credentialPluginAllowlist names no command".to_owned()
                    })
                });
                entries.collect::<Result<_, _>>().map(Self::Allowlist)
            }
            ("Allowlist", _) => Err("credentialPluginAllowlist is empty".to_owned()),
            (unknown, _) => Err(format!(
                "credentialPluginPolicy {} is not known",
                safe_word(unknown)
            )),
        }
    }

    /// Why a plugin may not run; `resolved` is the file that would.
    pub fn forbids(&self, command: &str, resolved: &Path) -> Option<String> {
        let path = std::env::var_os("PATH");
        match self {
            Self::AllowAll => None,
            Self::DenyAll(why) => Some(why.clone()),
            Self::Allowlist(entries) => {
                let is_allowed = |entry: &String| {
                    entry == command
                        || Path::new(entry) == resolved
                        || on_the_path(entry, path.as_deref()).as_deref() == Some(resolved)
                };
                (!entries.iter().any(is_allowed))
                    .then(|| "it is not in credentialPluginAllowlist of kuberc".to_owned())
            }
        }
    }
}

/// The file, and whether somebody named it. `None`: kuberc is switched off.
fn place(
    flag: Option<&Path>,
    variable: Option<OsString>,
    home: Option<PathBuf>,
) -> Option<(PathBuf, bool)> {
    match (flag, variable) {
        (Some(path), _) => Some((path.to_owned(), true)),
        (None, Some(off)) if off == "off" => None,
        (None, Some(named)) => Some((named.into(), true)),
        (None, None) => Some((home?.join(".kube/kuberc"), false)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEAD: &str = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";

    fn denied() -> PluginPolicy {
        PluginPolicy::DenyAll("policy set to \"DenyAll\"".to_owned())
    }

    // P7
    #[rstest]
    #[case::nothing_said("", Ok(PluginPolicy::AllowAll))]
    #[case::all("credentialPluginPolicy: AllowAll", Ok(PluginPolicy::AllowAll))]
    #[case::none("credentialPluginPolicy: DenyAll", Ok(denied()))]
    #[case::some(
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: aws\n- name: /usr/bin/tsh",
        Ok(PluginPolicy::Allowlist(vec!["aws".to_owned(), "/usr/bin/tsh".to_owned()]))
    )]
    #[case::unknown("credentialPluginPolicy: Perhaps", Err("credentialPluginPolicy Perhaps is not known".to_owned()))]
    #[case::list_alone(
        "credentialPluginAllowlist: [{command: aws}]",
        Err("credentialPluginAllowlist needs credentialPluginPolicy: Allowlist".to_owned())
    )]
    #[case::no_list("credentialPluginPolicy: Allowlist", Err("credentialPluginAllowlist is empty".to_owned()))]
    #[case::empty_entry(
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: \"\"}]",
        Err("an entry of credentialPluginAllowlist names no command".to_owned())
    )]
    fn the_policy_is_read_as_kubectl_reads_it(
        #[case] text: &str,
        #[case] policy: Result<PluginPolicy, String>,
    ) {
        assert_eq!(PluginPolicy::of_text(&format!("{HEAD}{text}\n")), policy);
    }

    #[rstest]
    #[case("just text")]
    #[case("a: [")]
    #[case("kind: Config\napiVersion: v1\n")]
    fn what_is_not_understood_lets_no_plugin_run(#[case] text: &str) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kuberc");
        std::fs::write(&file, text).unwrap();
        let policy = PluginPolicy::of_file(&file, false);
        assert!(matches!(policy, PluginPolicy::DenyAll(_)), "{policy:?}");
    }

    #[test]
    fn a_file_that_is_not_there_forbids_only_where_somebody_named_it() {
        let nowhere = Path::new("/nowhere/kuberc");
        assert_eq!(
            PluginPolicy::of_file(nowhere, false),
            PluginPolicy::AllowAll
        );
        let named = PluginPolicy::of_file(nowhere, true);
        assert!(matches!(named, PluginPolicy::DenyAll(_)), "{named:?}");
    }

    #[test]
    fn the_second_document_counts_where_the_first_is_for_another_version_of_kubectl() {
        let text = format!(
            "apiVersion: other/v1\nkind: Other\n---\n{HEAD}credentialPluginPolicy: DenyAll\n"
        );
        assert_eq!(PluginPolicy::of_text(&text), Ok(denied()));
    }

    // P2
    #[rstest]
    #[case("exec", &["--cluster", "--token"])]
    #[case("attach", &[])]
    #[case("get", &["--server"])]
    fn what_kubectl_would_add_by_itself_is_known(#[case] verb: &str, #[case] flags: &[&str]) {
        let text = format!(
            "{HEAD}defaults:\n- command: exec\n  options: [{{name: cluster, default: prod}}, {{name: stdin, default: 'true'}}, \
             {{name: token, default: x}}]\n- command: get pods\n  options: [{{name: server, default: x}}]\n"
        );
        assert_eq!(connection_defaults_of(&text, verb), flags);
    }

    #[test]
    fn a_version_that_kubectl_does_not_know_is_passed_over() {
        let unknown = "apiVersion: kubectl.config.k8s.io/v9\nkind: Preference\n";
        let text = format!("{unknown}---\n{HEAD}credentialPluginPolicy: DenyAll\n");
        assert_eq!(PluginPolicy::of_text(&text), Ok(denied()));
        assert!(PluginPolicy::of_text(unknown).is_err());
    }

    #[rstest]
    #[case(Some("f"), Some("off"), Some(("f", true)))]
    #[case(None, Some("off"), None)]
    #[case(None, Some("v"), Some(("v", true)))]
    #[case(None, None, Some(("/home/jane/.kube/kuberc", false)))]
    fn the_file_is_where_kubectl_looks_for_it(
        #[case] flag: Option<&str>,
        #[case] variable: Option<&str>,
        #[case] expected: Option<(&str, bool)>,
    ) {
        let found = place(
            flag.map(Path::new),
            variable.map(OsString::from),
            Some("/home/jane".into()),
        );
        assert_eq!(found, expected.map(|(path, named)| (path.into(), named)));
    }

    #[rstest]
    #[case("aws", "/usr/bin/aws", false)]
    #[case("/opt/aws", "/opt/aws", false)]
    #[case("sh", "/tmp/evil/sh", true)]
    #[case("evil", "/usr/bin/evil", true)]
    fn only_what_is_listed_runs(
        #[case] command: &str,
        #[case] resolved: &str,
        #[case] forbidden: bool,
    ) {
        let policy = PluginPolicy::Allowlist(vec!["aws".to_owned(), "/opt/aws".to_owned()]);
        assert_eq!(
            policy.forbids(command, Path::new(resolved)).is_some(),
            forbidden
        );
    }
}
