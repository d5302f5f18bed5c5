//! Metadata that would give an object a life of its own: finalizers keep what was deleted, owner
//! references delete or keep it on another's behalf.

use api::objects::{AccessRequest, GROUP, VERSION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::value::RawValue;

use api::contract::annotations::SEAL;

use crate::admission::{
    Received,
    failure::{self, Refused},
};

/// The cluster's own controllers, which clean up behind deletions.
const CONTROLLERS: [&str; 3] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
];

/// Whether somebody is one of the cluster's own controllers.
pub(super) fn is_controller(username: &str) -> bool {
    CONTROLLERS.contains(&username)
}

/// The most bytes that labels and annotations of an object may have: what `kubectl apply` notes of
/// the longest command fits. Every replica keeps them in memory.
const MAX_BYTES: usize = 64 * 1024;

/// The longest seal that we write as an annotation, with its name.
const SEAL_BYTES: usize = 256;

/// How many bytes the labels and annotations of an object have. There is always room for our own
/// seal, which is added later where keys are renewed: nobody stops that by filling an object.
fn size(metadata: &ObjectMeta) -> usize {
    let maps = [&metadata.labels, &metadata.annotations];
    let texts = maps.into_iter().flatten().flatten().map(|(key, value)| {
        let bytes = key.len().saturating_add(value.len());
        if key == SEAL {
            bytes.saturating_sub(SEAL_BYTES)
        } else {
            bytes
        }
    });
    texts.fold(0, usize::saturating_add)
}

/// Refuses labels and annotations beyond measure.
pub(super) fn check_size(metadata: &ObjectMeta) -> Result<(), Refused> {
    match size(metadata) {
        0..=MAX_BYTES => Ok(()),
        bytes => Err(Refused::because(format!(
            "labels and annotations have {bytes} bytes together; the maximum is {MAX_BYTES}: take some out"
        ))),
    }
}

/// Refuses finalizers, owner references and labels beyond measure on something new.
pub(super) fn check_new(metadata: &ObjectMeta) -> Result<(), Refused> {
    check_finalizers(metadata)?;
    check_size(metadata)?;
    match metadata.owner_references.as_deref() {
        None | Some([]) => Ok(()),
        Some(_) => Err(Refused::because(
            "ownerReferences are not taken: take them out",
        )),
    }
}

/// Refuses finalizers on something new.
pub(super) fn check_finalizers(metadata: &ObjectMeta) -> Result<(), Refused> {
    match metadata.finalizers.as_deref() {
        None | Some([]) => Ok(()),
        Some(_) => Err(Refused::because(
            "finalizers are not taken: they would keep what was revoked",
        )),
    }
}

/// Refuses every owner of a grant but the request that it is for.
pub(super) fn check_owners(metadata: &ObjectMeta, request: &AccessRequest) -> Result<(), Refused> {
    let ours = |owner: &OwnerReference| {
        owner.api_version == format!("{GROUP}/{VERSION}")
            && owner.kind == "AccessRequest"
            && Some(&owner.name) == request.metadata.name.as_ref()
            && Some(&owner.uid) == request.metadata.uid.as_ref()
            && owner.block_owner_deletion != Some(true)
    };
    match metadata.owner_references.as_deref() {
        None | Some([]) => Ok(()),
        Some([owner]) if ours(owner) => Ok(()),
        Some(_) => Err(Refused::because(
            "the grant's ownerReferences may name its own request only, by name and uid, without blockOwnerDeletion",
        )),
    }
}

/// An object whose content stays as it is.
#[derive(Deserialize)]
struct Partial {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: serde_json::Value,
    #[serde(default)]
    status: serde_json::Value,
}

/// An update may change labels and annotations; finalizers and owners only by the cluster's own
/// controllers. That the spec stays is a CEL rule of the CRD too, which holds while we are down.
pub(in crate::admission) fn check_update(received: &Received) -> Result<(), Refused> {
    let request = received.request();
    let (old, new) = (
        partial(request.old_object.as_deref())?,
        partial(request.object.as_deref())?,
    );
    let is_grant = request.resource.resource == "accessgrants";
    if old.spec != new.spec || (is_grant && old.status != new.status) {
        return Err(Refused::because(
            "the content never changes after creation: delete it and create another",
        ));
    }
    if size(&new.metadata) > size(&old.metadata) {
        check_size(&new.metadata)?;
    }
    let same = lists(&old.metadata) == lists(&new.metadata);
    if same || is_controller(&received.caller.username) {
        return Ok(());
    }
    Err(Refused::because(
        "finalizers and ownerReferences may be changed by the cluster's own controllers only",
    ))
}

fn lists(metadata: &ObjectMeta) -> (&[String], &[OwnerReference]) {
    (
        metadata.finalizers.as_deref().unwrap_or_default(),
        metadata.owner_references.as_deref().unwrap_or_default(),
    )
}

fn partial(object: Option<&RawValue>) -> Result<Partial, Refused> {
    let object = object.ok_or_else(|| Refused::because("the review of an update has no object"))?;
    serde_json::from_str(object.get()).map_err(|error| failure::unreadable(&error))
}
