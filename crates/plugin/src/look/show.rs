//! `kubectl request show`: what an approver reads, and where the request stands.

use std::io;

use clap::Args;

use crate::answer::named::BadName;
use crate::cluster::{Cluster, ClusterError};
use crate::describe::{history, reading, summary};
use crate::terminal::lines::Hint;
use crate::terminal::output::{self, ObjectFormat};
use crate::terminal::{Terminal, kubectl};
use decide::rules::is_name;
use decide::text::{safe, safe_word};

const EXAMPLES: &str = "\
Examples:
  # What would be approved, in words
  kubectl request show access-exec-jane-x4k2z

  # The whole object
  kubectl request show access-exec-jane-x4k2z -o yaml";

/// What `show` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// Name of the request
    pub request: String,
    /// Print the object instead
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
}

/// Why a request was not shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Not the name of any request.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// The request could not be printed.
    #[error("cannot print the request")]
    Print(#[from] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// What a plugin of a later version would show.
fn unknown_fields(fields: &[String]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let fields: Vec<String> = fields.iter().map(|field| safe_word(field)).collect();
    format!(
        "IT ALSO SETS {}, which this version of the plugin does not know: do not grant it by what is shown here.\n",
        fields.join(", ")
    )
}

/// Shows one request.
///
/// # Errors
/// When there is none of that name, or the server cannot be asked.
pub async fn run(
    args: ShowArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), ShowError> {
    if !is_name(&args.request) {
        return Err(BadName::of(&args.request, cluster).into());
    }
    let whole = cluster.whole(&args.request).await?;
    let unknown = whole.unknown();
    let request = whole.request;
    let text = match args.output {
        None => {
            // Whoever may not see the answers reads what the status says.
            let grants = cluster.grants_of(&args.request).await.unwrap_or_default();
            // A line that is typed stands on a row of its own, whole.
            let lost = if history::is_lost(&request) {
                let line = kubectl::told(cluster, Hint::AgainAfterLoss, &args.request);
                format!("\nTo ask again for what was lost: {line}\n")
            } else {
                String::new()
            };
            let standing = summary::standing(&request, &grants, &terminal.now, terminal.draws());
            let read = reading::summary(&request, None, cluster, terminal).await;
            // Right above it, where an approver ends to read.
            let unknown = unknown_fields(&unknown);
            format!("{standing}{lost}\n{read}{unknown}")
        }
        Some(ObjectFormat::Name) => format!(
            "accessrequest.{}/{}\n",
            api::objects::GROUP,
            safe(&args.request)
        ),
        Some(ObjectFormat::Json) => output::json(&output::value_of(&request)?)?,
        Some(ObjectFormat::Yaml) => output::yaml(&output::value_of(&request)?),
    };
    Ok(write!(terminal.out, "{text}")?)
}
