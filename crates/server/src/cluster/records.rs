//! What is kept of requests that opened something, once they are deleted: `ConfigMap`s in our own
//! namespace.
//!
//! Nothing ever reads what one says, so none can give access.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    AccessGrant, AccessRequest, AccessRequestStatus, UserInfo,
    contract::labels::{RECORD_NAMESPACE, RECORD_PERSON, RECORD_REQUEST},
    objects::AccessRequestSpec,
};
use decide::{
    kept::{self, Kept, Part},
    lifecycle::Keep,
    record::digest,
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    core::PartialObjectMeta,
};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use tracing::warn;

/// Names of records begin so, and go on with the UID of what was deleted.
const PREFIX: &str = "kube-request-access-record-";
/// Under this key the record stands in its ConfigMap.
const KEY: &str = "record.json";
/// How long the cluster's controllers wait for a record.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long they wait after one of them waited in vain.
const SHORT_RECORD_TIMEOUT: Duration = Duration::from_millis(100);
/// How long that is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// Number of hexadecimal digits of a person's digest in the label.
const DIGITS: usize = 32;

/// Where records are kept, and for how long.
#[derive(Clone)]
pub struct Records {
    api: Api<ConfigMap>,
    keep: Duration,
    /// When a controller waited in vain.
    slow: Arc<Mutex<Option<Instant>>>,
}

/// A deletion.
#[derive(Debug, Clone, Copy)]
pub struct Deletion<'a> {
    /// `AccessRequest` or `AccessGrant`.
    pub kind: &'static str,
    /// Name of the object.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Who deletes it.
    pub by: &'a UserInfo,
    /// When.
    pub at: Timestamp,
    /// UID of the review.
    pub review_uid: &'a str,
}

/// What is kept of a request.
#[derive(Debug)]
pub struct Record {
    metadata: ObjectMeta,
    parts: Vec<Part<'static>>,
}

impl Record {
    /// The record of a request and its grants as they are when it, or one of them, is deleted.
    pub fn of(deletion: Deletion<'_>, request: &AccessRequest, grants: &[AccessGrant]) -> Self {
        let metadata = &request.metadata;
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let uid = metadata.uid.clone().unwrap_or_default();
        let user = request.spec.user_info.as_ref();
        let person = digest(user.map(UserInfo::name).unwrap_or_default().as_bytes())
            .chars()
            .take(DIGITS)
            .collect();
        let labels = [
            (RECORD_NAMESPACE, namespace),
            (RECORD_PERSON, person),
            (RECORD_REQUEST, uid),
        ];
        let metadata = ObjectMeta {
            name: Some(format!("{PREFIX}{}", deletion.uid)),
            labels: Some(
                labels
                    .into_iter()
                    .map(|(label, value)| (label.to_owned(), value))
                    .collect(),
            ),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            parts: parts(deletion, request, grants),
        }
    }

    /// The record as JSON that stands whole in a line of the log.
    pub fn for_the_log(&self) -> String {
        kept::document(&self.parts, kept::MAX_LEN_IN_LOG)
    }

    fn object(&self) -> ConfigMap {
        let text = kept::document(&self.parts, kept::MAX_LEN);
        ConfigMap {
            metadata: self.metadata.clone(),
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            immutable: Some(true),
            ..ConfigMap::default()
        }
    }

