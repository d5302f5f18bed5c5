//! `kubectl request list`: the requests there are, and where they stand.

use std::collections::HashMap;
use std::io;
use std::pin::pin;

use api::{AccessRequest, Phase, UserInfo};
use clap::Args;
use futures::StreamExt as _;
use jiff::SignedDuration;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::ask::waiting::MAX_ERRORS;
use crate::cluster::fields::Fields;
use crate::cluster::{Cluster, ClusterError, Me, Which};
use crate::look::printer::{self, ListFormat, Manner, PrintError, Printer};
use crate::terminal::Terminal;
use crate::terminal::table::Table;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # What waits for a grant in this namespace
  kubectl request list

  # Everywhere, with the whole commands, and identical requests a line each
  kubectl request list -A -o wide

  # What I asked for; what waits; what policies for emergencies granted and nobody has reviewed; what somebody asked for
  kubectl request list --mine
  kubectl request list --pending
  kubectl request list --unreviewed -A
  kubectl request list --requester jane

  # As it changes
  kubectl request list --pending --watch

In a table, what looks like a password is masked; 'show' and '-o yaml' have it whole.";

/// What `list` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct ListArgs {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only those that I asked for
    #[arg(long)]
    pub mine: bool,
    /// Only those that wait for a grant
    #[arg(long)]
    pub pending: bool,
    /// Only emergencies that nobody has reviewed yet
    #[arg(long)]
    pub unreviewed: bool,
    /// Only those that this user asked for
    #[arg(long = "requester", visible_alias = "by", value_name = "USER")]
    pub requester: Option<String>,
    /// Only those with these labels, as kubectl get does
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Go on, and print each that changes
    #[arg(short, long)]
    pub watch: bool,
    /// How to print them: "wide" is the table with nothing cut or put together
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: ListFormat,
}

