//! What the verbs ask of the API server, and what went wrong in kubectl's words.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::{AccessGrant, AccessRequest};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, ListParams, PartialObjectMeta, PostParams, Preconditions};
use kube::core::{DeserializeGuard, NotUsed, Object, Selector, Status};
use kube::{Api, Client, ResourceExt as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::connect::destination::Destination;
use crate::connect::flags::ConnectionFlags;
use crate::target;
use crate::terminal::guard::guarded;
use decide::text::{safe_lines, safe_word};

mod bounds;
mod cutting;
pub mod fields;
mod listing;
mod naming;
mod people;
pub mod said;
mod watching;
mod whole;

use bounds::{MAX_LISTED, MAX_MIB};
pub use listing::{Pages, Requests, Which};
pub use naming::Kind;
pub use people::Me;
pub use watching::Seen;
pub use whole::Whole;

/// After this long somebody who waits at a terminal is told what for.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// A cluster, and the place in it that the flags and the kubeconfig name.
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// Where requests are, unless all namespaces are meant.
    pub namespace: String,
    /// Name of the kubeconfig's context, for messages.
    pub context: String,
    /// URL of the API server, for messages.
    pub server: String,
    /// Whether somebody watches standard error and wants to know what takes so long.
    pub watched: bool,
    /// What leads here, for kubectl and for the lines that people are told to type.
    pub way: Arc<Way>,
}

/// What leads to a cluster.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// The connection flags, with the context that they mean.
    pub flags: ConnectionFlags,
    /// Whether a line that is typed must name the context: one was given, or there are several.
    pub names_context: bool,
    /// Where they led when they were read. `None`: this is a pod, or a test.
    pub destination: Option<Destination>,
    /// Whether this is a pod, which has no kubeconfig.
    pub is_pod: bool,
}

/// What is read of a workload: its selector and its pod template.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkloadSpec {
    /// Which pods are its own, as far as labels say.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
    /// What its pods are made from.
    pub template: PodTemplateSpec,
}

/// A workload of any kind that a request can name.
pub type WorkloadObject = Object<WorkloadSpec, NotUsed>;

/// Why the API server gave no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The custom resources are missing.
    #[error(
        "error: kube-request-access is not installed in this cluster (context {}): ask who runs the cluster to \
         install it, or choose another with --context",
        safe_word(context)
    )]
    NotInstalled {
        /// The context.
        context: String,
    },
    /// The API server does not know who asks.
    #[error("error: You must be logged in to the server ({})", safe_lines(&.0.message))]
    Unauthorized(Box<Status>),
    /// The API server, or an admission webhook, said no.
    #[error("Error from server{}: {}", reason_of(.0), safe_lines(&.0.message))]
    Refused(Box<Status>),
    /// Nobody listens there.
    #[error(
        "The connection to the server {} was refused - did you specify the right host or port?",
        safe_word(server)
    )]
    ConnectionRefused {
        /// The server's URL.
        server: String,
        /// What the client says.
        source: kube::Error,
    },
    /// No connection, or one that broke.
    #[error("Unable to connect to the server {}: {}", safe_word(server), safe_lines(&root_cause(source)))]
    Unreachable {
        /// The server's URL.
        server: String,
        /// What the client says.
        source: kube::Error,
    },
    /// A list without an end.
    #[error(
        "error: the server {} lists more than {MAX_LISTED} requests or {MAX_MIB} MiB, or the same ones again and again: \
         choose some with -n or -l",
        safe_word(server)
    )]
    Endless {
        /// The server's URL.
        server: String,
    },
    /// An answer that is none.
    #[error("error: cannot understand the answer of the server {}: {}", safe_word(server), safe_lines(&root_cause(source)))]
    Answer {
        /// The server's URL.
        server: String,
        /// What the client says.
        source: kube::Error,
    },
}

