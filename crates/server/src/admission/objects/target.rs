//! What a request is for, as it is read: which pod or workload, which container, and what runs.

use api::{AccessRequest, AccessRequestSpec, UserInfo, convert};
use decide::{access::TargetKind, attempt::Door, copy::Direction, rules::check_name};

use super::Objects;
use crate::{
    admission::failure::{self, Refused},
    cluster::{
        pods::{self, FoundTarget},
        rights::{self, Right},
    },
};

impl Objects {
    /// Writes down which pod or workload is meant, which container where none is named, and what
    /// runs.
    pub(super) async fn stamp_target(
        &self,
        object: &mut AccessRequest,
        namespace: &str,
        user: &UserInfo,
    ) -> Result<(), Refused> {
        let kind = convert::target_kind(&object.spec.for_object.resource)
            .map_err(|error| failure::nonsense(&error))?;
        let for_object = &mut object.spec.for_object;
        let asked = for_object.namespace.get_or_insert_default();
        if asked.is_empty() {
            namespace.clone_into(asked);
        }
        check_name("forObject.name", &for_object.name)
            .map_err(|refusal| failure::refusal(&refusal))?;
        let target = self
            .visible_target(user, namespace, kind, &for_object.name)
            .await?;
        check_uid(for_object.uid.as_deref(), &target, &for_object.name)?;
        for_object.uid = Some(target.uid.clone());
        let name = for_object.name.clone();
        let door = Door::of(&for_object.sub_resource);
        // Clients of the original read these of every request.
        let options = object.spec.exec_options.get_or_insert_default();
        match door {
            Some(Door::Exec) => {
                stamp_container(&mut options.container, &target, &name)?;
                stamp_copy(&mut object.spec);
                Ok(())
            }
            Some(Door::Attach) => stamp_container(
                &mut object.spec.attach_options.get_or_insert_default().container,
                &target,
                &name,
            ),
            Some(Door::EphemeralContainers) => {
                let asked = object.spec.ephemeral_container.as_ref();
                check_container(
                    asked.and_then(|asked| asked.target_container_name.as_deref()),
                    &target,
                    &name,
                )
            }
            Some(Door::PortForward) | None => Ok(()),
        }
    }

    /// Reads a target, if the caller may: who may not see it learns the same of one that exists and
    /// one that does not.
    pub(super) async fn visible_target(
        &self,
        user: &UserInfo,
        namespace: &str,
        kind: TargetKind,
        name: &str,
    ) -> Result<FoundTarget, Refused> {
        let client = self.common.ledger.client();
        let resource = convert::resource_of(kind);
        let right = Right::Get {
            resource: &resource,
            name,
        };
        let (visible, target) = tokio::try_join!(
            rights::has(client, user, namespace, right),
            pods::read_target(client, namespace, kind, name)
        )?;
        target.filter(|_| visible).ok_or_else(|| {
            let resource = &resource.resource;
            Refused::because(format!(
                "{resource} {name:?} not found in namespace {namespace}, or you have no right to get {resource} there"
            ))
        })
    }
}

fn check_uid(written: Option<&str>, target: &FoundTarget, name: &str) -> Result<(), Refused> {
    match written {
        None | Some("") => Ok(()),
        Some(uid) if uid == target.uid => Ok(()),
        Some(uid) => Err(Refused::because(format!(
            "forObject.uid is {uid:?}, but {name:?} has {:?}: it was re-created meanwhile",
            target.uid
        ))),
    }
}

fn stamp_container(
    container: &mut Option<String>,
    target: &FoundTarget,
    name: &str,
) -> Result<(), Refused> {
    if container
        .as_deref()
        .is_some_and(|container| !container.is_empty())
    {
        return check_container(container.as_deref(), target, name);
    }
    let none = || Refused::because(format!("{name:?} has no containers to run a command in"));
    *container = Some(target.default_container.clone().ok_or_else(none)?);
    Ok(())
}

fn check_container(
    container: Option<&str>,
    target: &FoundTarget,
    name: &str,
) -> Result<(), Refused> {
    let Some(container) = container.filter(|container| !container.is_empty()) else {
        return Ok(());
    };
    if target.containers.iter().any(|known| known == container) {
        return Ok(());
    }
    let known = target.containers.join(", ");
    Err(Refused::because(format!(
        "container {container:?} not found in {name:?}: it has {known}"
    )))
}

/// Writes down the command that `kubectl cp` runs, for whoever reads it with a client of the
/// original.
fn stamp_copy(spec: &mut AccessRequestSpec) {
    let Some(asked) = &spec.copy else { return };
    let options = spec.exec_options.get_or_insert_default();
    if options.command.as_ref().is_none_or(Vec::is_empty) {
        let copy = convert::copy_of(asked, None);
        options.command = Some(copy.command());
        options.stdin = (copy.direction == Direction::To).then_some(true);
    }
}
