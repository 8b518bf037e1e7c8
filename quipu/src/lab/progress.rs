//! Shows that something is being done, where somebody looks.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A spinner with the time and a message; hidden if it must be `quiet` or nobody looks.
pub(super) fn spinner(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
