//! Requests, as many as there are: an answer of the API server at a time.

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use api::AccessRequest;
use futures::{AsyncBufRead, AsyncBufReadExt as _};
use http_body_util::LengthLimitError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use kube::api::{ListParams, PartialObjectMeta, Request};

use super::bounds::Spent;
use super::cutting::Cutter;
use super::fields::Fields;
use super::whole::Whole;
use super::{Cluster, ClusterError, causes};

/// Requests that are handed out at a time.
const CHUNK: usize = 500;
/// Those that the API server is asked for at a time, where it cannot answer all at once; as kubectl does.
const PAGE: u32 = 500;
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
    /// Those that are understood, if only in part.
    pub understood: Vec<Whole>,
    /// What the others are called.
    pub others: Vec<ObjectMeta>,
}

impl Requests {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.understood.is_empty() && self.others.is_empty()
    }

    /// One more, by itself: one that is not understood must not hide the others.
    fn add(
        &mut self,
        item: &[u8],
        is_new: impl FnOnce(Option<&String>) -> bool,
    ) -> serde_json::Result<()> {
        if let Ok(whole) = Whole::of(item) {
            if is_new(whole.request.metadata.uid.as_ref()) {
                self.understood.push(whole);
            }
        } else {
            let known: PartialObjectMeta<AccessRequest> = serde_json::from_slice(item)?;
            if is_new(known.metadata.uid.as_ref()) {
                self.others.push(known.metadata);
            }
        }
        Ok(())
    }
}

/// What the API server is asked at once.
///
/// Without a limit, first: an API server answers that from its cache. One of 1.33 looks through all that
/// is stored for a page (kubernetes/kubernetes#132132), and each one does for those behind the first,
/// once what it remembers of older versions is gone with etcd's compaction, every five minutes.
#[derive(Debug, Clone, Default)]
struct Ask {
    /// Of the requests with these fields.
    fields: Option<String>,
    /// At most so many.
    limit: Option<u32>,
    /// From here on.
    token: Option<String>,
}

impl Ask {
    fn of(fields: &Fields) -> Self {
        Self {
            fields: fields.text(),
            ..Self::default()
        }
    }
}

/// An answer that comes.
struct Answer {
    bytes: Pin<Box<dyn AsyncBufRead + Send>>,
    cutter: Cutter,
    items: VecDeque<Vec<u8>>,
    is_whole: bool,
}

/// A list that comes in pieces. Nothing of what was handed out is kept but its UIDs.
pub struct Pages<'a> {
    cluster: &'a Cluster,
    which: Which,
    asks: VecDeque<Ask>,
    /// The answer to the last question, and the question.
    comes: Option<(Ask, Answer)>,
    seen: HashSet<String>,
    failures: u32,
    spent: Spent,
}

impl Cluster {
    /// Requests of the namespace, or of all namespaces, as they come.
    pub fn list(&self, which: Which) -> Pages<'_> {
        let asks = if which.fields.is_empty() {
            [Ask::default()].into()
        } else {
            which.fields.iter().map(Ask::of).collect()
        };
        self.asking(which, asks)
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

    /// Any request with these fields, or none. `None`: the API server cannot choose by them.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub(super) async fn any(
        &self,
        everywhere: bool,
        fields: &Fields,
    ) -> Result<Option<Requests>, ClusterError> {
        let which = Which {
            everywhere,
            labels: None,
            fields: vec![fields.clone()],
        };
        let ask = Ask {
            limit: Some(1),
            ..Ask::of(fields)
        };
        let mut pages = self.asking(which, [ask].into());
        let first = pages.next().await?;
        Ok(pages.chosen_by().map(|_| first.unwrap_or_default()))
    }

    fn asking(&self, which: Which, asks: VecDeque<Ask>) -> Pages<'_> {
        Pages {
            cluster: self,
            which,
            asks,
            comes: None,
            seen: HashSet::new(),
            failures: 0,
            spent: Spent::default(),
        }
    }

    async fn ask(&self, which: &Which, ask: &Ask) -> Result<Answer, ClusterError> {
        let namespace = (!which.everywhere).then_some(self.namespace.as_str());
        let parameters = ListParams {
            label_selector: which.labels.clone(),
            field_selector: ask.fields.clone(),
            limit: ask.limit,
            continue_token: ask.token.clone(),
            ..ListParams::default()
        };
        let request = Request::new(AccessRequest::url_path(&(), namespace)).list(&parameters);
        let bytes = self.ours(async {
            self.client
                .request_stream(request.map_err(kube::Error::BuildRequest)?)
                .await
        });
        Ok(Answer {
            bytes: Box::pin(bytes.await?),
            cutter: Cutter::default(),
            items: VecDeque::new(),
            is_whole: false,
        })
    }
}

impl Answer {
    /// Reads on until there are more items than are handed out next, or no more.
    async fn read(&mut self) -> kube::Result<()> {
        while !self.is_whole && self.items.len() <= CHUNK {
            let bytes = self.bytes.fill_buf().await.map_err(cause)?;
            let read = bytes.len();
            self.items.extend(self.cutter.take(bytes));
            self.is_whole = read == 0;
            self.bytes.as_mut().consume(read);
        }
        Ok(())
    }
}

