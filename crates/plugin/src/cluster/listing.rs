//! Requests, as many as there are: an answer of the API server at a time.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use api::AccessRequest;
use http_body_util::LengthLimitError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::Resource as _;
use kube::api::{ListParams, PartialObjectMeta, Request};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::{Cluster, ClusterError, causes};

/// Objects that the API server is asked for at a time, as kubectl does.
const CHUNK: u32 = 500;
/// Maximum number of objects that are listed: more are no list for people.
pub(super) const MAX_LISTED: usize = 200_000;
/// Maximum number of answers of which a list consists.
const MAX_PAGES: usize = 500;
/// How often in a row the rest of a list may fail to come.
const MAX_FAILURES: u32 = 4;
/// Before the rest is asked for again; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);

/// Which requests are listed.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Those of all namespaces.
    pub everywhere: bool,
    /// Those with these labels.
    pub labels: Option<String>,
    /// Those with any of these fields; where there are none, all. The API server chooses by them where
    /// its definition of requests has them: whoever lists looks at each request still.
    pub fields: Vec<Fields>,
}

/// The requests that there are.
#[derive(Debug, Default)]
pub struct Requests {
    /// Those that are understood.
    pub understood: Vec<AccessRequest>,
    /// What the others are called.
    pub others: Vec<ObjectMeta>,
}

impl Requests {
    fn len(&self) -> usize {
        self.understood.len().saturating_add(self.others.len())
    }
}

/// One answer, and what the rest of the list is asked for by.
pub(super) type Page = (Requests, Option<String>);

/// What the API server is asked at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    /// Of the requests with these fields.
    pub(super) fields: Option<String>,
    /// At most so many.
    pub(super) limit: Option<u32>,
    /// From here on.
    pub(super) token: Option<String>,
}

impl Ask {
    fn all() -> Self {
        Self {
            limit: Some(CHUNK),
            ..Self::default()
        }
    }

    /// Without a limit: with one, an API server of 1.33 looks through all that is stored for the few
    /// that are chosen, and does not look into its cache (kubernetes/kubernetes#132132).
    fn chosen(fields: &Fields) -> Self {
        fields.text().map_or_else(Self::all, |text| Self {
            fields: Some(text),
            ..Self::default()
        })
    }
}

/// A list that comes in pieces. Nothing of what was handed out is kept but its UIDs.
pub struct Pages<'a> {
    cluster: &'a Cluster,
    which: Which,
    asks: VecDeque<Ask>,
    seen: HashSet<String>,
    failures: u32,
    pages: usize,
}

impl Cluster {
    /// Requests of the namespace, or of all namespaces, as they come.
    pub fn list(&self, which: Which) -> Pages<'_> {
        let asks = if which.fields.is_empty() {
            [Ask::all()].into()
        } else {
            which.fields.iter().map(Ask::chosen).collect()
        };
        Pages {
            cluster: self,
            which,
            asks,
            seen: HashSet::new(),
            failures: 0,
            pages: 0,
        }
    }

    /// The same, all together.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub async fn requests(&self, which: Which) -> Result<Requests, ClusterError> {
        let (mut pages, mut requests) = (self.list(which), Requests::default());
        while let Some(mut page) = pages.next().await? {
            requests.understood.append(&mut page.understood);
            requests.others.append(&mut page.others);
        }
        Ok(requests)
    }

    pub(super) async fn page(&self, which: &Which, ask: &Ask) -> Result<Page, ClusterError> {
        let namespace = (!which.everywhere).then_some(self.namespace.as_str());
        let parameters = ListParams {
            label_selector: which.labels.clone(),
            field_selector: ask.fields.clone(),
            limit: ask.limit,
            continue_token: ask.token.clone(),
            ..ListParams::default()
        };
        let request = Request::new(AccessRequest::url_path(&(), namespace)).list(&parameters);
        let text = self.ours(async {
            self.client
                .request_text(request.map_err(kube::Error::BuildRequest)?)
                .await
        });
        read(&text.await?).map_err(|error| self.explain(kube::Error::SerdeError(error)))
    }
}

