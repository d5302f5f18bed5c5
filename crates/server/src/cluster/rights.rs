//! What RBAC says of somebody.

use api::{GroupVersionResource, UserInfo};
use decide::attempt::Door;
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};

/// What somebody may or may not do.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// What a door asks for, on this pod: `create` to connect, `patch` to add an ephemeral
    /// container.
    Door {
        /// Name of the pod.
        pod: &'a str,
        /// The door.
        door: Door,
    },
    /// `create` on `accessgrants`.
    Grant,
    /// `create` on `accessrequests`.
    Ask,
    /// `get` on an object.
    Get {
        /// Its resource.
        resource: &'a GroupVersionResource,
        /// Its name.
        name: &'a str,
    },
}

/// Whether RBAC gives `user` (named as the authenticator does) a right in a namespace.
///
/// # Errors
/// The API server did not answer.
pub async fn has(
    client: &Client,
    user: &UserInfo,
    namespace: &str,
    right: Right<'_>,
) -> Result<bool, kube::Error> {
    let (verb, group, resource, subresource, name) = match right {
        Right::Door { pod, door } => {
            let verb = if door == Door::EphemeralContainers {
                "patch"
            } else {
                "create"
            };
            (
                verb,
                "",
                "pods",
                Some(door.subresource().to_owned()),
                Some(pod.to_owned()),
            )
        }
        Right::Grant => ("create", api::objects::GROUP, "accessgrants", None, None),
        Right::Ask => ("create", api::objects::GROUP, "accessrequests", None, None),
        Right::Get { resource, name } => (
            "get",
            resource.group.as_str(),
            resource.resource.as_str(),
            None,
            Some(name.to_owned()),
        ),
    };
    let extra = user.extra.clone().map(|extra| {
        extra
            .into_iter()
            .map(|(key, values)| (key, values.unwrap_or_default()))
            .collect()
    });
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra,
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                name,
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = Api::<SubjectAccessReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    Ok(answer
        .status
        .is_some_and(|status| status.allowed && status.denied != Some(true)))
}

/// The name under which the API server knows this server.
///
/// # Errors
/// The API server did not answer, or does not say.
pub async fn own_name(client: &Client) -> Result<Option<String>, kube::Error> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    Ok(answer
        .status
        .and_then(|status| status.user_info)
        .and_then(|user| user.username))
}
