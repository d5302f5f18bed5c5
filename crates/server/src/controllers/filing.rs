//! Files requests for attempts that wait in band (`--in-band-wait`): one for the same user, pod and
//! options, however often and on however many replicas it is tried.
//!
//! Admission itself stores nothing: it hands an attempt over here and waits for what the watch
//! shows. What is filed goes through our own webhooks as any request does.

use std::sync::Arc;

use api::{
    AccessRequest, AccessRequestSpec, AttachOptions, ExecOptions, ForObject, PortForwardOptions,
    UserInfo, convert, names,
};
use decide::{
    access::{Ask, AttachAsk, ExecAsk, TargetKind},
    attempt::{Action, Attempt},
    identity::Person,
    standing::Standing,
    waiting,
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::PostParams};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{info, warn};

use super::{ControllerContext, observe};
use crate::cluster::{
    pods,
    rights::{self, Right},
};

/// Maximum number of requests that wait to be filed: more than there are attempts that wait.
const MAX_QUEUED: usize = 64;
/// Maximum number of requests that are filed at once: one busy user must not take the API server
/// from others.
const MAX_AT_ONCE: usize = 8;
/// Maximum number of used or lapsed requests for the same command that memory does not know of yet.
const MAX_EARLIER: usize = 5;

/// An attempt that a request is to be filed for.
#[derive(Debug, Clone)]
pub struct Filing {
    /// What is tried.
    pub attempt: Attempt,
    /// Who tries it, as the review names her.
    pub user: UserInfo,
    /// Who tries it, as objects name her.
    pub person: Person,
    /// UID of her newest request for the very same that is over, where there is one.
    pub earlier: Option<String>,
}

/// A request that waits, or was granted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub since: Timestamp,
}

/// Where attempts are handed over.
#[derive(Debug, Clone)]
pub struct Filer(mpsc::Sender<(Filing, oneshot::Sender<Option<Filed>>)>);

/// What was handed over.
#[derive(Debug)]
pub struct Filings(mpsc::Receiver<(Filing, oneshot::Sender<Option<Filed>>)>);

impl Filer {
    /// One, and what it hands over.
    pub fn new() -> (Self, Filings) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        (Self(sender), Filings(receiver))
    }

    /// Has a request filed. `None`: there is none to wait for.
    pub async fn file(&self, filing: Filing) -> Option<Filed> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((filing, answer)).ok()?;
        answered.await.ok().flatten()
    }
}

/// Files what is handed over. Never ends, while anybody can hand something over.
pub async fn run(mut filings: Filings, context: Arc<ControllerContext>) {
    let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
    while let Some((filing, mut answer)) = filings.0.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let context = Arc::clone(&context);
        tokio::spawn(async move {
            let _place = place;
            // For whoever has hung up nothing more is done.
            let filed = tokio::select! {
                biased;
                () = answer.closed() => return,
                filed = file(&filing, &context) => filed,
            };
            let filed = filed.unwrap_or_else(|error| {
                let uid = &filing.attempt.review_uid;
                warn!(
                    uid,
                    error = crate::chain(&error),
                    "no request was filed for an attempt that would wait"
                );
                None
            });
            // She may hang up at this very moment.
            let _: Result<(), Option<Filed>> = answer.send(filed);
        });
    }
}

