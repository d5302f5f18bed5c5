//! `--wait` and `--run`: from a request that is filed to one that can be used.

use std::future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use api::{AccessRequest, Phase};
use clap::Args;
use decide::duration::{self, DurationError};
use futures::StreamExt as _;
use jiff::{SignedDuration, Zoned};
use kube::ResourceExt;
use tokio::time::{Instant, interval};

use crate::cluster::{Cluster, ClusterError, Seen};
use crate::describe::summary;
use crate::terminal::Terminal;
use crate::terminal::exit::Exit;
use crate::terminal::kubectl;
use crate::terminal::lines::Hint;
use decide::text::safe_word;

/// At a terminal somebody can interrupt it.
const AT_A_TERMINAL: Duration = Duration::from_mins(10);
/// A request that nobody answers is deleted after two days.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// In a row; with the pauses between them that is some minutes.
pub(crate) const MAX_ERRORS: u32 = 10;

/// How long a filed request is watched for a grant by a policy.
const GRANT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait, and what for.
#[derive(Debug, Clone, Default, Args)]
pub struct Waiting {
    /// Wait until it can be used
    #[arg(long)]
    pub wait: bool,
    /// How long to wait: 45s, 10m, 2h [default: 10m on a terminal; to be given elsewhere]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub timeout: Option<String>,
    /// Wait, then run kubectl with the same arguments ($KUBECTL, or the one on the PATH)
    #[arg(long)]
    pub run: bool,
}

/// The same, checked.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Whether kubectl runs then.
    pub run: bool,
    timeout: Option<Duration>,
}

/// Why a request cannot be used, or is not waited for.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// `--timeout` is not a duration.
    #[error("--timeout: {0}")]
    Timeout(#[source] DurationError),
    /// `--timeout` is longer than a request lives.
    #[error("--timeout: it is 24h at most")]
    TooLong,
    /// `--timeout` alone.
    #[error("--timeout says how long to wait: give --wait or --run too")]
    NotWaiting,
    /// Nobody could interrupt it.
    #[error("say how long to wait, such as --timeout 10m: only on a terminal is that the default")]
    NoTimeout,
    /// Somebody denied it.
    #[error("request {name} was denied {how}. A denial is final: you can file a new request")]
    Denied {
        /// Name of the request.
        name: String,
        /// By whom, when and why.
        how: String,
    },
    /// It gives no access any more.
    #[error("request {name} {how}. To ask for the same: {line}")]
    Over {
        /// Name of the request.
        name: String,
        /// What happened to it.
        how: &'static str,
        /// What asks for the same.
        line: String,
    },
    /// It is not there any more.
    #[error("request {name} was deleted: to ask for the same, repeat the command")]
    Deleted {
        /// Name of the request.
        name: String,
    },
    /// Nobody answered.
    #[error("nobody granted request {name} within {}: {}", duration::show(*patience), open(line))]
    TimedOut {
        /// Name of the request.
        name: String,
        /// How long was waited.
        patience: Duration,
        /// What takes it back.
        line: String,
    },
    /// Ctrl-C.
    #[error("stopped waiting for request {name}: {}", open(line))]
    Interrupted {
        /// Name of the request.
        name: String,
        /// What takes it back.
        line: String,
    },
    /// The API server does not answer, or not to us.
    #[error("{source}\nrequest {name} cannot be watched: {}", open(line))]
    Watch {
        /// Name of the request.
        name: String,
        /// What takes it back.
        line: String,
        /// What it said last.
        source: Box<ClusterError>,
    },
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

fn open(line: &str) -> String {
    format!(
        "it stays open. To go on waiting, repeat the command with --wait; to take it back: {line}"
    )
}

/// What takes the request back.
fn withdrawal(request: &AccessRequest, cluster: &Cluster) -> String {
    kubectl::told(cluster, Hint::WithdrawAfterWait, &request.name_any())
}

impl WaitError {
    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Timeout(_) | Self::TooLong | Self::NotWaiting | Self::NoTimeout => Exit::Usage,
            Self::Denied { .. } => Exit::Denied,
            Self::Over { .. } | Self::Deleted { .. } => Exit::Over,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::Watch { .. } | Self::Terminal(_) => Exit::Error,
        }
    }
}

