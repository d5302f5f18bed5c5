//! A notice as it is sent: an event of `CloudEvents` 1.0 over HTTP, in binary mode.

use api::{
    AccessRequest, AccessRequestStatus,
    contract::cloud_events::TYPE_PREFIX,
    notice::{Change, Notice},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use kube::ResourceExt as _;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;

use super::{About, queue::QueueItem};

/// What is percent-encoded in values of headers, beside all that is not ASCII (`CloudEvents` HTTP
/// Protocol Binding 1.0.2, 3.1.3.2).
const IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// What is percent-encoded in a URL: all but the unreserved characters of RFC 3986.
pub(super) const IN_URLS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What an event takes of memory beside its body and its longer texts, in bytes; it is rather more
/// than less.
const SMALL_PARTS: usize = 2048;

/// A notice, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    /// What became of the request.
    pub(super) change: Change,
    /// Namespace of the request.
    pub(super) namespace: String,
    /// Name of the request.
    pub(super) name: String,
    /// UID of the request.
    pub(super) uid: String,
    /// Since when it waits.
    pub(super) began: Instant,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl QueueItem for Event {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> usize {
        self.body.len().saturating_add(SMALL_PARTS)
    }
}

/// Why a notice cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoticeError {
    /// Its data.
    #[error("cannot write the data as JSON")]
    Data(#[from] serde_json::Error),
    /// A header.
    #[error("cannot write a header")]
    Header(#[from] http::header::InvalidHeaderValue),
}

/// The event of a change. Whoever gets it twice can tell by its id: that of an alarm is the same
/// whenever it is sent, any other is of the write that made the change.
///
/// # Errors
/// Something of it cannot be written.
pub(super) fn event(
    change: Change,
    object: &AccessRequest,
    new: &AccessRequestStatus,
    about: &About,
    now: Timestamp,
) -> Result<Event, NoticeError> {
    let (namespace, name, uid) = (
        object.namespace().unwrap_or_default(),
        object.name_any(),
        object.uid().unwrap_or_default(),
    );
    let url = about
        .template
        .as_ref()
        .map(|template| template.of(&about.cluster, &namespace, &name, &uid));
    let version = object.resource_version().unwrap_or_default();
    let id = match change.alarm() {
        Some(_) => format!("{uid}.{}", change.word()),
        None => format!("{uid}.{version}.{}", change.word()),
    };
    let encoded = |text: &str| utf8_percent_encode(text, IN_URLS).to_string();
    let source = format!(
        "/kube-request-access/{}/{}",
        encoded(&about.cluster),
        encoded(&namespace)
    );
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let attributes = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-type", format!("{TYPE_PREFIX}{}", change.word())),
        ("ce-id", id.clone()),
        ("ce-source", source),
        ("ce-subject", name.clone()),
        ("ce-time", time),
        // An extension: notices of several replicas in the order of the writes that they tell of.
        ("ce-resourceversion", version),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    for (attribute, value) in attributes {
        let value = utf8_percent_encode(&value, IN_HEADERS).to_string();
        headers.insert(
            HeaderName::from_static(attribute),
            HeaderValue::try_from(value)?,
        );
    }
    let notice = Notice::of(change, object, new, &about.cluster, url);
    let body = serde_json::to_vec(&notice)?.into();
    Ok(Event {
        id,
        change,
        namespace,
        name,
        uid,
        began: Instant::now(),
        headers,
        body,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::UrlTemplate, *};

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
        About {
            cluster: "prod \u{e9} \"1\" 100%".to_owned(),
            template,
        }
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
        assert_eq!(
            header("ce-source"),
            "/kube-request-access/prod%2520%25C3%25A9%2520%25221%2522%2520100%2525/shop"
        );
        assert_eq!(header("ce-subject"), "ask");
        assert_eq!(header("ce-time"), "2026-11-25T12:00:00.500Z");
        assert_eq!(header("ce-resourceversion"), "42");
        assert_eq!(header("content-type"), "application/json");
        let data: Value = serde_json::from_slice(&notice.body).unwrap();
        assert_eq!(data["approve"], "kubectl request approve -n shop ask@u-1");
    }

    #[test]
    fn what_headers_cannot_carry_is_encoded_as_the_binding_has_it() {
        let subject = |name: &str| {
            event(Change::Filed, &object(name), &filed(), &about(None), now())
                .unwrap()
                .headers["ce-subject"]
                .clone()
        };
        // Its own example, then what it names besides.
        assert_eq!(
            subject("Euro \u{20ac} \u{1f600}"),
            "Euro%20%E2%82%AC%20%F0%9F%98%80"
        );
        assert_eq!(
            subject("\"100%\"\r\nce-type: x\u{7f}~!"),
            "%22100%25%22%0D%0Ace-type:%20x%7F~!"
        );
    }

    #[test]
    fn a_link_is_made_of_what_is_known_and_nothing_in_it_is_taken_for_more() {
        let about = about(Some(
            "https://requests.example/{cluster}/{namespace}/{name}?uid={uid}",
        ));
        let notice = event(
            Change::Filed,
            &object("{uid}&x=../.."),
            &filed(),
            &about,
            now(),
        )
        .unwrap();
        let data: Value = serde_json::from_slice(&notice.body).unwrap();
        let url = "https://requests.example/prod%20%C3%A9%20%221%22%20100%25/shop/%7Buid%7D%26x%3D..%2F..?uid=u-1";
        assert_eq!(data["url"], url);
    }

    #[test]
    fn an_alarm_has_the_same_id_whenever_it_is_sent() {
        let id = |change, version: &str| {
            let mut object = object("ask");
            object.metadata.resource_version = Some(version.to_owned());
            event(change, &object, &filed(), &about(None), now())
                .unwrap()
                .id
        };
        assert_eq!(id(Change::Emergency, "42"), "u-1.emergency");
        assert_eq!(id(Change::Emergency, "43"), "u-1.emergency");
        assert_ne!(id(Change::Granted, "42"), id(Change::Granted, "43"));
    }
}
