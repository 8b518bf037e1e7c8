//! Writes reports to look at and to test the page with: `cargo run -p quipu-lab --example sample_reports -- FOLDER`.
//!
//! The runs are real executions of small programs, in a world of rounds that is just enough for a picture: the page is
//! what is tested here, not the programs.

mod delivery;
mod election;
mod hostile;
mod world;

use quipu_lab::report::{Report, html, text};
use std::io::{Error, Result};
use std::path::Path;

fn main() -> Result<()> {
    let usage = || Error::other("usage: sample_reports FOLDER");
    let folder = std::env::args_os().nth(1).ok_or_else(usage)?;
    for (name, report) in [
        ("delivery-3x10", delivery::report()),
        ("election-5x60", election::report()),
        ("hostile", hostile::report()),
    ] {
        write(Path::new(&folder), name, &report)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, report: &Report) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{name}.html")), html(report))?;
    std::fs::write(folder.join(format!("{name}.txt")), text(report))?;
    println!("{}", folder.join(format!("{name}.html")).display());
    Ok(())
}
