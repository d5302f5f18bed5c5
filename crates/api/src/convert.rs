//! Objects into the values that `decide` works on.
//!
//! What cannot be converted gives no access to anybody, and stands in nobody's way.

use std::io;

use decide::{
    access::{
        Answer, Ask, AttachAsk, Command, DebugAsk, Denial, Emergency, ExecAsk, Grant, Outcome,
        Request, Reviewed, Seal, Target, TargetKind, Use, Validity,
    },
    attempt::{Action, Addition, Attach, Attempt, Door, Exec},
    copy::{self, Copy},
    duration::{self, DurationError},
    identity::{Caller, NamePrefix, Person},
    policy_id::PolicyId,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::{
    objects::{
        self, AccessGrant, AccessRequest, AccessRequestSpec, AttachOptions, CopyDirection,
        ExecOptions, ForObject, GroupVersionResource, UserInfo,
    },
    pod_update::{self, PodUpdateError},
    review::{AdmissionRequest, StrictAttachOptions, StrictExecOptions},
};

/// Why an object means nothing to us. The texts are for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that the API server or our own admission always fills is missing.
    #[error("{field} is missing")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A request for something elsewhere.
    #[error(
        "forObject.namespace is {asked:?}, but a request acts in its own namespace {own:?} only"
    )]
    OtherNamespace {
        /// The namespace asked for.
        asked: String,
        /// The request's own.
        own: String,
    },
    /// A kind that nobody can be let into.
    #[error(
        "forObject.resource {resource:?} of group {group:?} cannot be asked for: \
         name a pod, deployment, statefulset, daemonset or job"
    )]
    UnknownTarget {
        /// The API group.
        group: String,
        /// The plural.
        resource: String,
    },
    /// A door that cannot be asked for.
    #[error(
        "forObject.subResource {door:?} cannot be asked for: name \"exec\", \"attach\", \"portforward\" or \
         \"ephemeralcontainers\""
    )]
    UnknownDoor {
        /// The door.
        door: String,
    },
    /// No command, and not said aloud that any is meant.
    #[error(
        "execOptions.command is missing: name a command, or say anyCommand: true (--any-command)"
    )]
    NoCommand,
    /// A field that says something of another door.
    #[error(
        "{field} says nothing of {door:?}: leave it out, or name another forObject.subResource"
    )]
    OtherDoor {
        /// The field.
        field: &'static str,
        /// The door.
        door: &'static str,
    },
    /// A copy whose command is another one.
    #[error(
        "execOptions.command is not what kubectl cp runs for this copy: leave it and stdin out, the server writes it"
    )]
    CopyCommand,
    /// An ephemeral container that is not understood.
    #[error("ephemeralContainer: {0}")]
    EphemeralContainer(PodUpdateError),
    /// A command, and any command.
    #[error("execOptions.command and anyCommand: true exclude each other")]
    CommandAndAny,
    /// `validFor` is not a duration.
    #[error("validFor: {0}")]
    Duration(DurationError),
    /// A grant that names two different requests.
    #[error(
        "the grant's requestUID {uid:?} and its ownerReference {owner:?} name different requests"
    )]
    TwoRequests {
        /// `spec.requestUID`.
        uid: String,
        /// UID of the ownerReference.
        owner: String,
    },
}

/// Somebody, as a review names her.
pub fn caller(user: &UserInfo) -> Caller {
    Caller {
        username: user.name().to_owned(),
        uid: user.uid.clone().filter(|uid| !uid.is_empty()),
        groups: user.groups.clone().unwrap_or_default(),
    }
}

/// Somebody, as an object names her.
pub fn person(user: &UserInfo) -> Option<Person> {
    let name = user.username.clone().filter(|name| !name.is_empty())?;
    Some(Person {
        name,
        uid: user.uid.clone().filter(|uid| !uid.is_empty()),
    })
}

/// An attempt, from a review, who acts by it, and what is tried.
///
/// # Errors
/// A review without pod or namespace.
pub fn attempt(
    request: &AdmissionRequest,
    caller: Caller,
    action: Action,
) -> Result<Attempt, ConvertError> {
    let named = |value: &Option<String>, field| {
        filled(value.clone()).ok_or(ConvertError::Missing { field })
    };
    Ok(Attempt {
        review_uid: request.uid.clone(),
        caller,
        namespace: named(&request.namespace, "namespace")?,
        pod: named(&request.name, "name")?,
        action,
    })
}

