//! The AdmissionReview, decoded strictly and on one and the same bytes.
//!
//! kube's own type takes the last of two equal keys and lets unknown ones pass: whoever can write a
//! request by hand could show one command to us and another to the kubelet. Here a duplicate key
//! anywhere refuses the whole review, and an unknown key in the options refuses the attempt.

mod bounds;
mod head;
mod walk;

use decide::text::safe;
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::value::RawValue;

pub use bounds::{Bounds, MAX_OBJECT_BYTES};
pub use head::{HEAD_BYTES, Head};

use crate::objects::{GroupVersionResource, UserInfo};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why bytes are not a review that we answer. Such bytes get an HTTP error, not an admission
/// answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not UTF-8, not JSON, nested too deeply, or with a duplicate key.
    #[error("the body is not an AdmissionReview that can be read safely")]
    Malformed(#[source] serde_json::Error),
    /// Another kind or version.
    #[error("expected {KIND} of {API_VERSION}, got {kind:?} of {api_version:?}")]
    OtherKind {
        /// The kind, as sent.
        kind: String,
        /// The version, as sent.
        api_version: String,
    },
    /// No `request`.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// No `uid` to answer with.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
    /// More than a review of its kind may have.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// A review is larger than one of its kind may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// In bytes.
    #[error("the review has more than {limit} bytes")]
    Bytes {
        /// The maximum.
        limit: usize,
    },
    /// In values and keys.
    #[error("the review has more than {limit} values")]
    Nodes {
        /// The maximum.
        limit: usize,
    },
    /// One of the objects of an update, in bytes of JSON.
    #[error("the object has {bytes} bytes of JSON; the maximum is {MAX_OBJECT_BYTES}")]
    Object {
        /// Its size.
        bytes: usize,
    },
}

/// A review: the request, and its bytes as they came, which is what webhooks get to see.
#[derive(Debug, Clone)]
pub struct Review {
    /// The request.
    pub request: AdmissionRequest,
    /// The request as it came.
    pub raw: Box<RawValue>,
    /// How many bytes of memory it takes at the most (see [`Bounds::memory`]).
    pub memory: usize,
}

/// What the API server asks, as far as it is used here (admission.k8s.io/v1 AdmissionRequest).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest {
    /// To be sent back. New for every attempt, the same over another transport included.
    pub uid: String,
    /// What `object` is.
    pub kind: Kind,
    /// What is acted on.
    pub resource: GroupVersionResource,
    /// `exec`, `status`, …; absent for the object itself.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Name; absent on deletecollection.
    #[serde(default)]
    pub name: Option<String>,
    /// Namespace; absent for what is cluster-scoped.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is done.
    pub operation: Operation,
    /// By whom.
    pub user_info: UserInfo,
    /// The object as it will be.
    #[serde(default)]
    pub object: Option<Box<RawValue>>,
    /// The object as it was.
    #[serde(default)]
    pub old_object: Option<Box<RawValue>>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

impl AdmissionRequest {
    /// Whether nothing will be stored.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }
}

/// A kind, as `meta.k8s.io/v1` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// API group, empty for core.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// An object is created.
    Create,
    /// An object is changed.
    Update,
    /// An object is deleted.
    Delete,
    /// A connection is opened.
    Connect,
}

/// Reads a review. Its size is looked at before anything is built from it: see [`Bounds`].
///
/// # Errors
/// Anything but one whole, unambiguous AdmissionReview of v1 with a request and a uid, within the
/// bounds of its kind.
pub fn decode(body: &[u8]) -> Result<Review, ReviewError> {
    let bounds = Head::read(body).bounds();
    if body.len() > bounds.bytes {
        return Err(TooLarge::Bytes {
            limit: bounds.bytes,
        }
        .into());
    }
    let nodes = walk::check_unambiguous(body, bounds.nodes).map_err(|error| match error {
        walk::WalkError::Json(error) => ReviewError::Malformed(error),
        walk::WalkError::TooManyNodes => TooLarge::Nodes {
            limit: bounds.nodes,
        }
        .into(),
    })?;
    let envelope: Envelope = from_object(body).map_err(ReviewError::Malformed)?;
    if envelope.kind != KIND || envelope.api_version != API_VERSION {
        return Err(ReviewError::OtherKind {
            kind: envelope.kind,
            api_version: envelope.api_version,
        });
    }
    let raw = envelope.request.ok_or(ReviewError::NoRequest)?;
    let request: AdmissionRequest =
        from_object(raw.get().as_bytes()).map_err(ReviewError::Malformed)?;
    if request.uid.is_empty() {
        return Err(ReviewError::NoUid);
    }
    check_objects(&request)?;
    Ok(Review {
        request,
        raw,
        memory: bounds.memory(body.len(), nodes),
    })
}

