//! One connection to a server, kept alive, without a pool: a reconnect is never hidden.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longer answers are no answers.
const MAX_ANSWER: usize = 256 << 20;

/// Why there is no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// Nobody listens.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Its certificate is not trusted, or it speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The connection ended before the answer.
    #[error("the connection was closed before the answer")]
    Closed,
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// Its turn never came: the answers before it took too long.
    #[error("not sent: no connection was free in time")]
    Unsent,
    /// Another status than 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Something else than an AdmissionReview.
    #[error("the answer is no AdmissionReview")]
    Garbage,
    /// The answer to another review.
    #[error("the answer has the uid of another review")]
    OtherUid,
    /// Not what was expected.
    #[error("unexpectedly {0}")]
    Unexpected(String),
}

/// Why a server cannot even be called.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none that is called here.
    #[error("{0} is not a URL like https://HOST:PORT/PATH")]
    Url(String),
    /// A PEM file cannot be read.
    #[error("cannot read {path} as PEM")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("there is no certificate in {0}")]
    NoCertificate(PathBuf),
    /// TLS cannot be configured with it.
    #[error("these certificates and keys cannot be used")]
    Tls(#[from] rustls::Error),
}

/// Whom to believe, and who one is.
#[derive(Debug, Default)]
pub struct Trust {
    /// The authorities of the server's certificate; `None`: any certificate is taken.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// The own certificate and key.
    pub client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Trust {
    /// Trusts the authorities of a PEM text.
    ///
    /// # Errors
    /// It has none.
    pub fn authority(pem: &str) -> Result<Self, TargetError> {
        Ok(Self {
            authorities: Some(certificates(
                pem.as_bytes(),
                PathBuf::from("the authority"),
            )?),
            client: None,
        })
    }

    /// Shows a certificate, from PEM texts.
    ///
    /// # Errors
    /// They are no PEM.
    pub fn showing(mut self, certificate: &str, key: &str) -> Result<Self, TargetError> {
        let path = PathBuf::from("the client's certificate");
        let certificates = certificates(certificate.as_bytes(), path.clone())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|source| TargetError::Pem { path, source })?;
        self.client = Some((certificates, key));
        Ok(self)
    }

    fn configure(self) -> Result<ClientConfig, TargetError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if let Some(authorities) = self.authorities {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority)?;
            }
            builder.with_root_certificates(roots)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        };
        let mut config = match self.client {
            Some((certificates, key)) => builder.with_client_auth_cert(certificates, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The certificates of a PEM text.
///
/// # Errors
/// There are none in it.
pub fn certificates(
    pem: &[u8],
    path: PathBuf,
) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TargetError::NoCertificate(path)),
        Ok(found) => Ok(found),
        Err(source) => Err(TargetError::Pem { path, source }),
    }
}

/// A server that is called.
#[derive(Clone)]
pub struct Target {
    address: String,
    name: ServerName<'static>,
    host: HeaderValue,
    /// Path and query of the URL.
    pub path: String,
    tls: TlsConnector,
}

impl Target {
    /// The server of a URL.
    ///
    /// # Errors
    /// The URL is not one of https, or the certificates cannot be used.
    pub fn new(url: &str, trust: Trust) -> Result<Self, TargetError> {
        let wrong = || TargetError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_no_uri| wrong())?;
        let (Some("https"), Some(host), Some(authority)) =
            (uri.scheme_str(), uri.host(), uri.authority())
        else {
            return Err(wrong());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            address: format!("{host}:{}", uri.port_u16().unwrap_or(443)),
            name: ServerName::try_from(bare.to_owned()).map_err(|_no_name| wrong())?,
            host: HeaderValue::from_str(authority.as_str()).map_err(|_no_header| wrong())?,
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            tls: TlsConnector::from(Arc::new(trust.configure()?)),
        })
    }

    /// The same server, at another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or somebody who is not trusted.
    pub async fn connect(&self) -> Result<Connection, Fault> {
        let stream = TcpStream::connect(&self.address)
            .await
            .map_err(|error| Fault::Connect(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| Fault::Connect(error.to_string()))?;
        let stream = self
            .tls
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| Fault::Tls(error.to_string()))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::Tls(error.to_string()))?;
        // It ends with the sender; why it ended, the sender says.
        tokio::spawn(async { drop(connection.await) });
        Ok(Connection { sender })
    }

    /// A request to this server.
    ///
    /// # Errors
    /// The path is none.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        request
            .headers_mut()
            .insert(header::HOST, self.host.clone());
        Ok(request)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Sends a request, and reads the whole answer. After a fault the connection is of no more use.
    ///
    /// # Errors
    /// The connection was closed before.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        // Whatever goes wrong between two HTTP parsers ends the connection.
        self.sender.ready().await.map_err(|error| closed(&error))?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| closed(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|_closed| Fault::Closed)?;
        Ok((status, body.to_bytes()))
    }
}

fn closed(error: &hyper::Error) -> Fault {
    if error.is_parse() {
        Fault::Garbage
    } else {
        Fault::Closed
    }
}

/// Takes every certificate, of whoever has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_https_are_called() {
        for url in [
            "http://localhost/",
            "localhost:8443",
            "https://",
            "ftp://a/b",
            "https://a b/",
        ] {
            assert!(Target::new(url, Trust::default()).is_err(), "{url}");
        }
        let target = Target::new("https://[::1]:8443/validate?timeout=10s", Trust::default());
        let target = target.unwrap();
        assert_eq!(target.path, "/validate?timeout=10s");
        assert_eq!(target.address, "[::1]:8443");
    }
}
