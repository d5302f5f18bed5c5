//! Sends what waits in a queue, one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{AccessRequest, AccessRequestStatus, Phase, notice::Change, objects::Alarm};
use http::StatusCode;
use kube::{Api, Client};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use super::{
    event::Event,
    queue::{Next, Queue, SendOutcome},
};
use crate::{
    audit::{Webhook, WebhookError},
    cluster::statuses::{Which, amend_patiently},
    metrics::Metrics,
};

/// How long a receiver may take to answer.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(10);
/// What has waited for longer may be about a request that does not wait any more.
const STALE: Duration = Duration::from_secs(5);

/// A queue, and somebody who is woken when something is put there.
#[derive(Debug)]
pub(super) struct NoticeLine {
    queue: Mutex<Queue<Event>>,
    woken: Notify,
    metrics: Metrics,
}

impl NoticeLine {
    pub(super) fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue::new()),
            woken: Notify::new(),
            metrics,
        })
    }

    /// Puts a notice about a person into the queue; returns at once.
    pub(super) fn put(&self, person: &str, notice: Event) {
        let dropped = self.queue().put(person, notice);
        for notice in dropped {
            self.metrics.notice("dropped");
            warn!(
                id = notice.id,
                "a notice was dropped: too many wait to be sent"
            );
        }
        self.woken.notify_one();
    }

    // The queue's methods leave nothing half done that could matter: it holds notices only.
    fn queue(&self) -> MutexGuard<'_, Queue<Event>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits. Never ends.
    pub(super) async fn send(&self, receiver: impl Receiver, requests: impl NoticedRequests) {
        loop {
            let next = self.queue().next(Instant::now());
            match next {
                Next::Send(person, notice) => {
                    let tried = self.try_to_send(&notice, &receiver, &requests).await;
                    if !self.queue().tried(&person, tried, Instant::now()) {
                        self.metrics.notice("failed");
                        warn!(
                            id = notice.id,
                            "a notice was not sent: it was tried too often"
                        );
                    }
                }
                Next::WaitUntil(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        () = self.woken.notified() => {}
                    }
                }
                Next::Nothing => self.woken.notified().await,
            }
        }
    }

    async fn try_to_send(
        &self,
        notice: &Event,
        receiver: &impl Receiver,
        requests: &impl NoticedRequests,
    ) -> SendOutcome {
        if notice.change == Change::Filed
            && notice.began.elapsed() > STALE
            && !requests.waits(notice).await
        {
            self.metrics.notice("withdrawn");
            return SendOutcome::Done;
        }
        match receiver.take(notice).await {
            Ok(()) => {
                self.metrics.notice("sent");
                requests.mark(notice);
                SendOutcome::Done
            }
            Err(error) if may_pass(&error) => {
                debug!(
                    id = notice.id,
                    error = crate::chain(&error),
                    "a notice was not taken"
                );
                SendOutcome::NotNow
            }
            Err(error) => {
                self.metrics.notice("failed");
                warn!(
                    id = notice.id,
                    error = crate::chain(&error),
                    "a notice was not sent"
                );
                SendOutcome::Done
            }
        }
    }
}

/// Where notices go.
pub(super) trait Receiver: Send + Sync + 'static {
    /// Takes one, or does not.
    fn take(&self, notice: &Event) -> impl Future<Output = Result<(), WebhookError>> + Send;
}

impl Receiver for Arc<Webhook> {
    async fn take(&self, notice: &Event) -> Result<(), WebhookError> {
        self.deliver(
            notice.headers.clone(),
            notice.body.clone(),
            RECEIVER_TIMEOUT,
        )
        .await
    }
}

/// The requests that notices are about.
pub(super) trait NoticedRequests: Send + Sync + 'static {
    /// Whether it still waits for an answer, or nobody can tell.
    fn waits(&self, notice: &Event) -> impl Future<Output = bool> + Send;

    /// Begins to write down that an alarm was told. Where that fails, it is told again.
    fn mark(&self, notice: &Event);
}

