//! What the verbs that ask have in common: their flags, and how a request is filed and printed.

use std::collections::BTreeMap;
use std::io;

use api::{AccessRequest, AccessRequestSpec, ExecOptions, ForObject, UserInfo};
use clap::{Args, ValueEnum};
use decide::attempt::Door;
use decide::duration::{self, DurationError};
use kube::ResourceExt;

use crate::again::AgainError;
use crate::cluster::{Cluster, ClusterError};
use crate::container::{Choice, ContainerError};
use crate::cp::CopyError;
use crate::debug::DebugError;
use crate::kubectl::{Line, Next};
use crate::output::{self, ObjectFormat};
use crate::place::{Place, PlaceError};
use crate::ports::PortError;
use crate::same;
use crate::secrets;
use crate::stored;
use crate::summary;
use crate::target::TargetError;
use crate::terminal::Terminal;
use crate::waiting::{self, Wait, WaitError, Waiting};
use crate::why;
use api::names::{self, NOBODY};
use decide::text::{safe, safe_word};

/// The label that names who asks, as the original writes it.
pub(crate) const USERNAME_LABEL: &str = "username";

/// The flags of every verb that asks.
#[derive(Debug, Clone, Args)]
pub struct Asking {
    /// Ask for access that lasts, from the moment it is granted: 45s, 90m, 1h30m, at most 12h [default: once]
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: Option<String>,
    /// Why you need it: whoever approves reads it
    #[arg(long)]
    pub reason: Option<String>,
    /// Keys for the cluster's validation, such as ticket=INC-42 (repeatable)
    #[arg(short = 'k', long = "custom-key", value_name = "K=V,…")]
    pub custom_keys: Vec<String>,
    /// Ask on behalf of somebody else (for callers whom the server allows it)
    #[arg(long, value_name = "USER")]
    pub on_behalf_of: Option<String>,
    /// For a workload: ask for one of its running pods instead of whichever it runs
    #[arg(long)]
    pub pin_pod: bool,
    /// File another request even where the same waits or is granted already
    #[arg(long)]
    pub new: bool,
    /// How it is filed.
    #[command(flatten)]
    pub filing: Filing,
    /// Whether it is waited for.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Whether nothing is filed, and the server is asked what would become of it: `why`.
    #[arg(skip)]
    pub explain: bool,
}

/// How a request is filed and printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Filing {
    /// Print the request instead of a sentence
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
    /// Store nothing: "client" only shows what would be sent, "server" lets the server check it
    #[arg(long, value_name = "WHERE", default_value = "none", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: DryRun,
}

/// How far a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is stored.
    None,
    /// It is not sent.
    Client,
    /// It is checked and not stored.
    Server,
}

/// Why no request was filed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The target is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target is not there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// `--valid-for` is not a duration that we take.
    #[error("--valid-for: {0}")]
    ValidFor(#[source] DurationError),
    /// No command.
    #[error("say which command to run: … -- COMMAND [ARGUMENTS…], or ask for any command with --any-command")]
    NoCommand,
    /// A key without a value.
    #[error("--custom-key {}: write it as KEY=VALUE", safe_word(text))]
    CustomKey {
        /// What was typed.
        text: String,
    },
    /// A key with two values.
    #[error("--custom-key: {} is given twice", safe_word(key))]
    CustomKeyTwice {
        /// The key.
        key: String,
    },
    /// `port-forward` was asked for ports that are none.
    #[error(transparent)]
    Port(#[from] PortError),
    /// `debug` was asked for what cannot be asked for.
    #[error(transparent)]
    Debug(#[from] DebugError),
    /// `cp` was asked for what cannot be asked for.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// `again` cannot repeat the request.
    #[error(transparent)]
    Again(#[from] AgainError),
    /// It was not granted, or not waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// `why`, of a server that does not know it.
    #[error(
        "this server cannot explain: it is older than this plugin. Try the command itself: a denial says what is missing"
    )]
    NoExplanation,
    /// `--run` where nothing says what to run.
    #[error(
        "--run: nothing here says what kubectl would run (a command, a port, or the local side of a copy): leave it out"
    )]
    NothingToRun,
    /// `--wait` or `--run` where nothing is filed, or `--run` where the request is printed or somebody else's.
    #[error("{flag} cannot stand with {other}: leave out one of them")]
    Together {
        /// The one.
        flag: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Something between us and the store changed the request.
    #[error(
        "WHAT WAS STORED IS NOT WHAT YOU ASKED FOR: another admission webhook or policy of this cluster changed \
         accessrequest {request} ({differs}). {fate}. Tell whoever runs the cluster",
        differs = differs.join("; ")
    )]
    Altered {
        /// Name of the request.
        request: String,
        /// What differs.
        differs: Vec<String>,
        /// What became of it.
        fate: String,
    },
    /// The request could not be printed.
    #[error("cannot print the request")]
    Print(#[source] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

impl From<ContainerError> for AskError {
    fn from(error: ContainerError) -> Self {
        Self::Place(error.into())
    }
}

impl AskError {
    /// What the API server said, where it was the server who refused or could not be reached.
    pub fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Cluster(said) | Self::Place(PlaceError::Cluster(said)) = self {
            return Some(said);
        }
        None
    }
}

