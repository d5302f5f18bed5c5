//! Kubernetes Events on requests: what became of each. They are made from what was stored, by the
//! replica whose write of the status was taken, and so once; and they never hold anything up.
//!
//! Who may read events of a namespace is not who may read requests: commands and reasons do not
//! stand in them.

use api::{
    AccessRequest, AccessRequestStatus, UserInfo, contract::conditions, notice::Change,
    objects::Emergency,
};
use decide::{attempt::Door, text::safe};
use kube::{
    Resource as _, ResourceExt as _,
    runtime::events::{Event, EventType, Recorder},
};
use tracing::debug;

/// Tells of a change of the status, in the background.
pub fn tell(
    recorder: &Recorder,
    object: &AccessRequest,
    old: &AccessRequestStatus,
    new: &AccessRequestStatus,
) {
    let events = events(object, old, new);
    if events.is_empty() {
        return;
    }
    let (recorder, reference, name) = (recorder.clone(), object.object_ref(&()), object.name_any());
    tokio::spawn(async move {
        for event in events {
            if let Err(error) = recorder.publish(&event, &reference).await {
                debug!(
                    request = name,
                    reason = event.reason,
                    error = crate::chain(&error),
                    "an event was not published"
                );
            }
        }
    });
}

/// What a change of the status means.
fn events(
    object: &AccessRequest,
    old: &AccessRequestStatus,
    new: &AccessRequestStatus,
) -> Vec<Event> {
    Change::between(old, new)
        .into_iter()
        .map(|change| describe_change(change, object, new))
        .collect()
}

fn describe_change(change: Change, object: &AccessRequest, new: &AccessRequestStatus) -> Event {
    match change {
        Change::Filed => event(EventType::Normal, "Filed", "File", &filed(object)),
        Change::Revoked => event(
            EventType::Normal,
            "Revoked",
            "Revoke",
            "it waits for a grant again",
        ),
        Change::Granted => event(
            EventType::Normal,
            "Granted",
            "Grant",
            &said(new, conditions::GRANTED),
        ),
        Change::Denied => event(
            EventType::Warning,
            "Denied",
            "Deny",
            &said(new, conditions::DENIED),
        ),
        Change::Used => event(
            EventType::Normal,
            "Used",
            "Use",
            &said(new, conditions::USED),
        ),
        Change::Expired => event(
            EventType::Normal,
            "Expired",
            "Expire",
            &said(new, conditions::EXPIRED),
        ),
        Change::Lost => event(
            EventType::Warning,
            "Lost",
            "Use",
            &said(new, conditions::LOST),
        ),
        Change::Emergency => {
            let note = new
                .emergency
                .as_ref()
                .map(|emergency| begun(object, emergency))
                .unwrap_or_default();
            event(EventType::Warning, "Emergency", "Grant", &note)
        }
        Change::Overdue => event(
            EventType::Warning,
            "Overdue",
            "Review",
            &said(new, conditions::REVIEWED),
        ),
        Change::Reviewed => event(
            EventType::Normal,
            "Reviewed",
            "Review",
            &said(new, conditions::REVIEWED),
        ),
    }
}

/// Who asks for what, and how it is answered.
fn filed(object: &AccessRequest) -> String {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let what = asks(object);
    format!(
        "{what}; to answer: kubectl request approve -n {} {}",
        safe(&namespace),
        safe(&name)
    )
}

/// Who got what by which policy, and until when somebody must look at it. What matters comes first:
/// long names are cut.
fn begun(object: &AccessRequest, emergency: &Emergency) -> String {
    let (policy, by) = (safe(&emergency.policy.name), emergency.review_by.0);
    format!(
        "granted without approval by policy {policy}, to be reviewed until {by}: {}",
        asks(object)
    )
}

/// Who asks for what.
fn asks(object: &AccessRequest) -> String {
    let spec = &object.spec;
    let user = spec
        .user_info
        .as_ref()
        .map(UserInfo::name)
        .unwrap_or_default();
    let door = Door::of(&spec.for_object.sub_resource).map_or("access", Door::verb);
    let (resource, target) = (&spec.for_object.resource.resource, &spec.for_object.name);
    format!(
        "{} asks for {door} of {}/{}",
        safe(user),
        safe(resource),
        safe(target)
    )
}

/// The text of a condition.
fn said(status: &AccessRequestStatus, kind: &str) -> String {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind);
    condition
        .map(|condition| safe(&condition.message))
        .unwrap_or_default()
}

