//! Live reads and the spending of single uses: the only way to an allow.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{AccessGrant, AccessRequest, contract::annotations::SEAL, convert, objects};
use decide::{access::Answer, attempt::Attempt, standing::Candidate};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use tokio::time::Instant;
use tracing::warn;

use super::{clients::Pulse, index::Key, seal::Sealer};

/// How often a spend that collided with a write of our own controllers is tried again.
const MAX_TRIES: usize = 3;
/// A denial or deletion that this replica admitted is remembered this long: longer than any watch
/// can lag unnoticed.
const REMEMBERED_FOR: Duration = Duration::from_mins(5);

/// Reads and spends.
pub struct Ledger {
    client: Client,
    pulse: Pulse,
    sealer: Arc<Sealer>,
    /// Requests (by namespace and name) about which this replica admitted a denial or deletion, and
    /// when.
    suspects: Mutex<HashMap<Key, Instant>>,
}

/// A request as it was just read, with its grants.
#[derive(Debug, Clone)]
pub struct LiveRequest {
    /// The object, for the compare-and-swap.
    pub object: AccessRequest,
    /// What decisions are made on.
    pub candidate: Candidate,
    /// The UIDs of its grants, by name.
    pub grant_uids: BTreeMap<String, String>,
}

/// What became of a spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// The use is ours.
    Ours,
    /// Somebody else's review used it, or the request does not give access any more.
    Lost,
}

/// Why a use could not be spent, or not for certain. Then the attempt is denied, and the use may be
/// lost.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The API server did not take the write, and its next answer did not show it.
    #[error("cannot write the use into the status of the request")]
    Write(#[source] kube::Error),
    /// The API server took the write, and stored something else.
    #[error("the use was written into the status of the request, but something took it out again")]
    NotStored,
    /// What became of the write could not be read.
    #[error("cannot read whether the use was written")]
    Read(#[source] kube::Error),
    /// Our own controllers wrote at the same time, again and again.
    #[error("the status of the request changed {MAX_TRIES} times meanwhile")]
    Contended,
}

/// A request without what no decision looks at: whoever asked chose how much that is. A write of its
/// status changes no metadata.
fn lean(mut object: AccessRequest) -> AccessRequest {
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    metadata.labels = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _value| key == SEAL);
    }
    object
}

impl Ledger {
    /// A ledger on a client that does not retry.
    pub fn new(client: Client, pulse: Pulse, sealer: Arc<Sealer>) -> Self {
        Self {
            client,
            pulse,
            sealer,
            suspects: Mutex::default(),
        }
    }

