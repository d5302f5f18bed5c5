//! Fires shots at a server from several connections, and counts.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::{runtime, task::JoinSet, time};

use crate::{
    connection::{Connection, Fault, Target},
    pace::{Dealer, Pace, Turn},
    process::{self, Usage, UsageError},
    review::{self, Template},
    tally::Tally,
};

/// What one shot is.
#[derive(Debug)]
pub enum Work {
    /// One of these reviews after the other.
    Reviews(Vec<Template>),
    /// A GET of each of these paths, all at once, each on a connection of its own.
    Reads(Vec<String>),
}

/// What every answer to a review should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Allowed.
    Allowed,
    /// Denied.
    Denied,
}

/// A run.
pub struct Plan {
    /// Whom to ask.
    pub target: Target,
    /// What to ask.
    pub work: Work,
    /// What to hear; anything else is counted as a fault.
    pub expected: Option<Expected>,
    /// How many shots at once.
    pub connections: usize,
    /// When.
    pub pace: Pace,
    /// On how many threads.
    pub threads: usize,
    /// The cores of these threads; none: wherever.
    pub cores: Vec<usize>,
    /// The server's process, where it is on this machine.
    pub pid: Option<u32>,
    /// Processes that work for the server, whose time is told apart.
    pub beside: Vec<u32>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// All counts.
    pub tally: Tally,
    /// From the first shot that counts to the last answer.
    pub elapsed: Duration,
    /// Processor time that the server took meanwhile, and its memory afterwards.
    pub server: Option<Usage>,
    /// Processor time that the processes beside it took.
    pub beside: Duration,
    /// The part of its threads' time that this program was busy, 0 to 1.
    pub busy: f64,
}

/// Why nothing could be fired.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nothing to send.
    #[error("there is no review to send")]
    Nothing,
    /// The server cannot be reached at all.
    #[error("the server cannot be used")]
    Unreachable(#[source] Fault),
    /// Its process is not there.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The system gives no thread or core.
    #[error("cannot start the threads of the load generator")]
    Thread(#[from] io::Error),
    /// A path is none.
    #[error("a request cannot be made")]
    Request(#[from] http::Error),
    /// There are no counts.
    #[error("there are no counters")]
    Count(#[from] hdrhistogram::CreationError),
    /// A thread panicked.
    #[error("a thread of the load generator ended")]
    Ended,
}

/// Runs a plan to its end.
///
/// # Errors
/// Nothing could be fired. What goes wrong with single shots is counted.
pub fn run(plan: Plan) -> Result<Outcome, LoadError> {
    let is_empty = match &plan.work {
        Work::Reviews(templates) => templates.is_empty(),
        Work::Reads(paths) => paths.is_empty(),
    };
    if is_empty {
        return Err(LoadError::Nothing);
    }
    let plan = Arc::new(plan);
    probe(&plan)?;
    let threads = plan.threads.clamp(1, plan.connections.max(1));
    let dealer = Arc::new(Dealer::new(plan.pace, Instant::now()));
    let running: Vec<_> = (0..threads)
        .map(|index| {
            let (plan, dealer) = (Arc::clone(&plan), Arc::clone(&dealer));
            thread::spawn(move || fire(&plan, &dealer, share(plan.connections, threads, index)))
        })
        .collect();
    measure(&plan, &dealer, running)
}

type Running = Vec<thread::JoinHandle<Result<Tally, LoadError>>>;

fn measure(plan: &Plan, dealer: &Dealer, running: Running) -> Result<Outcome, LoadError> {
    let from = dealer.counts_from();
    thread::sleep(from.saturating_duration_since(Instant::now()));
    let usage = || plan.pid.map(process::usage).transpose();
    let beside = || {
        let each = plan.beside.iter().map(|&pid| Ok(process::usage(pid)?.cpu));
        each.sum::<Result<Duration, UsageError>>()
    };
    let (before, own_before) = (usage(), process::usage(std::process::id())?.cpu);
    let beside_before = beside();
    let threads = running.len();
    let mut tally = Tally::new()?;
    for one in running {
        tally.add(one.join().map_err(|_panic| LoadError::Ended)??);
    }
    let (before, after) = (before?, usage()?);
    let beside = beside()?.saturating_sub(beside_before?);
    let wall = from.elapsed();
    let own = process::usage(std::process::id())?
        .cpu
        .saturating_sub(own_before);
    let room = wall.as_secs_f64() * f64::from(u32::try_from(threads).unwrap_or(u32::MAX));
    let server = before.zip(after).map(|(before, after)| Usage {
        cpu: after.cpu.saturating_sub(before.cpu),
        ..after
    });
    Ok(Outcome {
        elapsed: tally
            .last
            .map_or(wall, |last| last.saturating_duration_since(from)),
        tally,
        server,
        beside,
        busy: own.as_secs_f64() / room,
    })
}

/// How many of the connections a thread has.
fn share(connections: usize, threads: usize, index: usize) -> usize {
    let each = connections.checked_div(threads).unwrap_or_default();
    let over = connections.checked_rem(threads).unwrap_or_default();
    each.saturating_add(usize::from(index < over))
}

/// Before anything is counted: can the server be reached, and is it trusted?
fn probe(plan: &Plan) -> Result<(), LoadError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let connected = runtime.block_on(async {
        time::timeout(plan.pace.timeout, plan.target.connect())
            .await
            .unwrap_or(Err(Fault::Late))
    });
    connected.map(drop).map_err(LoadError::Unreachable)
}

fn fire(plan: &Arc<Plan>, dealer: &Arc<Dealer>, connections: usize) -> Result<Tally, LoadError> {
    process::pin(&plan.cores)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut gunners = JoinSet::new();
        for _ in 0..connections {
            let gunner = Gunner::new(Arc::clone(plan))?;
            gunners.spawn(gunner.fire(Arc::clone(dealer)));
        }
        let mut sum = Tally::new()?;
        while let Some(tally) = gunners.join_next().await {
            sum.add(tally.map_err(|_panic| LoadError::Ended)??);
        }
        Ok(sum)
    })
}

