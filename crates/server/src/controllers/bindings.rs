//! The second access model: while a grant lasts, its user is bound to the role that
//! `--granted-role-name` names.

use std::collections::BTreeMap;

use api::{UserInfo, contract::labels, objects};
use decide::{access::Request, lifecycle::Plan, rules};
use k8s_openapi::{
    api::rbac::v1::{RoleBinding, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    core::PartialObjectMeta,
};

use super::ControllerContext;
use crate::cluster::{
    clients::PAGE,
    index::Key,
    rights::{self, Right},
};

/// Marks the bindings that are ours.
const LABEL: (&str, &str) = (labels::MANAGED_BY, "kube-request-access");

/// Makes or removes the binding of a request. Answers whether what the plan says can be used:
/// without this model always, else once the binding exists and RBAC knows of it.
///
/// # Errors
/// The API server did not answer.
pub async fn reconcile(
    request: &Request,
    plan: &Plan,
    context: &ControllerContext,
) -> Result<bool, kube::Error> {
    let Some(role) = &context.role else {
        return Ok(true);
    };
    let api: Api<RoleBinding> = Api::namespaced(context.client.clone(), &request.namespace);
    if !plan.bound {
        return remove(&api, request).await.map(|()| true);
    }
    create(&api, &binding(request, role, context)).await?;
    let user = UserInfo {
        username: Some(context.settings.prefix.subject(&request.user.name)),
        ..UserInfo::default()
    };
    let pod = if request.target.kind == decide::access::TargetKind::Pod {
        request.target.name.as_str()
    } else {
        ""
    };
    rights::has(
        &context.client,
        &user,
        &request.namespace,
        Right::Door {
            pod,
            door: request.ask.door(),
        },
    )
    .await
}

/// The requests that somebody is bound for.
///
/// # Errors
/// The API server did not answer.
pub async fn bound(context: &ControllerContext) -> Result<Vec<Key>, kube::Error> {
    if context.role.is_none() {
        return Ok(Vec::new());
    }
    let api: Api<RoleBinding> = Api::all(context.client.clone());
    // In small pages: everybody who may write role bindings can give theirs this label.
    let mut page = ListParams::default()
        .labels(&format!("{}={}", LABEL.0, LABEL.1))
        .limit(PAGE);
    let mut bound = Vec::new();
    loop {
        let bindings = api.list_metadata(&page).await?;
        bound.extend(bindings.items.iter().filter_map(request_of));
        page.continue_token = bindings
            .metadata
            .continue_
            .filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            return Ok(bound);
        }
    }
}

/// The request that a binding is for, if it is one of ours.
fn request_of(binding: &PartialObjectMeta<RoleBinding>) -> Option<Key> {
    let owner = binding.owner_references().first()?;
    let is_ours = owner.kind == "AccessRequest"
        && binding.name_any() == name_of(&owner.uid)
        && rules::is_name(&owner.name);
    is_ours.then(|| Key::new(binding.namespace().unwrap_or_default(), owner.name.as_str()))
}

async fn create(api: &Api<RoleBinding>, binding: &RoleBinding) -> Result<(), kube::Error> {
    match api.create(&PostParams::default(), binding).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

async fn remove(api: &Api<RoleBinding>, request: &Request) -> Result<(), kube::Error> {
    match api.delete(&name(request), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

/// By UID: a request that is filed again under the same name has another binding.
fn name(request: &Request) -> String {
    name_of(&request.uid)
}

fn name_of(request_uid: &str) -> String {
    format!("access-{request_uid}")
}

fn binding(request: &Request, role: &str, context: &ControllerContext) -> RoleBinding {
    RoleBinding {
        metadata: ObjectMeta {
            name: Some(name(request)),
            namespace: Some(request.namespace.clone()),
            labels: Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])),
            // Should we be down when the request is deleted, the garbage collector takes the
            // binding with it.
            owner_references: Some(vec![OwnerReference {
                api_version: format!("{}/{}", objects::GROUP, objects::VERSION),
                kind: "AccessRequest".to_owned(),
                name: request.name.clone(),
                uid: request.uid.clone(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "User".to_owned(),
            name: context.settings.prefix.subject(&request.user.name),
            namespace: None,
        }]),
    }
}