/// What an exec tries.
pub fn exec(options: StrictExecOptions) -> Action {
    Action::Exec(Exec {
        container: filled(options.container),
        command: options.command.unwrap_or_default(),
        stdin: options.stdin,
        tty: options.tty,
    })
}

/// What an attach tries.
pub fn attach(options: StrictAttachOptions) -> Action {
    Action::Attach(Attach {
        container: filled(options.container),
        stdin: options.stdin,
        tty: options.tty,
    })
}

/// What an update of a pod's ephemeral containers tries.
///
/// # Errors
/// It does not add exactly one container and nothing else.
pub fn debug(request: &AdmissionRequest) -> Result<Action, PodUpdateError> {
    let (pod_uid, container) =
        pod_update::addition(request.old_object.as_deref(), request.object.as_deref())?;
    Ok(Action::Debug(Addition { pod_uid, container }))
}

fn filled(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// A request, as stored; whether its seal is good is the caller's to say.
///
/// # Errors
/// Says which field makes it meaningless.
pub fn request(object: &AccessRequest, seal: Seal) -> Result<Request, ConvertError> {
    let meta = Meta::of(&object.metadata)?;
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    check_namespace(&spec.for_object, &meta.namespace)?;
    Ok(Request {
        uid: meta.uid,
        namespace: meta.namespace,
        name: meta.name,
        user: spec
            .user_info
            .as_ref()
            .and_then(person)
            .ok_or(ConvertError::Missing {
                field: "userInfo.username",
            })?,
        groups: spec
            .user_info
            .as_ref()
            .and_then(|user| user.groups.clone())
            .unwrap_or_default(),
        created_by: spec.created_by.as_ref().and_then(person),
        target: target(&spec.for_object)?,
        ask: ask(spec)?,
        validity: valid_for(spec.valid_for.as_deref())?.map_or(Validity::Once, Validity::For),
        reason: spec.reason.clone(),
        keys: spec.custom_keys.clone().unwrap_or_default(),
        created: meta.created,
        being_deleted: object.metadata.deletion_timestamp.is_some(),
        size: size(object),
        uses: status.uses.iter().map(use_).collect(),
        denied: status.denied.as_ref().map(denial),
        emergency: status.emergency.as_ref().map(emergency),
        reviewed: status.reviewed.as_ref().map(reviewed),
        seal,
    })
}

/// What a request asks for.
///
/// # Errors
/// Says which field makes it meaningless.
pub fn ask(spec: &AccessRequestSpec) -> Result<Ask, ConvertError> {
    let unknown = || ConvertError::UnknownDoor {
        door: spec.for_object.sub_resource.clone(),
    };
    let door = Door::of(&spec.for_object.sub_resource).ok_or_else(unknown)?;
    check_fields(spec, door)?;
    let options = spec.exec_options.clone().unwrap_or_default();
    match (door, &spec.copy) {
        (Door::Exec, Some(asked)) => copy_ask(asked, &options),
        (Door::Exec, None) => Ok(Ask::Exec(ExecAsk {
            command: command(&options, spec.any_command == Some(true))?,
            container: filled(options.container),
            stdin: options.stdin == Some(true),
            tty: options.tty == Some(true),
        })),
        (Door::Attach, _) => Ok(Ask::Attach(attach_ask(
            &spec.attach_options.clone().unwrap_or_default(),
        ))),
        (Door::PortForward, _) => Ok(Ask::PortForward),
        (Door::EphemeralContainers, _) => {
            let container = spec.ephemeral_container.as_ref();
            let container = container.ok_or(ConvertError::Missing {
                field: "ephemeralContainer",
            })?;
            let container =
                pod_update::asked(container).map_err(ConvertError::EphemeralContainer)?;
            Ok(Ask::Debug(DebugAsk {
                container,
                attach: spec.attach == Some(true),
            }))
        }
    }
}

/// Whether nothing is written that an approver could take for a part of what she grants, and that
/// is none.
fn check_fields(spec: &AccessRequestSpec, door: Door) -> Result<(), ConvertError> {
    let options = spec.exec_options.as_ref();
    let exec = options.is_some_and(|options| {
        let some = |flag: Option<bool>| flag == Some(true);
        let command = options
            .command
            .as_ref()
            .is_some_and(|command| !command.is_empty());
        command
            || some(options.stdin)
            || some(options.tty)
            || options.container.as_ref().is_some_and(|c| !c.is_empty())
    });
    let fields = [
        ("execOptions", Door::Exec, exec),
        ("anyCommand", Door::Exec, spec.any_command == Some(true)),
        ("copy", Door::Exec, spec.copy.is_some()),
        ("attachOptions", Door::Attach, spec.attach_options.is_some()),
        (
            "portForwardOptions",
            Door::PortForward,
            spec.port_forward_options.is_some(),
        ),
        (
            "ephemeralContainer",
            Door::EphemeralContainers,
            spec.ephemeral_container.is_some(),
        ),
        (
            "attach",
            Door::EphemeralContainers,
            spec.attach == Some(true),
        ),
    ];
    let other = fields
        .into_iter()
        .find(|(_, of, is_there)| *is_there && *of != door);
    match other {
        Some((field, ..)) => Err(ConvertError::OtherDoor {
            field,
            door: door.subresource(),
        }),
        None if spec.copy.is_some() && spec.any_command == Some(true) => {
            Err(ConvertError::CommandAndAny)
        }
        None => Ok(()),
    }
}

fn copy_ask(asked: &objects::Copy, options: &ExecOptions) -> Result<Ask, ConvertError> {
    let copy = copy_of(asked, options.container.clone());
    // Clients and approvers of the original read the command: it must be the one that will run.
    let command = options.command.clone().unwrap_or_default();
    let stdin = options.stdin == Some(true);
    let other = !command.is_empty()
        && (command != copy.command() || stdin != (copy.direction == copy::Direction::To));
    if other || options.tty == Some(true) {
        return Err(ConvertError::CopyCommand);
    }
    Ok(Ask::Copy(copy))
}

/// What `kubectl cp` copies, as a value.
pub fn copy_of(asked: &objects::Copy, container: Option<String>) -> Copy {
    Copy {
        container: filled(container),
        direction: match asked.direction {
            CopyDirection::To => copy::Direction::To,
            CopyDirection::From => copy::Direction::From,
        },
        path: asked.path.clone(),
        directory: asked.directory.clone().unwrap_or_default(),
        no_preserve: asked.no_preserve == Some(true),
    }
}

fn attach_ask(options: &AttachOptions) -> AttachAsk {
    AttachAsk {
        container: filled(options.container.clone()),
        stdin: options.stdin == Some(true),
        tty: options.tty == Some(true),
    }
}

/// How much room a request takes where it is stored, in bytes: all of it, and so also who wrote
/// which field, which may be as much again as what was written.
fn size(object: &AccessRequest) -> usize {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, object).map_or(usize::MAX, |()| length.0)
}

