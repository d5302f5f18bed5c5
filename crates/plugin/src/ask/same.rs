//! Whether two requests ask for the same.

use std::collections::HashMap;

use api::{AccessRequest, AccessRequestSpec, Phase, UserInfo};
use decide::duration::{self, MAX_ACCESS};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use crate::cluster::fields::Fields;
use crate::cluster::{Cluster, Which};
use api::names::USERNAME_LABEL;

/// Everything that is asked for, by whom, and why. What only names credentials or an earlier
/// request is left out.
pub fn key(spec: &AccessRequestSpec) -> Option<Value> {
    let person = |user: &Option<UserInfo>| {
        user.as_ref().map(|user| UserInfo {
            username: user.username.clone(),
            uid: user.uid.clone(),
            ..UserInfo::default()
        })
    };
    let valid_for = spec.valid_for.as_deref().filter(|text| !text.is_empty());
    let valid_for = valid_for.map(|text| {
        duration::parse(text, MAX_ACCESS).map_or_else(|_| text.to_owned(), duration::show)
    });
    let spec = AccessRequestSpec {
        user_info: person(&spec.user_info),
        created_by: person(&spec.created_by),
        follows: None,
        cluster_name: None,
        username_prefix: None,
        valid_for,
        ..spec.clone()
    };
    serde_json::to_value(spec).ok()
}

/// The same, whatever the reason.
fn ask(spec: &AccessRequestSpec) -> Option<Value> {
    key(&AccessRequestSpec {
        reason: None,
        ..spec.clone()
    })
}

/// What was typed: without what the server stamps.
fn typed(spec: &AccessRequestSpec) -> Option<Value> {
    let mut spec = AccessRequestSpec {
        user_info: None,
        created_by: None,
        cluster_name: None,
        username_prefix: None,
        ..spec.clone()
    };
    spec.for_object.uid = None;
    ask(&spec)
}

/// A request of the caller's own that asks for the same and waits, or gives access still: one that
/// gives access before others, then the newest.
///
/// What the server would stamp is compared too, as it says itself on a dry run. Whatever cannot be
/// found out finds nothing: then the request is filed, and the server says what is wrong.
pub async fn find(new: &AccessRequest, cluster: &Cluster, now: Timestamp) -> Option<AccessRequest> {
    let label = new.labels().get(USERNAME_LABEL)?;
    let selector = format!("{USERNAME_LABEL}={label}");
    let open = Fields::default().in_phase(&[Phase::Pending, Phase::Granted]);
    let which = Which {
        labels: Some(selector),
        fields: vec![open],
        ..Which::default()
    };
    let there = cluster.requests(which).await.ok()?.understood;
    let asked = typed(&new.spec);
    let alike = there
        .into_iter()
        .map(|whole| whole.request)
        .filter(|request| typed(&request.spec) == asked && is_open(request, now));
    let mut alike: Vec<AccessRequest> = alike.collect();
    if alike.is_empty() {
        return None;
    }
    let stamped = ask(&cluster.create_request(new, true).await.ok()?.spec);
    alike.retain(|request| ask(&request.spec) == stamped);
    alike.into_iter().max_by_key(|request| {
        (
            is_granted(request),
            request.creation_timestamp().map(|time| time.0),
        )
    })
}

/// Whether somebody may still grant it, or it still gives access.
fn is_open(request: &AccessRequest, now: Timestamp) -> bool {
    let status = request.status.clone().unwrap_or_default();
    let used = request
        .spec
        .valid_for
        .as_deref()
        .unwrap_or_default()
        .is_empty()
        && !status.uses.is_empty();
    let over =
        status.phase == Some(Phase::Granted) && status.expires_at.is_some_and(|at| at.0 <= now);
    let settled = matches!(
        status.phase,
        Some(Phase::Denied | Phase::Used | Phase::Expired)
    ) || status.denied.is_some();
    request.metadata.deletion_timestamp.is_none() && !used && !over && !settled
}

/// Whether it gives access, as far as its status says.
pub fn is_granted(request: &AccessRequest) -> bool {
    request.is_granted()
}

/// Requests that ask for the same for the same reason, together, in the order of the first of each.
pub fn grouped(requests: Vec<AccessRequest>) -> Vec<Vec<AccessRequest>> {
    let (mut groups, mut places): (Vec<Vec<AccessRequest>>, HashMap<String, usize>) =
        Default::default();
    for request in requests {
        let phase = request.phase();
        // Each emergency must be reviewed by itself.
        let apart = request.is_unreviewed().then(|| request.name_any());
        // Groups decide who may do more, and stand in what an approver reads.
        let people = (
            &request.spec.user_info,
            &request.spec.created_by,
            &request.spec.follows,
        );
        let key = serde_json::json!([
            request.namespace(),
            key(&request.spec),
            people,
            phase,
            apart
        ])
        .to_string();
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(request),
            None => groups.push(vec![request]),
        }
    }
    groups
}
