//! What an attempt was decided by, as the audit webhook is told of it.

use api::{
    payload::{Basis, ObjectRef},
    status::PolicyRef,
};
use decide::{policy_id::PolicyId, verdict::Permit};

use crate::cluster::ledger::LiveRequest;

/// A decision by these policies alone, or by none.
pub(super) fn by_policies(decision: &str, policies: &[PolicyId]) -> Basis {
    let named = |PolicyId {
                     name,
                     uid,
                     generation,
                 }: &PolicyId| PolicyRef {
        name: name.clone(),
        uid: uid.clone(),
        generation: *generation,
    };
    Basis {
        decision: decision.to_owned(),
        access_request: None,
        grants: Vec::new(),
        approvers: Vec::new(),
        policies: policies.iter().map(named).collect(),
        emergency: false,
    }
}

/// Access by a request.
pub(super) fn by_request(decision: &str, permit: &Permit, live: &LiveRequest) -> Basis {
    let namespace = &live.candidate.request.namespace;
    let grant = |name: &String| ObjectRef {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: live.grant_uids.get(name).cloned(),
    };
    let grants: Vec<ObjectRef> = permit.access.grants.iter().map(grant).collect();
    // Where no grant gives it, a policy does, and nobody approved it.
    let approvers = if grants.is_empty() {
        Vec::new()
    } else {
        permit.access.by.clone()
    };
    Basis {
        access_request: Some(ObjectRef {
            namespace: namespace.clone(),
            name: permit.request.clone(),
            uid: Some(permit.request_uid.clone()),
        }),
        grants,
        approvers,
        emergency: permit.emergency,
        ..by_policies(decision, &permit.policies)
    }
}