/// Counts bytes, and keeps none.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A grant, as stored; whether its seal is good is the caller's to say.
///
/// # Errors
/// Says which field makes it meaningless.
pub fn grant(object: &AccessGrant, seal: Seal) -> Result<Grant, ConvertError> {
    let meta = Meta::of(&object.metadata)?;
    let answer = match object
        .status
        .ok_or(ConvertError::Missing { field: "status" })?
    {
        objects::GrantStatus::Granted => Answer::Granted,
        objects::GrantStatus::Denied => Answer::Denied,
        objects::GrantStatus::Reviewed => Answer::Reviewed,
    };
    Ok(Grant {
        name: meta.name,
        answer,
        by: object.spec.granted_by.as_ref().and_then(person),
        unprefixed: object
            .spec
            .granted_by
            .as_ref()
            .and_then(|by| by.extra.as_ref())
            .is_some_and(|extra| extra.contains_key(UNPREFIXED)),
        groups: object
            .spec
            .granted_by
            .as_ref()
            .and_then(|by| by.groups.clone())
            .unwrap_or_default(),
        request_uid: answered_request(object)?,
        valid_for: match answer {
            Answer::Granted => valid_for(object.spec.valid_for.as_deref())?,
            Answer::Denied | Answer::Reviewed => None,
        },
        reason: object
            .spec
            .reason
            .clone()
            .filter(|reason| !reason.is_empty()),
        created: meta.created,
        sealed_at: object.spec.seal.as_ref().map(|seal| seal.at.0),
        seal,
        being_deleted: object.metadata.deletion_timestamp.is_some(),
    })
}

