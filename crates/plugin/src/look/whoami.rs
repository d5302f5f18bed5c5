//! `kubectl request whoami`: who the API server takes us for, and what we may do here.

use std::fmt::Write as _;
use std::io;

use clap::{Args, ValueEnum};
use k8s_openapi::api::authentication::v1::UserInfo;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterError};
use crate::terminal::Terminal;
use crate::terminal::output;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Under which name do I ask, and may I grant here?
  kubectl request whoami

  # For a script
  kubectl request whoami -n shop -o json";

type Right = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

/// What is asked of the API server: the name in JSON, in words, and verb, group, resource and
/// subresource.
const RIGHTS: [Right; 3] = [
    (
        "createAccessRequests",
        "Asks",
        "create",
        api::objects::GROUP,
        "accessrequests",
        None,
    ),
    (
        "createAccessGrants",
        "Answers",
        "create",
        api::objects::GROUP,
        "accessgrants",
        None,
    ),
    (
        "createPodsExec",
        "Execs",
        "create",
        "",
        "pods",
        Some("exec"),
    ),
];

/// What `whoami` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WhoamiArgs {
    /// Print it as an object
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<WhoamiFormat>,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhoamiFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Why it is not told.
#[derive(Debug, thiserror::Error)]
pub enum WhoamiError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It could not be printed.
    #[error("cannot print who you are")]
    Print(#[from] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Prints it.
///
/// # Errors
/// When the server refuses to tell, or cannot be asked.
pub async fn run(
    args: &WhoamiArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), WhoamiError> {
    let user = cluster.user_info().await?;
    let mut rights = Vec::new();
    for (key, label, verb, group, resource, sub) in RIGHTS {
        rights.push((key, label, cluster.may(verb, group, resource, sub).await?));
    }
    let text = match args.output {
        None => words(&user, &rights, cluster),
        Some(WhoamiFormat::Json) => output::json(&object(&user, &rights, cluster))?,
        Some(WhoamiFormat::Yaml) => output::yaml(&object(&user, &rights, cluster)),
    };
    Ok(write!(terminal.out, "{text}")?)
}

type Rights = [(&'static str, &'static str, bool)];

fn words(user: &UserInfo, rights: &Rights, cluster: &Cluster) -> String {
    let groups: Vec<String> = user
        .groups
        .iter()
        .flatten()
        .map(|group| safe_word(group))
        .collect();
    let groups = if groups.is_empty() {
        "(none)".to_owned()
    } else {
        groups.join(", ")
    };
    let (context, namespace) = (safe_word(&cluster.context), safe_word(&cluster.namespace));
    let mut text = format!(
        "User         {}\nGroups       {groups}\nCluster      {context}\nNamespace    {namespace}\n",
        safe_word(user.username.as_deref().unwrap_or_default()),
    );
    for (_, label, may) in rights {
        let told = match (*label, *may) {
            ("Asks", true) => "yes: may file requests here",
            ("Asks", false) => "no: may not create accessrequests here",
            ("Answers", true) => "yes: may grant and deny requests here, but never your own",
            ("Answers", false) => "no: may not create accessgrants here",
            (_, true) => "yes: may create pods/exec here, each time as far as it is granted",
            (_, false) => "no: may not create pods/exec here",
        };
        // Writing to a String cannot fail.
        let _: std::fmt::Result = writeln!(text, "{label:12} {told}");
    }
    text
}

fn object(user: &UserInfo, rights: &Rights, cluster: &Cluster) -> Value {
    let may: serde_json::Map<String, Value> = rights
        .iter()
        .map(|(key, _, may)| ((*key).to_owned(), json!(may)))
        .collect();
    json!({"userInfo": user, "context": cluster.context, "namespace": cluster.namespace, "may": may})
}