    /// Selects the records of the same person in the same namespace.
    fn siblings(&self) -> String {
        let labels = self
            .metadata
            .labels
            .iter()
            .flatten()
            .filter(|(label, _)| *label != RECORD_REQUEST);
        labels
            .map(|(label, value)| format!("{label}={value}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

fn parts(
    deletion: Deletion<'_>,
    request: &AccessRequest,
    grants: &[AccessGrant],
) -> Vec<Part<'static>> {
    let AccessRequest {
        metadata,
        spec,
        status,
    } = request;
    let Deletion {
        kind,
        name,
        uid,
        by,
        at,
        review_uid,
    } = deletion;
    let status = status.clone().unwrap_or_default();
    let deleted = json!({"kind": kind, "name": name, "uid": uid, "at": Time(at), "by": user(Some(by)), "reviewUID": review_uid});
    let asked = json!({
        "namespace": metadata.namespace, "name": metadata.name, "uid": metadata.uid, "created": metadata.creation_timestamp,
        "user": user(spec.user_info.as_ref()), "createdBy": user(spec.created_by.as_ref()),
    });
    let rest = AccessRequestStatus {
        uses: Vec::new(),
        denied: None,
        emergency: None,
        reviewed: None,
        conditions: Vec::new(),
        ..status.clone()
    };
    vec![
        ("deleted", deleted.to_string()),
        ("request", asked.to_string()),
        (
            "spec",
            json(&AccessRequestSpec {
                user_info: None,
                created_by: None,
                ..spec.clone()
            }),
        ),
        (
            "grants",
            json(&grants.iter().map(answer).collect::<Vec<_>>()),
        ),
        ("uses", json(&status.uses)),
        ("denied", json(&status.denied)),
        ("emergency", json(&status.emergency)),
        ("reviewed", json(&status.reviewed)),
        ("status", json(&rest)),
    ]
}

/// Somebody, without her groups.
fn user(info: Option<&UserInfo>) -> serde_json::Value {
    info.map_or(
        serde_json::Value::Null,
        |info| json!({"username": info.username, "uid": info.uid}),
    )
}

fn answer(
    AccessGrant {
        metadata,
        spec,
        status,
    }: &AccessGrant,
) -> serde_json::Value {
    json!({
        "name": metadata.name, "uid": metadata.uid, "created": metadata.creation_timestamp, "status": status,
        "by": user(spec.granted_by.as_ref()), "validFor": spec.valid_for, "reason": spec.reason,
    })
}

/// Our own types can always be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_impossible| "null".to_owned())
}

impl Records {
    /// Records in this namespace, kept as long as finished requests.
    pub fn new(client: Client, namespace: &str, keep: Keep) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            keep: keep.finished,
            slow: Arc::default(),
        }
    }

    /// How long one of the cluster's own controllers waits for a record. Where it just waited in
    /// vain, less: a namespace ends one deletion after another, and must end all the same.
    pub fn patience(&self) -> Duration {
        let slow = *self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if slow.is_some_and(|since| since.elapsed() < REMEMBERED_FOR) {
            SHORT_RECORD_TIMEOUT
        } else {
            RECORD_TIMEOUT
        }
    }

    /// Remembers that a controller waited in vain.
    pub fn was_slow(&self) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Keeps a record, in the place of an earlier one of the same deletion; then deletes the oldest
    /// of that person and namespace where there are too many.
    ///
    /// # Errors
    /// It is not kept.
    pub async fn keep(&self, record: &Record, now: Timestamp) -> Result<(), kube::Error> {
        let object = record.object();
        match self.api.create(&PostParams::default(), &object).await {
            // That one was not carried out, and the request may have been used since. After any other
            // conflict, as one over a quota is, there is nothing to delete.
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => {
                self.delete(&object.name_any()).await?;
                self.api.create(&PostParams::default(), &object).await?;
            }
            created => drop(created?),
        }
        if let Err(error) = self.prune(&record.siblings(), now).await {
            warn!(
                error = crate::chain(&error),
                "records that are too many could not be deleted; the clean-up will"
            );
        }
        Ok(())
    }

    /// Deletes what is too old or too many.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn clean_up(&self, now: Timestamp) -> Result<(), kube::Error> {
        self.prune(RECORD_NAMESPACE, now).await
    }

    async fn prune(&self, selector: &str, now: Timestamp) -> Result<(), kube::Error> {
        let all = self
            .api
            .list_metadata(&ListParams::default().labels(selector))
            .await?;
        let all: Vec<Kept> = all.items.iter().filter_map(kept).collect();
        for name in kept::surplus(&all, self.keep, now) {
            self.delete(&name).await?;
        }
        Ok(())
    }

    /// Another replica may have been faster.
    async fn delete(&self, name: &str) -> Result<(), kube::Error> {
        match self.api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// A record, by its metadata alone. What is called otherwise is not ours to delete.
fn kept(object: &PartialObjectMeta<ConfigMap>) -> Option<Kept> {
    let label = |label: &str| object.labels().get(label).cloned();
    let name = object
        .metadata
        .name
        .clone()
        .filter(|name| name.starts_with(PREFIX))?;
    let since = object.metadata.creation_timestamp.as_ref()?.0;
    Some(Kept {
        name,
        namespace: label(RECORD_NAMESPACE)?,
        person: label(RECORD_PERSON)?,
        since,
    })
}