impl ClusterError {
    /// Whether the server says that there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_not_found())
    }

    /// Whether trying again is of no use: it is about what we are, not about the moment.
    pub fn is_about_us(&self) -> bool {
        match self {
            Self::NotInstalled { .. } | Self::Unauthorized(_) | Self::Endless { .. } => true,
            Self::Refused(status) => status.code == 403 || status.code == 404,
            Self::ConnectionRefused { .. } | Self::Unreachable { .. } | Self::Answer { .. } => {
                false
            }
        }
    }

    /// Whether the server says that we have no right to.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 403)
    }

    /// Whether the server says that an object of that name is there already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_already_exists())
    }
}

impl Cluster {
    /// What people are told of where they are: the context, and the API server's URL.
    pub fn title(&self) -> String {
        let server = safe_word(&self.server);
        match self.context.as_str() {
            "" => server,
            context => format!("{} ({server})", safe_word(context)),
        }
    }

    /// Where something happens, inside of a sentence: `in cluster prod, namespace shop`.
    pub fn place(&self) -> String {
        format!(
            "in cluster {}, namespace {}",
            safe_word(&self.context),
            safe_word(&self.namespace)
        )
    }

    /// The same cluster, and another namespace of it.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
            context: self.context.clone(),
            server: self.server.clone(),
            watched: self.watched,
            way: Arc::clone(&self.way),
        }
    }

    /// One request.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn request(&self, name: &str) -> Result<AccessRequest, ClusterError> {
        Ok(self.whole(name).await?.request)
    }

    /// Files a request.
    ///
    /// # Errors
    /// When the server refuses it, or cannot be asked.
    pub async fn create_request(
        &self,
        new: &AccessRequest,
        dry_run: bool,
    ) -> Result<AccessRequest, ClusterError> {
        let parameters = PostParams {
            dry_run,
            ..PostParams::default()
        };
        self.ours(self.here().create(&parameters, new)).await
    }

    /// A Secret of this namespace.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn secret(&self, name: &str) -> Result<Secret, ClusterError> {
        self.call(self.here::<Secret>().get(name)).await
    }

    /// Deletes exactly this request.
    ///
    /// # Errors
    /// When it is not there any more, the server refuses, or cannot be asked.
    pub async fn delete_request(&self, request: &AccessRequest) -> Result<(), ClusterError> {
        let deletion = only(request.uid());
        self.ours(
            self.here::<AccessRequest>()
                .delete(&request.name_any(), &deletion),
        )
        .await
        .map(drop)
    }

    /// Deletes exactly this answer.
    ///
    /// # Errors
    /// When it is not there any more, the server refuses, or cannot be asked.
    pub async fn delete_grant(&self, grant: &AccessGrant) -> Result<(), ClusterError> {
        self.ours(
            self.here::<AccessGrant>()
                .delete(&grant.name_any(), &only(grant.uid())),
        )
        .await
        .map(drop)
    }

    /// The answers to a request, by its name. Those that are not understood are left out.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub async fn grants_of(&self, request: &str) -> Result<Vec<AccessGrant>, ClusterError> {
        let parameters = ListParams::default().fields(&format!("spec.grantFor={request}"));
        let api: Api<DeserializeGuard<AccessGrant>> = self.here();
        let grants = self.ours(api.list(&parameters)).await?.items.into_iter();
        Ok(grants
            .filter_map(|DeserializeGuard(grant)| grant.ok())
            .filter(|grant| grant.spec.grant_for == request)
            .collect())
    }

    /// One grant.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn grant(&self, name: &str) -> Result<AccessGrant, ClusterError> {
        self.ours(self.here::<AccessGrant>().get(name)).await
    }

    /// Stores an answer to a request.
    ///
    /// # Errors
    /// When the server refuses it, or cannot be asked.
    pub async fn create_grant(&self, new: &AccessGrant) -> Result<AccessGrant, ClusterError> {
        self.ours(self.here().create(&PostParams::default(), new))
            .await
    }

    /// One pod.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn pod(&self, name: &str) -> Result<Pod, ClusterError> {
        self.call(self.here::<Pod>().get(name)).await
    }

    /// The pods that a selector matches.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub async fn pods(&self, selector: &Selector) -> Result<Vec<Pod>, ClusterError> {
        let parameters = ListParams::default().labels_from(selector);
        Ok(self.call(self.here::<Pod>().list(&parameters)).await?.items)
    }

    /// One service.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn service(&self, name: &str) -> Result<Service, ClusterError> {
        self.call(self.here::<Service>().get(name)).await
    }

    /// One workload.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn workload(
        &self,
        kind: target::Workload,
        name: &str,
    ) -> Result<WorkloadObject, ClusterError> {
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &kind.api_resource());
        self.call(api.get(name)).await
    }

    /// Metadata of a `ReplicaSet`, which stands between a Deployment and its pods.
    ///
    /// # Errors
    /// When there is none of that name, or the server cannot be asked.
    pub async fn replica_set(
        &self,
        name: &str,
    ) -> Result<PartialObjectMeta<k8s_openapi::api::apps::v1::ReplicaSet>, ClusterError> {
        self.call(
            self.here::<k8s_openapi::api::apps::v1::ReplicaSet>()
                .get_metadata(name),
        )
        .await
    }

    fn here<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A call about our own objects: that there is no such path means that we are not installed.
    async fn ours<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        match self.call(call).await {
            Err(ClusterError::Refused(status)) if names_no_object(&status) => {
                Err(ClusterError::NotInstalled {
                    context: self.context.clone(),
                })
            }
            answer => answer,
        }
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        let mut call = pin!(call);
        let answer = match tokio::time::timeout(NOTICE_AFTER, &mut call).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                self.tell_what_takes_so_long();
                call.await
            }
        };
        answer.map_err(|error| self.explain(error))
    }

    fn tell_what_takes_so_long(&self) {
        if self.watched {
            anstream::eprintln!("{}", guarded(&format!("waiting for {} …", self.server)));
        }
    }

    fn explain(&self, error: kube::Error) -> ClusterError {
        let server = self.server.clone();
        if let kube::Error::Api(status) = error {
            let unknown = status.code == 401;
            if unknown {
                ClusterError::Unauthorized(status)
            } else {
                ClusterError::Refused(status)
            }
        } else if is_refused(&error) {
            ClusterError::ConnectionRefused {
                server,
                source: error,
            }
        } else if matches!(error, kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) {
            ClusterError::Answer {
                server,
                source: error,
            }
        } else {
            ClusterError::Unreachable {
                server,
                source: error,
            }
        }
    }
}

/// The object that was read, and no other of that name.
fn only(uid: Option<String>) -> DeleteParams {
    let preconditions = Some(Preconditions {
        uid,
        resource_version: None,
    });
    DeleteParams {
        preconditions,
        ..DeleteParams::default()
    }
}

/// A 404 about a path, not about an object: the resource itself is missing.
fn names_no_object(status: &Status) -> bool {
    let names = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    status.code == 404 && !names
}

/// ` (Forbidden)`, or nothing where the answer came from no API server.
fn reason_of(status: &Status) -> String {
    let is_reason =
        !status.reason.is_empty() && status.reason.chars().all(|c| c.is_ascii_alphabetic());
    if is_reason {
        format!(" ({})", status.reason)
    } else {
        String::new()
    }
}

pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn is_refused(error: &kube::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// The innermost cause: the client repeats it in the text of each layer around it.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_status_shows_no_invented_reason() {
        let status =
            Status::failure("<html>\u{1b}[2J", "Failed to parse error data").with_code(502);
        let error = ClusterError::Refused(status.boxed());
        assert_eq!(error.to_string(), "Error from server: <html>\\u{1b}[2J");
    }
}