/// Why nothing was listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The requests could not be printed.
    #[error(transparent)]
    Print(#[from] PrintError),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Lists the requests.
///
/// # Errors
/// When the server refuses to tell, or cannot be asked.
pub async fn run(
    args: ListArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), ListError> {
    let filter = Filter::of(&args, cluster).await?;
    let mut pages = cluster.list(Which {
        everywhere: args.all_namespaces,
        labels: args.selector.clone(),
        fields: filter.fields(&args, cluster).await?,
    });
    let mut printer = Printer::new(Manner {
        format: args.output,
        namespaces: args.all_namespaces,
        goes_on: args.watch,
        place: place(&args, cluster),
        nothing: nothing(&args, cluster),
    });
    let mut seen = HashMap::new();
    while let Some(page) = pages.next().await? {
        for other in page.others {
            let name = |name: Option<String>| safe_word(&name.unwrap_or_default());
            let (namespace, name) = (name(other.namespace), name(other.name));
            writeln!(
                terminal.err,
                "accessrequest {name} of namespace {namespace} is not understood, and not listed"
            )?;
        }
        let mut requests: Vec<_> = page.understood.into_iter().map(|one| one.request).collect();
        requests.retain(|request| filter.takes(request));
        if args.watch {
            seen.extend(requests.iter().filter_map(version));
        }
        printer.print(requests, pages.is_over(), terminal)?;
    }
    let fields = pages.chosen_by().cloned();
    let table = printer.end(terminal)?;
    if args.watch {
        let watched = (cluster, fields.as_ref());
        watch(&args, &filter, table, seen, watched, terminal).await
    } else {
        Ok(())
    }
}

/// Which requests are listed.
struct Filter {
    mine: Whose,
    pending: bool,
    unreviewed: bool,
    requester: Option<String>,
}

/// Whose requests are listed.
enum Whose {
    Anybodys,
    Hers(Me),
    /// The API server does not say who we are.
    Nobodys,
}

impl Filter {
    async fn of(args: &ListArgs, cluster: &Cluster) -> Result<Self, ClusterError> {
        let mine = if args.mine {
            cluster.me().await?.map_or(Whose::Nobodys, Whose::Hers)
        } else {
            Whose::Anybodys
        };
        let (pending, unreviewed) = (args.pending, args.unreviewed);
        Ok(Self {
            mine,
            pending,
            unreviewed,
            requester: args.requester.clone(),
        })
    }

    /// As far as the API server can choose.
    async fn fields(
        &self,
        args: &ListArgs,
        cluster: &Cluster,
    ) -> Result<Vec<Fields>, ClusterError> {
        let mut among = Fields::default();
        if self.pending {
            among = among.in_phase(&[Phase::Pending]);
        }
        if let Some(requester) = &self.requester {
            among = among.of(requester);
        }
        if let Whose::Hers(me) = &self.mine {
            let ours = cluster.fields_of(me, args.all_namespaces, &among).await?;
            return Ok(ours.unwrap_or_default());
        }
        Ok(among.text().map(|_| among).into_iter().collect())
    }

    fn takes(&self, request: &AccessRequest) -> bool {
        let user = request
            .spec
            .user_info
            .as_ref()
            .map(UserInfo::name)
            .unwrap_or_default();
        let mine = match &self.mine {
            Whose::Anybodys => true,
            Whose::Hers(me) => me.is(user, request),
            Whose::Nobodys => false,
        };
        let pending = !self.pending || request.phase() == Phase::Pending;
        let unreviewed = !self.unreviewed || request.is_unreviewed();
        mine && pending
            && unreviewed
            && self
                .requester
                .as_deref()
                .is_none_or(|wanted| wanted == user)
    }
}

/// Prints each request that is not as it was `seen`, until the API server is silent for too long.
async fn watch(
    args: &ListArgs,
    filter: &Filter,
    table: Option<Table>,
    mut seen: HashMap<String, String>,
    (cluster, fields): (&Cluster, Option<&Fields>),
    terminal: &mut Terminal<'_>,
) -> Result<(), ListError> {
    let began = (Instant::now(), terminal.now.timestamp());
    let labels = args.selector.as_deref();
    let mut changes = pin!(cluster.watch_requests(args.all_namespaces, labels, fields));
    let mut errors: u32 = 0;
    while let Some(change) = changes.next().await {
        match change {
            Ok(None) => errors = 0,
            Ok(Some(request)) => {
                let Some((uid, version)) = version(&request).filter(|_| filter.takes(&request))
                else {
                    continue;
                };
                if seen.insert(uid, version.clone()).as_ref() == Some(&version) {
                    continue;
                }
                let elapsed = SignedDuration::try_from(began.0.elapsed()).unwrap_or_default();
                let now = began.1.checked_add(elapsed).unwrap_or(began.1);
                let text = match &table {
                    Some(table) => table.line(&request, now),
                    None => printer::object(&request, args.output).map_err(PrintError::from)?,
                };
                write!(terminal.out, "{text}")?;
                terminal.out.flush()?;
            }
            Err(error) => {
                errors = errors.saturating_add(1);
                if errors >= MAX_ERRORS || error.is_about_us() {
                    return Err(error.into());
                }
            }
        }
    }
    Ok(())
}

/// By which a request is known, and by which it is seen to be another than before.
fn version(request: &AccessRequest) -> Option<(String, String)> {
    request.uid().zip(request.resource_version())
}

fn place(args: &ListArgs, cluster: &Cluster) -> String {
    let context = safe_word(&cluster.context);
    if args.all_namespaces {
        format!("cluster {context}, all namespaces")
    } else {
        format!(
            "cluster {context}, namespace {}",
            safe_word(&cluster.namespace)
        )
    }
}

fn nothing(args: &ListArgs, cluster: &Cluster) -> String {
    let filtered = args.mine
        || args.pending
        || args.unreviewed
        || args.requester.is_some()
        || args.selector.is_some();
    let what = if filtered {
        "no such requests"
    } else {
        "no requests"
    };
    if args.all_namespaces {
        format!("{what} in any namespace")
    } else {
        format!("{what} in namespace {}", safe_word(&cluster.namespace))
    }
}
