//! Client certificates: an authority whose file is read again when it changes, and names.
//!
//! A certificate is verified twice: in the handshake, where the client proves that it holds the
//! key, and again with every review. So one that expires, or whose authority is removed, counts no
//! longer, however old the connection.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::parse_x509_certificate;

use super::pem::{self, PemError};

/// Believes clients by their certificates.
pub struct ClientAuthority {
    file: PathBuf,
    /// Common names; any, where there are none.
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    verifier: ArcSwap<Verifier>,
}

type Verifier = Arc<dyn ClientCertVerifier>;

/// Why the authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthorityError {
    /// The file.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate that cannot be read.
    #[error("certificate {number} of {path} cannot be used")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which, counted from 1.
        number: usize,
        /// Why.
        source: Error,
    },
    /// The verifier cannot be built.
    #[error("clients cannot be verified by {path}")]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

impl ClientAuthority {
    /// Believes whose certificate leads to one in the file, and has one of these common names where
    /// there are any.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate, or one that cannot be used.
    pub fn load(
        file: PathBuf,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, ClientAuthorityError> {
        let verifier = ArcSwap::from_pointee(verifier(&file, &provider)?);
        Ok(Self {
            file,
            names,
            provider,
            verifier,
        })
    }

    /// Loads the file again.
    ///
    /// # Errors
    /// As [`Self::load`]; then what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), ClientAuthorityError> {
        self.verifier
            .store(Arc::new(verifier(&self.file, &self.provider)?));
        Ok(())
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a client that has shown these certificates, its own first, is believed now.
    pub fn believes(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let Some((own, intermediates)) = certificates.split_first() else {
            return false;
        };
        self.verify_client_cert(own, intermediates, UnixTime::now())
            .is_ok()
            && self.is_named(own)
    }

    fn is_named(&self, own: &CertificateDer<'_>) -> bool {
        self.names.is_empty() || common_name(own).is_some_and(|name| self.names.contains(&name))
    }
}

/// The one common name of a certificate. Where there are several, programs differ in which they
/// take: none.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}

fn verifier(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Verifier, ClientAuthorityError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(pem::certificates(file)?) {
        let failed = |source| ClientAuthorityError::Certificate {
            path: file.to_owned(),
            number,
            source,
        };
        roots.add(certificate).map_err(failed)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|source| ClientAuthorityError::Verifier {
            path: file.to_owned(),
            source,
        })
}

/// Asks every client for a certificate and takes those that have none: probes and Prometheus.
impl ClientCertVerifier for ClientAuthority {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // They may change; without them a client shows what it has.
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier
            .load()
            .verify_client_cert(own, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .load()
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .load()
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.load().supported_verify_schemes()
    }
}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthority")
            .field("file", &self.file)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
