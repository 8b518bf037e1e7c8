//! Which nodes a command asks, and with what right.

use super::{Client, NoAnswer, Refusal, Request};
use crate::Failure;
use clap::Args;
use quipu_node::status::Status;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// How long a node may take to say how it is: one that does not must not hold the others up.
const STATUS_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Where Debian and its kin keep the authorities that everybody trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Far more than any token or bundle of authorities.
const MAX_FILE: u64 = 4 << 20;

/// Which nodes to ask, and as whom.
#[derive(Args)]
#[command(next_help_heading = "Nodes")]
pub(crate) struct Nodes {
    /// HTTP addresses of nodes; the first that answers is enough
    #[arg(
        long = "node",
        value_name = "URL",
        value_delimiter = ',',
        global = true,
        env = "QUIPU_NODES",
        default_value = "http://127.0.0.1:8181,http://127.0.0.1:8182,http://127.0.0.1:8183"
    )]
    urls: Vec<String>,
    /// The authority (PEM) that signed the nodes' certificates, for https; without it, those the system trusts
    #[arg(long, value_name = "FILE", global = true, env = "QUIPU_CA")]
    ca: Option<PathBuf>,
    /// A certificate (PEM) to show, where the nodes ask for one: http = "mutual"
    #[arg(long, value_name = "FILE", global = true, env = "QUIPU_CERTIFICATE")]
    certificate: Option<PathBuf>,
    /// The key (PEM) of that certificate
    #[arg(
        id = "certificate-key",
        long = "key-file",
        value_name = "FILE",
        global = true,
        env = "QUIPU_KEY_FILE"
    )]
    certificate_key: Option<PathBuf>,
    /// The bearer token to show; in the list of processes others can read it, in QUIPU_TOKEN or a file they cannot
    #[arg(
        id = "bearer-token",
        long = "token",
        value_name = "TOKEN",
        global = true,
        env = "QUIPU_TOKEN",
        hide_env_values = true
    )]
    bearer_token: Option<String>,
    /// A file that holds the bearer token; it is taken before any other
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

impl Nodes {
    /// What asks these nodes.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let nodes: Vec<Node> = self.urls.iter().map(|url| Node::parse(url)).collect::<Result<_, _>>()?;
        if nodes.is_empty() {
            return Err("name a node with --node http://host:port".into());
        }
        // Members that a status names are reached by the same scheme, so it is known now whether one is https.
        let own = match (&self.certificate, &self.certificate_key) {
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            (None, None) => None,
            _ => return Err("--certificate and --key-file are only good together".into()),
        };
        let tls = match (&self.ca, nodes.iter().any(|node| node.secure)) {
            (Some(ca), _) => Some(tls(ca, own)?),
            (None, true) => Some(tls(Path::new(SYSTEM_AUTHORITIES), own).map_err(|failure| {
                format!("{failure}\nName the authority of the nodes' certificates with --ca FILE")
            })?),
            (None, false) => None,
        };
        let token = match &self.token_file {
            Some(file) => Some(read(file)?.trim().to_string()),
            None => self.bearer_token.clone(),
        };
        if token
            .as_ref()
            .is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err("a token is one word of visible ASCII characters".into());
        }
        Ok(Client::new(nodes, token.as_deref(), tls))
    }
}

/// Where a node answers HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    secure: bool,
    authority: String,
}

impl Node {
    /// What an operator types: `http://host:port/`, or only `host:port`.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let url = url.trim();
        let whole = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
        let wrong =
            |why: &str| format!("{url:?} is no node's address: {why}; one looks like http://host:port");
        let uri: Uri = whole.parse().map_err(|error| wrong(&format!("{error}")))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(wrong(&format!("unknown scheme {:?}", other.unwrap_or_default()))),
        };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        match authority.as_str() {
            "" => Err(wrong("it names no host")),
            with_user if with_user.contains('@') => Err(wrong("it names a user, which nodes do not know")),
            _ => Ok(Node { secure, authority }),
        }
    }

    /// Another node of the same cluster, whose members either all have certificates or none has.
    pub(crate) fn like(&self, address: &str) -> Self {
        Node { secure: self.secure, authority: address.to_string() }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl Client {
    /// The first node that says how it is, and what it says.
    pub(crate) fn first_status(&self) -> Result<(Node, Status), Failure> {
        let mut failures = Vec::new();
        for node in &*self.nodes {
            match self.status_of(node) {
                Ok(status) => return Ok((node.clone(), status)),
                // The others would say the same.
                Err(Refusal::Problem(problem)) if !problem.passes() => return Err(problem.to_string()),
                Err(refusal) => failures.push(refusal.to_string()),
            }
        }
        Err(super::nobody_answers(&failures))
    }

    /// How a node says it is.
    pub(crate) fn status_of(&self, node: &Node) -> Result<Status, Refusal> {
        let request = Request::get("/v1/status").within(STATUS_TIMEOUT);
        let no_answer = |NoAnswer { why, .. }| Refusal::NoAnswer(why);
        let value = self.ask_at(node, &request).map_err(no_answer)?.json()?;
        serde_json::from_value(value)
            .map_err(|error| Refusal::NoAnswer(format!("{node}: not a status: {error}")))
    }
}

/// What trusts the authorities in a file, and nobody else.
pub(super) fn trust(file: &Path) -> Result<TlsConfig, Failure> {
    tls(file, None)
}

/// The same, and shows a certificate to who asks for one.
fn tls(authorities: &Path, own: Option<ClientCert>) -> Result<TlsConfig, Failure> {
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(certificates(authorities)?))
        .client_cert(own)
        .build())
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = read(file)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(text.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(format!("{}: {error}", file.display()))),
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate is in it; PEM is expected", file.display()));
    }
    Ok(certificates)
}

/// A certificate of our own, and its key; checked here, since the client takes it for granted that they fit.
fn identity(certificate: &Path, key: &Path) -> Result<ClientCert, Failure> {
    let chain = certificates(certificate)?;
    let failed = |error: &dyn fmt::Display| format!("{}: {error}", key.display());
    let key = PrivateKey::from_pem(read(key)?.as_bytes()).map_err(|error| failed(&error))?;
    let der = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let key_der = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|error| failed(&error))?;
    CertifiedKey::from_der(der, key_der, &rustls::crypto::ring::default_provider())
        .map_err(|error| failed(&error))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
    let length = fs::metadata(file).map_err(|error| failed(&error))?.len();
    if length > MAX_FILE {
        return Err(failed(&"too long for what it should hold"));
    }
    fs::read_to_string(file).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_addresses_are_the_same() {
        for url in
            ["127.0.0.1:8181", "http://127.0.0.1:8181", "http://127.0.0.1:8181/", " 127.0.0.1:8181/v1 "]
        {
            let node = Node::parse(url).expect("an address");
            assert_eq!(node.url("/v1/status"), "http://127.0.0.1:8181/v1/status");
        }
        let node = Node::parse("https://[::1]:8181").expect("an address");
        assert_eq!(node.like("10.0.0.2:8181").url("/"), "https://10.0.0.2:8181/");
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for url in ["", "ftp://host:1", "http://", "http://user:secret@host", "a b"] {
            let refused = Node::parse(url).expect_err(url);
            assert!(refused.contains("http://host:port"), "{refused}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let refused = trust(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).expect_err("none");
        assert!(refused.contains("no certificate"), "{refused}");
        let refused = trust(Path::new("/nowhere/ca.pem")).expect_err("no file");
        assert!(refused.contains("/nowhere/ca.pem"), "{refused}");
    }
}
