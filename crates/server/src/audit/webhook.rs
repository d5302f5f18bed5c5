//! A webhook: JSON over HTTPS, answered with 200 in time or failed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Serialize;
use tokio::time::Instant;

use super::trust::{Bundle, BundleError};
use crate::serve::pem::{self, PemError};

/// As the original names itself.
const USER_AGENT: &str = "kube-request-access";
/// Longest time a webhook may take: a person waits at a prompt.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const MAX_ANSWER_LEN: usize = 1024 * 1024;

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A webhook that is configured.
#[derive(Debug)]
pub struct Webhook {
    url: Uri,
    ca_bundle: Option<PathBuf>,
    client: ArcSwap<HttpsClient>,
    provider: Arc<CryptoProvider>,
}

/// Why a webhook did not do its part. For the log: callers are told only that it failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The audit's own file cannot be written.
    #[error("cannot write the audit's file")]
    File(#[source] std::io::Error),
    /// The body cannot be written as JSON.
    #[error("cannot write the body for {origin}")]
    Body {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The URL with its query is no URL.
    #[error("cannot build a request to {origin}")]
    Request {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: http::Error,
    },
    /// No answer: refused, reset, or its certificate is not believed.
    #[error("cannot post to {origin}")]
    Post {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: hyper_util::client::legacy::Error,
    },
    /// No answer in time.
    #[error("{origin} did not answer in time")]
    Timeout {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
    },
    /// Too much is told of this user at once.
    #[error("{origin} was not told or asked: too much is told or asked of this user at once")]
    NoTurn {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
    },
    /// Another answer than 200.
    #[error("{origin} answered {status}")]
    Status {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Its answer.
        status: StatusCode,
    },
    /// The answer's body broke off or is too long.
    #[error("cannot read the answer of {origin}")]
    Read {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer makes no sense.
    #[error("cannot understand the answer of {origin}")]
    Answer {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Why a webhook cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The bundle's file.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The bundle's content.
    #[error("cannot use the CA bundle {path}")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BundleError,
    },
    /// TLS.
    #[error("cannot set up TLS for {origin}")]
    Tls {
        /// The webhook's, see [`Webhook::origin`].
        origin: String,
        /// Why.
        source: rustls::Error,
    },
}

impl Webhook {
    /// Sets up a webhook that is trusted by a bundle, or by the system's roots where there is none.
    ///
    /// # Errors
    /// The bundle cannot be read or used.
    pub fn new(
        url: Uri,
        ca_bundle: Option<PathBuf>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, SetupError> {
        let client = ArcSwap::from_pointee(connect(&url, ca_bundle.as_deref(), &provider)?);
        Ok(Self {
            url,
            ca_bundle,
            client,
            provider,
        })
    }

    /// Where it is, for people and logs: scheme, host and port. The rest of a URL may hold a token.
    pub fn origin(&self) -> String {
        origin(&self.url)
    }

    /// The file that must be watched.
    pub fn ca_bundle(&self) -> Option<&Path> {
        self.ca_bundle.as_deref()
    }

    /// Reads the bundle again.
    ///
    /// # Errors
    /// It cannot be read or used; then the one before stays in use.
    pub fn reload(&self) -> Result<(), SetupError> {
        self.client.store(Arc::new(connect(
            &self.url,
            self.ca_bundle.as_deref(),
            &self.provider,
        )?));
        Ok(())
    }

    /// Posts bytes with these headers, and takes any 2xx for a yes.
    ///
    /// # Errors
    /// Anything else, or no answer in `patience`.
    pub async fn deliver(
        &self,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<(), WebhookError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        request
            .headers_mut()
            .insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        match tokio::time::timeout(patience, self.exchange(request, StatusCode::is_success)).await {
            Ok(answer) => answer.map(drop),
            Err(_elapsed) => Err(WebhookError::Timeout {
                origin: self.origin(),
            }),
        }
    }

    /// Posts a body and returns the answer's, until 2 s have passed or `deadline` is reached.
    /// `kind` becomes `?type=…` where it is not empty.
    ///
    /// # Errors
    /// Anything but an answer of 200 in time.
    pub async fn post(
        &self,
        kind: &str,
        body: &impl Serialize,
        deadline: Instant,
    ) -> Result<Bytes, WebhookError> {
        let deadline = patience(deadline);
        let exchange = self.exchange(self.request(kind, body)?, |status| {
            *status == StatusCode::OK
        });
        match tokio::time::timeout_at(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(WebhookError::Timeout {
                origin: self.origin(),
            }),
        }
    }

    fn request(
        &self,
        kind: &str,
        body: &impl Serialize,
    ) -> Result<Request<Full<Bytes>>, WebhookError> {
        let body = serde_json::to_vec(body).map_err(|source| WebhookError::Body {
            origin: self.origin(),
            source,
        })?;
        Request::post(with_type(&self.url, kind))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(Bytes::from(body)))
            .map_err(|source| WebhookError::Request {
                origin: self.origin(),
                source,
            })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        is_yes: impl FnOnce(&StatusCode) -> bool,
    ) -> Result<Bytes, WebhookError> {
        let client = HttpsClient::clone(&self.client.load());
        let response = client
            .request(request)
            .await
            .map_err(|source| WebhookError::Post {
                origin: self.origin(),
                source,
            })?;
        if !is_yes(&response.status()) {
            return Err(WebhookError::Status {
                origin: self.origin(),
                status: response.status(),
            });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_LEN)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|source| WebhookError::Read {
                origin: self.origin(),
                source,
            })
    }
}

/// Until when a webhook that is asked now may take.
pub fn patience(deadline: Instant) -> Instant {
    deadline.min(
        Instant::now()
            .checked_add(WEBHOOK_TIMEOUT)
            .unwrap_or(deadline),
    )
}

fn origin(url: &Uri) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{}{port}",
        url.scheme_str().unwrap_or_default(),
        url.host().unwrap_or_default()
    )
}

/// The URL, with `type` added to whatever query it has.
fn with_type(url: &Uri, kind: &str) -> String {
    match (kind, url.query()) {
        ("", _) => url.to_string(),
        (kind, Some(_)) => format!("{url}&type={kind}"),
        (kind, None) => format!("{url}?type={kind}"),
    }
}

fn connect(
    url: &Uri,
    ca_bundle: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<HttpsClient, SetupError> {
    let failed = |source| SetupError::Tls {
        origin: origin(url),
        source,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = match ca_bundle {
        // Never used then, and an image of nothing but the server has no roots of the system's.
        None if url.scheme() == Some(&Scheme::HTTP) => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
        None => builder
            .with_platform_verifier()
            .map_err(failed)?
            .with_no_client_auth(),
        Some(path) => {
            let bundle = Bundle::new(pem::certificates(path)?, provider).map_err(|source| {
                SetupError::Bundle {
                    path: path.to_owned(),
                    source,
                }
            })?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(bundle))
                .with_no_client_auth()
        }
    };
    // Which schemes are taken, the flags say: only notices may go without TLS.
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build(connector))
}
