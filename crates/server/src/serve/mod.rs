//! HTTPS: listening, TLS that is swapped when its files change, whose reviews are believed, and an
//! end that lets reviews finish.

pub mod authentication;
pub mod client_authority;
pub mod endpoint;
pub mod pem;
pub mod reload;
pub mod review_path;
pub mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authentication::Peer;
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use tls::Tls;

/// A client that has not finished its TLS handshake or sent its headers by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection reads so many bytes at most before anybody wants them: there is no room counted for
/// them. Headers must fit, too.
const MAX_READ_AHEAD: usize = 64 * 1024;
/// Reviews that are under way may take this long to finish: longer than the webhook timeouts that
/// we ship. Those that wait for a grant do so no longer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Listens on the first address that can be had.
///
/// # Errors
/// None can.
pub async fn listen(addresses: &[SocketAddr]) -> std::io::Result<TcpListener> {
    TcpListener::bind(addresses).await
}

/// Serves until `stop` completes; then takes no more connections, and gives those under way a
/// quarter of a minute.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => spawn(stream, from, &tls, &router, &connections),
                // Out of file descriptors, mostly: time to let some go.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    info!(
        open = connections.count(),
        "stopping: reviews under way may finish"
    );
    if timeout(DRAIN_TIMEOUT, connections.shutdown())
        .await
        .is_err()
    {
        warn!("stopped with reviews still under way");
    }
}

fn spawn(
    stream: TcpStream,
    from: SocketAddr,
    tls: &Tls,
    router: &Router,
    connections: &GracefulShutdown,
) {
    let acceptor = TlsAcceptor::from(tls.config());
    let router = router.clone();
    let watcher = connections.watcher();
    tokio::spawn(async move {
        let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%from, %error, "no TLS"),
            Err(_elapsed) => return debug!(%from, "no TLS handshake in time"),
        };
        let peer = peer(&stream, from);
        let service =
            TowerToHyperService::new(router.map_request(move |request| introduce(request, &peer)));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE_TIMEOUT)
            .max_buf_size(MAX_READ_AHEAD);
        builder.http2().timer(TokioTimer::new());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(connection).await {
            debug!(%from, error, "connection ended");
        }
    });
}

fn peer(stream: &TlsStream<TcpStream>, address: SocketAddr) -> Peer {
    let (_, tls) = stream.get_ref();
    let certificates = tls.peer_certificates().unwrap_or_default();
    Peer {
        address,
        certificates: certificates
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
    }
}

/// Says in a request who has sent it.
fn introduce<B>(mut request: http::Request<B>, peer: &Peer) -> http::Request<B> {
    request.extensions_mut().insert(peer.clone());
    request
}