impl Pages<'_> {
    /// What comes next, which may be none that is new. `None`: that was all.
    ///
    /// # Errors
    /// When the server refuses to tell, cannot be asked, or goes on without an end.
    pub async fn next(&mut self) -> Result<Option<Requests>, ClusterError> {
        loop {
            let (ask, answer) = if let Some(comes) = self.comes.take() {
                comes
            } else if let Some(ask) = self.asks.pop_front() {
                match self.cluster.ask(&self.which, &ask).await {
                    Ok(answer) => (ask, answer),
                    Err(error) => {
                        self.after(error, ask).await?;
                        continue;
                    }
                }
            } else {
                return Ok(None);
            };
            match self.read(&ask, answer).await {
                Ok((requests, rest)) => {
                    self.comes = rest.map(|answer| (ask, answer));
                    return Ok(Some(requests));
                }
                Err(error) => self.after(error, ask).await?,
            }
        }
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.asks.is_empty() && self.comes.is_none()
    }

    /// By what the API server chose all of them. `None`: it did not.
    pub fn chosen_by(&self) -> Option<&Fields> {
        match self.which.fields.as_slice() {
            [fields] => Some(fields),
            _ => None,
        }
    }

    /// Some of what comes, without what was handed out before.
    async fn read(
        &mut self,
        ask: &Ask,
        mut answer: Answer,
    ) -> Result<(Requests, Option<Answer>), ClusterError> {
        let explain = |error| self.cluster.explain(error);
        answer.read().await.map_err(explain)?;
        let not_understood = |error| explain(kube::Error::SerdeError(error));
        let mut requests = Requests::default();
        for item in answer.items.drain(..CHUNK.min(answer.items.len())) {
            let is_new = |uid: Option<&String>| {
                let is_new = uid.is_none_or(|uid| self.seen.insert(uid.clone()));
                if is_new {
                    self.spent.one(item.len());
                }
                is_new
            };
            requests.add(&item, is_new).map_err(not_understood)?;
        }
        if self.spent.is_too_much(false) {
            return Err(self.endless());
        }
        let rest = if answer.is_whole && answer.items.is_empty() {
            let end = answer.cutter.end().map_err(not_understood)?;
            self.go_on(ask, end.continue_)?;
            None
        } else {
            Some(answer)
        };
        if !requests.is_empty() {
            self.failures = 0;
        }
        Ok((requests, rest))
    }

    fn go_on(&mut self, ask: &Ask, token: Option<String>) -> Result<(), ClusterError> {
        self.spent.answer();
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(());
        };
        // One that is answered twice has no end.
        if ask.token.as_ref() == Some(&token) || self.spent.is_too_much(true) {
            return Err(self.endless());
        }
        self.asks.push_front(Ask {
            token: Some(token),
            ..ask.clone()
        });
        Ok(())
    }

    fn endless(&self) -> ClusterError {
        ClusterError::Endless {
            server: self.cluster.server.clone(),
        }
    }

    /// Asks otherwise, or once more, where that is of use.
    async fn after(&mut self, error: ClusterError, ask: Ask) -> Result<(), ClusterError> {
        self.failures = self.failures.saturating_add(1);
        let code = if let ClusterError::Refused(status) = &error {
            status.code
        } else {
            0
        };
        let begun = self.spent.is_begun();
        let in_pages = Ask {
            limit: ask.limit.or(Some(PAGE)),
            ..ask.clone()
        };
        let next = if self.failures >= MAX_FAILURES {
            None
        } else if code == 400 && ask.fields.is_some() && ask.token.is_none() {
            // A definition of requests that is older than we are has no such fields.
            self.which.fields.clear();
            self.asks.clear();
            Some(Ask {
                fields: None,
                ..ask
            })
        } else if code == 410 && ask.token.is_some() {
            // It began so long ago that the API server does not know any more what there was: the rest
            // is as it is now, or all is, of which nothing is handed out twice.
            let token = rest_of_list(&error);
            Some(Ask { token, ..ask })
        } else if is_too_large(&error) && ask.limit.is_none() {
            Some(in_pages)
        } else if code == 429 || begun && is_of_the_moment(&error) {
            let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE.saturating_mul(doubled)).await;
            // An API server whose cache is not there yet answers in pages only.
            Some(if code == 429 { in_pages } else { ask })
        } else {
            None
        };
        self.asks.push_front(next.ok_or(error)?);
        Ok(())
    }
}

/// Where the API server says that a list that is too old goes on.
fn rest_of_list(error: &ClusterError) -> Option<String> {
    let ClusterError::Refused(status) = error else {
        return None;
    };
    let token = status.metadata.as_ref()?.continue_.clone();
    token.filter(|token| !token.is_empty())
}

/// What the client said where reading failed.
fn cause(error: io::Error) -> kube::Error {
    error.downcast().unwrap_or_else(kube::Error::ReadEvents)
}

/// Whether an answer had more bytes than we take at once.
fn is_too_large(error: &ClusterError) -> bool {
    causes(error).any(<dyn Error>::is::<LengthLimitError>)
}

/// Whether the same question may be answered in a moment.
fn is_of_the_moment(error: &ClusterError) -> bool {
    match error {
        ClusterError::Refused(status) => status.code >= 500,
        ClusterError::ConnectionRefused { .. } | ClusterError::Unreachable { .. } => true,
        ClusterError::NotInstalled { .. }
        | ClusterError::Unauthorized(_)
        | ClusterError::Endless { .. }
        | ClusterError::Answer { .. } => false,
    }
}