/// Files a request, or finds the one that an earlier try of the same filed.
async fn file(filing: &Filing, context: &ControllerContext) -> Result<Option<Filed>, kube::Error> {
    let Some(pod_uid) = visible_pod(filing, context).await? else {
        return Ok(None);
    };
    let Some(spec) = spec(filing, &pod_uid) else {
        return Ok(None);
    };
    let api: Api<AccessRequest> =
        Api::namespaced(context.client.clone(), &filing.attempt.namespace);
    let mut earlier = filing.earlier.clone();
    for _ in 0..MAX_EARLIER {
        let name = name(filing, &spec, earlier.as_deref());
        // Read first: what is created passes admission, and is told to webhooks, before the API
        // server sees that it is there.
        match there(&api, &name, filing, &spec, context).await? {
            There::Nothing => {}
            There::Waits(filed) => return Ok(Some(filed)),
            There::Closed => return Ok(None),
            There::Past(uid) => {
                earlier = Some(uid);
                continue;
            }
        }
        let object = AccessRequest::new(&name, spec.clone());
        match api.create(&PostParams::default(), &object).await {
            Ok(created) => {
                info!(
                    uid = filing.attempt.review_uid,
                    request = name,
                    "filed a request for an attempt that waits"
                );
                return Ok(created.creation_timestamp().map(|since| Filed {
                    name,
                    since: since.0,
                }));
            }
            // Filed meanwhile: it is read in the next round.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            // By the code: webhooks of others may give no reason.
            Err(kube::Error::Api(status)) if status.code == 403 => {
                info!(
                    uid = filing.attempt.review_uid,
                    text = status.message,
                    "no request may be filed for an attempt"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The pod's UID, if she may see the pod, ask for access, and connect once it is granted: whoever
/// may not learns nothing.
async fn visible_pod(
    filing: &Filing,
    context: &ControllerContext,
) -> Result<Option<String>, kube::Error> {
    let Filing { attempt, user, .. } = filing;
    let (client, namespace, pod) = (&context.client, &attempt.namespace, &attempt.pod);
    let pods = convert::resource_of(TargetKind::Pod);
    let (sees, asks, connects, target) = tokio::try_join!(
        rights::has(
            client,
            user,
            namespace,
            Right::Get {
                resource: &pods,
                name: pod
            }
        ),
        rights::has(client, user, namespace, Right::Ask),
        rights::has(
            client,
            user,
            namespace,
            Right::Door {
                pod,
                door: attempt.door()
            }
        ),
        pods::read_target(client, namespace, TargetKind::Pod, pod),
    )?;
    Ok(target
        .filter(|_| sees && asks && connects)
        .map(|target| target.uid))
}

/// What a request of that name is.
enum There {
    /// None.
    Nothing,
    /// One for the same, open.
    Waits(Filed),
    /// One for the same, and she was answered, or it may not be.
    Closed,
    /// One of the past, or somebody else's: the next is named after it.
    Past(String),
}

async fn there(
    api: &Api<AccessRequest>,
    name: &str,
    filing: &Filing,
    spec: &AccessRequestSpec,
    context: &ControllerContext,
) -> Result<There, kube::Error> {
    let Some(object) = api.get_opt(name).await? else {
        return Ok(There::Nothing);
    };
    let uid = object.uid().unwrap_or_default();
    let since = object.creation_timestamp();
    let Some(live) = observe::with_grants(context, object).await? else {
        return Ok(There::Past(uid));
    };
    let request = &live.candidate.request;
    let same = convert::ask(spec).is_ok_and(|ask| is_same(&ask, &request.ask));
    if !filing.person.is(&request.user) || !same || request.target.uid != spec.for_object.uid {
        return Ok(There::Past(uid));
    }
    let now = (context.clock)();
    let standing = live.candidate.standing(now, &context.rules());
    if waiting::is_past(&standing, now) {
        return Ok(There::Past(uid));
    }
    let is_open = matches!(standing, Standing::Pending | Standing::Granted(_));
    let filed = since.filter(|_| is_open).map(|since| Filed {
        name: name.to_owned(),
        since: since.0,
    });
    Ok(filed.map_or(There::Closed, There::Waits))
}

/// Whether what is stored is what would be asked; the container may have been filled in.
fn is_same(asked: &Ask, stored: &Ask) -> bool {
    match (asked, stored) {
        (Ask::Exec(asked), Ask::Exec(stored)) => {
            let container = asked.container.clone().or_else(|| stored.container.clone());
            ExecAsk {
                container,
                ..asked.clone()
            } == *stored
        }
        (Ask::Attach(asked), Ask::Attach(stored)) => {
            let container = asked.container.clone().or_else(|| stored.container.clone());
            AttachAsk {
                container,
                ..asked.clone()
            } == *stored
        }
        (asked, stored) => asked == stored,
    }
}

/// The name of the request: whoever tries the same again, on whichever replica, arrives at the same
/// one.
fn name(filing: &Filing, spec: &AccessRequestSpec, earlier: Option<&str>) -> String {
    // Her groups may change between two tries.
    let spec = AccessRequestSpec {
        user_info: None,
        ..spec.clone()
    };
    let options = serde_json::to_string(&spec).unwrap_or_default();
    let person = &filing.person;
    let key = [
        &person.name,
        person.uid.as_deref().unwrap_or_default(),
        &options,
        earlier.unwrap_or_default(),
    ];
    names::derived_name(filing.attempt.door().verb(), &person.name, &key)
}

/// A request for exactly what is tried, once, in this very pod. `None`: not through that door.
fn spec(filing: &Filing, pod_uid: &str) -> Option<AccessRequestSpec> {
    let attempt = &filing.attempt;
    let empty = AccessRequestSpec {
        user_info: Some(convert::stamped(&filing.person, &attempt.caller)),
        for_object: ForObject {
            resource: convert::resource_of(TargetKind::Pod),
            sub_resource: attempt.door().subresource().to_owned(),
            name: attempt.pod.clone(),
            namespace: Some(attempt.namespace.clone()),
            uid: Some(pod_uid.to_owned()),
        },
        exec_options: Some(ExecOptions::default()),
        ..AccessRequestSpec::default()
    };
    match &attempt.action {
        Action::Exec(exec) => {
            let options = ExecOptions {
                kind: Some("PodExecOptions".to_owned()),
                api_version: Some("v1".to_owned()),
                stdin: exec.stdin.then_some(true),
                stdout: Some(true),
                stderr: (!exec.tty).then_some(true),
                tty: exec.tty.then_some(true),
                container: exec.container.clone(),
                command: Some(exec.command.clone()),
            };
            Some(AccessRequestSpec {
                exec_options: Some(options),
                ..empty
            })
        }
        Action::Attach(attach) => {
            let options = AttachOptions {
                stdin: attach.stdin.then_some(true),
                stdout: Some(true),
                stderr: (!attach.tty).then_some(true),
                tty: attach.tty.then_some(true),
                container: attach.container.clone(),
            };
            Some(AccessRequestSpec {
                attach_options: Some(options),
                ..empty
            })
        }
        Action::PortForward => Some(AccessRequestSpec {
            port_forward_options: Some(PortForwardOptions::default()),
            ..empty
        }),
        Action::Debug(_) => None,
    }
}
