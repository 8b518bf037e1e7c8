//! A page that shows how a scheduler keeps a deterministic consensus undecided although every message arrives, and what
//! frees it.
//!
//! cargo run --release -p quipu-lab --example flp -- flp.html

use quipu_lab::report;
use quipu_lab::shelf::flp::{Adversary, Configuration, picture};
use quipu_protocols::benor::Tie;

/// As much as fits a page.
const DELIVERIES: u64 = 60;

fn main() -> std::io::Result<()> {
    let begin = Configuration::ben_or(1, Tie::Alternate, &[false, true, true]);
    let mut adversary = Adversary::new(begin.clone());
    assert!(adversary.keep_undecided(DELIVERIES), "it got stuck");
    let kept = picture::run("the scheduler of the proof", begin.clone(), &adversary.schedule);

    // The same schedule, and then whatever is oldest.
    let mut schedule = adversary.schedule.clone();
    let mut freed = adversary.configuration;
    while freed.decided.is_empty() {
        schedule.push(freed.buffer[0].number);
        freed.deliver(0);
    }
    let freed = picture::run("the same, and then in order", begin, &schedule);
    let text = format!("Kept undecided: {}. Freed: {}.", kept.verdict, freed.verdict);
    println!("{text}");

    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(&path, report::html(&picture::report(&text, vec![kept, freed])))?;
        println!("written to {path}");
    }
    Ok(())
}
