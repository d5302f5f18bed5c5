//! The API server, asked one thing after the other.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tokio::runtime::{self, Runtime};

use crate::connection::{Connection, Fault, Target};

/// A server that is asked one thing after the other.
pub(super) struct Client {
    target: Target,
    runtime: Runtime,
    connection: Option<Connection>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The connection.
    #[error("{method} {path}")]
    Fault {
        method: Method,
        path: String,
        source: Fault,
    },
    /// It refused.
    #[error("{method} {path} was answered with {status}: {said}")]
    Refused {
        method: Method,
        path: String,
        status: u16,
        said: String,
    },
    /// The answer is no JSON.
    #[error("an answer is not JSON")]
    Json(#[from] serde_json::Error),
    /// The request is none.
    #[error("a request cannot be made")]
    Request(#[from] http::Error),
    /// A name is no header.
    #[error("a name cannot stand in a header")]
    Header(#[from] header::InvalidHeaderValue),
    /// The system.
    #[error("cannot start a runtime")]
    Runtime(#[from] std::io::Error),
}

/// In whose name something is asked, by impersonation.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) group: &'static str,
}

impl Person {
    pub(super) fn new(name: impl Into<String>, group: &'static str) -> Self {
        Self {
            name: name.into(),
            group,
        }
    }
}

impl Client {
    pub(super) fn new(target: Target) -> Result<Self, ClientError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            target,
            runtime,
            connection: None,
        })
    }

    /// The server, for others to ask.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Value, ClientError> {
        self.call(&Method::GET, path, None, None)
    }

    pub(super) fn create(
        &mut self,
        path: &str,
        object: &Value,
        person: Option<&Person>,
    ) -> Result<Value, ClientError> {
        self.call(&Method::POST, path, Some(object), person)
    }

    pub(super) fn replace(&mut self, path: &str, object: &Value) -> Result<Value, ClientError> {
        self.call(&Method::PUT, path, Some(object), None)
    }

    pub(super) fn delete(
        &mut self,
        path: &str,
        person: Option<&Person>,
    ) -> Result<Value, ClientError> {
        self.call(&Method::DELETE, path, None, person)
    }

    /// The body of whatever is there.
    pub(super) fn fetch(&mut self, path: &str) -> Result<Bytes, ClientError> {
        self.exchange(&Method::GET, path, Bytes::new(), None)
    }

    /// The body of whatever is answered with success.
    pub(super) fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        self.exchange(&Method::POST, path, body, None)
    }

    fn call(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        person: Option<&Person>,
    ) -> Result<Value, ClientError> {
        let body = body
            .map(serde_json::to_vec)
            .transpose()?
            .unwrap_or_default();
        let answer = self.exchange(method, path, body.into(), person)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn exchange(
        &mut self,
        method: &Method,
        path: &str,
        body: Bytes,
        person: Option<&Person>,
    ) -> Result<Bytes, ClientError> {
        let mut request = self.target.request(method.clone(), path, body)?;
        if let Some(person) = person {
            let headers = request.headers_mut();
            headers.insert(
                HeaderName::from_static("impersonate-user"),
                HeaderValue::from_str(&person.name)?,
            );
            headers.insert(
                HeaderName::from_static("impersonate-group"),
                HeaderValue::from_static(person.group),
            );
        }
        let (target, connection) = (&self.target, &mut self.connection);
        let sent = self.runtime.block_on(async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => target.connect().await?,
            };
            let answer = open.send(request).await?;
            *connection = Some(open);
            Ok(answer)
        });
        let (status, answer) = sent.map_err(|source| ClientError::Fault {
            method: method.clone(),
            path: path.to_owned(),
            source,
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(ClientError::Refused {
            method: method.clone(),
            path: path.to_owned(),
            status: status.as_u16(),
            said: String::from_utf8_lossy(&answer).chars().take(500).collect(),
        })
    }
}
