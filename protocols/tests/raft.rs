//! Raft under test: scripts whose traces are the specification, and random worlds.

#[path = "raft/script.rs"]
mod script;
#[path = "raft/simulation.rs"]
mod simulation;
#[path = "raft/world.rs"]
mod world;

use quipu_protocols::raft::Planted;
use simulation::{Kind, Report, find, play};

#[test]
fn scripts() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/raft");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "scripts are missing");
    paths.iter().for_each(|path| script::check(path));
}

/// Plays seeds and adds up what happened. `SEED=n` plays that one instead.
fn play_all(seeds: std::ops::Range<u64>, corruption: bool) -> Report {
    let one = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().expect("SEED is a number"));
    let seeds = one.map_or(seeds, |seed| seed..seed + 1);
    let kind = Kind { planted: Planted::default(), corruption };
    let mut total = Report::default();
    for seed in seeds {
        let failed = |_| panic!("reproduce with SEED={seed} cargo test -p quipu-protocols --test raft");
        let report = std::panic::catch_unwind(|| play(seed, kind)).unwrap_or_else(failed);
        total.add(report);
    }
    println!("{total:?}");
    if one.is_none() {
        total.assert_busy(corruption);
    }
    total
}

#[test]
fn everything_holds_in_random_worlds() {
    play_all(0..soak(250), false);
}

#[test]
fn everything_holds_when_disks_lose_records() {
    play_all(0..soak(250), true);
}

#[test]
fn a_seed_decides_everything() {
    let kind = Kind { planted: Planted::default(), corruption: true };
    for seed in 0..5 {
        assert_eq!(format!("{:?}", play(seed, kind)), format!("{:?}", play(seed, kind)));
    }
}

#[test]
fn planted_bugs_are_found() {
    let bugs = [
        ("a vote before it is durable", Planted::VOTE_BEFORE_DURABLE),
        ("an acknowledgement before it is durable", Planted::ACK_BEFORE_DURABLE),
        ("a quorum off by one", Planted::QUORUM_OFF_BY_ONE),
        ("an entry of an old term committed by counting", Planted::COMMIT_OLD_TERM),
        ("a vote for anyone", Planted::VOTE_FOR_ANYONE),
        ("a damaged log trusted", Planted::TRUST_DAMAGED_LOG),
        ("a read without asking", Planted::STALE_LEASE_READ),
        ("a read before an entry of the own term", Planted::READ_BEFORE_OWN_TERM),
    ];
    for (name, planted) in bugs {
        let seed = find(planted, 400).unwrap_or_else(|| panic!("not found: {name}"));
        println!("{name}: seed {seed}");
    }
}

/// How many seeds to play: `SEEDS=n` for a longer run than the usual one.
fn soak(usual: u64) -> u64 {
    std::env::var("SEEDS").map_or(usual, |seeds| seeds.parse().expect("SEEDS is a number"))
}
