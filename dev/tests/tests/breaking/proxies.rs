//! Two small HTTP proxies: one with faults, between the replicas and the API server, and one
//! between the API server and the replicas, which gives each review to the next of them.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cluster::Identity;
use futures::StreamExt as _;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use run::certificates::Pair;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::injected::{Fault, Faults};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, Error>;
type Upstream = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What a client trusts and shows.
pub(crate) fn client_config(authority: &str, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = builder.with_root_certificates(roots);
    match identity {
        Some(Identity { certificate, key }) => builder
            .with_client_auth_cert(chain(certificate), private(key))
            .unwrap(),
        None => builder.with_no_client_auth(),
    }
}

fn server_config(pair: &Pair) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    builder
        .with_no_client_auth()
        .with_single_cert(chain(&pair.certificate), private(&pair.key))
        .unwrap()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(Result::unwrap)
        .collect()
}

fn private(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn upstream(config: ClientConfig) -> Upstream {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    // Nothing is sent twice here: whoever asked may do that.
    Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build(connector)
}

/// Serves HTTP/1.1 with this handler, over TLS where there is a certificate; returns where.
async fn serve<H, F>(pair: Option<&Pair>, handler: H) -> SocketAddr
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = pair.map(|pair| TlsAcceptor::from(Arc::new(server_config(pair))));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(connection(stream, acceptor.clone(), handler.clone()));
        }
    });
    address
}

async fn connection<H, F>(stream: TcpStream, acceptor: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = hyper::server::conn::http1::Builder::new();
    // Whoever is killed says no goodbye.
    let _ended = match acceptor {
        None => {
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await
        }
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            }
            Err(_no_tls) => Ok(()),
        },
    };
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

fn failure(code: u16) -> Response<Body> {
    let reason = if code == 409 {
        "Conflict"
    } else {
        "InternalError"
    };
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "injected", "reason": reason,
        "code": code});
    let response = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    response.body(full(status.to_string())).unwrap()
}

/// Begins a proxy to the API server; returns its address, for plain HTTP. Whoever comes acts as
/// this identity.
pub(crate) async fn to_the_api_server(
    server: String,
    authority: &str,
    identity: &Identity,
    faults: Arc<Faults>,
) -> SocketAddr {
    let upstream = upstream(client_config(authority, Some(identity)));
    let handler = move |request: Request<Incoming>| {
        let (upstream, faults, server) = (upstream.clone(), Arc::clone(&faults), server.clone());
        async move { pass_with_faults(&upstream, &server, request, &faults).await }
    };
    serve(None, handler).await
}

async fn pass_with_faults(
    upstream: &Upstream,
    server: &str,
    request: Request<Incoming>,
    faults: &Faults,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default();
    let is_watch = query
        .split('&')
        .any(|pair| pair == "watch=true" || pair == "watch=1");
    let fault = faults.next(request.method().as_str(), request.uri().path(), is_watch);
    let Ok(request) = towards(server, request).await else {
        return failure(400);
    };
    match fault {
        Fault::Refused(code) => return failure(code),
        Fault::DoneButFails(code) => {
            collected(upstream, request).await;
            return failure(code);
        }
        Fault::DoneLater(code, delay) => {
            let upstream = upstream.clone();
            tokio::spawn(async move {
                sleep(delay).await;
                collected(&upstream, request).await;
            });
            return failure(code);
        }
        Fault::Delayed(delay) => sleep(delay).await,
        Fault::Nothing | Fault::Stalled(_) => {}
    }
    let stall = if let Fault::Stalled(stall) = fault {
        Some(stall)
    } else {
        None
    };
    match upstream.request(request).await {
        Ok(response) if is_watch => response.map(|body| streamed(body, stall)),
        Ok(response) => gathered(response).await,
        Err(_gone) => failure(502),
    }
}

/// The same request, for another server, its body collected.
async fn towards(
    server: &str,
    request: Request<Incoming>,
) -> Result<Request<Full<Bytes>>, hyper::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{server}{path}").parse::<Uri>().unwrap();
    parts.headers.remove("host");
    Ok(Request::from_parts(
        parts,
        Full::new(body.collect().await?.to_bytes()),
    ))
}

async fn collected(upstream: &Upstream, request: Request<Full<Bytes>>) {
    if let Ok(response) = upstream.request(request).await {
        gathered(response).await;
    }
}

async fn gathered(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove("transfer-encoding");
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, full(body.to_bytes())),
        Err(_cut_off) => failure(502),
    }
}

/// A body that is passed on as it comes, and stalls once after its first part.
fn streamed(body: Incoming, stall: Option<Duration>) -> Body {
    let frames = BodyStream::new(body)
        .enumerate()
        .then(move |(number, frame)| async move {
            if let (1, Some(stall)) = (number, stall) {
                sleep(stall).await;
            }
            frame.map_err(Error::from)
        });
    BodyExt::boxed(StreamBody::new(frames))
}

/// The replicas that reviews are given to, in turn.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    alive: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Endpoints {
    pub(crate) fn add(&self, address: SocketAddr) {
        self.alive.lock().unwrap().push(address);
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        self.alive.lock().unwrap().retain(|one| *one != address);
    }

    fn next(&self) -> Option<SocketAddr> {
        let alive = self.alive.lock().unwrap();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        alive.get(turn.checked_rem(alive.len())?).copied()
    }
}

/// Begins a proxy to the replicas; returns its address, for HTTPS with this certificate.
pub(crate) async fn to_the_replicas(
    pair: &Pair,
    authority: &str,
    endpoints: Arc<Endpoints>,
) -> SocketAddr {
    let upstream = upstream(client_config(authority, None));
    let handler = move |request: Request<Incoming>| {
        let (upstream, endpoints) = (upstream.clone(), Arc::clone(&endpoints));
        async move {
            let Some(address) = endpoints.next() else {
                return unavailable();
            };
            let Ok(request) = towards(&format!("https://{address}"), request).await else {
                return unavailable();
            };
            match upstream.request(request).await {
                Ok(response) => gathered(response).await,
                Err(_killed) => unavailable(),
            }
        }
    };
    serve(Some(pair), handler).await
}

fn unavailable() -> Response<Body> {
    Response::builder()
        .status(StatusCode::BAD_GATEWAY)
        .body(full("no replica answered"))
        .unwrap()
}
