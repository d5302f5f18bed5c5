//! HTTPS, until somebody says stop.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::tls::{Certificate, TlsError, TlsFiles};

/// The most a body may have, in bytes: well over what fits into a Kubernetes object twice.
pub const MAX_BODY: usize = 8 << 20;
/// How long a caller may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests under way may take to finish. Kubernetes kills 30 s after it asks to stop.
const DRAIN: Duration = Duration::from_secs(20);
/// The pause after a connection could not be accepted, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Where to listen, and which certificate to show.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose one.
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:8443")]
    pub address: String,
    /// File with the certificate to show, followed by its intermediates, as PEM. Renewals are
    /// noticed.
    #[arg(long, value_name = "FILE")]
    pub cert_file: PathBuf,
    /// File with the certificate's private key, as PEM.
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate cannot be shown.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("cannot listen for SIGTERM and SIGINT")]
    Signals {
        /// Why.
        source: io::Error,
    },
}

/// Serves `router` until SIGTERM or SIGINT, then lets requests under way finish.
///
/// # Errors
/// When the certificate cannot be shown or the address not be listened on.
pub async fn run(options: Options, router: Router) -> Result<(), ServeError> {
    let stop = Stop::install().map_err(|source| ServeError::Signals { source })?;
    let server = Server::bind(options).await?;
    server.serve(router, stop.asked()).await;
    tracing::info!("stopped");
    Ok(())
}

/// The signals that ask to stop. Process 1 of a container gets no default action, so both must be
/// handled.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A certificate, and a socket that is already listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    certificate: Certificate,
    address: SocketAddr,
}

impl Server {
    /// Reads the certificate, then listens: whoever can connect will be answered.
    ///
    /// # Errors
    /// When the certificate cannot be shown or the address not be listened on.
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        let Options {
            address,
            cert_file,
            key_file,
        } = options;
        let certificate = Certificate::load(TlsFiles {
            cert_file,
            key_file,
        })?;
        let (listener, address) = listen(&address)
            .await
            .map_err(|source| ServeError::Listen { address, source })?;
        tracing::info!(%address, "listening");
        Ok(Self {
            listener,
            certificate,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop`, then closes the socket and lets requests under way finish.
    pub async fn serve(self, router: Router, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            mut certificate,
            ..
        } = self;
        let connections = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                stream = accept(&listener) => {
                    tokio::spawn(attend(stream, certificate.acceptor(), router.clone(), connections.watcher()));
                }
                () = &mut stop => break,
            }
        }
        drop(listener);
        if timeout(DRAIN, connections.shutdown()).await.is_err() {
            tracing::warn!("cut off what was still under way");
        }
    }
}

async fn listen(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            Err(why) => {
                tracing::error!(%why, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn attend(stream: TcpStream, tls: TlsAcceptor, router: Router, connection: Watcher) {
    if let Err(why) = converse(stream, tls, router, connection).await {
        tracing::warn!(error = &*why as &dyn Error, "a connection failed");
    }
}

async fn converse(
    stream: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    connection: Watcher,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
    // Without HTTP/2, whose resets can overtake an early answer such as 413.
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    // With a timer hyper gives up on callers that do not finish their headers.
    http.http1().timer(TokioTimer::new());
    connection
        .watch(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)))
        .await
}
