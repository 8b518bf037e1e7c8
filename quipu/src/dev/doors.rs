//! Certificates and a token for a cluster on this machine, made once and kept beside its data.

use crate::Failure;
use crate::certs::{Authority, Holder};
use crate::tokens::{Role, Token};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longer than anybody tries things out.
const DAYS: u32 = 3_650;

/// What the nodes' configurations say, and where a user finds the other half.
pub(super) struct Doors {
    authority: Authority,
    token: Token,
    token_file: PathBuf,
}

impl Doors {
    /// Makes what is not there yet.
    pub(super) fn prepare(data: &Path, cluster: &str, nodes: u16) -> Result<Doors, Failure> {
        let directory = data.join("certs");
        let authority = if directory.join("ca.pem").exists() {
            Authority::open(&directory)?
        } else {
            Authority::create(&directory, cluster, &[])?
        };
        for holder in (1..=nodes).map(|node| Holder::Node(node.into())) {
            if !authority.files(&holder).0.exists() {
                authority.issue(&holder, &[], DAYS)?;
            }
        }
        let token_file = data.join("token");
        let token = keep_token(&token_file)?;
        Ok(Doors { authority, token, token_file })
    }

    /// The rest of a node's configuration. Clients need no certificate, so that trying things out stays easy.
    pub(super) fn sections(&self, node: u16) -> String {
        let tls = self.authority.section(&Holder::Node(node.into()));
        format!("\n{tls}client = \"tls\"\n\n{}", self.token.block())
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// What a user needs to know.
    pub(super) fn describe(&self, node: &str) -> String {
        let (authority, token) = (self.authority.certificate(), &self.token_file);
        format!(
            "authority of the certificates: {}\nan administrator's token:      {}\ntry: quipu status --node \
             https://{node} --ca {} --token-file {}\n",
            authority.display(),
            token.display(),
            authority.display(),
            token.display()
        )
    }
}

/// The token that an earlier run left, or a new one.
fn keep_token(path: &Path) -> Result<Token, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        let text = fs::read_to_string(path).map_err(failed)?;
        return Ok(Token::known(text.trim(), "dev", Role::Admin));
    }
    let token = Token::new("dev", Role::Admin)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{}", token.text).map_err(failed)?;
    Ok(token)
}
