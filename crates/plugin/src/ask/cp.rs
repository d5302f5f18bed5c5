//! `kubectl request cp`: files a request to copy files into or out of a container.
//!
//! Copying into a container is two commands, of which the second depends on what the first finds
//! out. So the directory in which files are unpacked is fixed here, where whoever asks can say what
//! she means.

use api::objects::Copy as Wish;
use api::{AccessRequestSpec, CopyDirection, ExecOptions};
use clap::Args;
use decide::attempt::Door;
use decide::copy;

use crate::ask::{self, Ask, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::target::place;
use crate::target::{Target, TargetError};
use crate::terminal::Terminal;
use crate::terminal::exit;
use crate::terminal::kubectl::Next;
use crate::terminal::words::Words;
use decide::rules::is_name;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Ask to copy a file out of a pod
  kubectl request cp postgres-0:/var/log/postgres.log ./postgres.log

  # Into a pod, under another name: files are unpacked in /srv/app
  kubectl request cp ./notes.txt web-0:/srv/app/notes-2.txt -c web

  # Into a directory that is there: files are unpacked in /srv/app too
  kubectl request cp ./notes.txt web-0:/srv/app/

kubectl looks whether the path is a directory in the container, and unpacks in it or else beside it. A request names \
one of the two: with a '/' at the end of the path, or --into-directory, the path itself; without, the directory that \
it is in. Whoever copies there can write ANY file below it. Once somebody grants the request, the same 'kubectl cp' \
works.";

/// What `cp` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct CpArgs {
    /// What is copied: a local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where to: a local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "DST")]
    pub destination: String,
    /// The container [default: the pod's annotation kubectl.kubernetes.io/default-container, or the
    /// first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Into a pod: leave owners and permissions behind
    #[arg(long)]
    pub no_preserve: bool,
    /// Into a pod: the path is a directory that is there, as with a '/' at its end
    #[arg(long)]
    pub into_directory: bool,
    /// Refused: kubectl then runs another command
    #[arg(
        long,
        value_name = "COUNT",
        allow_hyphen_values = true,
        default_value_t = 0,
        hide = true
    )]
    pub retries: i32,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// Why something cannot be copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Not the form that kubectl wants, in its words.
    #[error("filespec must match the canonical format: [[namespace/]pod:]file/path")]
    Format,
    /// From pod to pod, in kubectl's words.
    #[error("one of src or dest must be a local file specification")]
    NoneLocal,
    /// From here to here, in kubectl's words.
    #[error("one of src or dest must be a remote file specification")]
    NoneRemote,
    /// No path, in kubectl's words.
    #[error("filepath can not be empty")]
    NoPath,
    /// A path that kubectl would send with a slash at its end.
    #[error("{}: end the path in the pod with one '/' at most", safe_word(path))]
    Slashes {
        /// The path.
        path: String,
    },
    /// kubectl would unpack it in the parent of the parent.
    #[error(
        "{}: name the directory itself, for kubectl unpacks '..' elsewhere than it says",
        safe_word(path)
    )]
    ParentAsSource {
        /// The local path.
        path: String,
    },
    /// `--into-directory` where nothing is copied into a pod.
    #[error("--into-directory says where files are unpacked in a pod: leave it out")]
    IntoHere,
    /// `--retries`.
    #[error(
        "--retries makes kubectl run another command, with sh -c, which a request to copy is not for: leave it out, \
         here and with kubectl cp"
    )]
    Retries,
}

impl From<CopyError> for AskError {
    fn from(error: CopyError) -> Self {
        Self::Verb(Box::new(error))
    }
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    source: String,
    destination: String,
    namespace: Option<String>,
    pod: String,
    container: Option<String>,
    copy: Wish,
    note: Option<String>,
    terms: Terms,
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When there is not one side here and one in a pod, or a path, duration or key is none.
    pub fn check(args: CpArgs) -> Result<Self, AskError> {
        if args.retries != 0 {
            return Err(CopyError::Retries.into());
        }
        let (source, destination) = (Side::parse(&args.source)?, Side::parse(&args.destination)?);
        if source.path().is_empty() || destination.path().is_empty() {
            return Err(both_remote(&source, &destination)
                .unwrap_or(CopyError::NoPath)
                .into());
        }
        let (there, copy, note) = match (&source, &destination) {
            (Side::Pod(_), Side::Pod(_)) => return Err(CopyError::NoneLocal.into()),
            (Side::Here(_), Side::Here(_)) => return Err(CopyError::NoneRemote.into()),
            (Side::Pod(_), Side::Here(_)) if args.into_directory => {
                return Err(CopyError::IntoHere.into());
            }
            (Side::Pod(from), Side::Here(_)) => (from, out_of(from)?, None),
            (Side::Here(local), Side::Pod(to)) => {
                let (copy, note) = into(local, to, args.into_directory, args.no_preserve)?;
                (to, copy, Some(note))
            }
        };
        let namespace = there.namespace.map(str::to_owned);
        let (pod, terms, container) = (there.pod.to_owned(), args.asking.check()?, args.container);
        let (source, destination) = (args.source.clone(), args.destination.clone());
        Ok(Self {
            source,
            destination,
            namespace,
            pod,
            container,
            copy,
            note,
            terms,
        })
    }