impl Waiting {
    /// Checks what was typed. `None`: nothing is waited for.
    ///
    /// # Errors
    /// When `--timeout` is no duration, or nothing is waited for.
    pub fn check(self) -> Result<Option<Wait>, WaitError> {
        let timeout = self
            .timeout
            .as_deref()
            .map(|text| duration::parse(text, MAX_WAIT))
            .transpose();
        let timeout = timeout.map_err(|error| match error {
            DurationError::TooLong { .. } => WaitError::TooLong,
            error @ (DurationError::Malformed { .. } | DurationError::Zero { .. }) => {
                WaitError::Timeout(error)
            }
        })?;
        match (self.wait || self.run, timeout) {
            (true, timeout) => Ok(Some(Wait {
                run: self.run,
                timeout,
            })),
            (false, Some(_)) => Err(WaitError::NotWaiting),
            (false, None) => Ok(None),
        }
    }
}

impl Wait {
    /// How long is waited.
    ///
    /// # Errors
    /// When nothing says so, and nobody is there to interrupt it.
    pub fn patience(self, terminal: &Terminal<'_>) -> Result<Duration, WaitError> {
        self.timeout
            .or(terminal.watched.then_some(AT_A_TERMINAL))
            .ok_or(WaitError::NoTimeout)
    }
}

