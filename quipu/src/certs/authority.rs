//! Who signs, and for whom.

use crate::Failure;
use quipu_node::config::{is_label, node_name};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
/// How long an authority is valid: to replace it, every node must be stopped at once.
const AUTHORITY_DAYS: u32 = 7_300;
/// Clocks differ a little: certificates are valid from a while ago.
const SKEW: Duration = Duration::from_secs(3_600);
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Whom a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Holder {
    /// A node, by its number.
    Node(u64),
    /// A client, by its name.
    Client(String),
}

impl Holder {
    fn file(&self) -> String {
        match self {
            Holder::Node(id) => format!("node-{id}"),
            Holder::Client(name) => format!("client-{name}"),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match self {
            Holder::Client(name) if !is_label(name) => Err(not_a_label("a client's name")),
            _ => Ok(()),
        }
    }
}

/// A cluster's authority: a directory with its certificate, its key, and what it signed.
pub(crate) struct Authority {
    directory: PathBuf,
    cluster: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, unless its files or those of the coming holders are there already.
    pub(crate) fn create(directory: &Path, cluster: &str, holders: &[Holder]) -> Result<Authority, Failure> {
        if !is_label(cluster) {
            return Err(not_a_label("a cluster's name"));
        }
        holders.iter().try_for_each(Holder::check)?;
        let directory = absolute(directory)?;
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let parameters = authority_parameters(cluster);
        let certificate = parameters.self_signed(&key).map_err(|error| error.to_string())?;
        let (certificate, secret) = (certificate.pem(), key.serialize_pem());
        let authority =
            Authority { directory, cluster: cluster.into(), issuer: Issuer::new(parameters, key) };
        let theirs = holders.iter().flat_map(|holder| <[PathBuf; 2]>::from(authority.files(holder)));
        let mut all = [authority.certificate(), authority.key()].into_iter().chain(theirs);
        if let Some(path) = all.find(|path| path.exists()) {
            return Err(in_the_way(&path));
        }
        write_new(&authority.key(), &secret, SECRET)?;
        write_new(&authority.certificate(), &certificate, PUBLIC)?;
        Ok(authority)
    }

    /// Reads one.
    pub(crate) fn open(directory: &Path) -> Result<Authority, Failure> {
        let directory = absolute(directory)?;
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let broken =
            |error: rcgen::Error| format!("{}: not an authority of quipu's: {error}", directory.display());
        let (certificate, key) = (read("ca.pem")?, read("ca.key")?);
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key).map_err(broken)?)
            .map_err(broken)?;
        let cluster = super::show::organization(&directory.join("ca.pem"))?;
        if !is_label(&cluster) {
            return Err(format!("{}: names no cluster: was it made elsewhere?", directory.display()));
        }
        Ok(Authority { directory, cluster, issuer })
    }

    /// Signs a certificate and writes it, with its key, into two files of the holder's own.
    pub(crate) fn issue(&self, holder: &Holder, hosts: &[String], days: u32) -> Result<(), Failure> {
        holder.check()?;
        let (certificate_path, key_path) = self.files(holder);
        if let Some(path) = [&certificate_path, &key_path].into_iter().find(|path| path.exists()) {
            return Err(in_the_way(path));
        }
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let certificate = self
            .parameters(holder, hosts, days)
            .and_then(|parameters| parameters.signed_by(&key, &self.issuer))
            .map_err(|error| format!("{}: {error}; are the hosts names or addresses?", holder.file()))?;
        write_new(&key_path, &key.serialize_pem(), SECRET)?;
        write_new(&certificate_path, &certificate.pem(), PUBLIC)
    }

    fn parameters(
        &self,
        holder: &Holder,
        hosts: &[String],
        days: u32,
    ) -> Result<CertificateParams, rcgen::Error> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let (name, names, purposes) = match holder {
            Holder::Node(id) => {
                let mut names = vec![node_name(&self.cluster, *id)];
                names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_string));
                names.extend(hosts.iter().filter(|host| !host.is_empty()).cloned());
                (holder.file(), names, vec![ServerAuth, ClientAuth])
            }
            Holder::Client(name) => {
                let full = format!("client-{name}.{}.quipu.internal", self.cluster);
                (name.clone(), vec![full], vec![ClientAuth])
            }
        };
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name = distinguished_name(&self.cluster, &name);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = purposes;
        parameters.use_authority_key_identifier_extension = true;
        valid_for(&mut parameters, days);
        Ok(parameters)
    }

    /// What a node's configuration says about its certificate.
    pub(crate) fn section(&self, holder: &Holder) -> String {
        let (certificate, key) = self.files(holder);
        let shown = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
        format!(
            "[tls]\ncertificate = {}\nkey = {}\nca = {}\n",
            shown(&certificate),
            shown(&key),
            shown(&self.certificate())
        )
    }

    /// The files of a holder's certificate and key.
    pub(crate) fn files(&self, holder: &Holder) -> (PathBuf, PathBuf) {
        let name = holder.file();
        (self.directory.join(format!("{name}.pem")), self.directory.join(format!("{name}.key")))
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }
}

fn authority_parameters(cluster: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = distinguished_name(cluster, "quipu authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut parameters, AUTHORITY_DAYS);
    parameters
}

/// The organization is the cluster: the authority of another one has another name.
fn distinguished_name(cluster: &str, name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, cluster);
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(parameters: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    parameters.not_before = (now - SKEW).into();
    parameters.not_after = (now + DAY * days).into();
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn in_the_way(path: &Path) -> Failure {
    format!("{} exists, and nothing is overwritten: move it away, or name another directory", path.display())
}

fn not_a_label(what: &str) -> Failure {
    format!("{what} stands in certificates: up to 63 letters, digits and hyphens")
}
