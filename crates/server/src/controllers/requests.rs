//! Looks at each request when something about it changes, or its time comes.
//!
//! What changed comes from the one watch that the index is fed by: nothing is listed or kept a
//! second time. What waits here are keys.

use std::{
    collections::HashSet,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::{
    Stream, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use kube::runtime::scheduler::{ScheduleRequest, Scheduler, scheduler};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, warn};

use super::{ControllerContext, bindings, status};
use crate::cluster::index::{Index, Key};

/// Maximum number of requests reconciled at once: after a start all that are open are due, and the
/// API server has other work too.
const MAX_AT_ONCE: usize = 8;
/// How long one may take: a connection that is dead must not hold a place for ever.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// After what time something that failed is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What is to be looked at, as it comes.
#[derive(Debug)]
pub struct Touched(mpsc::UnboundedReceiver<Key>);

impl Touched {
    /// What the index says from now on. `None`: somebody listens already.
    pub fn of(index: &Index) -> Option<Self> {
        index.touched().map(Self)
    }
}

/// Keeps the status and the role binding of every request as its grants and the time want them.
/// Never ends.
pub async fn run(context: Arc<ControllerContext>, index: Arc<Index>, touched: Touched) {
    let (again, requeued) = mpsc::unbounded_channel();
    tokio::join!(
        work(
            &context,
            triggers(&context, &index, touched, requeued),
            &again
        ),
        // What was over while no replica ran may still be bound.
        touch_bound(&context, &again),
    );
}

/// Reconciles what is due, each key by itself, and a few at once.
async fn work(
    context: &ControllerContext,
    triggers: impl Stream<Item = ScheduleRequest<Key>>,
    again: &mpsc::UnboundedSender<ScheduleRequest<Key>>,
) {
    let mut scheduler = pin!(scheduler(triggers));
    let mut busy: HashSet<Key> = HashSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((key, after)) = running.next(), if !busy.is_empty() => {
                busy.remove(&key);
                schedule(again, key, after);
            }
            key = next(scheduler.as_mut(), &busy) => {
                let Some(key) = key else { return };
                busy.insert(key.clone());
                running.push(look(key, context));
            }
        }
    }
}

/// The next key that is due, and that nobody looks at now. While there is no room for another one,
/// what comes is only taken in, so that it is there once.
async fn next<S: Stream<Item = ScheduleRequest<Key>>>(
    scheduler: Pin<&mut Scheduler<Key, S>>,
    busy: &HashSet<Key>,
) -> Option<Key> {
    if busy.len() >= MAX_AT_ONCE {
        return scheduler.hold().next().await;
    }
    scheduler
        .hold_unless(|key| !busy.contains(key))
        .next()
        .await
}

/// Reconciles one, and says after what time to look again.
async fn look(key: Key, context: &ControllerContext) -> (Key, Option<Duration>) {
    match timeout(LOOK_TIMEOUT, status::reconcile(&key, context)).await {
        Ok(Ok(after)) => (key, after),
        Ok(Err(error)) => {
            let pause = pause_after(&key, &error);
            (key, Some(pause))
        }
        Err(_elapsed) => {
            warn!(
                namespace = &*key.namespace,
                name = &*key.name,
                "the API server does not answer; trying again"
            );
            (key, Some(RETRY_INTERVAL))
        }
    }
}

fn pause_after(key: &Key, error: &status::ReconcileError) -> Duration {
    let (namespace, name, error_chain) = (&*key.namespace, &*key.name, crate::chain(error));
    if error.is_conflict() {
        debug!(namespace, name, error = error_chain, "not reconciled yet");
        // Somebody else wrote first, and the event of that write is on its way.
        return Duration::from_millis(200);
    }
    warn!(
        namespace,
        name,
        error = error_chain,
        "cannot reconcile; trying again"
    );
    RETRY_INTERVAL
}

fn schedule(
    again: &mpsc::UnboundedSender<ScheduleRequest<Key>>,
    message: Key,
    after: Option<Duration>,
) {
    let now = Instant::now();
    let Some(run_at) = after.and_then(|after| now.checked_add(after)) else {
        return;
    };
    // The receiver lives as long as whoever works.
    let _: Result<(), mpsc::error::SendError<_>> = again.send(ScheduleRequest { message, run_at });
}

/// All that makes a request due: a change of it or its grants; its time; a change of the policies or
/// of the keys, which may concern any.
fn triggers(
    context: &ControllerContext,
    index: &Arc<Index>,
    touched: Touched,
    requeued: mpsc::UnboundedReceiver<ScheduleRequest<Key>>,
) -> impl Stream<Item = ScheduleRequest<Key>> + use<> {
    let now = |message| ScheduleRequest {
        message,
        run_at: Instant::now(),
    };
    let touched = received(touched.0).map(now);
    let (index, clock) = (Arc::clone(index), Arc::clone(&context.clock));
    let any = stream::select(
        changes(context.policies.changes()),
        changes(context.sealer.changes()),
    );
    // Once at the beginning: what changed while no replica ran.
    let any = stream::once(std::future::ready(())).chain(any);
    let all = any.flat_map(move |()| {
        let keys = index.keys_under_policies(clock());
        stream::iter(keys.into_iter().map(now))
    });
    stream::select(stream::select(touched, received(requeued)), all)
}

fn received<T>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// Every change from now on.
fn changes(changes: watch::Receiver<()>) -> impl Stream<Item = ()> + Send {
    stream::unfold(changes, |mut changes| async move {
        changes.changed().await.ok().map(|()| ((), changes))
    })
}

/// Has each request looked at that somebody is bound for.
async fn touch_bound(
    context: &ControllerContext,
    again: &mpsc::UnboundedSender<ScheduleRequest<Key>>,
) {
    loop {
        match bindings::bound(context).await {
            Ok(bound) => {
                for key in bound {
                    schedule(again, key, Some(Duration::ZERO));
                }
                return;
            }
            Err(error) => {
                warn!(
                    error = crate::chain(&error),
                    "cannot list our role bindings; trying again"
                );
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("a", name)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_touched_often_is_looked_at_once_and_then_at_its_time() {
        let (again, requeued) = mpsc::unbounded_channel();
        for _ in 0..100 {
            schedule(&again, key("one"), Some(Duration::ZERO));
        }
        schedule(&again, key("two"), Some(Duration::from_mins(1)));
        schedule(&again, key("never"), None);
        let began = Instant::now();
        let mut scheduler = pin!(scheduler(received(requeued)));
        let none = HashSet::new();
        assert_eq!(next(scheduler.as_mut(), &none).await, Some(key("one")));
        assert_eq!(next(scheduler.as_mut(), &none).await, Some(key("two")));
        assert!(began.elapsed() >= Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_at_a_request_twice_at_once() {
        let (again, requeued) = mpsc::unbounded_channel();
        schedule(&again, key("one"), Some(Duration::ZERO));
        schedule(&again, key("two"), Some(Duration::from_secs(1)));
        let mut scheduler = pin!(scheduler(received(requeued)));
        let busy = HashSet::from([key("one")]);
        assert_eq!(next(scheduler.as_mut(), &busy).await, Some(key("two")));
        assert_eq!(
            next(scheduler.as_mut(), &HashSet::new()).await,
            Some(key("one"))
        );
    }
}
