//! `quipu tokens`: what HTTP clients show to be let in.

use crate::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Subcommand, ValueEnum};
use quipu_node::config::Sha256;
use ring::rand::{SecureRandom, SystemRandom};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token, and print it once with what the nodes need to know of it
    ///
    /// The nodes keep only its SHA-256. Put the block into the configuration of every node and start them again, one
    /// after the other; give the token to its bearer, who sends it as `Authorization: Bearer TOKEN`. To take it
    /// back, take the block out.
    ///
    /// Examples:
    ///   quipu tokens new backup --role write
    ///   quipu tokens new prometheus --role read --json | jq -r .token > /etc/prometheus/quipu.token
    #[command(verbatim_doc_comment)]
    New {
        /// Who bears it: stands in the log of nodes
        name: String,
        /// What its bearer may do; each role includes those before it
        #[arg(long)]
        role: Role,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// What a token allows.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Look
    Read,
    /// Take locks, stand for election, write the tree
    Write,
    /// Change flags and members, end what others hold
    Admin,
}

/// A token, as it is only once.
pub(crate) struct Token {
    /// What its bearer shows.
    pub(crate) text: String,
    name: String,
    role: Role,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

impl Token {
    /// A new one, of 32 bytes from the operating system.
    pub(crate) fn new(name: &str, role: Role) -> Result<Token, Failure> {
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err("a token's name has 1 to 128 bytes, and none of them controls anything".into());
        }
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| "the operating system has no random numbers".to_string())?;
        let text = format!("qp_{}", URL_SAFE_NO_PAD.encode(bytes));
        Ok(Token { text, name: name.into(), role })
    }

    /// The same token again, from where its bearer keeps it.
    pub(crate) fn known(text: &str, name: &str, role: Role) -> Token {
        Token { text: text.into(), name: name.into(), role }
    }

    /// What the configuration of every node says about it.
    pub(crate) fn block(&self) -> String {
        // JSON's strings are TOML's too.
        let name = serde_json::Value::from(self.name.clone());
        format!(
            "[[token]]\nname = {name}\nrole = \"{}\"\nsha256 = \"{}\"\n",
            self.role.as_str(),
            self.sha256()
        )
    }

    fn sha256(&self) -> String {
        Sha256::of(self.text.as_bytes()).hex()
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::New { name, role, json } = command;
    let token = Token::new(name, *role)?;
    if *json {
        let (role, sha256) = (role.as_str(), token.sha256());
        println!(
            "{}",
            serde_json::json!({ "name": name, "role": role, "token": token.text, "sha256": sha256 })
        );
    } else {
        println!("the token, shown this once:\n\n{}\n", token.text);
        println!("for the configuration of every node:\n\n{}", token.block());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_node::config::Config;
    use std::path::Path;

    #[test]
    fn nodes_know_a_token_by_its_block() {
        let token = Token::new("a \"quoted\" näme", Role::Write).expect("a token");
        assert_eq!((token.text.len(), &token.text[..3]), (46, "qp_"));
        assert_ne!(token.text, Token::new("another", Role::Write).expect("a token").text);
        let node = "[node]\nid = 1\ncluster = \"c\"\ndata_dir = \"d\"\npeer = \"localhost:1\"\n\
                    client = \"localhost:2\"\nhttp = \"localhost:3\"\n";
        let config = Config::parse(&format!("{node}{}", token.block()), Path::new("x")).expect("valid");
        let known = &config.tokens[0];
        assert_eq!((known.name.as_str(), known.role.as_str()), ("a \"quoted\" näme", "write"));
        assert!(known.sha256.matches(&Sha256::of(token.text.as_bytes())));
        assert!(!token.block().contains(&token.text[3..]));
    }

    #[test]
    fn names_are_for_people() {
        assert!(Token::new("", Role::Read).is_err());
        assert!(Token::new("a\nb", Role::Read).is_err());
        assert!(Token::new(&"a".repeat(129), Role::Read).is_err());
    }
}