/// The flags, checked.
pub struct Terms {
    valid_for: Option<String>,
    reason: Option<String>,
    custom_keys: Option<BTreeMap<String, String>>,
    on_behalf_of: Option<String>,
    /// Whether a workload stands for one of its running pods.
    pub pin_pod: bool,
    new: bool,
    filing: Filing,
    wait: Option<Wait>,
    explain: bool,
}

/// What a verb asks for.
pub struct Ask {
    /// The verb, for the request's name.
    pub verb: &'static str,
    /// The door and where it leads.
    pub spec: AccessRequestSpec,
    /// What kubectl is run with, as far as that is known.
    pub words: Option<Vec<String>>,
}

impl Asking {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When a duration or a key is none, or flags contradict each other.
    pub fn check(self) -> Result<Terms, AskError> {
        let Self { valid_for, reason, custom_keys: keys, on_behalf_of, pin_pod, new, filing, waiting, explain } = self;
        if let Some(text) = &valid_for {
            duration::parse(text, duration::LONGEST).map_err(AskError::ValidFor)?;
        }
        let custom_keys = custom_keys(&keys)?;
        let wait = waiting.check()?;
        filing.check(wait)?;
        if wait.is_some_and(|wait| wait.run) && on_behalf_of.is_some() {
            return Err(AskError::Together { flag: "--run", other: "--on-behalf-of" });
        }
        Ok(Terms { valid_for, reason, custom_keys, on_behalf_of, pin_pod, new, filing, wait, explain })
    }
}

impl Filing {
    /// Checks that what is waited for is filed, and that nothing else is printed where kubectl prints.
    ///
    /// # Errors
    /// When it is not so.
    pub fn check(self, wait: Option<Wait>) -> Result<(), AskError> {
        let Some(wait) = wait else { return Ok(()) };
        let flag = if wait.run { "--run" } else { "--wait" };
        match (self.dry_run, self.output) {
            (DryRun::Client | DryRun::Server, _) => Err(AskError::Together { flag, other: "--dry-run" }),
            (DryRun::None, Some(_)) if wait.run => Err(AskError::Together { flag, other: "--output" }),
            (DryRun::None, _) => Ok(()),
        }
    }
}

impl Terms {
    /// Whether kubectl runs in the end.
    pub fn runs(&self) -> bool {
        self.wait.is_some_and(|wait| wait.run)
    }

