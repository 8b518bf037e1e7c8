use super::*;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use fastrand::Rng;
use quipu_base::codec::Codec;

/// Locks, and the log they are told.
struct Rig {
    locks: Locks,
    index: u64,
    events: Vec<Event>,
}

impl Rig {
    fn new() -> Self {
        Rig { locks: Locks::new(Limits::default()), index: 100, events: Vec::new() }
    }

    /// Every command goes through its bytes.
    fn tell(&mut self, command: Command) -> Outcome {
        let command = Command::from_bytes(command.to_bytes()).expect("what we encode we decode");
        self.index += 1;
        let events = &mut self.events;
        let outcome = self.locks.apply(self.index, &command, &mut |event| events.push(event));
        self.locks.check_invariants();
        outcome
    }

    fn acquire(&mut self, request: &str, wait_ms: u64) -> Outcome {
        self.acquire_on(request, Terms { wait_ms, ..terms() })
    }

    fn acquire_on(&mut self, request: &str, terms: Terms) -> Outcome {
        let claim = Claim { owner: "somebody".into(), request: request.into() };
        self.tell(Command::Acquire { name: "backup".into(), claim, terms })
    }

    fn granted(&mut self, request: &str) -> Token {
        match self.acquire(request, 0) {
            Outcome::Granted(grant) => grant.token,
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, token: Token) -> Outcome {
        self.tell(Command::Release { name: "backup".into(), token })
    }

    fn expire(&mut self, token: Token, renewals: u64) -> Outcome {
        self.tell(Command::Expire { name: "backup".into(), token, renewals })
    }

    /// Who was granted the lock, in order.
    fn granted_to(&self) -> Vec<(&str, Token)> {
        let granted = self.events.iter().filter_map(|event| match event {
            Event::Granted { grant, .. } => Some((grant.claim.request.as_str(), grant.token)),
            Event::Ended { .. } | Event::Withdrawn { .. } => None,
        });
        granted.collect()
    }
}

fn terms() -> Terms {
    Terms { permits: 1, ttl_ms: 10_000, wait_ms: 5_000, delay_ms: 0, value: Bytes::new() }
}

#[test]
fn the_token_is_the_index_of_the_entry_that_grants() {
    let mut rig = Rig::new();
    let first = rig.granted("a");
    assert_eq!(first, Token(101));
    assert_eq!(rig.acquire("b", 1), Outcome::Queued(0));
    assert_eq!(rig.acquire("c", 1), Outcome::Queued(1));
    assert_eq!(rig.acquire("d", 0), Outcome::Refused(Refusal::Busy));
    assert_eq!(rig.release(first), Outcome::Done);
    assert_eq!(rig.granted_to(), [("a", Token(101)), ("b", Token(105))], "first come, first served");
    assert_eq!(rig.release(first), Outcome::Refused(Refusal::NotHeld));
    assert_eq!(rig.release(Token(105)), Outcome::Done);
    assert_eq!(rig.release(Token(107)), Outcome::Done);
    assert!(rig.locks.lock("backup").is_none(), "a free lock costs nothing");
    assert_eq!(rig.granted("e"), Token(109), "and its tokens go on where they were");
}

#[test]
fn a_retry_gets_the_same_answer() {
    let mut rig = Rig::new();
    let token = rig.granted("a");
    assert_eq!(rig.granted("a"), token);
    assert_eq!(rig.acquire("b", 1), Outcome::Queued(0));
    assert_eq!(rig.acquire("b", 1), Outcome::Queued(0));
    rig.release(token);
    let second = rig.granted_to()[1].1;
    assert_eq!(rig.granted("b"), second, "it was granted meanwhile");
    // A copy that comes late must not take the lock again for somebody who is gone.
    assert_eq!(rig.acquire("a", 1), Outcome::Refused(Refusal::Ended(token)));
    assert_eq!(rig.granted_to().len(), 2);
}

#[test]
fn a_lease_that_was_renewed_in_time_does_not_expire() {
    let mut rig = Rig::new();
    let token = rig.granted("a");
    rig.acquire("b", 1);
    assert!(matches!(rig.tell(Command::Renew { name: "backup".into(), token }), Outcome::Granted(_)));
    assert_eq!(rig.expire(token, 0), Outcome::Kept);
    assert_eq!(rig.expire(token, 1), Outcome::Done);
    assert_eq!(
        rig.tell(Command::Renew { name: "backup".into(), token }),
        Outcome::Refused(Refusal::NotHeld),
        "too late: b holds it"
    );
    assert_eq!(rig.granted_to()[1].0, "b");
    let ended = Event::Ended { name: "backup".into(), token, why: End::Expired };
    assert!(rig.events.contains(&ended));
}

#[test]
fn a_permit_rests_only_if_its_holder_did_not_say_that_it_was_done() {
    let mut rig = Rig::new();
    let careful = Terms { delay_ms: 15_000, ..terms() };
    let Outcome::Granted(first) = rig.acquire_on("a", careful.clone()) else { panic!("it is free") };
    rig.acquire("b", 1);
    rig.release(first.token);
    let (name, second) = rig.granted_to()[1];
    assert_eq!(name, "b", "released: at once");
    rig.acquire_on("c", careful);
    rig.release(second);
    let third = rig.granted_to()[2].1;
    rig.acquire("d", 1);
    rig.expire(third, 0);
    assert_eq!(rig.granted_to().len(), 3, "the permit rests");
    assert_eq!(rig.acquire("e", 0), Outcome::Refused(Refusal::Busy));
    assert_eq!(rig.tell(Command::Rested { name: "backup".into(), token: third }), Outcome::Done);
    assert_eq!(rig.granted_to()[3].0, "d");
}

#[test]
fn a_semaphore_has_as_many_holders_as_permits() {
    let mut rig = Rig::new();
    let two = Terms { permits: 2, ..terms() };
    let Outcome::Granted(first) = rig.acquire_on("a", two.clone()) else { panic!("it is free") };
    assert!(matches!(rig.acquire_on("b", two.clone()), Outcome::Granted(_)));
    assert_eq!(rig.acquire_on("c", two), Outcome::Queued(0));
    assert_eq!(rig.acquire("d", 1), Outcome::Refused(Refusal::Permits(2)));
    let evict = Command::Evict { name: "backup".into(), token: first.token };
    assert_eq!(rig.tell(evict), Outcome::Done);
    assert_eq!(rig.granted_to()[2].0, "c");
}

#[test]
fn who_waits_no_longer_is_passed_over() {
    let mut rig = Rig::new();
    let token = rig.granted("a");
    rig.acquire("b", 1);
    rig.acquire("c", 1);
    let withdraw = |request: &str| Command::Withdraw { name: "backup".into(), request: request.into() };
    assert_eq!(rig.tell(withdraw("b")), Outcome::Done);
    assert_eq!(rig.tell(withdraw("b")), Outcome::Refused(Refusal::NotWaiting));
    assert_eq!(rig.tell(withdraw("a")), Outcome::Refused(Refusal::NotWaiting), "it holds the lock");
    rig.release(token);
    assert_eq!(rig.granted_to()[1].0, "c");
}

#[test]
fn a_fence_lets_no_smaller_token_pass_after_a_greater_one() {
    let mut rig = Rig::new();
    let mut guard = |token| rig.tell(Command::Guard { resource: "disk".into(), token: Token(token) });
    assert_eq!(guard(5), Outcome::Kept);
    assert_eq!(guard(5), Outcome::Kept, "the same holder writes again");
    assert_eq!(guard(9), Outcome::Kept);
    assert_eq!(guard(8), Outcome::Refused(Refusal::Stale(Token(9))));
    assert_eq!(rig.locks.fence("disk").minimum, Token(9));
    assert_eq!(rig.locks.fence("another").minimum, Token(0));
}

#[test]
fn nonsense_is_refused() {
    let mut rig = Rig::new();
    let long = Bytes::from(alloc::vec![b'x'; 5_000]);
    for (what, terms) in [
        ("permits", Terms { permits: 0, ..terms() }),
        ("permits", Terms { permits: 1_001, ..terms() }),
        ("ttl_ms", Terms { ttl_ms: 0, ..terms() }),
        ("wait_ms", Terms { wait_ms: u64::MAX, ..terms() }),
        ("lock_delay_ms", Terms { delay_ms: u64::MAX, ..terms() }),
        ("value", Terms { value: long, ..terms() }),
    ] {
        assert_eq!(rig.acquire_on("a", terms), Outcome::Refused(Refusal::Invalid(what)));
    }
    assert_eq!(rig.acquire("", 0), Outcome::Refused(Refusal::Invalid("request_id")));
    let small = Limits { locks: 1, waiters: 1, fences: 1, ..Limits::default() };
    rig.locks = Locks::new(small);
    rig.granted("a");
    rig.acquire("b", 1);
    assert_eq!(rig.acquire("c", 1), Outcome::Refused(Refusal::TooMany("waiters")));
    let claim = Claim { owner: "x".into(), request: "y".into() };
    let other = Command::Acquire { name: "other".into(), claim, terms: terms() };
    assert_eq!(rig.tell(other), Outcome::Refused(Refusal::TooMany("locks")));
    rig.tell(Command::Guard { resource: "one".into(), token: Token(1) });
    let second = Command::Guard { resource: "two".into(), token: Token(1) };
    assert_eq!(rig.tell(second), Outcome::Refused(Refusal::TooMany("fences")));
}

#[test]
fn what_has_ended_is_forgotten_in_the_end() {
    let mut rig = Rig::new();
    rig.locks = Locks::new(Limits { ended: 2, ..Limits::default() });
    for request in ["a", "b", "c"] {
        let token = rig.granted(request);
        rig.release(token);
    }
    assert!(matches!(rig.acquire("c", 0), Outcome::Refused(Refusal::Ended(_))));
    assert!(matches!(rig.acquire("a", 0), Outcome::Granted(_)), "too long ago");
}

fn random_command(random: &mut Rng, locks: &Locks, tokens: &[Token]) -> Command {
    let name: smol_str::SmolStr = format!("lock {}", random.u8(..3)).as_str().into();
    let request = format!("request {}", random.u8(..80)).as_str().into();
    // Mostly one that counts, now and then one that is long gone.
    let lock = locks.lock(&name);
    let counts = lock.and_then(|lock| lock.holders.keys().chain(lock.resting.keys()).next().copied());
    let any = if tokens.is_empty() { Token(1) } else { tokens[random.usize(..tokens.len())] };
    let token = counts.filter(|_| random.u8(..4) > 0).unwrap_or(any);
    match random.u8(..10) {
        0..4 => {
            let permits = if name == "lock 0" { 2 } else { 1 };
            let (wait_ms, delay_ms) = (random.u64(..2), random.u64(..2));
            let terms = Terms { permits, ttl_ms: 1, wait_ms, delay_ms, value: Bytes::from_static(b"here") };
            Command::Acquire { name, claim: Claim { owner: "o".into(), request }, terms }
        }
        4 => Command::Renew { name, token },
        5 => Command::Release { name, token },
        6 => Command::Withdraw { name, request },
        7 => Command::Expire { name, token, renewals: random.u64(..2) },
        8 => Command::Rested { name, token },
        _ => Command::Guard { resource: "disk".into(), token },
    }
}

/// Over random logs: never more holders than permits, tokens only grow, everybody is granted at most once, a guard's
/// minimum never falls, and a replica that starts from a snapshot ends up the same, byte for byte.
#[test]
fn random_logs_keep_what_is_promised() {
    let mut grants = 0;
    for seed in 0..300 {
        let mut random = Rng::with_seed(seed);
        let mut rig = Rig::new();
        let mut copy = None;
        let (mut tokens, mut minimum) = (Vec::new(), Token(0));
        for step in 0..300 {
            let command = random_command(&mut random, &rig.locks, &tokens);
            rig.tell(command.clone());
            if let Some(copy) = &mut copy {
                Locks::apply(copy, rig.index, &command, &mut |_| ());
            } else if step == 150 {
                copy = Some(Locks::restore(rig.locks.limits, rig.locks.snapshot()).expect("our own"));
            }
            tokens = rig.granted_to().iter().map(|(_, token)| *token).collect();
            assert!(rig.locks.fence("disk").minimum >= minimum, "seed {seed}");
            minimum = rig.locks.fence("disk").minimum;
        }
        grants += tokens.len();
        assert!(tokens.is_sorted(), "seed {seed}: tokens grow");
        assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), tokens.len(), "seed {seed}");
        let copy = copy.expect("it was taken half-way");
        assert_eq!(copy.snapshot(), rig.locks.snapshot(), "seed {seed}");
        assert_eq!(copy, rig.locks, "seed {seed}");
        each_token_is_ended_before_too_many_hold_it(&rig.events);
    }
    assert!(grants > 300 * 20, "something happens: {grants} grants");
}