/// How many values and keys a text of JSON has; `None` where it has more than `most`, is no JSON,
/// or an object in it has the same key twice. Nothing is built.
pub fn count_values(text: &[u8], most: usize) -> Option<usize> {
    walk::check_unambiguous(text, most).ok()
}

/// Refuses objects that are too large one by one: an update carries two.
fn check_objects(request: &AdmissionRequest) -> Result<(), TooLarge> {
    let objects = [&request.object, &request.old_object].into_iter().flatten();
    match objects.map(|object| object.get().len()).max() {
        Some(bytes) if bytes > MAX_OBJECT_BYTES => Err(TooLarge::Object { bytes }),
        Some(_) | None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    request: Option<Box<RawValue>>,
}

/// Options of an exec, decoded strictly: what we do not know could change what runs (`env` is about
/// to come).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the four streams of core/v1 PodExecOptions"
)]
pub struct StrictExecOptions {
    kind: String,
    api_version: String,
    /// Standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Standard output.
    #[serde(default)]
    pub stdout: bool,
    /// Standard error.
    #[serde(default)]
    pub stderr: bool,
    /// A terminal.
    #[serde(default)]
    pub tty: bool,
    /// The container.
    #[serde(default)]
    pub container: Option<String>,
    /// The command; a raw client may send `null`.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

impl StrictExecOptions {
    /// Reads the object of a CONNECT review of `pods/exec`.
    ///
    /// # Errors
    /// Unknown keys, other types, another kind.
    pub fn decode(object: &RawValue) -> Result<Self, serde_json::Error> {
        let options: Self = from_object(object.get().as_bytes())?;
        check_kind(&options.kind, &options.api_version, "PodExecOptions")?;
        Ok(options)
    }
}

/// Options of an attach, decoded strictly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the four streams of core/v1 PodAttachOptions"
)]
pub struct StrictAttachOptions {
    kind: String,
    api_version: String,
    /// Standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Standard output.
    #[serde(default)]
    pub stdout: bool,
    /// Standard error.
    #[serde(default)]
    pub stderr: bool,
    /// A terminal.
    #[serde(default)]
    pub tty: bool,
    /// The container.
    #[serde(default)]
    pub container: Option<String>,
}

impl StrictAttachOptions {
    /// Reads the object of a CONNECT review of `pods/attach`.
    ///
    /// # Errors
    /// Unknown keys, other types, another kind.
    pub fn decode(object: &RawValue) -> Result<Self, serde_json::Error> {
        let options: Self = from_object(object.get().as_bytes())?;
        check_kind(&options.kind, &options.api_version, "PodAttachOptions")?;
        Ok(options)
    }
}

/// Options of a port-forward, decoded strictly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrictPortForwardOptions {
    kind: String,
    api_version: String,
    /// Ports that a client names in the query; kubectl names none, and nothing holds a client to
    /// them.
    #[serde(default)]
    pub ports: Option<Vec<i32>>,
}

impl StrictPortForwardOptions {
    /// Reads the object of a CONNECT review of `pods/portforward`.
    ///
    /// # Errors
    /// Unknown keys, other types, another kind.
    pub fn decode(object: &RawValue) -> Result<Self, serde_json::Error> {
        let options: Self = from_object(object.get().as_bytes())?;
        check_kind(&options.kind, &options.api_version, "PodPortForwardOptions")?;
        Ok(options)
    }
}

/// Options of a proxy, decoded strictly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrictProxyOptions {
    kind: String,
    api_version: String,
    /// The path behind the proxy, which the API server has decoded once.
    #[serde(default)]
    pub path: Option<String>,
}

