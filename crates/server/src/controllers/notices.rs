//! Tells whoever wants to be told what becomes of requests: CloudEvents 1.0 over HTTP, in binary mode, in order, each tried
//! a few times. They are made from what was stored, by the replica whose write of the status was taken, and so once; and
//! they never hold anything up. What waits to be sent is lost with the process: objects and Kubernetes Events are not.

use std::{sync::Arc, time::Duration};

use api::{
    AccessRequest, AccessRequestStatus,
    notice::{Change, Notice},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use jiff::Timestamp;
use kube::ResourceExt as _;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{sync::mpsc, time::sleep};
use tracing::{debug, warn};

use crate::{
    audit::{Webhook, WebhookError},
    metrics::Metrics,
};

/// So many notices may wait to be sent; of more the newest are dropped.
const QUEUE: usize = 1000;
/// So often one is tried.
const TRIES: u32 = 5;
/// The pause after the first try; each is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// So long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What types of events begin with.
const TYPE: &str = "com.spreadgroup.accessrequest.";
/// What is percent-encoded in values of headers, beside all that is not ASCII (`CloudEvents` HTTP Protocol Binding 1.0.2,
/// 3.1.3.2).
const IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// What is percent-encoded in a URL: all but the unreserved characters of RFC 3986.
const IN_URLS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What notices say of where they come from.
#[derive(Debug, Clone)]
pub struct About {
    /// `--cluster-name`
    pub cluster: String,
    /// `--request-url-template`
    pub template: Option<UrlTemplate>,
}

/// Takes notices, and sends them in the background.
#[derive(Debug, Clone)]
pub struct Notices {
    about: About,
    queue: mpsc::Sender<Event>,
    metrics: Metrics,
}

/// A notice, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    id: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Notices {
    /// Begins to send to a webhook what it is told.
    pub fn start(webhook: Arc<Webhook>, about: About, metrics: Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(send(waiting, webhook, metrics.clone()));
        Self { about, queue, metrics }
    }

    /// Tells of a change of the status; returns at once.
    pub fn tell(&self, object: &AccessRequest, old: &AccessRequestStatus, new: &AccessRequestStatus, now: Timestamp) {
        for change in Change::between(old, new) {
            match event(change, object, new, &self.about, now) {
                Ok(notice) => self.put(notice),
                Err(error) => {
                    self.metrics.notice("dropped");
                    warn!(request = object.name_any(), error = crate::chain(&error), "a notice cannot be written");
                }
            }
        }
    }

    fn put(&self, notice: Event) {
        if let Err(error) = self.queue.try_send(notice) {
            self.metrics.notice("dropped");
            warn!(%error, "a notice was dropped: too many wait to be sent");
        }
    }
}

/// Why a notice cannot be written.
#[derive(Debug, thiserror::Error)]
enum NoticeError {
    /// Its data.
    #[error("cannot write the data as JSON")]
    Data(#[from] serde_json::Error),
    /// A header.
    #[error("cannot write a header")]
    Header(#[from] http::header::InvalidHeaderValue),
}

/// The event of a change. Its id is that of the write that made it: whoever gets it twice can tell.
fn event(
    change: Change,
    object: &AccessRequest,
    new: &AccessRequestStatus,
    about: &About,
    now: Timestamp,
) -> Result<Event, NoticeError> {
    let (namespace, name, uid) =
        (object.namespace().unwrap_or_default(), object.name_any(), object.uid().unwrap_or_default());
    let url = about.template.as_ref().map(|template| template.of(&about.cluster, &namespace, &name, &uid));
    let version = object.resource_version().unwrap_or_default();
    let id = format!("{uid}.{version}.{}", change.word());
    let encoded = |text: &str| utf8_percent_encode(text, IN_URLS).to_string();
    let source = format!("/kube-request-access/{}/{}", encoded(&about.cluster), encoded(&namespace));
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let attributes = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-type", format!("{TYPE}{}", change.word())),
        ("ce-id", id.clone()),
        ("ce-source", source),
        ("ce-subject", name),
        ("ce-time", time),
        // An extension: notices of several replicas in the order of the writes that they tell of.
        ("ce-resourceversion", version),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (attribute, value) in attributes {
        let value = utf8_percent_encode(&value, IN_HEADERS).to_string();
        headers.insert(HeaderName::from_static(attribute), HeaderValue::try_from(value)?);
    }
    let notice = Notice::of(change, object, new, &about.cluster, url);
    Ok(Event { id, headers, body: serde_json::to_vec(&notice)?.into() })
}

/// Where notices go.
trait Receiver: Send + 'static {
    /// Takes one, or does not.
    fn take(&self, notice: &Event) -> impl Future<Output = Result<(), WebhookError>> + Send;
}

impl Receiver for Arc<Webhook> {
    async fn take(&self, notice: &Event) -> Result<(), WebhookError> {
        self.deliver(notice.headers.clone(), notice.body.clone(), PATIENCE).await
    }
}

/// Sends what waits, one after the other.
async fn send(mut waiting: mpsc::Receiver<Event>, receiver: impl Receiver, metrics: Metrics) {
    while let Some(notice) = waiting.recv().await {
        let result = match deliver(&receiver, &notice).await {
            Ok(()) => "sent",
            Err(error) => {
                warn!(id = notice.id, error = crate::chain(&error), "a notice was not sent");
                "failed"
            }
        };
        metrics.notice(result);
    }
}

async fn deliver(receiver: &impl Receiver, notice: &Event) -> Result<(), WebhookError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match receiver.take(notice).await {
            Err(error) if may_pass(&error) => {
                debug!(id = notice.id, error = crate::chain(&error), "trying again");
                sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
            done => return done,
        }
    }
    receiver.take(notice).await
}

