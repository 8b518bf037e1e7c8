//! How far a run has got, for those who look.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// A bar on the standard error, if that is a terminal and a bar is wanted.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(name: &str, seeds: u64, wanted: bool) -> Self {
        let shown = wanted && stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(seeds), target);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} seeds, {msg}, {eta} left");
        bar.set_style(style.expect("the template is well-formed"));
        bar.set_prefix(name.to_owned());
        if shown {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        Progress { bar }
    }

    pub(super) fn advance(&self, simulated: u64, steps: u64) {
        self.bar.inc(1);
        let hours = simulated as f64 / 3.6e12;
        self.bar.set_message(format!("{hours:.1} h simulated, {:.1} M steps", steps as f64 / 1e6));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
