//! What goes to standard output, where the reader may have had enough.

use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// Colours, as SGR codes.
pub(crate) const GREEN: u8 = 32;
pub(crate) const YELLOW: u8 = 33;

/// Prints text that ends its own lines. Ends the process quietly when nobody reads any more, as `| head` does.
pub(crate) fn text(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        crate::complain(&format!("standard output: {error}"));
        std::process::exit(1);
    }
}

/// Prints one line.
pub(crate) fn line(what: &str) {
    text(&format!("{what}\n"));
}

/// Prints JSON on one line, for programs.
pub(crate) fn json(value: &Value) {
    line(&value.to_string());
}

/// Text from elsewhere, without what would move a terminal's cursor or change its colours.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Text in a colour where people read it.
pub(crate) fn coloured(code: u8, text: &str) -> String {
    if io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
}

/// A field of JSON as people read it: a string without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_reaches_the_terminal_as_a_command() {
        assert_eq!(visible("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(plain(&Value::from("x")), "x");
        assert_eq!(plain(&Value::from(7)), "7");
        assert_eq!(plain(&Value::Null), "-");
    }
}