/// UID of the request that whoever answered had read: by `requestUID`, or by the ownerReference
/// that the original client sets.
///
/// # Errors
/// There are several, and they differ.
pub fn meant_request(object: &AccessGrant) -> Result<Option<String>, ConvertError> {
    let owners = object.metadata.owner_references.iter().flatten();
    let owners = owners
        .filter(|owner| owner.kind == "AccessRequest")
        .map(|owner| owner.uid.clone());
    let mut named = object
        .spec
        .request_uid
        .clone()
        .filter(|uid| !uid.is_empty())
        .into_iter()
        .chain(owners);
    let Some(uid) = named.next() else {
        return Ok(None);
    };
    match named.find(|owner| *owner != uid) {
        Some(owner) => Err(ConvertError::TwoRequests { uid, owner }),
        None => Ok(Some(uid)),
    }
}

/// UID of the request that an answer was stamped with, whatever else it says: for deciding against
/// access, never for it.
pub fn stamped_request(object: &AccessGrant) -> Option<String> {
    meant_request(object).unwrap_or_else(|_differ| object.spec.request_uid.clone())
}

/// UID of the request that an answer counts for; `None` where it counts for none.
///
/// # Errors
/// It would give access, and names several.
fn answered_request(object: &AccessGrant) -> Result<Option<String>, ConvertError> {
    match object.status {
        // A denial is one whatever else it says: nothing can take away what it was stamped with.
        Some(objects::GrantStatus::Denied) => Ok(stamped_request(object)),
        Some(objects::GrantStatus::Granted | objects::GrantStatus::Reviewed) | None => {
            meant_request(object)
        }
    }
}

/// Whether an answer is to this request, and to no earlier one of its name, as the server counts
/// answers.
pub fn is_answer_to(object: &AccessGrant, request: &AccessRequest) -> bool {
    let uid = answered_request(object).ok().flatten();
    uid.is_some() && uid == request.metadata.uid
}

/// `validFor`, where it says anything: absent and empty mean a single use.
///
/// # Errors
/// Not a duration that we take.
pub fn valid_for(text: Option<&str>) -> Result<Option<std::time::Duration>, ConvertError> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| duration::parse(text, duration::MAX_ACCESS))
        .transpose()
        .map_err(ConvertError::Duration)
}

/// The kind of a target, from its resource.
///
/// # Errors
/// A resource that nobody can be let into.
pub fn target_kind(resource: &GroupVersionResource) -> Result<TargetKind, ConvertError> {
    match (resource.group.as_str(), resource.resource.as_str()) {
        ("", "pods") => Ok(TargetKind::Pod),
        ("apps", "deployments") => Ok(TargetKind::Deployment),
        ("apps", "statefulsets") => Ok(TargetKind::StatefulSet),
        ("apps", "daemonsets") => Ok(TargetKind::DaemonSet),
        ("batch", "jobs") => Ok(TargetKind::Job),
        (group, resource) => Err(ConvertError::UnknownTarget {
            group: group.to_owned(),
            resource: resource.to_owned(),
        }),
    }
}

/// The resource of a target, as kubectl and the original write it.
pub fn resource_of(kind: TargetKind) -> GroupVersionResource {
    let (group, resource) = match kind {
        TargetKind::Pod => ("", "pods"),
        TargetKind::Deployment => ("apps", "deployments"),
        TargetKind::StatefulSet => ("apps", "statefulsets"),
        TargetKind::DaemonSet => ("apps", "daemonsets"),
        TargetKind::Job => ("batch", "jobs"),
    };
    GroupVersionResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
    }
}

