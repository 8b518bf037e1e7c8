//! The node's own log: one line for each important event, on standard error.

use crate::config::{Level, LogFormat};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;

/// Begins to write the log. Colours only for people who look at a terminal.
pub fn start(level: Level, format: LogFormat) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // Only fails if a log was started before, which then goes on.
    let _ = match format {
        LogFormat::Text => {
            let is_terminal = std::io::stderr().is_terminal();
            tracing::subscriber::set_global_default(builder.with_ansi(is_terminal).finish()).is_ok()
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing::subscriber::set_global_default(builder.finish()).is_ok()
        }
    };
}
