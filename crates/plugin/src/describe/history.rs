//! What became of a request, in the order in which it happened.

use api::objects::{Outcome, Use};
use api::{AccessGrant, AccessRequest, GrantStatus, Phase};
use jiff::{Timestamp, Zoned};

use crate::describe::words;
use crate::terminal::times;
use api::convert::is_answer_to;
use decide::text::safe_word;

/// One thing that happened, or will.
struct Event {
    at: Timestamp,
    what: String,
}

/// A line each: when, and what. `grants` are the answers, as far as they may be seen.
pub fn of(request: &AccessRequest, grants: &[AccessGrant], now: &Zoned) -> Vec<String> {
    let filed = request
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|at| event(at.0, filed(request)));
    let status = request.status.clone().unwrap_or_default();
    let uses = status.uses.iter().map(|one| event(one.at.0, used(one)));
    let answers = grants.iter().filter_map(|grant| answered(grant, request));
    let looked = denied(request, grants)
        .into_iter()
        .chain(reviewed(request, grants));
    let mut events: Vec<Event> = filed
        .into_iter()
        .chain(emergency(request))
        .chain(answers)
        .chain(uses)
        .chain(looked)
        .collect();
    events.extend(end(request, now.timestamp()));
    events.extend(due(request, now.timestamp()));
    // What happened at the same second stands as it was put together: filed before answered before
    // used.
    events.sort_by_key(|event| event.at);
    let times: Vec<String> = events
        .iter()
        .map(|event| times::told(event.at, now))
        .collect();
    let width = times.iter().map(String::len).max().unwrap_or_default();
    times
        .iter()
        .zip(&events)
        .map(|(time, event)| format!("{time:<width$}  {}", event.what))
        .collect()
}

/// Whether an answer to a use came too late: then nobody got in by it.
pub fn is_lost(request: &AccessRequest) -> bool {
    let status = request.status.as_ref();
    let mut uses = status.into_iter().flat_map(|status| &status.uses);
    uses.any(|one| one.outcome == Some(Outcome::Lost))
}

/// How many approvals there are, where more than one is needed: `1 of 2`.
pub fn approvals(request: &AccessRequest, grants: &[AccessGrant]) -> Option<String> {
    let needed = request.status.as_ref()?.approvals?;
    Some(format!("{} of {needed}", approvers(request, grants)))
}

/// How many people have granted it, as far as their answers may be seen.
pub fn approvers(request: &AccessRequest, grants: &[AccessGrant]) -> usize {
    let granted = grants
        .iter()
        .filter(|grant| grant.status == Some(GrantStatus::Granted) && is_for(grant, request))
        // Whatever has no seal was stored past the server, and counts for nothing.
        .filter(|grant| grant.spec.seal.is_some());
    let mut by: Vec<&str> = granted
        .filter_map(|grant| grant.spec.granted_by.as_ref())
        .map(api::UserInfo::name)
        .collect();
    by.sort_unstable();
    by.dedup();
    by.len()
}

/// Whether an answer is to this request, and to no earlier one of its name.
pub fn is_for(grant: &AccessGrant, request: &AccessRequest) -> bool {
    is_answer_to(grant, request)
}

fn event(at: Timestamp, what: String) -> Event {
    Event { at, what }
}

fn filed(request: &AccessRequest) -> String {
    let user = words::user(request);
    match request
        .spec
        .created_by
        .as_ref()
        .map(api::UserInfo::name)
        .filter(|by| !by.is_empty())
    {
        Some(by) if safe_word(by) != user => format!("filed by {} for {user}", safe_word(by)),
        Some(_) | None => format!("filed by {user}"),
    }
}

fn answered(grant: &AccessGrant, request: &AccessRequest) -> Option<Event> {
    let at = grant
        .metadata
        .creation_timestamp
        .as_ref()
        .filter(|_| is_for(grant, request))?
        .0;
    let by = grant
        .spec
        .granted_by
        .as_ref()
        .map_or_else(|| "somebody".to_owned(), |by| safe_word(by.name()));
    let reason = grant
        .spec
        .reason
        .as_deref()
        .map(|reason| format!(": {}", words::quoted(reason)))
        .unwrap_or_default();
    let valid = grant
        .spec
        .valid_for
        .as_deref()
        .map(|text| format!(" for {}", words::shown_duration(text)));
    let what = match grant.status? {
        GrantStatus::Granted if grant.spec.seal.is_none() => {
            format!("NO GRANT: one in the name of {by} has no seal, and gives no access{reason}")
        }
        GrantStatus::Granted => format!("granted by {by}{}{reason}", valid.unwrap_or_default()),
        GrantStatus::Denied => format!("denied by {by}{reason}"),
        GrantStatus::Reviewed => format!("reviewed by {by}{reason}"),
    };
    Some(event(at, what))
}