impl StrictProxyOptions {
    /// Reads the object of a CONNECT review of `pods/proxy`, `services/proxy` or `nodes/proxy`;
    /// `kind` is `PodProxyOptions`, `ServiceProxyOptions` or `NodeProxyOptions`.
    ///
    /// # Errors
    /// Unknown keys, other types, another kind.
    pub fn decode(object: &RawValue, kind: &str) -> Result<Self, serde_json::Error> {
        let options: Self = from_object(object.get().as_bytes())?;
        check_kind(&options.kind, &options.api_version, kind)?;
        Ok(options)
    }
}

fn check_kind(kind: &str, api_version: &str, expected: &str) -> Result<(), serde_json::Error> {
    if kind == expected && api_version == "v1" {
        return Ok(());
    }
    Err(serde_json::Error::custom(format_args!(
        "not v1 {expected} but {kind:?}"
    )))
}

/// Reads a struct from an object. A list of its fields, which serde takes too, has no names that
/// could be checked.
fn from_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    if json.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(json)
    } else {
        Err(serde_json::Error::custom("expected an object"))
    }
}

/// Our answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    api_version: &'static str,
    kind: &'static str,
    /// The answer proper.
    pub response: AdmissionResponse,
}

/// admission.k8s.io/v1 AdmissionResponse.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionResponse {
    /// That of the request.
    pub uid: String,
    /// The decision.
    pub allowed: bool,
    /// What the caller reads; on denials only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// A JSON patch in base64; never on a validating path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// `JSONPatch` beside a patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<&'static str>,
    /// Land in the API server's audit event, allowed or denied.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub audit_annotations: std::collections::BTreeMap<String, String>,
    /// Reach the client as headers, allowed or denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// meta/v1 Status, as far as the API server passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// HTTP status code. Without one the client would read 400.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Answer {
    /// The request may proceed.
    pub fn allow(uid: &str) -> Self {
        Self::new(uid, true, None)
    }

    /// The request may not proceed, and `message` says why. It is read in a terminal, and may
    /// repeat what was sent: what does not show is escaped.
    pub fn deny(uid: &str, message: impl Into<String>) -> Self {
        let message = message
            .into()
            .split('\n')
            .map(safe)
            .collect::<Vec<_>>()
            .join("\n");
        Self::new(
            uid,
            false,
            Some(Status {
                code: 403,
                reason: "Forbidden",
                message,
            }),
        )
    }

    /// The request is refused because of its size (HTTP 413). As with [`Self::deny`], the user
    /// reads `message`.
    pub fn too_large(uid: &str, message: impl Into<String>) -> Self {
        Self::new(
            uid,
            false,
            Some(Status {
                code: 413,
                reason: "RequestEntityTooLarge",
                message: message.into(),
            }),
        )
    }

    /// The request is refused because too much is worked on already (HTTP 429). It has no
    /// `retryAfterSeconds`, so clients do not repeat it by themselves. As with [`Self::deny`], the
    /// user reads `message`.
    pub fn too_many(uid: &str, message: impl Into<String>) -> Self {
        Self::new(
            uid,
            false,
            Some(Status {
                code: 429,
                reason: "TooManyRequests",
                message: message.into(),
            }),
        )
    }

    /// Adds what the API server's audit event should carry.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<String>) -> Self {
        self.response
            .audit_annotations
            .insert(key.to_owned(), value.into());
        self
    }

    /// Adds what the client gets as a `Warning` header.
    #[must_use]
    pub fn warning(mut self, text: impl Into<String>) -> Self {
        self.response.warnings.push(text.into());
        self
    }

    /// Adds a JSON patch, in base64.
    #[must_use]
    pub fn patched(mut self, patch: String) -> Self {
        self.response.patch = Some(patch);
        self.response.patch_type = Some("JSONPatch");
        self
    }

    fn new(uid: &str, allowed: bool, status: Option<Status>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: KIND,
            response: AdmissionResponse {
                uid: uid.to_owned(),
                allowed,
                status,
                patch: None,
                patch_type: None,
                audit_annotations: std::collections::BTreeMap::new(),
                warnings: Vec::new(),
            },
        }
    }
}