impl Pages<'_> {
    /// What comes next. `None`: that was all.
    ///
    /// # Errors
    /// When the server refuses to tell, cannot be asked, or goes on without an end.
    pub async fn next(&mut self) -> Result<Option<Requests>, ClusterError> {
        while let Some(ask) = self.asks.pop_front() {
            match self.cluster.page(&self.which, &ask).await {
                Ok(page) => return self.take(page, ask).map(Some),
                Err(error) => {
                    let again = self.after(&error, ask).await.ok_or(error)?;
                    self.asks.push_front(again);
                }
            }
        }
        Ok(None)
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.asks.is_empty()
    }

    /// By what the API server chose all of them. `None`: it did not.
    pub fn chosen_by(&self) -> Option<&Fields> {
        match self.which.fields.as_slice() {
            [fields] => Some(fields),
            _ => None,
        }
    }

    /// What of an answer is new, once it is clear how the list goes on.
    fn take(&mut self, (mut requests, token): Page, ask: Ask) -> Result<Requests, ClusterError> {
        self.pages = self.pages.saturating_add(1);
        let mut is_new = |uid: Option<&String>| uid.is_none_or(|uid| self.seen.insert(uid.clone()));
        requests
            .understood
            .retain(|request| is_new(request.metadata.uid.as_ref()));
        requests.others.retain(|meta| is_new(meta.uid.as_ref()));
        if requests.len() > 0 {
            self.failures = 0;
        }
        if let Some(token) = token {
            // One that is answered twice has no end.
            let endless = self.pages >= MAX_PAGES
                || self.seen.len() > MAX_LISTED
                || ask.token.as_ref() == Some(&token);
            if endless {
                return Err(ClusterError::Endless {
                    server: self.cluster.server.clone(),
                });
            }
            self.asks.push_front(Ask {
                token: Some(token),
                ..ask
            });
        }
        Ok(requests)
    }

    /// What is asked instead. `None`: that was an error.
    async fn after(&mut self, error: &ClusterError, ask: Ask) -> Option<Ask> {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            return None;
        }
        match (error, &ask.token) {
            // A definition of requests that is older than we are has no such fields.
            (ClusterError::Refused(status), None) if status.code == 400 => {
                ask.fields?;
                self.which.fields.clear();
                self.asks.clear();
                Some(Ask::all())
            }
            (error, None) => (ask.limit.is_none() && is_too_large(error)).then(|| Ask {
                limit: Some(CHUNK),
                ..ask
            }),
            // It began so long ago that the API server does not know any more what there was: the rest
            // is as it is now, or all is, of which nothing is handed out twice.
            (ClusterError::Refused(status), Some(_)) if status.code == 410 => {
                let rest = status.metadata.as_ref();
                let rest = rest.and_then(|metadata| metadata.continue_.clone());
                Some(Ask {
                    token: rest.filter(|token| !token.is_empty()),
                    ..ask
                })
            }
            (error, Some(_)) if is_of_the_moment(error) => {
                let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
                tokio::time::sleep(PAUSE.saturating_mul(doubled)).await;
                Some(ask)
            }
            (_, Some(_)) => None,
        }
    }
}

/// Each request on its own: one that is not understood must not hide the others.
fn read(text: &str) -> serde_json::Result<Page> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(default)]
        metadata: ListMeta,
        #[serde(borrow)]
        items: &'a RawValue,
    }
    let answer: Answer<'_> = serde_json::from_str(text)?;
    let items: Option<Vec<&RawValue>> = serde_json::from_str(answer.items.get())?;
    let mut requests = Requests::default();
    for item in items.unwrap_or_default() {
        match serde_json::from_str(item.get()) {
            Ok(request) => requests.understood.push(request),
            Err(_not_understood) => {
                let known: PartialObjectMeta<AccessRequest> = serde_json::from_str(item.get())?;
                requests.others.push(known.metadata);
            }
        }
    }
    let token = answer.metadata.continue_;
    Ok((requests, token.filter(|token| !token.is_empty())))
}

/// Whether an answer had more bytes than we take at once.
fn is_too_large(error: &ClusterError) -> bool {
    causes(error).any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// Whether the same question may be answered in a moment.
fn is_of_the_moment(error: &ClusterError) -> bool {
    match error {
        ClusterError::Refused(status) => status.code == 429 || status.code >= 500,
        ClusterError::ConnectionRefused { .. } | ClusterError::Unreachable { .. } => true,
        ClusterError::NotInstalled { .. }
        | ClusterError::Unauthorized(_)
        | ClusterError::Endless { .. }
        | ClusterError::Answer { .. } => false,
    }
}
