//! The few questions the cluster has to its own API server, asked as the administrator.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::pki::Identity;

/// Why the API server gave no answer of use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// A certificate made for the client cannot be used.
    #[error("cannot use the administrator's certificate")]
    Identity {
        /// Why.
        source: Box<ureq::Error>,
    },
    /// No answer.
    #[error("cannot ask the API server for {path}")]
    Ask {
        /// What was asked.
        path: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// A refusal.
    #[error("the API server refused {path} with status {status}: {message}")]
    Refused {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

/// One question may take this long.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Api {
    agent: Agent,
    server: String,
}

impl Api {
    pub(crate) fn new(server: &str, authority: &str, admin: &Identity) -> Result<Self, ApiError> {
        let failed = |source| ApiError::Identity {
            source: Box::new(source),
        };
        let authority = Certificate::from_pem(authority.as_bytes()).map_err(failed)?;
        let certificate = Certificate::from_pem(admin.certificate.as_bytes()).map_err(failed)?;
        let key = PrivateKey::from_pem(admin.key.as_bytes()).map_err(failed)?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[authority]))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            server: server.to_owned(),
        })
    }

    /// Whether the API server answers `path` with success. No answer is a no.
    pub(crate) fn is_ok(&self, path: &str) -> bool {
        self.agent
            .get(self.url(path))
            .call()
            .is_ok_and(|answer| answer.status().is_success())
    }

    /// The object at `path`; `None` while there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        let answer = self.agent.get(self.url(path)).call();
        match read(path, answer) {
            Err(ApiError::Refused { status: 404, .. }) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Creates or changes the object at `path` by server-side apply.
    pub(crate) fn apply(&self, path: &str, object: &Value) -> Result<(), ApiError> {
        let url = self.url(&format!("{path}?fieldManager=kra-cluster&force=true"));
        let request = self
            .agent
            .patch(url)
            .header("content-type", "application/apply-patch+yaml");
        read(path, request.send(object.to_string())).map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }
}

fn read(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, ApiError> {
    let failed = |source| ApiError::Ask {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let mut answer = answer.map_err(failed)?;
    let status = answer.status();
    let body: Value = answer.body_mut().read_json().map_err(failed)?;
    if status.is_success() {
        return Ok(body);
    }
    let message = body
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no reason given")
        .to_owned();
    Err(ApiError::Refused {
        path: path.to_owned(),
        status: status.as_u16(),
        message,
    })
}
