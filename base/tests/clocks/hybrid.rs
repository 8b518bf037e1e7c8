//! Hybrid clocks against the paper's theorems, on skewed wall clocks.

use super::for_seeds;
use quipu_base::clocks::{HybridClock, HybridTime, VectorClock};
use quipu_base::{NodeId, Rng, WallTime};
use std::time::Duration;

const NODES: usize = 4;
/// The paper's epsilon: no two wall clocks are further apart.
const EPSILON_MS: i64 = 40;

struct Event {
    vector: VectorClock,
    time: HybridTime,
    wall_ms: i64,
}

/// Wall clocks that run apart and together again within epsilon, and tick between any two events of a node; messages
/// that arrive after anything from no time to long.
fn history(random: &mut Rng) -> Vec<Event> {
    let tolerance = Duration::from_millis(EPSILON_MS as u64);
    let mut clocks = vec![HybridClock::new(tolerance); NODES];
    let mut vectors = vec![VectorClock::new(); NODES];
    let mut walls = [0; NODES];
    let mut events: Vec<Event> = Vec::new();
    let mut now = 1_000;
    for _ in 0..random.usize(1..200) {
        now += random.i64(0..6);
        let node = random.usize(..NODES);
        walls[node] = (now + random.i64(0..=EPSILON_MS)).max(walls[node] + 1);
        // The clocks of all others have passed now by the same rule, whether or not they had an event.
        now = now.max(walls[node] - EPSILON_MS);
        let wall = WallTime(walls[node]);
        let from = (!events.is_empty() && random.bool()).then(|| random.usize(..events.len()));
        let time = match from {
            Some(sent) => {
                clocks[node].receive(wall, events[sent].time).expect("wall clocks are within epsilon")
            }
            None => clocks[node].now(wall),
        };
        if let Some(sent) = from {
            vectors[node].join(&events[sent].vector);
        }
        vectors[node].tick(NodeId(node as u64));
        events.push(Event { vector: vectors[node].clone(), time, wall_ms: walls[node] });
    }
    events
}

#[test]
fn theorem_1_happened_before_is_less() {
    for_seeds(200, |random| {
        let events = history(random);
        for (e, one) in events.iter().enumerate() {
            assert!(
                events[..e]
                    .iter()
                    .all(|other| other.time < one.time || other.vector.partial_cmp(&one.vector).is_none())
            );
        }
    });
}

#[test]
fn theorem_2_and_corollary_1_close_to_the_wall_clock() {
    let greatest = std::cell::Cell::new(0);
    for_seeds(200, |random| {
        for event in history(random) {
            let ahead = event.time.milliseconds() as i64 - event.wall_ms;
            assert!((0..=EPSILON_MS).contains(&ahead), "{ahead} ms ahead");
            greatest.set(greatest.get().max(ahead));
        }
    });
    assert!(greatest.get() > EPSILON_MS / 2, "the histories hardly stretch the bound: {}", greatest.get());
}

#[test]
fn theorem_3_and_corollary_2_the_counter_is_bounded() {
    for_seeds(200, |random| {
        let events = history(random);
        for one in &events {
            let same = |other: &&Event| {
                other.vector < one.vector && other.time.milliseconds() == one.time.milliseconds()
            };
            let counter = usize::from(one.time.counter());
            assert!(counter <= events.iter().filter(same).count());
            assert!(counter <= NODES * (EPSILON_MS as usize + 1));
        }
    });
}

#[test]
fn a_wall_clock_that_jumps_back_is_waited_for() {
    let mut clock = HybridClock::new(Duration::from_secs(1));
    let before = clock.now(WallTime(5_000));
    assert_eq!(clock.now(WallTime(2_000)), HybridTime::of(5_000, 1));
    assert_eq!(clock.now(WallTime(-7)), HybridTime::of(5_000, 2));
    assert_eq!(clock.now(WallTime(5_001)), HybridTime::of(5_001, 0));
    assert!(before < clock.last());
}

#[test]
fn a_node_that_restarts_goes_on_after_its_last_timestamp() {
    let last = HybridClock::new(Duration::ZERO).now(WallTime(5_000));
    let mut clock = HybridClock::resume(last, Duration::ZERO);
    assert_eq!(clock.now(WallTime(4_000)), HybridTime::of(5_000, 1));
}

#[test]
fn a_message_from_too_far_ahead_changes_nothing() {
    let mut clock = HybridClock::new(Duration::from_millis(500));
    let last = clock.now(WallTime(1_000));
    let refusal = clock.receive(WallTime(1_000), HybridTime::of(1_501, 0)).expect_err("501 ms ahead");
    assert_eq!(refusal.ahead, Duration::from_millis(501));
    assert_eq!(clock.last(), last);
    assert!(clock.receive(WallTime(1_000), HybridTime::of(1_500, 7)).is_ok());
    assert!(clock.receive(WallTime(1_000), HybridTime::from_u64(u64::MAX)).is_err());
}

#[test]
fn the_greatest_wall_clock_leaves_room_to_count_on() {
    let mut clock = HybridClock::new(Duration::MAX);
    let last = clock.now(WallTime(i64::MAX));
    assert!(clock.receive(WallTime(i64::MAX), HybridTime::from_u64(u64::MAX)).is_err());
    assert!(clock.now(WallTime(i64::MAX)) > last);
}

#[test]
fn a_full_counter_carries_and_stays_in_order() {
    let mut clock = HybridClock::new(Duration::ZERO);
    let mut last = clock.now(WallTime(1_000));
    for _ in 0..=u16::MAX {
        let next = clock.now(WallTime(1_000));
        assert!(next > last);
        last = next;
    }
    assert_eq!(last, HybridTime::of(1_001, 0));
}