/// Whether it is about the moment, and not about what was sent.
fn may_pass(error: &WebhookError) -> bool {
    match error {
        WebhookError::Post { .. } | WebhookError::Timeout { .. } => true,
        WebhookError::Status { status, .. } => {
            status.is_server_error() || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        }
        WebhookError::File(_)
        | WebhookError::Body { .. }
        | WebhookError::Request { .. }
        | WebhookError::Read { .. }
        | WebhookError::Answer { .. } => false,
    }
}

/// Where there is a page about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate(String);

/// What may stand in a template.
const PLACES: [&str; 4] = ["{cluster}", "{namespace}", "{name}", "{uid}"];

impl UrlTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// It is no http(s) URL, or has other words in braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let filled = PLACES.iter().fold(text.to_owned(), |text, place| text.replace(place, "x"));
        if filled.contains(['{', '}']) {
            return Err(format!("only {} may stand in braces", PLACES.join(", ")));
        }
        let url: Uri = filled.parse().map_err(|error| format!("{error}"))?;
        match (url.scheme_str(), url.host()) {
            (Some("https" | "http"), Some(_)) => Ok(Self(text.to_owned())),
            _ => Err("write it as https://…".to_owned()),
        }
    }

    fn of(&self, cluster: &str, namespace: &str, name: &str, uid: &str) -> String {
        let values = [cluster, namespace, name, uid];
        // What is put in has no braces left: nothing of it is taken for a place.
        PLACES.iter().zip(values).fold(self.0.clone(), |text, (place, value)| {
            text.replace(place, &utf8_percent_encode(value, IN_URLS).to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Mutex, PoisonError},
    };

    use rstest::rstest;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;

    fn object(name: &str) -> AccessRequest {
        let object = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": "shop", "uid": "u-1", "resourceVersion": "42"},
            "spec": {"userInfo": {"username": "jane"}, "reason": "INC-42", "execOptions": {"command": ["ls"], "container": "web"},
                "forObject": {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "exec", "name": "web"}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn about(template: Option<&str>) -> About {
        let template = template.map(|template| UrlTemplate::parse(template).unwrap());
        About { cluster: "prod \u{e9} \"1\" 100%".to_owned(), template }
    }

    fn filed() -> AccessRequestStatus {
        serde_json::from_value(json!({"phase": "Pending"})).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-25T12:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn attributes_are_headers_in_the_binary_mode_of_cloud_events() {
        let notice = event(Change::Filed, &object("ask"), &filed(), &about(None), now()).unwrap();
        let header = |name: &str| notice.headers[name].to_str().unwrap();
        assert_eq!(header("ce-specversion"), "1.0");
        assert_eq!(header("ce-type"), "com.spreadgroup.accessrequest.filed");
        assert_eq!(header("ce-id"), "u-1.42.filed");
        // As a URI-reference, and then once more as a header.
        assert_eq!(header("ce-source"), "/kube-request-access/prod%2520%25C3%25A9%2520%25221%2522%2520100%2525/shop");
        assert_eq!(header("ce-subject"), "ask");
        assert_eq!(header("ce-time"), "2026-11-25T12:00:00.500Z");
        assert_eq!(header("ce-resourceversion"), "42");
        assert_eq!(header("content-type"), "application/json");
        let data: Value = serde_json::from_slice(&notice.body).unwrap();
        assert_eq!(data["approve"], "kubectl request approve -n shop ask");
    }

    #[test]
    fn what_headers_cannot_carry_is_encoded_as_the_binding_has_it() {
        let subject = |name: &str| {
            event(Change::Filed, &object(name), &filed(), &about(None), now()).unwrap().headers["ce-subject"].clone()
        };
        // Its own example, then what it names besides.
        assert_eq!(subject("Euro \u{20ac} \u{1f600}"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(subject("\"100%\"\r\nce-type: x\u{7f}~!"), "%22100%25%22%0D%0Ace-type:%20x%7F~!");
    }

    #[test]
    fn a_link_is_made_of_what_is_known_and_nothing_in_it_is_taken_for_more() {
        let about = about(Some("https://requests.example/{cluster}/{namespace}/{name}?uid={uid}"));
        let notice = event(Change::Filed, &object("{uid}&x=../.."), &filed(), &about, now()).unwrap();
        let data: Value = serde_json::from_slice(&notice.body).unwrap();
        let url = "https://requests.example/prod%20%C3%A9%20%221%22%20100%25/shop/%7Buid%7D%26x%3D..%2F..?uid=u-1";
        assert_eq!(data["url"], url);
    }

    #[rstest]
    #[case("https://requests.example/{user}")]
    #[case("https://requests.example/{name")]
    #[case("requests.example/{name}")]
    #[case("javascript:alert({name})")]
    #[case("")]
    fn what_is_no_template_is_refused(#[case] text: &str) {
        UrlTemplate::parse(text).unwrap_err();
    }

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
            Self(Arc::new(Mutex::new(Played { answers: codes.iter().copied().collect(), got: Vec::new() })))
        }

        fn got(&self) -> Vec<(String, Instant)> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).got.clone()
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
                code => {
                    Err(WebhookError::Status { origin: String::new(), status: StatusCode::from_u16(code).unwrap() })
                }
            }
        }
    }

    fn notice(id: &str) -> Event {
        Event { id: id.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    fn counted(metrics: &Metrics, result: &str) -> u64 {
        let text = metrics.text().unwrap();
        let line = text.lines().find(|line| line.contains(&format!("notices_total{{result=\"{result}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Sends notices of these ids to a script, to the end.
    async fn sent(script: &Script, ids: &[&str]) -> Metrics {
        let (metrics, (queue, waiting)) = (Metrics::new(), mpsc::channel(QUEUE));
        for id in ids {
            queue.try_send(notice(id)).unwrap();
        }
        drop(queue);
        send(waiting, script.clone(), metrics.clone()).await;
        metrics
    }

    #[tokio::test(start_paused = true)]
    async fn notices_come_in_order_and_a_later_one_waits_for_an_earlier() {
        let script = Script::answering(&[503, 429, 200]);
        let metrics = sent(&script, &["1", "2", "3"]).await;
        assert_eq!(script.ids(), ["1", "1", "1", "2", "3"]);
        assert_eq!((counted(&metrics, "sent"), counted(&metrics, "failed")), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_tried_five_times_with_growing_pauses_and_then_given_up() {
        let script = Script::answering(&[500; 5]);
        let metrics = sent(&script, &["1", "2"]).await;
        assert_eq!(script.ids(), ["1", "1", "1", "1", "1", "2"]);
        let at: Vec<Instant> = script.got().into_iter().map(|(_, at)| at).collect();
        let pauses: Vec<u64> = at.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 0]);
        assert_eq!((counted(&metrics, "sent"), counted(&metrics, "failed")), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_receiver_does_not_want_is_not_sent_again() {
        let script = Script::answering(&[400, 302, 410]);
        let metrics = sent(&script, &["1", "2", "3", "4"]).await;
        assert_eq!(script.ids(), ["1", "2", "3", "4"], "a redirect is no yes, and is not followed");
        assert_eq!((counted(&metrics, "sent"), counted(&metrics, "failed")), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_hangs_holds_up_nobody_who_tells() {
        let (metrics, (queue, waiting)) = (Metrics::new(), mpsc::channel(2));
        let notices = Notices { about: about(None), queue, metrics: metrics.clone() };
        let sending = tokio::spawn(send(waiting, Script::answering(&[0]), metrics.clone()));
        for _ in 0..5 {
            notices.tell(&object("ask"), &AccessRequestStatus::default(), &filed(), now());
            tokio::task::yield_now().await;
        }
        assert_eq!(counted(&metrics, "dropped"), 2, "one is being sent, two wait");
        sending.abort();
    }
}