    /// Files a request for what is asked for, or finds the same, and waits for it where that was asked for.
    ///
    /// # Errors
    /// When the server refuses, or cannot be asked; when it was waited for in vain.
    pub async fn file(self, ask: Ask, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<Next, AskError> {
        let user = match &self.on_behalf_of {
            Some(user) => user.clone(),
            None => cluster.whoami().await?.unwrap_or_else(|| NOBODY.to_owned()),
        };
        let username = |user: String| UserInfo { username: Some(user), ..UserInfo::default() };
        let spec = AccessRequestSpec {
            user_info: self.on_behalf_of.map(username),
            valid_for: self.valid_for,
            custom_keys: self.custom_keys,
            reason: self.reason,
            ..ask.spec
        };
        let request = compose(ask.verb, spec, &user, &cluster.namespace);
        if self.explain {
            return why::explain(&request, cluster, terminal).await;
        }
        let order = Order { request, filing: self.filing, wait: self.wait, words: ask.words };
        if self.new || self.filing.dry_run != DryRun::None {
            return Box::pin(order.file(cluster, terminal)).await;
        }
        Box::pin(order.file_or_find(cluster, terminal)).await
    }
}

/// A request that is about to be filed, and what follows.
pub struct Order {
    /// The request.
    pub request: AccessRequest,
    /// How it is filed.
    pub filing: Filing,
    /// Whether it is waited for.
    pub wait: Option<Wait>,
    /// What kubectl is run with, as far as that is known.
    pub words: Option<Vec<String>>,
}

impl Order {
    /// Files the request, and goes on.
    ///
    /// # Errors
    /// When the server refuses, or cannot be asked; when it was waited for in vain.
    pub async fn file(self, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<Next, AskError> {
        self.check(terminal)?;
        if let Some(argument) = secrets::suspect(&self.request.spec) {
            writeln!(terminal.err, "{}", secrets::warning(&argument))?;
        }
        let filed = match self.filing.dry_run {
            DryRun::Client => self.request.clone(),
            DryRun::Server => cluster.create_request(&self.request, true).await?,
            DryRun::None => Box::pin(self.create(cluster)).await?,
        };
        let sentence = format!("created accessrequest {}{}", shown_name(&filed), self.fate());
        self.print(&filed, &sentence, terminal)?;
        if self.may_be_granted_at_once()
            // A watch is a large future.
            && let Some(granted) = Box::pin(waiting::granted_at_once(&filed, cluster)).await
        {
            writeln!(terminal.err, "{}", summary::granted(&granted, &terminal.now))?;
        }
        self.go_on(filed, cluster, terminal).await
    }

    /// Stores the request, and makes sure that what was stored is what was sent; another one is deleted at once.
    async fn create(&self, cluster: &Cluster) -> Result<AccessRequest, AskError> {
        let stored = cluster.create_request(&self.request, false).await?;
        let differs = stored::request_differs(&self.request, &stored);
        if differs.is_empty() {
            return Ok(stored);
        }
        let deleted = cluster.delete_request(&stored).await.is_ok();
        let request = safe_word(&stored.name_any());
        let fate = stored::fate(deleted, "acr", &safe_word(&cluster.namespace), &request);
        Err(AskError::Altered { request, differs, fate })
    }

    /// What is to be done now, behind the name. Whoever waits reads that next.
    fn fate(&self) -> &'static str {
        match self.filing.dry_run {
            DryRun::None if self.wait.is_some() => "",
            DryRun::None => " (please wait for an admin to grant the permission)",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    /// Whether a policy may grant it, which whoever does not wait would not read: all that do want a reason or keys.
    fn may_be_granted_at_once(&self) -> bool {
        let says = self.request.spec.reason.is_some() || self.request.spec.custom_keys.is_some();
        says && self.wait.is_none() && self.filing.dry_run == DryRun::None && self.filing.output.is_none()
    }

    /// The same, unless a request for the same is there.
    async fn file_or_find(self, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<Next, AskError> {
        self.check(terminal)?;
        let Some(found) = same::find(&self.request, cluster, terminal.now.timestamp()).await else {
            return self.file(cluster, terminal).await;
        };
        let sentence = summary::found(&found, &terminal.now);
        self.print(&found, &sentence, terminal)?;
        self.go_on(found, cluster, terminal).await
    }

    /// What must not be found out only after something was filed.
    fn check(&self, terminal: &Terminal<'_>) -> Result<(), AskError> {
        let Some(wait) = self.wait else { return Ok(()) };
        wait.patience(terminal)?;
        if wait.run && self.words.is_none() { Err(AskError::NothingToRun) } else { Ok(()) }
    }

    async fn go_on(
        self,
        filed: AccessRequest,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<Next, AskError> {
        let Some(wait) = self.wait else { return Ok(Next::Done) };
        // Of what is granted already she has read just now.
        if !same::is_granted(&filed) {
            let patience = wait.patience(terminal)?;
            // A watch is a large future.
            let granted = Box::pin(waiting::until_granted(&filed, patience, cluster, terminal)).await?;
            writeln!(terminal.err, "{}", summary::granted(&granted, &terminal.now))?;
        }
        match self.words.map(|words| Line::new(words, cluster)) {
            Some(line) if wait.run => Ok(Next::Run(line)),
            Some(line) => {
                writeln!(terminal.err, "  {}", line.shown())?;
                Ok(Next::Done)
            }
            None => Ok(Next::Done),
        }
    }

    /// Beside the output where that is kubectl's.
    fn print(&self, request: &AccessRequest, sentence: &str, terminal: &mut Terminal<'_>) -> Result<(), AskError> {
        let value = || output::value_of(request).map_err(AskError::Print);
        match self.filing.output {
            None if self.wait.is_some_and(|wait| wait.run) => writeln!(terminal.err, "{sentence}")?,
            None => writeln!(terminal.out, "{sentence}")?,
            Some(ObjectFormat::Name) => {
                writeln!(terminal.out, "accessrequest.{}/{}", api::objects::GROUP, shown_name(request))?;
            }
            Some(ObjectFormat::Json) => {
                write!(terminal.out, "{}", output::json(&value()?).map_err(AskError::Print)?)?;
            }
            Some(ObjectFormat::Yaml) => write!(terminal.out, "{}", output::yaml(&value()?))?,
        }
        Ok(())
    }
}

/// What a request says of its door and of where that leads, with empty options of exec: clients of the original read
/// those of every request.
pub fn through(door: Door, place: &Place) -> AccessRequestSpec {
    AccessRequestSpec {
        for_object: ForObject {
            resource: place.resource.clone(),
            sub_resource: door.subresource().to_owned(),
            name: place.name.clone(),
            ..ForObject::default()
        },
        exec_options: Some(ExecOptions::default()),
        ..AccessRequestSpec::default()
    }
}

/// The name of the chosen container, after what is worth telling about the choice was told.
///
/// # Errors
/// When the stream fails.
pub fn told(choice: Choice, terminal: &mut Terminal<'_>) -> io::Result<String> {
    if let Some(note) = &choice.note {
        writeln!(terminal.err, "{note}")?;
    }
    Ok(choice.name)
}

/// The request as it is sent. Who asks, and the UID of what is asked for, is the server's to say.
pub fn compose(verb: &str, mut spec: AccessRequestSpec, user: &str, namespace: &str) -> AccessRequest {
    spec.for_object.namespace = Some(namespace.to_owned());
    let slug = names::slug(user);
    let mut request = AccessRequest::new("", spec);
    request.metadata.name = None;
    request.metadata.generate_name = Some(names::generate_name(verb, &slug));
    request.metadata.namespace = Some(namespace.to_owned());
    request.labels_mut().insert(USERNAME_LABEL.to_owned(), slug);
    request
}

/// `K=V,…`, as kubectl's flags of this kind: a text with one `=` is one pair, so that its value may have commas.
fn custom_keys(given: &[String]) -> Result<Option<BTreeMap<String, String>>, AskError> {
    let mut keys = BTreeMap::new();
    for text in given {
        let pairs: Vec<&str> = if text.matches('=').count() == 1 { vec![text] } else { text.split(',').collect() };
        for pair in pairs {
            let bad = || AskError::CustomKey { text: pair.to_owned() };
            let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(bad)?;
            if keys.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(AskError::CustomKeyTwice { key: key.to_owned() });
            }
        }
    }
    Ok((!keys.is_empty()).then_some(keys))
}

/// The name, or what the API server would begin it with.
fn shown_name(request: &AccessRequest) -> String {
    let generated = || request.metadata.generate_name.as_ref().map(|prefix| format!("{prefix}…"));
    safe(&request.metadata.name.clone().or_else(generated).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(given: &[&str]) -> Result<Option<BTreeMap<String, String>>, String> {
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        custom_keys(&given).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(&["a=1,b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["a=1", "b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["why=this, and that"], &[("why", "this, and that")])]
    #[case(&["a="], &[("a", "")])]
    fn custom_keys_are_read_as_kubectl_reads_pairs(#[case] given: &[&str], #[case] expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(keys(given), Ok(Some(expected)));
    }

    #[test]
    fn no_custom_keys_are_none() {
        assert_eq!(keys(&[]), Ok(None));
    }

    #[rstest]
    #[case(&["a"], "--custom-key a: write it as KEY=VALUE")]
    #[case(&["=1"], "--custom-key =1: write it as KEY=VALUE")]
    #[case(&["a=1,b=2,c"], "--custom-key c: write it as KEY=VALUE")]
    #[case(&["a=1", "a=2"], "--custom-key: a is given twice")]
    fn bad_custom_keys_are_refused(#[case] given: &[&str], #[case] message: &str) {
        assert_eq!(keys(given), Err(message.to_owned()));
    }
}