    /// What seals grants, and looks at seals.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The client, for other reads of the same decision.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Remembers that this replica admitted a denial or deletion about a request, which its watch
    /// may not show yet.
    pub fn suspect(&self, namespace: &str, request: &str) {
        let now = Instant::now();
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|_, since| now.duration_since(*since) < REMEMBERED_FOR);
        suspects.insert(Key::new(namespace, request), now);
    }

    /// Reads a request and the grants that are known to grant it, by name; all of its grants where
    /// memory may have missed a denial, or does not have them all. `None`: it is gone, or is another of the same name.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn read(&self, known: &Candidate) -> Result<Option<LiveRequest>, kube::Error> {
        let (object, grants) = tokio::try_join!(self.read_request(known), self.read_grants(known))?;
        Ok(object.and_then(|object| live(object, &known.request.uid, &grants, &self.sealer)))
    }

    async fn read_request(&self, known: &Candidate) -> Result<Option<AccessRequest>, kube::Error> {
        self.requests(&known.request.namespace)
            .get_opt(&known.request.name)
            .await
            .map(|object| object.map(lean))
    }

    async fn read_grants(&self, known: &Candidate) -> Result<Vec<AccessGrant>, kube::Error> {
        let request = &known.request;
        let key = Key::new(request.namespace.as_str(), request.name.as_str());
        if !known.has_all_grants || self.is_suspect(&key) || self.pulse.is_weak() {
            return self.list_grants(&request.namespace, &request.name).await;
        }
        let api: Api<AccessGrant> = Api::namespaced(self.client.clone(), &request.namespace);
        let granting = known
            .grants
            .iter()
            .filter(|grant| grant.answer == Answer::Granted);
        let reads = granting.map(|grant| api.get_opt(&grant.name));
        let grants = futures::future::try_join_all(reads).await?;
        Ok(grants
            .into_iter()
            .flatten()
            .filter(|grant| grant.spec.grant_for == request.name)
            .collect())
    }

    /// All grants that name a request, read from the API server.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn list_grants(
        &self,
        namespace: &str,
        request: &str,
    ) -> Result<Vec<AccessGrant>, kube::Error> {
        list_grants(&self.client, namespace, request).await
    }

    fn is_suspect(&self, key: &Key) -> bool {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects
            .get(key)
            .is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    /// Spends the single use by compare-and-swap on the request's status. `still` says of a request
    /// that was read again whether it would still give the access.
    ///
    /// # Errors
    /// It is not known to be ours; then the attempt must be denied.
    pub async fn spend(
        &self,
        live: &LiveRequest,
        use_: &objects::Use,
        still: impl Fn(&Candidate) -> bool,
    ) -> Result<Spent, SpendError> {
        let mut current = live.clone();
        for _ in 0..MAX_TRIES {
            let error = match self.write_use(&current.object, use_).await {
                Ok(true) => return Ok(Spent::Ours),
                Ok(false) => return Err(SpendError::NotStored),
                Err(error) => error,
            };
            // With all of its grants: one may have come that denies.
            let known = Candidate {
                has_all_grants: false,
                ..live.candidate.clone()
            };
            let read = self.read(&known).await.map_err(SpendError::Read)?;
            let Some(now) = read else {
                return Ok(Spent::Lost);
            };
            let spent_in = |object: &AccessRequest| object.status.clone().unwrap_or_default().uses;
            let spent = spent_in(&now.object);
            if spent.iter().any(|one| one.review_uid == use_.review_uid) {
                // It was written after all. A denial that was just read counts all the same.
                return Ok(if still(&now.candidate) {
                    Spent::Ours
                } else {
                    Spent::Lost
                });
            }
            // Nothing but the same uses will do: another review's, of whichever door, was faster.
            if !is_same(&spent, &spent_in(&live.object)) || !still(&now.candidate) {
                return Ok(Spent::Lost);
            }
            // Anything but a conflict may still be carried out after we looked: it must not be sent
            // again.
            if !is_conflict(&error) {
                return Err(SpendError::Write(error));
            }
            warn!(
                request = live.candidate.request.name,
                "the status changed meanwhile; spending again"
            );
            current = now;
        }
        Err(SpendError::Contended)
    }

    /// A PUT with uid and resourceVersion: a merge patch with a wrong uid would succeed. Answers
    /// whether the use is stored as it was written: another admission webhook could take it out.
    async fn write_use(
        &self,
        object: &AccessRequest,
        use_: &objects::Use,
    ) -> Result<bool, kube::Error> {
        let mut object = object.clone();
        object
            .status
            .get_or_insert_default()
            .uses
            .push(use_.clone());
        let api = self.requests(object.metadata.namespace.as_deref().unwrap_or_default());
        let name = object.metadata.name.clone().unwrap_or_default();
        let stored = api
            .replace_status(&name, &PostParams::default(), &object)
            .await?;
        // Times are stored in whole seconds.
        let same = |one: &objects::Use| {
            objects::Use {
                at: use_.at.clone(),
                ..one.clone()
            } == *use_
        };
        Ok(stored
            .status
            .is_some_and(|status| status.uses.iter().any(same)))
    }

    fn requests(&self, namespace: &str) -> Api<AccessRequest> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// All grants that name a request, read from the API server. One of them that cannot be decoded
/// could be a denial, so it fails the whole list; nobody else's request is concerned.
///
/// # Errors
/// The API server did not answer, or with something that cannot be decoded.
pub async fn list_grants(
    client: &Client,
    namespace: &str,
    request: &str,
) -> Result<Vec<AccessGrant>, kube::Error> {
    let api: Api<AccessGrant> = Api::namespaced(client.clone(), namespace);
    Ok(api
        .list(&ListParams::default().fields(&format!("spec.grantFor={request}")))
        .await?
        .items)
}

/// The use that an attempt makes of a request.
pub fn use_of(attempt: &Attempt, pod_uid: &str, at: Timestamp) -> objects::Use {
    objects::Use {
        review_uid: attempt.review_uid.clone(),
        at: Time(at),
        pod: attempt.pod.clone(),
        pod_uid: pod_uid.to_owned(),
        sub_resource: Some(attempt.door().subresource().to_owned()),
        container: attempt.action.container().map(str::to_owned),
        outcome: None,
    }
}

/// A request with its grants as values; `None` where it is not the one with this UID, or means
/// nothing.
pub fn live(
    object: AccessRequest,
    uid: &str,
    grants: &[AccessGrant],
    sealer: &Sealer,
) -> Option<LiveRequest> {
    let request = convert::request(&object, sealer.request(&object).into()).ok();
    let request = request.filter(|request| request.uid == uid)?;
    let uid_of = |grant: &AccessGrant| grant.metadata.name.clone().zip(grant.metadata.uid.clone());
    let grant_uids = grants.iter().filter_map(uid_of).collect();
    let grants = grants
        .iter()
        .filter_map(|grant| convert::grant(grant, sealer.grant(grant, &object).into()).ok());
    let grants = grants.collect();
    Some(LiveRequest {
        object,
        candidate: Candidate {
            request,
            grants,
            has_all_grants: true,
        },
        grant_uids,
    })
}

/// Whether the uses are the same; what is known of their outcome may have changed.
fn is_same(one: &[objects::Use], other: &[objects::Use]) -> bool {
    one.iter()
        .map(|one| &one.review_uid)
        .eq(other.iter().map(|other| &other.review_uid))
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}
