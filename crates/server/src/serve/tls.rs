//! TLS of this server: loaded before it listens, swapped while it runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, crypto::CryptoProvider};

use super::{
    client_authority::ClientAuthority,
    pem::{self, PemError},
};

/// Certificate and key files, and what was last read from them.
#[derive(Debug)]
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    clients: Option<Arc<ClientAuthority>>,
    provider: Arc<CryptoProvider>,
    config: ArcSwap<ServerConfig>,
}

/// Why the certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// They do not belong together, or are of a kind that TLS cannot use.
    #[error("cannot use the certificate {cert_file} with the key {key_file}")]
    Pair {
        /// The certificate's file.
        cert_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Tls {
    /// Loads both files. Clients are asked for certificates where there is an authority for them.
    ///
    /// # Errors
    /// One cannot be read, or they do not belong together.
    pub fn load(
        cert_file: PathBuf,
        key_file: PathBuf,
        clients: Option<Arc<ClientAuthority>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let config =
            ArcSwap::from_pointee(build(&cert_file, &key_file, clients.as_ref(), &provider)?);
        Ok(Self {
            cert_file,
            key_file,
            clients,
            provider,
            config,
        })
    }

    /// Loads both files again.
    ///
    /// # Errors
    /// As [`Self::load`]; then what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = build(
            &self.cert_file,
            &self.key_file,
            self.clients.as_ref(),
            &self.provider,
        )?;
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Both files.
    pub fn files(&self) -> Vec<PathBuf> {
        vec![self.cert_file.clone(), self.key_file.clone()]
    }

    /// What the next connection is served with.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn build(
    cert_file: &Path,
    key_file: &Path,
    clients: Option<&Arc<ClientAuthority>>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, TlsError> {
    let pair = |source| TlsError::Pair {
        cert_file: cert_file.to_owned(),
        key_file: key_file.to_owned(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::<ClientAuthority>::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(pem::certificates(cert_file)?, pem::private_key(key_file)?)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
