//! How fast it is: `cargo test --release -p quipu-machines -- --ignored --nocapture --test-threads 1 speed`.
//!
//! Processor time where the system tells it, so that a busy machine measures alike.

use super::rig::*;
use super::std::time::{Instant, SystemTime};
use super::std::{fs, println};
use crate::tree::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use fastrand::Rng;

fn command(sequence: u64, op: Op) -> Command {
    let (session, attachment) = (SessionId(1), Attachment(1));
    let write = Write::One(op);
    Command::SessionWrite {
        session,
        attachment,
        sequence,
        identities: vec![identity("ip", "127.0.0.1")],
        write,
    }
}

fn apply_all(tree: &mut Tree, ops: impl Iterator<Item = Op>) -> f64 {
    let mut sequence = tree.session(SessionId(1)).unwrap().last_sequence;
    let commands: Vec<Command> = ops
        .map(|op| {
            sequence += 1;
            command(sequence, op)
        })
        .collect();
    let mut zxid = tree.last_zxid();
    let started = spent();
    for command in &commands {
        zxid += 1;
        let outcome = tree.apply(zxid, zxid, command, &mut |_, _| ());
        assert!(matches!(outcome, Outcome::Written(Ok(_))), "{outcome:?}");
    }
    (spent() - started) / commands.len() as f64
}

/// This thread's processor time so far, in nanoseconds; the wall clock's if the system does not tell.
fn spent() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse().ok());
    told.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as f64)
}

/// This process's memory, in bytes; 0 if the system does not tell.
fn resident() -> usize {
    let told = fs::read_to_string("/proc/self/statm").ok();
    let pages = told.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn measure(nodes: usize) {
    let mut rng = Rng::with_seed(1);
    let mut tree = Tree::new(Settings::default());
    tree.apply(1, 1, &open_session(1), &mut |_, _| ());
    let data = Some(Bytes::from(vec![7u8; 100]));
    let path = |at: usize| format!("/bench/key-{at:08}");
    let node = |path| Op::Create { path, data: data.clone(), acl: open_acl(), mode: CreateMode::Persistent };
    apply_all(&mut tree, [node("/bench".into())].into_iter());
    let before = resident();
    // In batches, so that the commands' own memory does not count.
    let batches =
        (0..nodes).step_by(1_000).map(|at| apply_all(&mut tree, (at..at + 1_000).map(|at| node(path(at)))));
    let created = batches.sum::<f64>() / (nodes / 1_000) as f64;
    let memory = resident().saturating_sub(before) / nodes;
    let pairs = (0..100_000).flat_map(|at| [node(path(nodes + at)), delete(&path(nodes + at), 0)]);
    let paired = apply_all(&mut tree, pairs);
    let sets = (0..200_000).map(|_| Op::SetData {
        path: path(rng.usize(0..nodes)),
        data: data.clone(),
        version: -1,
    });
    let set = apply_all(&mut tree, sets);
    let paths: Vec<_> = (0..200_000).map(|_| path(rng.usize(0..nodes))).collect();
    let who = [identity("ip", "127.0.0.1")];
    let started = spent();
    let lengths: usize = paths.iter().map(|path| tree.data(path, &who).unwrap().0.unwrap().len()).sum();
    let get = (spent() - started) / paths.len() as f64;
    assert_eq!(lengths, 100 * paths.len());
    println!("{nodes:>9} nodes: create or delete {paired:.0} ns, set {set:.0} ns, get {get:.0} ns");
    if nodes > 10_000 {
        println!("          growing {created:.0} ns a node, memory {memory} bytes a node, 100 of them data");
    }
    copy(&mut tree);
}

fn copy(tree: &mut Tree) {
    let started = spent();
    tree.snapshot_begin();
    let (mut chunks, mut steps, mut bytes) = (vec![], vec![], 0);
    loop {
        let step = Instant::now();
        let Some(chunk) = tree.snapshot_next(1 << 20) else { break };
        steps.push(step.elapsed().as_micros());
        bytes += chunk.len();
        chunks.push(chunk);
    }
    let snapshot = (spent() - started) / 1e6;
    steps.sort_unstable();
    let median = steps[steps.len() / 2];
    let started = spent();
    let mut restore = Restore::new(Settings::default());
    chunks.into_iter().for_each(|chunk| restore.chunk(chunk).unwrap());
    assert_eq!(restore.finish().unwrap().node_count(), tree.node_count());
    let restored = (spent() - started) / 1e6;
    println!(
        "          snapshot {snapshot:.0} ms, {bytes} bytes, median 1 MiB step {median} us (wall clock)"
    );
    println!("          restore {restored:.0} ms");
}

#[test]
#[ignore = "measures; meaningful in release only"]
fn speed_of_the_tree() {
    measure(1_000);
    measure(1_000_000);
}

#[test]
#[ignore = "measures; meaningful in release only"]
fn speed_of_watches() {
    let mut table = WatchTable::new();
    let paths: Vec<_> = (0..100_000).map(|at| format!("/bench/key-{at:08}")).collect();
    let time = |table: &mut WatchTable, what: &str| {
        let started = spent();
        let told: usize = paths.iter().map(|path| table.trigger(path, Change::DataChanged).len()).sum();
        println!("{what}: {:.0} ns a trigger, {told} told", (spent() - started) / paths.len() as f64);
    };
    time(&mut table, "no watch at all");
    table.watch_data("/elsewhere", 1);
    time(&mut table, "one watch elsewhere");
    paths.iter().for_each(|path| table.watch_data(path, 1));
    time(&mut table, "one watch each");
    table.add("/", 9, WatchMode::Recursive);
    time(&mut table, "a recursive watch on the root");
}