impl NoticedRequests for Client {
    async fn waits(&self, notice: &Event) -> bool {
        let api: Api<AccessRequest> = Api::namespaced(self.clone(), &notice.namespace);
        match api.get_opt(&notice.name).await {
            Ok(Some(object)) => {
                let answered = object
                    .status
                    .and_then(|status| status.phase)
                    .is_some_and(|phase| phase != Phase::Pending);
                object.metadata.uid.as_ref() == Some(&notice.uid) && !answered
            }
            Ok(None) => false,
            // What is told in vain does less harm than what is not told.
            Err(_) => true,
        }
    }

    // In the background: a request whose status cannot be written must not hold up the alarms of
    // others.
    fn mark(&self, notice: &Event) {
        let Some(alarm) = notice.change.alarm() else {
            return;
        };
        let Event {
            id,
            namespace,
            name,
            uid,
            ..
        } = notice.clone();
        let client = self.clone();
        tokio::spawn(async move {
            let which = Which {
                namespace: &namespace,
                name: &name,
                uid: &uid,
            };
            if amend_patiently(&client, which, |status| note(status, alarm))
                .await
                .is_err()
            {
                warn!(
                    id,
                    "cannot write down that an alarm was told; it will be told again"
                );
            }
        });
    }
}

fn note(status: &mut AccessRequestStatus, alarm: Alarm) -> bool {
    let is_new = !status.notified.contains(&alarm);
    if is_new {
        status.notified.push(alarm);
    }
    is_new
}

