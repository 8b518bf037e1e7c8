//! A short, deterministic run of what the fuzz targets do for hours: golden frames, mutated.

mod common;

use common::{Answered, golden, properties, replies};
use fastrand::Rng;
use quipu_wires::zookeeper::op;

const FRAMES: usize = 200_000;

/// Values that lengths, counts, operations and errors trip over.
const TRICKY: [i32; 12] = [i32::MIN, i32::MAX, -2, -1, 0, 1, 2, 5, 14, 22, 0xfffff, 0x100000];

fn mutate(frame: &mut Vec<u8>, random: &mut Rng) {
    match random.u8(0..6) {
        0 if !frame.is_empty() => {
            let at = random.usize(0..frame.len());
            frame[at] ^= 1 << random.u8(0..8);
        }
        1 if !frame.is_empty() => {
            let at = random.usize(0..frame.len());
            frame[at] = random.u8(..);
        }
        2 => frame.truncate(random.usize(0..=frame.len())),
        3 if frame.len() >= 4 => {
            let at = random.usize(0..=frame.len() - 4);
            let value = TRICKY[random.usize(0..TRICKY.len())];
            frame[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        4 => {
            let at = random.usize(0..=frame.len());
            frame.insert(at, random.u8(..));
        }
        _ => {
            let (from, to) = (random.usize(0..=frame.len()), random.usize(0..=frame.len()));
            frame.extend_from_within(from.min(to)..from.max(to));
        }
    }
}

/// The operation that a golden reply answers, mostly; otherwise any.
fn asked_op(name: &str, replies: &[Answered], random: &mut Rng) -> i32 {
    let known = replies.iter().find(|(reply, ..)| *reply == name && random.u8(0..4) > 0);
    known.map_or_else(|| op::ALL[random.usize(0..op::ALL.len())], |(_, op, ..)| *op)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let length = (frame.len() as i32).to_be_bytes();
    [&length[..], frame].concat()
}

#[test]
fn mutated_frames_are_understood_or_refused() {
    let mut random = Rng::with_seed(20_261_123);
    let (corpus, replies) = (golden(), replies());
    let (mut understood, mut refused, mut split) = (0, 0, 0);
    for _ in 0..FRAMES {
        let (name, frame) = &corpus[random.usize(0..corpus.len())];
        let mut frame = frame.to_vec();
        for _ in 0..random.u8(1..=3) {
            mutate(&mut frame, &mut random);
        }
        let good = match name.split('.').next() {
            Some("connect" | "connected") => properties::connect(&frame),
            Some("request" | "kazoo") => properties::request(&frame),
            _ => properties::reply(asked_op(name, &replies, &mut random), &frame),
        };
        if good {
            understood += 1;
        } else {
            refused += 1;
        }
        let mut stream = framed(&frame);
        stream.extend(framed(&corpus[random.usize(0..corpus.len())].1));
        mutate(&mut stream, &mut random);
        split += properties::frames(&stream);
    }
    // A run that never got past the first check would prove nothing.
    assert!(understood > FRAMES / 10, "only {understood} understood");
    assert!(refused > FRAMES / 10, "only {refused} refused");
    assert!(split > FRAMES / 2, "only {split} split");
}
