//! The receivers over TLS, with the certificate that `openssl req -x509` makes: self-signed, and
//! `CA:TRUE`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use receivers::serve::{Options, ServeError, Server};
use receivers::tls::TlsError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::recorded::Recorded;

const DEADLINE: Duration = Duration::from_secs(10);

/// Trusts one certificate, byte for byte, as the server trusts what its bundle holds: the usual
/// verification refuses a CA as a server.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let known = *end_entity == self.certificate;
        known
            .then(ServerCertVerified::assertion)
            .ok_or_else(|| CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A self-signed `CA:TRUE` certificate.
pub(crate) struct SelfSigned(CertifiedIssuer<'static, KeyPair>);

impl SelfSigned {
    pub(crate) fn generate() -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn write(&self, dir: &Path) {
        std::fs::write(dir.join("tls.crt"), self.0.pem()).unwrap();
        std::fs::write(dir.join("tls.key"), self.0.key().serialize_pem()).unwrap();
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let pinned = Arc::new(Pinned {
            certificate: self.0.der().clone(),
            algorithms,
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    }

    /// Posts a recorded body and gives back the whole answer, headers and all.
    pub(crate) async fn post(&self, address: SocketAddr, path: &str, body: &str) -> String {
        self.post_with(address, path, "", body).await
    }

    /// The same with more headers, each with its end of line.
    pub(crate) async fn post_with(
        &self,
        address: SocketAddr,
        path: &str,
        headers: &str,
        body: &str,
    ) -> String {
        let mut stream = self.connect(address).await.unwrap();
        stream
            .write_all(format!("{}{headers}\r\n{body}", head(path, body)).as_bytes())
            .await
            .unwrap();
        rest(&mut stream).await
    }
}

fn options(dir: &Path) -> Options {
    Options {
        address: "127.0.0.1:0".to_owned(),
        cert_file: dir.join("tls.crt"),
        key_file: dir.join("tls.key"),
    }
}

fn head(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    )
}

async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

/// The validation receiver on a port of its own.
struct Running {
    dir: TempDir,
    certificate: SelfSigned,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        let (dir, certificate) = (TempDir::new().unwrap(), SelfSigned::generate());
        certificate.write(dir.path());
        let server = Server::bind(options(dir.path())).await.unwrap();
        let (address, (stop, stopped)) = (server.address(), oneshot::channel::<()>());
        let task = tokio::spawn(server.serve(receivers::validation::router(), async move {
            stopped.await.ok();
        }));
        Self {
            dir,
            certificate,
            address,
            stop,
            task,
        }
    }
}

async fn until_closed(address: SocketAddr) {
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(DEADLINE, closed).await.unwrap();
}

#[tokio::test]
async fn a_self_signed_ca_certificate_is_shown_and_requests_are_answered() {
    let running = Running::start().await;
    let body = Recorded::read("validate").body.to_string();
    let answer = running
        .certificate
        .post(running.address, "/validate", &body)
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"valid"}"#), "{answer}");
}

#[tokio::test]
async fn plain_http_gets_no_answer_and_does_no_harm() {
    let running = Running::start().await;
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain
        .write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // The socket may be reset or closed in order, depending on what was still unread.
    timeout(DEADLINE, plain.read_to_end(&mut answer))
        .await
        .unwrap()
        .ok();
    assert!(!answer.starts_with(b"HTTP/"));
    running.certificate.connect(running.address).await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let running = Running::start().await;
    let renewed = SelfSigned::generate();
    renewed.write(running.dir.path());
    renewed.connect(running.address).await.unwrap();
    running
        .certificate
        .connect(running.address)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_renewal_that_cannot_be_used_leaves_the_certificate_in_place() {
    let running = Running::start().await;
    std::fs::write(running.dir.path().join("tls.crt"), "").unwrap();
    running.certificate.connect(running.address).await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop() {
    let running = Running::start().await;
    let body = Recorded::read("validate").body.to_string();
    let mut stream = running.certificate.connect(running.address).await.unwrap();
    let head = head("/", &body) + "Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The answer to `Expect` comes when the handler waits for the body.
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(DEADLINE, stream.read_exact(&mut interim))
        .await
        .unwrap()
        .unwrap();

    running.stop.send(()).unwrap();
    until_closed(running.address).await;
    assert!(!running.task.is_finished());
    stream.write_all(body.as_bytes()).await.unwrap();

    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    timeout(DEADLINE, running.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_with_the_key_of_another_is_refused() {
    let dir = TempDir::new().unwrap();
    SelfSigned::generate().write(dir.path());
    let certificate = std::fs::read(dir.path().join("tls.crt")).unwrap();
    SelfSigned::generate().write(dir.path());
    std::fs::write(dir.path().join("tls.crt"), certificate).unwrap();
    let why = Server::bind(options(dir.path())).await.unwrap_err();
    assert!(
        matches!(why, ServeError::Tls(TlsError::Use { .. })),
        "{why:?}"
    );
}

#[tokio::test]
async fn a_file_without_a_certificate_is_refused() {
    let dir = TempDir::new().unwrap();
    SelfSigned::generate().write(dir.path());
    std::fs::copy(dir.path().join("tls.key"), dir.path().join("tls.crt")).unwrap();
    let why = Server::bind(options(dir.path())).await.unwrap_err();
    assert!(
        matches!(why, ServeError::Tls(TlsError::NoCertificate { .. })),
        "{why:?}"
    );
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::start().await;
    let taken = Options {
        address: running.address.to_string(),
        ..options(running.dir.path())
    };
    let why = Server::bind(taken).await.unwrap_err();
    assert_eq!(
        why.to_string(),
        format!("cannot listen on {}", running.address)
    );
}
