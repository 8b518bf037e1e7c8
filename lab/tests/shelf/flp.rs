//! The scheduler of the proof against a deterministic consensus, and what frees it.

use quipu_lab::shelf::flp::{Adversary, Configuration, Mixing, Stage, picture};
use quipu_protocols::benor::Tie;

const MIXED: [bool; 3] = [false, true, true];

#[test]
fn some_beginning_is_bivalent_and_agreed_ones_are_not() {
    let bivalent = |proposals: &[bool]| {
        Adversary::new(Configuration::ben_or(1, Tie::Alternate, proposals)).is_bivalent()
    };
    assert!(bivalent(&MIXED));
    assert!(!bivalent(&[true; 3]) && !bivalent(&[false; 3]));
}

#[test]
fn a_deterministic_consensus_is_kept_undecided_as_long_as_one_likes() {
    let mut adversary = Adversary::new(Configuration::ben_or(1, Tie::Alternate, &MIXED));
    assert!(adversary.keep_undecided(1_000));
    assert!(adversary.configuration.round() > 50, "it goes from round to round");
    // Nobody is cut off: whatever was sent is delivered soon.
    assert!(adversary.longest_wait < 40, "a message waited for {} deliveries", adversary.longest_wait);
    // As soon as messages come in order, it decides at once.
    let mut freed = adversary.configuration.clone();
    let before = freed.deliveries;
    assert!(freed.in_order(50), "nothing is decided");
    assert!(freed.deliveries - before < 30);
}

#[test]
fn a_decided_configuration_leaves_the_adversary_nothing() {
    let mut adversary = Adversary::new(Configuration::ben_or(1, Tie::Alternate, &[true; 3]));
    assert_eq!(adversary.stage(), Stage::Stuck);
}

#[test]
fn whoever_keeps_what_it_held_is_kept_in_doubt_for_ever() {
    let mut mixing = Mixing::new(Configuration::ben_or(1, Tie::Keep, &MIXED));
    assert!(mixing.keep_undecided(20_000));
    assert!(mixing.longest_wait < 40);
    // Not even order frees it: with this rule, everybody always hears first from one that differs.
    assert!(!mixing.configuration.in_order(5_000));
}

#[test]
fn the_coin_frees_it_whatever_the_scheduler_does() {
    let rounds: Vec<u64> = (0..400)
        .map(|seed| {
            let mut mixing = Mixing::new(Configuration::ben_or(seed, Tie::Coin, &MIXED));
            assert!(!mixing.keep_undecided(1_000_000), "seed {seed} never decides");
            mixing.configuration.round()
        })
        .collect();
    // All three coins fall alike once in four rounds; one more round to see it.
    let mean = rounds.iter().sum::<u64>() as f64 / rounds.len() as f64;
    assert!((4.2..5.8).contains(&mean), "{mean}");
    assert!(rounds.iter().any(|round| *round > 10));
}

#[test]
fn the_picture_shows_the_schedule() {
    let begin = Configuration::ben_or(1, Tie::Alternate, &MIXED);
    let mut adversary = Adversary::new(begin.clone());
    assert!(adversary.keep_undecided(40));
    let run = picture::run("kept undecided", begin, &adversary.schedule);
    assert!(!run.good && run.outcomes.is_empty());
    assert_eq!(run.steps.len(), 3 + adversary.schedule.len());
    assert!(
        run.messages.iter().filter(|message| message.receiver.is_some()).count() == adversary.schedule.len()
    );
    let page = quipu_lab::report::html(&picture::report("kept undecided", vec![run]));
    assert!(page.contains("I propose ?"));
}
