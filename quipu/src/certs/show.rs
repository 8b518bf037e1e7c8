//! Certificates, for people.

use crate::Failure;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    print!("{}", describe(file)?);
    Ok(())
}

/// A paragraph for each certificate in the file.
pub(super) fn describe(file: &Path) -> Result<String, Failure> {
    let mut out = String::new();
    for pem in read(file)? {
        let certificate = pem.parse_x509().map_err(|error| broken(file, &error))?;
        if !out.is_empty() {
            out.push('\n');
        }
        describe_one(&mut out, &certificate);
    }
    Ok(out)
}

/// The organization of the file's first certificate; for those of `quipu certs`, the cluster.
pub(super) fn organization(file: &Path) -> Result<String, Failure> {
    let pems = read(file)?;
    let certificate = pems[0].parse_x509().map_err(|error| broken(file, &error))?;
    let organization = certificate.subject().iter_organization().next().and_then(|name| name.as_str().ok());
    Ok(organization.unwrap_or_default().to_string())
}

/// The certificates of a file; at least one.
fn read(file: &Path) -> Result<Vec<Pem>, Failure> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut found = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem.map_err(|error| broken(file, &error))?;
        if pem.label == "CERTIFICATE" {
            found.push(pem);
        }
    }
    if found.is_empty() {
        return Err(format!("{}: holds no certificate in PEM form", file.display()));
    }
    Ok(found)
}

fn describe_one(out: &mut String, certificate: &X509Certificate<'_>) {
    let _ = writeln!(out, "subject    {}", certificate.subject());
    let _ = writeln!(out, "issuer     {}", certificate.issuer());
    let names = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<String> =
        names.map_or_else(Vec::new, |found| found.value.general_names.iter().map(name).collect());
    if !names.is_empty() {
        let _ = writeln!(out, "names      {}", names.join(", "));
    }
    let until = certificate.validity().not_after;
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |past| past.as_secs() as i64);
    let left = until.timestamp() - now;
    let days = (left as f64 / 86_400.0).round();
    let state = if left < 0 { "EXPIRED".to_string() } else { format!("{days} days from now") };
    let _ = writeln!(out, "not after  {until} ({state})");
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_string(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => IpAddr::from(four).to_string(),
            (_, Ok(sixteen)) => IpAddr::from(sixteen).to_string(),
            _ => "an address of no known length".into(),
        },
        other => other.to_string(),
    }
}

fn broken(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    format!("{}: not a certificate: {error}", file.display())
}
