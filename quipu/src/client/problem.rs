//! What a node has against a request: problem details (RFC 9457), or what OFREP says instead.

use serde_json::Value;
use std::fmt;

const URN: &str = "urn:quipu:problem:";

/// A refusal, as a node words it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: u16,
    /// The last part of the problem's type, such as `not-held`; empty when a node gives none.
    code: String,
    title: String,
    detail: String,
    /// The whole answer, with what only this problem has.
    pub(crate) fields: Value,
}

impl Problem {
    /// Reads an answer whose status says that the request was refused.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        let fields: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| fields[key].as_str().unwrap_or_default().to_string();
        let mut problem = Problem {
            status,
            code: text("type").strip_prefix(URN).unwrap_or_default().to_string(),
            title: text("title"),
            detail: text("detail"),
            fields: fields.clone(),
        };
        if fields["errorCode"].is_string() || fields["errorDetails"].is_string() {
            problem.code = text("errorCode");
            problem.detail = text("errorDetails");
        }
        if problem.code.is_empty() && problem.title.is_empty() && problem.detail.is_empty() {
            // Not a node of ours, or something between it and us.
            problem.detail = first_line(body);
        }
        problem
    }

    /// Such as `not-held`.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// True for what another node, or the same one in a moment, may answer otherwise: nothing is wrong with the
    /// request.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.code.as_str(), "no-leader" | "unknown" | "too-many")
            || (self.code.is_empty() && matches!(self.status, 429 | 502 | 503 | 504))
    }

    /// What is wrong, without the code.
    pub(crate) fn detail(&self) -> &str {
        if self.detail.is_empty() { &self.title } else { &self.detail }
    }
}

/// Title, detail and code, in one line.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { format!("HTTP {}", self.status) } else { self.code.clone() };
        let said = match (self.title.trim_end_matches('.'), self.detail.trim_end_matches('.')) {
            ("", "") => "the request is refused".to_string(),
            (one, "") | ("", one) => one.to_string(),
            (title, detail) if detail.starts_with(title) => detail.to_string(),
            (title, detail) => format!("{title}: {detail}"),
        };
        write!(out, "{said} [{code}]")?;
        if code == "unauthorized" {
            out.write_str("\nShow one with --token-file FILE, or in QUIPU_TOKEN")?;
        }
        Ok(())
    }
}

fn first_line(body: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(body);
    let visible = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control());
    visible.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> String {
        Problem::of(status, body.as_bytes()).to_string()
    }

    #[test]
    fn a_problem_is_one_line() {
        let body = r#"{"type":"urn:quipu:problem:not-held","title":"The lock is not held","status":409,
            "detail":"backup is not held with token 7","token":7}"#;
        assert_eq!(said(409, body), "The lock is not held: backup is not held with token 7 [not-held]");
        assert_eq!(Problem::of(409, body.as_bytes()).fields["token"], 7);
        assert_eq!(
            said(404, r#"{"type":"urn:quipu:problem:not-found","title":"Not found"}"#),
            "Not found [not-found]"
        );
        assert_eq!(said(400, r#"{"title":"Bad","detail":"Bad name."}"#), "Bad name [HTTP 400]");
    }

    #[test]
    fn ofrep_says_it_otherwise() {
        let body = r#"{"key":"x","errorCode":"FLAG_NOT_FOUND","errorDetails":"there is no flag x"}"#;
        assert_eq!(said(404, body), "there is no flag x [FLAG_NOT_FOUND]");
    }

    #[test]
    fn what_is_no_problem_document_is_shown_in_part() {
        assert_eq!(said(502, "<html>\nBad gateway"), "<html> [HTTP 502]");
        assert_eq!(said(500, ""), "the request is refused [HTTP 500]");
        assert_eq!(said(500, "\u{1b}[31mred"), "[31mred [HTTP 500]");
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let passes = |status, code: &str| {
            Problem::of(status, format!("{{\"type\":\"{URN}{code}\"}}").as_bytes()).passes()
        };
        assert!(passes(503, "no-leader") && passes(504, "unknown") && passes(429, "too-many"));
        assert!(!passes(503, "feature-closed") && !passes(409, "busy"));
        assert!(Problem::of(502, b"").passes() && !Problem::of(500, b"").passes());
    }
}
