//! HTTPS as the API server sees it: certificates that are swapped, and an end that lets reviews
//! finish.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use server::serve::{
    self,
    tls::{Tls, TlsError},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::oneshot};
use tokio_rustls::TlsConnector;

/// Writes a self-signed certificate and its key; returns the certificate.
fn write_pair(dir: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    std::fs::write(dir.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn load(dir: &TempDir) -> Result<Tls, TlsError> {
    Tls::load(
        dir.path().join("tls.crt"),
        dir.path().join("tls.key"),
        None,
        Arc::new(ring::default_provider()),
    )
}

/// GET over a new connection, trusting one certificate.
async fn fetch(
    port: u16,
    path: &str,
    trusted: &CertificateDer<'static>,
) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(path)
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let body = sender
        .send_request(request)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn files_that_are_missing_or_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(load(&dir).unwrap_err().to_string().contains("tls.crt"));
    write_pair(dir.path());
    std::fs::write(
        dir.path().join("tls.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let error = load(&dir).unwrap_err();
    assert!(error.to_string().contains("tls.key"), "{error}");
    std::fs::write(dir.path().join("tls.crt"), "no certificate").unwrap();
    assert!(
        load(&dir)
            .unwrap_err()
            .to_string()
            .contains("there is no certificate in")
    );
    std::fs::remove_file(dir.path().join("tls.key")).unwrap();
    write_pair(dir.path());
    std::fs::remove_file(dir.path().join("tls.key")).unwrap();
    assert!(
        load(&dir)
            .unwrap_err()
            .to_string()
            .contains("cannot read a private key from")
    );
}

#[tokio::test]
async fn a_new_certificate_is_served_after_it_is_read_again_and_a_broken_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_pair(dir.path());
    let tls = Arc::new(load(&dir).unwrap());
    let listener = serve::listen(&["127.0.0.1:0".parse().unwrap()])
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(serve::serve(
        listener,
        Arc::clone(&tls),
        router,
        std::future::pending(),
    ));
    assert_eq!(fetch(port, "/", &first).await.unwrap(), "hello");

    let second = write_pair(dir.path());
    assert!(fetch(port, "/", &second).await.is_err());
    tls.reload().unwrap();
    assert_eq!(fetch(port, "/", &second).await.unwrap(), "hello");
    assert!(fetch(port, "/", &first).await.is_err());

    std::fs::write(dir.path().join("tls.crt"), "half a certif").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(fetch(port, "/", &second).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_finish_and_takes_nothing_new() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = write_pair(dir.path());
    let tls = Arc::new(load(&dir).unwrap());
    let listener = serve::listen(&["127.0.0.1:0".parse().unwrap()])
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let (began, arrived) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let once = Arc::new(std::sync::Mutex::new(Some((began, finished))));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let (began, finished) = once.lock().unwrap().take().unwrap();
            began.send(()).unwrap();
            finished.await.unwrap();
            "finished"
        }),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve::serve(listener, tls, router, async move {
        stopped.await.unwrap();
    }));
    let slow = tokio::spawn({
        let trusted = trusted.clone();
        async move { fetch(port, "/", &trusted).await }
    });
    arrived.await.unwrap();
    stop.send(()).unwrap();
    // Refused as soon as the listener is gone.
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished());
    finish.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap(), "finished");
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_speaks_no_tls_is_dropped_and_the_server_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = write_pair(dir.path());
    let tls = Arc::new(load(&dir).unwrap());
    let listener = serve::listen(&["127.0.0.1:0".parse().unwrap()])
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(serve::serve(listener, tls, router, std::future::pending()));
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer)
        .await
        .unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(fetch(port, "/", &trusted).await.unwrap(), "hello");
}
