//! Whether what was stored is what was sent. Other admission webhooks and policies may change our
//! objects on their way, before our server seals them: only the client knows what was meant.
//!
//! Pure functions on values. What the server documents that it writes is taken over from what was
//! stored; all else must be the same.

use std::collections::BTreeSet;

use api::{AccessGrant, AccessRequest, AccessRequestSpec, UserInfo, convert};
use decide::copy::Direction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

use decide::text::safe;

/// At most so many differences are told, each of at most so many characters.
const SHOWN: (usize, usize) = (8, 160);

/// What differs between a grant as it was sent and as it was stored, in words; nothing where it is
/// the same.
pub fn grant_differs(sent: &AccessGrant, stored: &AccessGrant) -> Vec<String> {
    let mut expected = sent.clone();
    expected.spec.granted_by.clone_from(&stored.spec.granted_by);
    expected.spec.seal.clone_from(&stored.spec.seal);
    if expected.spec.request_uid.is_none() {
        expected
            .spec
            .request_uid
            .clone_from(&stored.spec.request_uid);
    }
    let mut of = differences(&metadata(&sent.metadata), &metadata(&stored.metadata));
    of.extend(differences(
        &json!({"spec": expected.spec}),
        &json!({"spec": stored.spec}),
    ));
    of.extend(differences(
        &json!({"status": sent.status}),
        &json!({"status": stored.status}),
    ));
    told(of)
}

/// The same of a request.
pub fn request_differs(sent: &AccessRequest, stored: &AccessRequest) -> Vec<String> {
    let mut expected = sent.spec.clone();
    let there = &stored.spec;
    expected.created_by.clone_from(&there.created_by);
    expected.cluster_name.clone_from(&there.cluster_name);
    expected.username_prefix.clone_from(&there.username_prefix);
    expected.user_info = requester(
        sent.spec.user_info.as_ref(),
        there.user_info.as_ref(),
        there.created_by.as_ref(),
    );
    if expected.for_object.uid.is_none() {
        expected.for_object.uid.clone_from(&there.for_object.uid);
    }
    if let Some(copy) = &expected.copy {
        let copy = convert::copy_of(copy, None);
        let options = expected.exec_options.get_or_insert_default();
        if options.command.as_ref().is_none_or(Vec::is_empty) {
            options.command = Some(copy.command());
            options.stdin = (copy.direction == Direction::To).then_some(true);
        }
    }
    if let Some(options) = &there.exec_options {
        fill(
            &mut expected.exec_options.get_or_insert_default().container,
            options.container.as_ref(),
        );
    }
    if let Some(options) = &there.attach_options {
        // Without options of its own, only a request to attach gets some from the server.
        if expected.for_object.sub_resource == "attach" || expected.attach_options.is_some() {
            fill(
                &mut expected.attach_options.get_or_insert_default().container,
                options.container.as_ref(),
            );
        }
    }
    let mut of = differences(&metadata(&sent.metadata), &metadata(&stored.metadata));
    of.extend(differences(
        &json!({"spec": expected}),
        &json!({"spec": there}),
    ));
    told(of)
}

/// Who the access is for: whoever files it, or whoever they named. The server may take the
/// authenticator's prefix off.
fn requester(
    named: Option<&UserInfo>,
    stored: Option<&UserInfo>,
    filed_by: Option<&UserInfo>,
) -> Option<UserInfo> {
    let same = match (named, stored, filed_by) {
        (Some(named), Some(stored), _) => is_name(stored.name(), named.name()),
        (None, Some(stored), Some(filed_by)) => stored.name() == filed_by.name(),
        (None, _, None) | (None, None, Some(_)) => true,
        (Some(_), None, _) => false,
    };
    if same {
        stored.cloned()
    } else {
        named.or(filed_by).cloned()
    }
}

/// Whether a stored name is the one that was sent, or that behind a prefix such as `oidc:`.
fn is_name(stored: &str, sent: &str) -> bool {
    let prefix = sent.strip_suffix(stored).filter(|_| !stored.is_empty());
    prefix.is_some_and(|prefix| !prefix.ends_with(char::is_alphanumeric))
}

/// The container that the server chose, where none was named.
fn fill(expected: &mut Option<String>, stored: Option<&String>) {
    if expected.as_ref().is_none_or(String::is_empty) {
        *expected = stored.cloned();
    }
}

/// What of the metadata says what an object is about. A label or annotation more gives nobody
/// anything.
fn metadata(of: &ObjectMeta) -> Value {
    json!({"metadata": {"namespace": of.namespace, "ownerReferences": of.owner_references}})
}

/// The fields in which two requests ask for different things, but for what names credentials, for what
/// people wrote, and for what the server stamps.
pub fn fields_that_differ(earlier: &AccessRequestSpec, later: &AccessRequestSpec) -> Vec<String> {
    let asked = |spec: &AccessRequestSpec| {
        let mut spec = AccessRequestSpec {
            user_info: None,
            created_by: None,
            cluster_name: None,
            username_prefix: None,
            custom_keys: None,
            reason: None,
            follows: None,
            ..spec.clone()
        };
        spec.for_object.uid = None;
        spec
    };
    let differences = differences(&asked(earlier), &asked(later));
    let (most, _) = SHOWN;
    differences
        .into_iter()
        .take(most)
        .map(|(at, _, _)| safe(&at))
        .collect()
}

/// The paths at which two values differ, and both values.
fn differences(sent: &impl Serialize, stored: &impl Serialize) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    // What cannot be compared is not the same.
    match (serde_json::to_value(sent), serde_json::to_value(stored)) {
        (Ok(sent), Ok(stored)) => compare("", &sent, &stored, &mut found),
        (sent, stored) => found.push((
            String::new(),
            sent.unwrap_or_default(),
            stored.unwrap_or_default(),
        )),
    }
    found
}

fn compare(at: &str, sent: &Value, stored: &Value, found: &mut Vec<(String, Value, Value)>) {
    if let (Value::Object(one), Value::Object(other)) = (sent, stored) {
        let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        for key in keys {
            let of =
                |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            let at = if at.is_empty() {
                key.clone()
            } else {
                format!("{at}.{key}")
            };
            compare(&at, &of(one), &of(other), found);
        }
    } else if sent != stored {
        found.push((at.to_owned(), sent.clone(), stored.clone()));
    }
}

fn told(differences: Vec<(String, Value, Value)>) -> Vec<String> {
    let (most, _) = SHOWN;
    let more = differences.len().saturating_sub(most);
    let mut lines: Vec<String> = differences
        .into_iter()
        .take(most)
        .map(|(at, sent, stored)| {
            format!(
                "{}: sent {}, stored {}",
                safe(&at),
                shown(&sent),
                shown(&stored)
            )
        })
        .collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = safe(&value.to_string());
    let (_, most) = SHOWN;
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What became of an object that is not what was sent, for the end of a sentence.
/// `line` is what deletes it.
pub fn fate(deleted: bool, line: &str) -> String {
    if deleted {
        "It was deleted again, but may have counted for a moment".to_owned()
    } else {
        format!("IT IS STILL THERE and could not be deleted: have it deleted now ({line})")
    }
}