/// A denial that only the status tells of: its grant is deleted, or may not be seen.
fn denied(request: &AccessRequest, grants: &[AccessGrant]) -> Option<Event> {
    let denied = request.status.as_ref()?.denied.as_ref()?;
    let told = grants
        .iter()
        .any(|grant| grant.status == Some(GrantStatus::Denied) && is_for(grant, request));
    let reason = denied
        .reason
        .as_deref()
        .map(|reason| format!(": {}", words::quoted(reason)))
        .unwrap_or_default();
    (!told).then(|| {
        event(
            denied.at.0,
            format!("denied by {}{reason}", safe_word(&denied.by)),
        )
    })
}

/// That a policy let its user in without an approver.
fn emergency(request: &AccessRequest) -> Option<Event> {
    let emergency = request.status.as_ref()?.emergency.as_ref()?;
    let policy = safe_word(&emergency.policy.name);
    Some(event(
        emergency.since.0,
        format!("EMERGENCY: granted without approval by policy {policy}"),
    ))
}

/// A review that only the status tells of. Denying an emergency is a review too.
fn reviewed(request: &AccessRequest, grants: &[AccessGrant]) -> Option<Event> {
    let reviewed = request.status.as_ref()?.reviewed.as_ref()?;
    let looked =
        |grant: &&AccessGrant| grant.status != Some(GrantStatus::Granted) && is_for(grant, request);
    let by = safe_word(&reviewed.by);
    let told = grants.iter().filter(looked).any(|grant| {
        grant
            .spec
            .granted_by
            .as_ref()
            .is_some_and(|granted_by| safe_word(granted_by.name()) == by)
    });
    let reason = reviewed
        .reason
        .as_deref()
        .map(|reason| format!(": {}", words::quoted(reason)))
        .unwrap_or_default();
    (!told).then(|| event(reviewed.at.0, format!("reviewed by {by}{reason}")))
}

/// Until when an emergency must be reviewed, or should have been.
fn due(request: &AccessRequest, now: Timestamp) -> Option<Event> {
    let emergency = request
        .status
        .as_ref()?
        .emergency
        .as_ref()
        .filter(|_| request.is_unreviewed())?;
    let at = emergency.review_by.0;
    Some(event(
        at,
        if at > now {
            "review is due"
        } else {
            "review was due: OVERDUE"
        }
        .to_owned(),
    ))
}

/// `used in pod nginx-1`, by which door where it is another than exec, and what is known of the
/// answer.
fn used(spent: &Use) -> String {
    let container = spent
        .container
        .as_deref()
        .filter(|_| spent.sub_resource.is_some());
    let container = container
        .map(|name| format!(", container {}", safe_word(name)))
        .unwrap_or_default();
    let door = spent.sub_resource.as_deref().filter(|door| *door != "exec");
    let door = door
        .map(|door| format!(" ({})", safe_word(door)))
        .unwrap_or_default();
    let outcome = match spent.outcome {
        Some(Outcome::Lost) => ": LOST, for the answer came too late",
        Some(Outcome::Answered) => ": answered",
        None => "",
    };
    format!(
        "used in pod {}{container}{door}{outcome}",
        safe_word(&spent.pod)
    )
}

/// When the access ends, or has.
fn end(request: &AccessRequest, now: Timestamp) -> Option<Event> {
    let status = request.status.as_ref()?;
    let at = status.expires_at.as_ref()?.0;
    let what = match status.phase? {
        Phase::Granted if at > now => "ends",
        Phase::Granted | Phase::Expired => "ended",
        Phase::Pending | Phase::Denied | Phase::Used => return None,
    };
    Some(event(at, what.to_owned()))
}
