//! Certificates and keys, from their files to what TLS is spoken with.

use crate::config::{Config, Door, Tls, node_name};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Nodes are all of this program; clients may be old.
const PEER_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
const CLIENT_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Why there are no doors: the file at fault, and what is wrong with it.
#[derive(Debug)]
pub struct DoorError {
    path: PathBuf,
    message: String,
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for DoorError {}

/// What the files of a `[tls]` section hold.
pub(super) struct Material {
    tls: Tls,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    /// The last second of this node's certificate, since the epoch.
    pub(super) not_after: u64,
}

impl Material {
    pub(super) fn read(tls: &Tls) -> Result<Material, DoorError> {
        let key = PrivateKeyDer::from_pem_file(&tls.key)
            .map_err(|error| fault(&tls.key, explain(&error, "private key")))?;
        warn_of_readers(&tls.key);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&tls.ca)? {
            roots
                .add(certificate)
                .map_err(|error| fault(&tls.ca, format!("not an authority's certificate: {error}")))?;
        }
        let chain = certificates(&tls.certificate)?;
        let not_after = not_after(&chain[0])
            .ok_or_else(|| fault(&tls.certificate, "holds something else than a certificate".into()))?;
        warn_of_end(&tls.certificate, not_after);
        Ok(Material {
            tls: tls.clone(),
            chain,
            key,
            roots: Arc::new(roots),
            provider: Arc::new(ring::default_provider()),
            not_after,
        })
    }

    /// What a listener for clients speaks.
    pub(super) fn server(&self, door: Door) -> Result<Arc<ServerConfig>, DoorError> {
        self.listener(door == Door::Mutual, CLIENT_VERSIONS).map(Arc::new)
    }

    /// What nodes speak among themselves: as the one that is dialled, and as the one that dials.
    pub(super) fn peer(&self, config: &Config) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), DoorError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
            .build()
            .map_err(|error| fault(&self.tls.ca, error.to_string()))?;
        self.check_own(config, &*verifier)?;
        let client = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(PEER_VERSIONS)
            .and_then(|builder| {
                builder
                    .with_webpki_verifier(verifier)
                    .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            })
            .map_err(|error| self.unusable(&error))?;
        Ok((Arc::new(self.listener(true, PEER_VERSIONS)?), Arc::new(client)))
    }

    fn listener(
        &self,
        is_mutual: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, DoorError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| self.unusable(&error))?;
        let builder = if is_mutual {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
                    .build()
                    .map_err(|error| fault(&self.tls.ca, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| self.unusable(&error))
    }

    /// Finds out now what every peer would find out: whose certificate it is, from whom, and until when.
    fn check_own(&self, config: &Config, verifier: &dyn ServerCertVerifier) -> Result<(), DoorError> {
        let (own, between) = self.chain.split_first().expect("a file without a certificate was refused");
        let name = node_name(&config.node.cluster, config.node.id.0);
        let server = ServerName::try_from(name.clone())
            .map_err(|_| fault(&self.tls.certificate, format!("no certificate can bear the name {name}")))?;
        verifier
            .verify_server_cert(own, between, &server, &[], UnixTime::now())
            .map(|_| ())
            .map_err(|error| fault(&self.tls.certificate, super::reasons::own_certificate(&error, &name)))
    }

    fn unusable(&self, error: &Error) -> DoorError {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                fault(&self.tls.key, format!("not the key of {}", self.tls.certificate.display()))
            }
            error => fault(&self.tls.certificate, error.to_string()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DoorError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(fault(path, explain(&pem::Error::NoItemsFound, "certificate"))),
        Ok(found) => Ok(found),
        Err(error) => Err(fault(path, explain(&error, "certificate"))),
    }
}

fn explain(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("holds no {wanted} in PEM form"),
        error => format!("is not PEM: {error}"),
    }
}

fn fault(path: &Path, message: String) -> DoorError {
    DoorError { path: path.into(), message }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

/// All certificates of a cluster were made on one day, and end on one.
fn warn_of_end(path: &Path, not_after: u64) {
    const SOON_DAYS: u64 = 30;
    let days = not_after.saturating_sub(UnixTime::now().as_secs()) / 86_400;
    if days < SOON_DAYS {
        tracing::warn!(certificate = %path.display(), days, "this node's certificate ends soon");
    }
}

/// A key that others can read is no secret, but where files are mounted that may be how it is.
fn warn_of_readers(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        tracing::warn!(key = %path.display(), "every user of this machine can read the private key: chmod 600");
    }
}