fn each_token_is_ended_before_too_many_hold_it(events: &[Event]) {
    let mut holders: BTreeMap<&str, BTreeSet<Token>> = BTreeMap::new();
    for event in events {
        match event {
            Event::Granted { name, grant } => {
                let holders = holders.entry(name).or_default();
                assert!(holders.insert(grant.token));
                assert!(holders.len() <= if name == "lock 0" { 2 } else { 1 });
            }
            Event::Ended { name, token, .. } => assert!(holders.entry(name).or_default().remove(token)),
            Event::Withdrawn { .. } => {}
        }
    }
}

#[test]
fn bytes_of_commands_and_snapshots_do_not_change() {
    let mut rig = Rig::new();
    rig.acquire_on("a", Terms { delay_ms: 7, value: Bytes::from_static(b"v"), ..terms() });
    rig.acquire("b", 1);
    rig.tell(Command::Guard { resource: "disk".into(), token: Token(3) });
    let hex =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<alloc::string::String>();
    let expire = Command::Expire { name: "backup".into(), token: Token(101), renewals: 2 };
    assert_eq!(hex(&expire.to_bytes()), "0105060000006261636b757065000000000000000200000000000000");
    assert_eq!(hex(&rig.locks.snapshot()), SNAPSHOT);
    assert!(Command::from_bytes(Bytes::from_static(b"\x02\x05")).is_err(), "another version");
    assert!(Locks::restore(Limits::default(), Bytes::from_static(b"\x02")).is_err());
    let whole = rig.locks.snapshot();
    for length in 0..whole.len() {
        assert!(Locks::restore(Limits::default(), whole.slice(..length)).is_err(), "cut at {length}");
    }
}

const SNAPSHOT: &str = "01670000000000000001000000060000006261636b75700100000001000000650000000000000008000000736f\
    6d65626f6479010000006110270000000000000000000000000000070000000000000001000000760100000008000000736f6d65626f64\
    79010000006201000000102700000000000001000000000000000000000000000000000000000000000001000000040000006469736b030000000000000000000000";