fn event(type_: EventType, reason: &str, action: &str, note: &str) -> Event {
    // The API server takes a kilobyte.
    let note: String = note.chars().take(250).collect();
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object() -> AccessRequest {
        let object = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
            "metadata": {"name": "ask", "namespace": "shop"},
            "spec": {"userInfo": {"username": "jane\u{1b}"}, "reason": "a secret", "execOptions": {"command": ["psql", "-psecret"]},
                "forObject": {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "exec", "name": "web"}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn status(status: Value) -> AccessRequestStatus {
        serde_json::from_value(status).unwrap()
    }

    fn told(old: Value, new: Value) -> Vec<(String, String)> {
        let events = events(&object(), &status(old), &status(new));
        events
            .into_iter()
            .map(|event| (event.reason, event.note.unwrap_or_default()))
            .collect()
    }

    fn with(phase: &str) -> Value {
        json!({"phase": phase, "conditions": [{"type": phase, "status": "True", "reason": phase, "message": format!("{phase} it is"),
            "lastTransitionTime": "2026-11-23T15:00:00Z"}]})
    }

    #[test]
    fn who_asks_for_what_is_told_and_nothing_that_may_be_secret() {
        let told = told(json!({}), with("Pending"));
        let text = "jane\\u{1b} asks for exec of deployments/web; to answer: kubectl request approve -n shop ask";
        assert_eq!(told, [("Filed".to_owned(), text.to_owned())]);
    }

    #[test]
    fn every_change_of_the_phase_is_told_once() {
        for phase in ["Granted", "Denied", "Used", "Expired"] {
            assert_eq!(
                told(with("Pending"), with(phase)),
                [(phase.to_owned(), format!("{phase} it is"))]
            );
            assert_eq!(told(with(phase), with(phase)), []);
        }
        assert_eq!(told(with("Granted"), with("Pending"))[0].0, "Revoked");
    }

    #[test]
    fn an_emergency_is_told_loudly_and_once_its_delay_and_its_review() {
        let in_emergency = |reason: &str, reviewed: Value| {
            let mut status = with("Granted");
            status["emergency"] = json!({"policy": {"name": "night", "uid": "p", "generation": 2},
                "since": "2026-11-23T15:00:00Z", "reviewBy": "2026-11-24T15:00:00Z"});
            status["reviewed"] = reviewed;
            let condition = json!({"type": "Reviewed", "status": "False", "reason": reason, "message": format!("{reason} it is"),
                "lastTransitionTime": "2026-11-23T15:00:00Z"});
            status["conditions"].as_array_mut().unwrap().push(condition);
            status
        };
        let events = events(
            &object(),
            &status(with("Pending")),
            &status(in_emergency("Awaited", Value::Null)),
        );
        let told: Vec<_> = events
            .iter()
            .map(|event| (event.reason.as_str(), &event.type_))
            .collect();
        assert!(
            matches!(
                told[..],
                [
                    ("Granted", EventType::Normal),
                    ("Emergency", EventType::Warning)
                ]
            ),
            "{told:?}"
        );
        let text = "granted without approval by policy night, to be reviewed until 2026-11-24T15:00:00Z: jane\\u{1b} asks for \
            exec of deployments/web";
        assert_eq!(events[1].note.as_deref(), Some(text));
        let overdue = in_emergency("Overdue", Value::Null);
        let late = super::events(
            &object(),
            &status(in_emergency("Awaited", Value::Null)),
            &status(overdue.clone()),
        );
        assert!(
            matches!(&late[..], [late] if late.reason == "Overdue" && matches!(late.type_, EventType::Warning))
        );
        let reviewed = in_emergency(
            "Reviewed",
            json!({"by": "amy", "at": "2026-11-23T15:00:00Z", "reason": "a secret"}),
        );
        assert_eq!(
            self::told(overdue, reviewed.clone()),
            [("Reviewed".to_owned(), "Reviewed it is".to_owned())]
        );
        assert_eq!(self::told(reviewed.clone(), reviewed), []);
    }

    #[test]
    fn a_lost_use_is_told() {
        let used = |outcome: Value| {
            let mut status = with("Used");
            status["uses"] = json!([{"reviewUID": "r", "at": "2026-11-23T15:00:00Z", "pod": "p", "podUID": "u", "outcome": outcome}]);
            status
        };
        assert_eq!(told(used(Value::Null), used(json!("Lost")))[0].0, "Lost");
        assert_eq!(told(used(json!("Lost")), used(json!("Lost"))), []);
    }
}