/// One shot at a time.
struct Gunner {
    plan: Arc<Plan>,
    lanes: Vec<Option<Connection>>,
    tally: Tally,
}

/// What an answer was: the code, where it is a denial.
type Answered = Result<Option<u16>, Fault>;

impl Gunner {
    fn new(plan: Arc<Plan>) -> Result<Self, LoadError> {
        let width = match &plan.work {
            Work::Reviews(_) => 1,
            Work::Reads(paths) => paths.len(),
        };
        Ok(Self {
            plan,
            lanes: (0..width).map(|_| None).collect(),
            tally: Tally::new()?,
        })
    }

    async fn fire(mut self, dealer: Arc<Dealer>) -> Result<Tally, LoadError> {
        self.connect().await;
        while let Some(turn) = dealer.next(Instant::now()) {
            if let Some(at) = turn.at {
                if dealer.is_hopeless(at, Instant::now()) {
                    self.tally.fault(Fault::Unsent);
                    continue;
                }
                wait_until(at).await;
            }
            let since = turn.at.unwrap_or_else(Instant::now);
            let answered = self.shoot(turn).await?;
            let now = Instant::now();
            match answered {
                _ if !turn.counts => {}
                Ok(denied) => self
                    .tally
                    .answer(now.saturating_duration_since(since), denied, now),
                Err(fault) => self.tally.fault(fault),
            }
        }
        Ok(self.tally)
    }

    /// Connections are there before the first shot: their handshakes are none of the latencies.
    async fn connect(&mut self) {
        for lane in &mut self.lanes {
            *lane = self.plan.target.connect().await.ok();
        }
    }

    async fn shoot(&mut self, turn: Turn) -> Result<Answered, LoadError> {
        let patience = self.plan.pace.timeout;
        let answered = match &self.plan.work {
            Work::Reviews(templates) => {
                let uid = review::uid();
                let number = usize::try_from(turn.number).unwrap_or_default();
                let Some(template) =
                    templates.get(number.checked_rem(templates.len()).unwrap_or(0))
                else {
                    return Err(LoadError::Nothing);
                };
                let target = &self.plan.target;
                let request = target.request(Method::POST, &target.path, template.body(&uid))?;
                let answers = self.exchange(vec![request], patience).await;
                answers.and_then(|answers| self.judge(&answers, &uid))
            }
            Work::Reads(paths) => {
                let get = |path: &String| self.plan.target.request(Method::GET, path, Bytes::new());
                let requests = paths.iter().map(get).collect::<Result<_, _>>()?;
                self.exchange(requests, patience).await.map(|_read| None)
            }
        };
        if answered.as_ref().is_err_and(is_broken) {
            self.lanes.iter_mut().for_each(|lane| *lane = None);
        }
        Ok(answered)
    }

    fn judge(&self, answers: &[Bytes], uid: &str) -> Answered {
        let decision = review::decision(answers.first().ok_or(Fault::Garbage)?, uid)?;
        match (self.plan.expected, decision.allowed) {
            (Some(Expected::Denied), true) => Err(Fault::Unexpected("allowed".to_owned())),
            (Some(Expected::Allowed), false) => {
                let said: String = decision.message.chars().take(300).collect();
                Err(Fault::Unexpected(format!("denied: {said}")))
            }
            (_, true) => Ok(None),
            (_, false) => Ok(Some(decision.code)),
        }
    }

    /// Sends each request on a lane of its own, all at once; answers with all bodies.
    async fn exchange(
        &mut self,
        requests: Vec<Request<Full<Bytes>>>,
        patience: Duration,
    ) -> Result<Vec<Bytes>, Fault> {
        let plan = &self.plan;
        let reconnects = &mut self.tally.reconnects;
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_none()) {
            *reconnects = reconnects.saturating_add(1);
            let connecting = time::timeout(patience, plan.target.connect());
            *lane = Some(connecting.await.unwrap_or(Err(Fault::Late))?);
        }
        let sends = self
            .lanes
            .iter_mut()
            .zip(requests)
            .map(|(lane, request)| async {
                let connection = lane.as_mut().ok_or(Fault::Closed)?;
                let (status, body) = connection.send(request).await?;
                match status {
                    StatusCode::OK => Ok(body),
                    other => Err(Fault::Status(other.as_u16())),
                }
            });
        let all = futures::future::try_join_all(sends);
        time::timeout(patience, all)
            .await
            .unwrap_or(Err(Fault::Late))
    }
}

/// Whether the connection is of no use after this.
fn is_broken(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Status(_) | Fault::OtherUid | Fault::Unexpected(_)
    )
}

/// The timer knows milliseconds; what is left of the last ones passes in turns with the other
/// connections.
async fn wait_until(at: Instant) {
    const TIMER: Duration = Duration::from_millis(2);
    let left = at.saturating_duration_since(Instant::now());
    if left > TIMER {
        time::sleep(left.saturating_sub(TIMER)).await;
    }
    while Instant::now() < at {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_among_threads() {
        let shares: Vec<usize> = (0..3).map(|index| share(8, 3, index)).collect();
        assert_eq!(shares, [3, 3, 2]);
    }
}