    fn words(&self, container: &str) -> Vec<String> {
        let words = Words::of("cp").plain([&self.source, &self.destination]);
        let words = words.value("--container", Some(container));
        words
            .flag(self.copy.no_preserve == Some(true), "--no-preserve")
            .command(&[])
    }
}

fn both_remote(source: &Side<'_>, destination: &Side<'_>) -> Option<CopyError> {
    matches!((source, destination), (Side::Pod(_), Side::Pod(_))).then_some(CopyError::NoneLocal)
}

/// One side of a copy.
enum Side<'a> {
    Here(&'a str),
    Pod(Remote<'a>),
}

/// A path in a pod, as it was typed.
struct Remote<'a> {
    namespace: Option<&'a str>,
    pod: &'a str,
    path: &'a str,
}

impl<'a> Side<'a> {
    fn parse(text: &'a str) -> Result<Self, AskError> {
        let Some((place, path)) = text.split_once(':') else {
            return Ok(Self::Here(text));
        };
        let (namespace, pod) = match place.split('/').collect::<Vec<_>>().as_slice() {
            [""] => return Err(CopyError::Format.into()),
            [pod] => (None, *pod),
            [namespace, pod] => (
                Some(*namespace).filter(|namespace| !namespace.is_empty()),
                *pod,
            ),
            _ => return Err(CopyError::Format.into()),
        };
        if !is_name(pod) || !namespace.is_none_or(is_name) {
            return Err(TargetError::BadName {
                text: place.to_owned(),
            }
            .into());
        }
        Ok(Self::Pod(Remote {
            namespace,
            pod,
            path,
        }))
    }

    fn path(&self) -> &str {
        match self {
            Self::Here(path) => path,
            Self::Pod(remote) => remote.path,
        }
    }
}

fn out_of(from: &Remote<'_>) -> Result<Wish, CopyError> {
    let copy = Wish {
        direction: CopyDirection::From,
        path: copy::sent(from.path),
        directory: None,
        no_preserve: None,
    };
    checked(copy, from)
}

/// What is copied into a pod, and how the directory was chosen.
fn into(
    local: &str,
    to: &Remote<'_>,
    into_directory: bool,
    no_preserve: bool,
) -> Result<(Wish, String), CopyError> {
    let path = copy::sent(to.path);
    let (beside, inside) = (copy::parent(&path), copy::clean(&path));
    let shown = safe_word(&path);
    let (directory, why) = match base(local) {
        ".." => {
            return Err(CopyError::ParentAsSource {
                path: local.to_owned(),
            });
        }
        // kubectl joins the name of what it sends to the path, and this one adds nothing.
        "." | "" => (beside, format!("as kubectl does for {}", safe_word(local))),
        _ if into_directory || names_directory(to.path) => (
            inside,
            format!(
                "{shown} being a directory there: if it is not, name it without '/' at its end"
            ),
        ),
        _ => (
            beside,
            format!(
                "{shown} being no directory there: if it is one, end it with '/' or say --into-directory"
            ),
        ),
    };
    let note = format!("files are unpacked in {}, {why}", safe_word(&directory));
    let copy = Wish {
        direction: CopyDirection::To,
        path,
        directory: Some(directory),
        no_preserve: no_preserve.then_some(true),
    };
    Ok((checked(copy, to)?, note))
}

fn checked(copy: Wish, there: &Remote<'_>) -> Result<Wish, CopyError> {
    if api::convert::copy_of(&copy, None).is_consistent() {
        Ok(copy)
    } else {
        Err(CopyError::Slashes {
            path: there.path.to_owned(),
        })
    }
}

/// The last part of a local path; empty for the root.
fn base(local: &str) -> &str {
    let trimmed = local.trim_end_matches(std::path::is_separator);
    trimmed
        .rsplit(std::path::is_separator)
        .next()
        .unwrap_or(trimmed)
}

/// Whether a path says by itself that it is a directory.
fn names_directory(path: &str) -> bool {
    matches!(path.rsplit(['/', '\\']).next(), Some("" | "." | ".."))
}

/// Files the request.
///
/// # Errors
/// When the pod is not there, or the server refuses.
pub async fn run(
    order: Order,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let elsewhere = order
        .namespace
        .as_deref()
        .filter(|namespace| *namespace != cluster.namespace);
    let elsewhere = elsewhere.map(|namespace| cluster.in_namespace(namespace));
    let cluster = elsewhere.as_ref().unwrap_or(cluster);
    let place = place::find(
        cluster,
        &Target::Pod(order.pod.clone()),
        order.terms.pin_pod,
        Door::Exec,
    )
    .await?;
    let container = ask::told(place.container(order.container.as_deref())?, terminal)?;
    if let Some(note) = &order.note {
        writeln!(terminal.err, "{note}")?;
    }
    if let Some(elsewhere) = &elsewhere {
        writeln!(
            terminal.err,
            "the request is in namespace {}, where the pod is",
            elsewhere.namespace
        )?;
    }
    let words = Some(order.words(&container));
    let command = api::convert::copy_of(&order.copy, None).command();
    let stdin = order.copy.direction == CopyDirection::To;
    let spec = AccessRequestSpec {
        exec_options: Some(ExecOptions::new(Some(container), command, stdin, false)),
        copy: Some(order.copy),
        ..ask::through(Door::Exec, &place)
    };
    order
        .terms
        .file(
            Ask {
                verb: "cp",
                spec,
                words,
            },
            cluster,
            terminal,
        )
        .await
}