fn check_namespace(object: &ForObject, own: &str) -> Result<(), ConvertError> {
    match object.namespace.as_deref() {
        None | Some("") => Ok(()),
        Some(asked) if asked == own => Ok(()),
        Some(asked) => Err(ConvertError::OtherNamespace {
            asked: asked.to_owned(),
            own: own.to_owned(),
        }),
    }
}

fn target(object: &ForObject) -> Result<Target, ConvertError> {
    let kind = target_kind(&object.resource)?;
    Ok(Target {
        kind,
        name: object.name.clone(),
        uid: object.uid.clone().filter(|uid| !uid.is_empty()),
    })
}

fn command(options: &ExecOptions, any: bool) -> Result<Command, ConvertError> {
    match options.command.clone().unwrap_or_default() {
        argv if argv.is_empty() && any => Ok(Command::Any),
        argv if argv.is_empty() => Err(ConvertError::NoCommand),
        _ if any => Err(ConvertError::CommandAndAny),
        argv => Ok(Command::Exactly(argv)),
    }
}

fn use_(spent: &objects::Use) -> Use {
    Use {
        review_uid: spent.review_uid.clone(),
        at: spent.at.0,
        // What an older version wrote, or a newer one, was some use: of a door that is always
        // there.
        door: spent
            .sub_resource
            .as_deref()
            .and_then(Door::of)
            .unwrap_or(Door::Exec),
        pod_uid: spent.pod_uid.clone(),
        container: spent.container.clone(),
        outcome: spent.outcome.map(|outcome| match outcome {
            objects::Outcome::Answered => Outcome::Answered,
            objects::Outcome::Lost => Outcome::Lost,
        }),
    }
}

fn denial(denied: &objects::Denied) -> Denial {
    Denial {
        by: denied.by.clone(),
        at: denied.at.0,
        reason: denied.reason.clone(),
    }
}

fn emergency(one: &objects::Emergency) -> Emergency {
    let objects::PolicyRef {
        name,
        uid,
        generation,
    } = one.policy.clone();
    Emergency {
        policy: PolicyId {
            name,
            uid,
            generation,
        },
        since: one.since.0,
        review_by: one.review_by.0,
    }
}

fn reviewed(one: &objects::Reviewed) -> Reviewed {
    Reviewed {
        by: one.by.clone(),
        at: one.at.0,
        reason: one.reason.clone(),
    }
}

/// What every stored object has.
struct Meta {
    uid: String,
    namespace: String,
    name: String,
    created: Timestamp,
}

impl Meta {
    fn of(meta: &ObjectMeta) -> Result<Self, ConvertError> {
        let filled = |value: &Option<String>, field| {
            value
                .clone()
                .filter(|value| !value.is_empty())
                .ok_or(ConvertError::Missing { field })
        };
        let Time(created) = meta
            .creation_timestamp
            .clone()
            .ok_or(ConvertError::Missing {
                field: "metadata.creationTimestamp",
            })?;
        Ok(Self {
            uid: filled(&meta.uid, "metadata.uid")?,
            namespace: filled(&meta.namespace, "metadata.namespace")?,
            name: filled(&meta.name, "metadata.name")?,
            created,
        })
    }
}

/// What stands in the extra fields of whoever answered without the prefix that names must have.
pub const UNPREFIXED: &str = "spreadgroup.com/unprefixed";

/// Whoever answers, as a grant carries her. Stored, her name looks the same whether or not the
/// authenticator put the prefix before it, so it is said where it did not.
pub fn stamped_answerer(person: &Person, caller: &Caller, prefix: &NamePrefix) -> UserInfo {
    let marked = || [(UNPREFIXED.to_owned(), Some(vec!["true".to_owned()]))].into();
    UserInfo {
        extra: prefix.person(caller).is_none().then(marked),
        ..stamped(person, caller)
    }
}

/// A caller as objects carry her. Her extra fields name credentials and are left out.
pub fn stamped(person: &Person, caller: &Caller) -> UserInfo {
    let groups = Some(caller.groups.clone()).filter(|groups| !groups.is_empty());
    UserInfo {
        username: Some(person.name.clone()),
        uid: person.uid.clone(),
        groups,
        extra: None,
    }
}