/// Waits until the request can be used, and tells on `err` that it does. The terminal's time is
/// that of the end.
///
/// # Errors
/// When the request is denied, over or deleted, the time is up, somebody interrupts it, or the API
/// server is silent for too long.
pub async fn until_granted(
    request: &AccessRequest,
    patience: Duration,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<AccessRequest, WaitError> {
    let (start, began) = (Instant::now(), terminal.now.clone());
    let mut progress = Progress::of(request, patience, terminal.watched);
    let mut tick = interval(progress.every());
    let mut end = pin!(end(request, patience, cluster));
    let ended = loop {
        tokio::select! {
            ended = &mut end => break ended,
            _ = tick.tick() => progress.tell(start.elapsed(), terminal)?,
        }
    };
    progress.clear(terminal)?;
    terminal.now = later(&began, start.elapsed());
    match ended {
        End::Granted(granted) => Ok(*granted),
        End::Settled(settled) => Err(settled_how(&settled, cluster, &terminal.now)),
        End::Failed(error) => Err(error),
    }
}

/// The request, where a policy granted it at once. What cannot be found out in a moment is not
/// told.
pub async fn granted_at_once(request: &AccessRequest, cluster: &Cluster) -> Option<AccessRequest> {
    let mut watch = pin!(cluster.watch_request(&request.name_any()));
    let first = async {
        while let Some(Ok(Seen::There(now))) = watch.next().await {
            if now.uid() != request.uid() {
                return None;
            }
            let status = now.status.clone().unwrap_or_default();
            match status.phase {
                None => {}
                // Its role is on the way.
                Some(Phase::Pending) if status.granted_by_policy.is_some() => {}
                Some(Phase::Granted) => return Some(*now),
                Some(Phase::Pending | Phase::Denied | Phase::Used | Phase::Expired) => return None,
            }
        }
        None
    };
    tokio::time::timeout(GRANT_TIMEOUT, first)
        .await
        .ok()
        .flatten()
}

/// How waiting ends.
enum End {
    Granted(Box<AccessRequest>),
    /// It will never be.
    Settled(Box<AccessRequest>),
    Failed(WaitError),
}

async fn end(request: &AccessRequest, patience: Duration, cluster: &Cluster) -> End {
    let name = safe_word(&request.name_any());
    let line = withdrawal(request, cluster);
    tokio::select! {
        end = settled(request, cluster) => end,
        () = tokio::time::sleep(patience) => End::Failed(WaitError::TimedOut { name, patience, line }),
        () = interrupted() => End::Failed(WaitError::Interrupted { name, line }),
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Where signals cannot be caught, they end the process.
        future::pending::<()>().await;
    }
}

async fn settled(request: &AccessRequest, cluster: &Cluster) -> End {
    let name = safe_word(&request.name_any());
    let mut watch = pin!(cluster.watch_request(&request.name_any()));
    let mut errors: u32 = 0;
    while let Some(seen) = watch.next().await {
        match seen {
            Ok(Seen::There(now)) if now.uid() == request.uid() => match phase(&now) {
                Phase::Pending => errors = 0,
                Phase::Granted => return End::Granted(now),
                Phase::Denied | Phase::Used | Phase::Expired => return End::Settled(now),
            },
            Ok(Seen::There(_) | Seen::Gone) => return End::Failed(WaitError::Deleted { name }),
            Err(source) => {
                errors = errors.saturating_add(1);
                // A login plugin runs again, once.
                let renewed = errors == 1 && matches!(source, ClusterError::Unauthorized(_));
                if errors >= MAX_ERRORS || source.is_about_us() && !renewed {
                    let line = withdrawal(request, cluster);
                    return End::Failed(WaitError::Watch {
                        name,
                        line,
                        source: Box::new(source),
                    });
                }
            }
        }
    }
    // The watch has no end.
    future::pending().await
}

fn phase(request: &AccessRequest) -> Phase {
    request.phase()
}

fn settled_how(request: &AccessRequest, cluster: &Cluster, now: &Zoned) -> WaitError {
    let name = safe_word(&request.name_any());
    let line = kubectl::told(cluster, Hint::AgainAfterWait, &request.name_any());
    match phase(request) {
        Phase::Denied => WaitError::Denied {
            name,
            how: summary::denied(request, now).unwrap_or_default(),
        },
        Phase::Used => WaitError::Over {
            name,
            how: "was for a single use and is used up",
            line,
        },
        Phase::Pending | Phase::Granted | Phase::Expired => WaitError::Over {
            name,
            how: "expired",
            line,
        },
    }
}

fn later(began: &Zoned, elapsed: Duration) -> Zoned {
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or_default();
    began
        .checked_add(elapsed)
        .unwrap_or_else(|_beyond_time| began.clone())
}

/// A line that is rewritten each second on a terminal, and written each minute elsewhere.
struct Progress {
    name: String,
    patience: Duration,
    watched: bool,
    /// How long the line is that stands there.
    width: usize,
}

impl Progress {
    fn of(request: &AccessRequest, patience: Duration, watched: bool) -> Self {
        Self {
            name: safe_word(&request.name_any()),
            patience,
            watched,
            width: 0,
        }
    }

    fn every(&self) -> Duration {
        if self.watched {
            Duration::from_secs(1)
        } else {
            Duration::from_mins(1)
        }
    }

    fn tell(&mut self, waited: Duration, terminal: &mut Terminal<'_>) -> io::Result<()> {
        let (waited, patience) = (duration::show(waited), duration::show(self.patience));
        let text = format!(
            "waiting for a grant of {}: {waited} of {patience}",
            self.name
        );
        if self.watched {
            self.write(&format!("{text} (Ctrl-C leaves it open)"), terminal)
        } else {
            writeln!(terminal.err, "{text}")
        }
    }

    fn clear(&mut self, terminal: &mut Terminal<'_>) -> io::Result<()> {
        if self.width == 0 {
            return Ok(());
        }
        self.write("", terminal)?;
        write!(terminal.err, "\r")?;
        terminal.err.flush()
    }

    /// Over the line that stands there, which may be longer.
    fn write(&mut self, line: &str, terminal: &mut Terminal<'_>) -> io::Result<()> {
        write!(terminal.err, "\r{line:<width$}", width = self.width)?;
        self.width = line.chars().count();
        terminal.err.flush()
    }
}
