//! Why a TLS handshake failed: a label to count it under, and a sentence for the operator.

use std::io::{self, ErrorKind};
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// The label of a connection that broke, or was ended, in its handshake.
pub(crate) const HUNG_UP: &str = "hung_up";

/// The label that a failed handshake is counted under.
pub(super) fn label(error: &io::Error) -> &'static str {
    match tls_error(error) {
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => "not_tls",
        Some(Error::NoCertificatesPresented) => "no_certificate",
        Some(Error::InvalidCertificate(_)) => "bad_certificate",
        Some(Error::AlertReceived(_)) => "refused_by_other_side",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "incompatible",
        Some(_) => "failed",
        None => HUNG_UP,
    }
}

/// What is wrong with the other side of a connection that could not be made or did not last.
pub(crate) fn sentence(error: &io::Error) -> Option<String> {
    let text = match tls_error(error)? {
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            "it does not speak TLS: its configuration has no [tls], or this is another port".into()
        }
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::InvalidCertificate(error) => format!("its certificate {}", certificate(error)),
        Error::AlertReceived(alert) => refusal(*alert),
        error => format!("TLS failed: {error}"),
    };
    Some(text)
}

/// What is wrong with this node's own certificate.
pub(super) fn own_certificate(error: &Error, name: &str) -> String {
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            format!(
                "is not this node's certificate: that bears the name {name}, as node and cluster are called"
            )
        }
        Error::InvalidCertificate(error) => certificate(error),
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        // An authority of the same name, with another key, comes out as a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by the authority in tls.ca".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: is a clock wrong?".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is that of another node or cluster".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for this purpose".into()
        }
        error => format!("is not acceptable: {error}"),
    }
}

fn refusal(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it does not accept the authority that signed this node's certificate".into()
        }
        AlertDescription::CertificateRequired => "it wants to see a certificate".into(),
        AlertDescription::CertificateExpired => "this node's certificate has expired".into(),
        alert => format!("it refuses this node's TLS ({alert:?})"),
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref::<Error>()
}

/// What is wrong with a node that was dialled.
pub(super) fn dialled(error: &io::Error) -> String {
    sentence(error).unwrap_or_else(|| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "it hung up instead of a TLS handshake: does its configuration have [tls]?".into()
        }
        _ => error.to_string(),
    })
}
