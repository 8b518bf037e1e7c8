//! Who may do what: bearer tokens, each with a role.

use super::problem::{Code, Problem};
use crate::config::Sha256;
pub use crate::config::{Role, Token};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use smol_str::SmolStr;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The token's name, or `anybody` where no token is needed.
    pub(crate) name: SmolStr,
    /// What may be done.
    pub(crate) role: Role,
}

impl Caller {
    /// Whoever needs no token.
    pub(super) fn anybody() -> Self {
        Caller { name: SmolStr::new_static("anybody"), role: Role::Admin }
    }
}

/// The tokens of a node.
pub struct Access {
    tokens: Option<Vec<Token>>,
}

impl Access {
    /// Nobody needs a token, and everybody may do everything: only for loopback.
    pub fn open() -> Self {
        Access { tokens: None }
    }

    /// Only these tokens are let in.
    pub fn new(tokens: Vec<Token>) -> Self {
        Access { tokens: Some(tokens) }
    }

    /// Whether nobody needs a token.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// Who asks, if they may do what takes the role `needed`.
    pub(super) fn check(&self, headers: &HeaderMap, needed: Role) -> Result<Caller, Problem> {
        let Some(tokens) = &self.tokens else {
            return Ok(Caller::anybody());
        };
        let presented = presented(headers).ok_or_else(|| unauthorized("no token came with the request"))?;
        let token = find(tokens, presented).ok_or_else(|| unauthorized("the token is not known here"))?;
        if token.role < needed {
            let (name, has, needed) = (&token.name, token.role.as_str(), needed.as_str());
            let detail = format!("this takes the role {needed}; the token {name:?} has {has}");
            return Err(Problem::new(Code::Forbidden, detail).with("needed", needed));
        }
        Ok(Caller { name: token.name.as_str().into(), role: token.role })
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail).header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// `Authorization: Bearer TOKEN`, or `X-API-Key: TOKEN`, which clients of OFREP send.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return headers.get("x-api-key").map(HeaderValue::as_bytes);
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Every token is compared, and every byte of it, so that the time says nothing.
fn find<'a>(tokens: &'a [Token], presented: &[u8]) -> Option<&'a Token> {
    let digest = Sha256::of(presented);
    let mut found = None;
    for token in tokens {
        if token.sha256.matches(&digest) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a header");
        HeaderMap::from_iter([(hyper::header::HeaderName::from_static(name), value)])
    }

    fn access() -> Access {
        let token = |name: &str, role| Token {
            name: name.into(),
            role,
            sha256: Sha256::of(format!("qp_{name}").as_bytes()),
        };
        Access::new(vec![token("ann", Role::Read), token("bob", Role::Write), token("eve", Role::Admin)])
    }

    #[test]
    fn tokens_let_in_and_roles_limit() {
        let access = access();
        let allowed = |text: &str, needed| {
            access.check(&headers("authorization", text), needed).map(|caller| caller.name.to_string())
        };
        assert_eq!(allowed("Bearer qp_bob", Role::Write).ok().as_deref(), Some("bob"));
        assert_eq!(allowed("bearer  qp_bob ", Role::Read).ok().as_deref(), Some("bob"));
        assert_eq!(allowed("Bearer qp_eve", Role::Admin).ok().as_deref(), Some("eve"));
        let problem = allowed("Bearer qp_ann", Role::Write).expect_err("read only");
        assert_eq!(problem.code(), Code::Forbidden);
        for wrong in ["Bearer qp_ab", "Bearer ", "Bearer", "Basic qp_bob", "qp_bob", ""] {
            let problem = allowed(wrong, Role::Read).expect_err(wrong);
            assert_eq!(problem.code(), Code::Unauthorized, "{wrong}");
            let response = problem.into_response();
            assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        }
        assert!(access.check(&headers("x-api-key", "qp_ann"), Role::Read).is_ok());
        assert!(access.check(&HeaderMap::new(), Role::Read).is_err());
    }

    #[test]
    fn open_access_asks_nobody() {
        let caller = Access::open().check(&HeaderMap::new(), Role::Admin).expect("anybody");
        assert_eq!((caller.name.as_str(), caller.role), ("anybody", Role::Admin));
    }
}
