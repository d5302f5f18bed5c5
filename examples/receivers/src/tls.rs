//! The certificate that the receivers show.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read.
    #[error("cannot read the certificate file {path}")]
    ReadCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The certificate file has no certificate.
    #[error("no certificate in {path}: it must hold at least one, as PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be read.
    #[error("cannot read the private key file {path}")]
    ReadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The two do not go together, or are of a kind that is not supported.
    #[error("cannot use the certificate {cert_file} with the private key {key_file}")]
    Use {
        /// The certificate.
        cert_file: PathBuf,
        /// The private key.
        key_file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Where certificate and private key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by its intermediates, as PEM.
    pub cert_file: PathBuf,
    /// Its private key, as PEM.
    pub key_file: PathBuf,
}

impl TlsFiles {
    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = (self.chain()?, self.key()?);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|source| self.unusable(source))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = &self.cert_file;
        let chain: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| TlsError::ReadCertificate {
                path: path.clone(),
                source,
            })?;
        if chain.is_empty() {
            Err(TlsError::NoCertificate { path: path.clone() })
        } else {
            Ok(chain)
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_file(&self.key_file).map_err(|source| TlsError::ReadKey {
            path: self.key_file.clone(),
            source,
        })
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        TlsError::Use {
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            source,
        }
    }
}

/// A certificate that may be renewed while it is in use.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not go together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = files.load()?;
        Ok(Self { files, config })
    }

    /// Shows what the files say now: with the few connections that a receiver gets, reading them
    /// for each is the simplest way to notice a renewal. A renewal that cannot be used leaves the
    /// last good certificate in place.
    pub(crate) fn acceptor(&mut self) -> TlsAcceptor {
        match self.files.load() {
            Ok(config) => self.config = config,
            Err(why) => {
                let error: &dyn std::error::Error = &why;
                tracing::error!(error, "keeping the certificate read before");
            }
        }
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