/// Whether it is about the moment, and not about what was sent.
fn may_pass(error: &WebhookError) -> bool {
    match error {
        WebhookError::Post { .. } | WebhookError::Timeout { .. } | WebhookError::NoTurn { .. } => {
            true
        }
        WebhookError::Status { status, .. } => {
            status.is_server_error()
                || matches!(
                    *status,
                    StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                )
        }
        WebhookError::File(_)
        | WebhookError::Body { .. }
        | WebhookError::Request { .. }
        | WebhookError::Read { .. }
        | WebhookError::Answer { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use bytes::Bytes;
    use http::HeaderMap;
    use tokio::time::timeout;

    use super::*;

    /// Answers in turn, then 200; keeps what came, and when.
    #[derive(Clone, Default)]
    struct Script(Arc<Mutex<Played>>);

    #[derive(Default)]
    struct Played {
        answers: VecDeque<u16>,
        got: Vec<(String, Instant)>,
    }

    impl Script {
        fn answering(codes: &[u16]) -> Self {
            Self(Arc::new(Mutex::new(Played {
                answers: codes.iter().copied().collect(),
                got: Vec::new(),
            })))
        }

        fn got(&self) -> Vec<(String, Instant)> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .got
                .clone()
        }

        fn ids(&self) -> Vec<String> {
            self.got().into_iter().map(|(id, _)| id).collect()
        }
    }

    impl Receiver for Script {
        async fn take(&self, notice: &Event) -> Result<(), WebhookError> {
            let code = {
                let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.got.push((notice.id.clone(), Instant::now()));
                state.answers.pop_front().unwrap_or(200)
            };
            match code {
                0 => std::future::pending().await,
                200 => Ok(()),
                code => Err(WebhookError::Status {
                    origin: String::new(),
                    status: StatusCode::from_u16(code).unwrap(),
                }),
            }
        }
    }

    /// Of the requests in the first set nobody waits for an answer any more; what was told goes
    /// into the second.
    #[derive(Clone, Default)]
    struct Known(HashSet<String>, Arc<Mutex<Vec<String>>>);

    impl NoticedRequests for Known {
        async fn waits(&self, notice: &Event) -> bool {
            !self.0.contains(&notice.id)
        }

        fn mark(&self, notice: &Event) {
            self.1
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(notice.id.clone());
        }
    }

    fn notice(id: &str) -> Event {
        Event {
            id: id.to_owned(),
            change: Change::Filed,
            namespace: "shop".to_owned(),
            name: "ask".to_owned(),
            uid: "u-1".to_owned(),
            began: Instant::now(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn counted(metrics: &Metrics, result: &str) -> u64 {
        let text = metrics.text().unwrap();
        let line = text
            .lines()
            .find(|line| line.contains(&format!("notifications_total{{result=\"{result}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_default()
    }

    /// Sends notices of these ids, about these persons, to a script, for an hour.
    async fn sent(script: &Script, known: &Known, notices: &[(&str, &str)]) -> Metrics {
        let metrics = Metrics::new();
        let line = NoticeLine::new(metrics.clone());
        for (person, id) in notices {
            line.put(person, notice(id));
        }
        timeout(
            Duration::from_hours(1),
            line.send(script.clone(), known.clone()),
        )
        .await
        .unwrap_err();
        metrics
    }

    async fn sent_of_jane(script: &Script, ids: &[&str]) -> Metrics {
        let notices: Vec<_> = ids.iter().map(|id| ("jane", *id)).collect();
        sent(script, &Known::default(), &notices).await
    }

    #[tokio::test(start_paused = true)]
    async fn notices_about_a_person_come_in_order_and_a_later_one_waits_for_an_earlier() {
        let script = Script::answering(&[503, 429, 200]);
        let metrics = sent_of_jane(&script, &["1", "2", "3"]).await;
        assert_eq!(script.ids(), ["1", "1", "1", "2", "3"]);
        assert_eq!(
            (counted(&metrics, "sent"), counted(&metrics, "failed")),
            (3, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_tried_five_times_with_growing_pauses_and_then_given_up() {
        let script = Script::answering(&[500; 5]);
        let metrics = sent_of_jane(&script, &["1", "2"]).await;
        assert_eq!(script.ids(), ["1", "1", "1", "1", "1", "2"]);
        let at: Vec<Instant> = script.got().into_iter().map(|(_, at)| at).collect();
        // A timer wakes at the end of its millisecond.
        let pauses: Vec<u128> = at
            .windows(2)
            .map(|pair| (pair[1].duration_since(pair[0]).as_millis() + 10) / 1000)
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 0]);
        assert_eq!(
            (counted(&metrics, "sent"), counted(&metrics, "failed")),
            (1, 1)
        );
    }

    // K10
    #[tokio::test(start_paused = true)]
    async fn a_notice_that_is_refused_holds_up_nobody_else() {
        let script = Script::answering(&[429]);
        sent(
            &script,
            &Known::default(),
            &[("eve", "e1"), ("eve", "e2"), ("jane", "j1")],
        )
        .await;
        assert_eq!(script.ids(), ["e1", "j1", "e1", "e2"]);
        let at = script.got()[1].1.duration_since(script.got()[0].1);
        assert_eq!(at, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_receiver_does_not_want_is_not_sent_again() {
        let script = Script::answering(&[400, 302, 410]);
        let metrics = sent_of_jane(&script, &["1", "2", "3", "4"]).await;
        assert_eq!(
            script.ids(),
            ["1", "2", "3", "4"],
            "a redirect is no yes, and is not followed"
        );
        assert_eq!(
            (counted(&metrics, "sent"), counted(&metrics, "failed")),
            (1, 3)
        );
    }

    // K10
    #[tokio::test(start_paused = true)]
    async fn what_was_withdrawn_while_it_waited_is_not_told_and_all_else_is_marked_once_taken() {
        let script = Script::answering(&[503, 503, 503]);
        let known = Known(HashSet::from(["2".to_owned()]), Arc::default());
        let metrics = sent(
            &script,
            &known,
            &[("jane", "1"), ("jane", "2"), ("jane", "3")],
        )
        .await;
        assert_eq!(script.ids(), ["1", "1", "1", "1", "3"]);
        assert_eq!(
            (counted(&metrics, "sent"), counted(&metrics, "withdrawn")),
            (2, 1)
        );
        assert_eq!(*known.1.lock().unwrap(), ["1", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_while_nothing_waits_is_sent() {
        let (script, line) = (Script::default(), NoticeLine::new(Metrics::new()));
        let sending = tokio::spawn({
            let (line, script) = (Arc::clone(&line), script.clone());
            async move { line.send(script, Known::default()).await }
        });
        for id in ["1", "2"] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            line.put("jane", notice(id));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(script.ids(), ["1", "2"]);
        sending.abort();
    }
}
