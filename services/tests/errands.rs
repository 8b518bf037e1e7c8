//! Locks and changes without a session, asked of three nodes and carried out by all.

use bytes::Bytes;
use quipu_base::{InMemory, NodeId};
use quipu_machines::locks::{self, Claim, End, Grant, Outcome, Refusal, Terms, Token};
use quipu_machines::tree::{Acl, CreateMode, Error, Identity, MultiError, Op, Settings};
use quipu_protocols::raft::{Planted, Role};
use quipu_services::coordination::{
    Answer, Ask, Change, ChangeError, Config, Coordination, Event, Feature, Member, NotDone, Request,
    grant_path,
};
use std::time::Duration;

type Cluster = InMemory<Coordination>;

const SECOND: Duration = Duration::from_secs(1);

fn member(id: u64) -> Member {
    let at = |port| format!("h{id}:{port}");
    Member { id: NodeId(id), peer: at(1), election_port: 0, client: at(2), http: at(3), voting: true }
}

fn config(id: u64) -> Config {
    Config {
        id: NodeId(id),
        bootstrap: Some((1..=3).map(member).collect()),
        election_timeout: Duration::from_millis(800),
        heartbeat: Duration::from_millis(100),
        lease: None,
        snapshot_after_bytes: 16 << 10,
        tick_ms: 2_000,
        reap_interval: 60 * SECOND,
        patience: 5 * SECOND,
        super_digest: None,
        linearizable_reads: false,
        features: &Feature::ALL,
        tree: Settings::default(),
        planted: Planted::default(),
    }
}

/// Three nodes with a leader, on all of which locks are open.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(1);
    (1..=3).for_each(|id| cluster.add(NodeId(id), config(id)));
    let open = |cluster: &Cluster| (1..=3).all(|id| cluster.node(NodeId(id)).is_open(Feature::Locks));
    assert!(cluster.advance_until(20 * SECOND, open), "locks open by themselves");
    cluster.take_events();
    cluster
}

fn leader(cluster: &Cluster, running: &[u64]) -> NodeId {
    let leads =
        |id: &&u64| matches!(cluster.node(NodeId(**id)).report().role, Role::Leader { serving: true });
    NodeId(*running.iter().find(leads).expect("somebody leads"))
}

fn follower(cluster: &Cluster) -> NodeId {
    let leader = leader(cluster, &[1, 2, 3]);
    NodeId(leader.0 % 3 + 1)
}

/// Asks a node, and waits for its answer.
fn ask(cluster: &mut Cluster, node: NodeId, ask: Ask) -> Result<(u64, Answer), NotDone> {
    let id = cluster.request(node, Request::Ask(ask));
    answer(cluster, node, id)
}

fn answer(cluster: &mut Cluster, node: NodeId, id: quipu_base::RequestId) -> Result<(u64, Answer), NotDone> {
    let find = |cluster: &Cluster| {
        cluster.events().iter().find_map(|(at, event)| match event {
            Event::Answered { id: answered, result } if (*at, *answered) == (node, id) => {
                Some(result.clone())
            }
            _ => None,
        })
    };
    assert!(cluster.advance_until(40 * SECOND, |cluster| find(cluster).is_some()), "an answer comes");
    find(cluster).expect("it has just been seen")
}

fn lock(cluster: &mut Cluster, node: NodeId, command: locks::Command) -> (u64, Outcome) {
    match ask(cluster, node, Ask::Lock(command)) {
        Ok((index, Answer::Lock(outcome))) => (index, outcome),
        other => panic!("{other:?} is no outcome of a lock"),
    }
}

fn terms() -> Terms {
    Terms { permits: 1, ttl_ms: 5_000, wait_ms: 60_000, delay_ms: 0, value: Bytes::from_static(b"there") }
}

fn acquire(request: &str) -> locks::Command {
    let claim = Claim { owner: "somebody".into(), request: request.into() };
    locks::Command::Acquire { name: "locks/backup".into(), claim, terms: terms() }
}

fn release(token: Token) -> locks::Command {
    locks::Command::Release { name: "locks/backup".into(), token }
}

fn grant(outcome: Outcome) -> Grant {
    match outcome {
        Outcome::Granted(grant) => grant,
        other => panic!("{other:?} is no grant"),
    }
}

/// What this node told about the lock.
fn told(cluster: &Cluster, node: NodeId) -> Vec<(u64, locks::Event)> {
    let events = cluster.events().iter().filter(|(at, _)| *at == node);
    events
        .filter_map(|(_, event)| match event {
            Event::Lock { index, event } => Some((*index, event.clone())),
            _ => None,
        })
        .collect()
}

fn agree(cluster: &mut Cluster, running: &[u64]) {
    cluster.advance(2 * SECOND);
    let states: Vec<_> = running
        .iter()
        .map(|id| {
            let node = cluster.node(NodeId(*id));
            node.locks().check_invariants();
            (node.tree().last_zxid(), node.tree().digest(), node.locks().snapshot())
        })
        .collect();
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "replicas agree");
}

#[test]
fn nothing_is_open_until_every_member_understands_it() {
    let mut cluster = Cluster::new(1);
    cluster.add(NodeId(1), config(1));
    cluster.add(NodeId(2), config(2));
    cluster.advance(20 * SECOND);
    let first = leader(&cluster, &[1, 2]);
    assert_eq!(ask(&mut cluster, first, Ask::Lock(acquire("r"))), Err(NotDone::FeatureClosed));
    let older = Config { features: &[], ..config(3) };
    cluster.add(NodeId(3), older);
    cluster.advance(20 * SECOND);
    assert!((1..=3).all(|id| !cluster.node(NodeId(id)).is_open(Feature::Locks)));
    for id in 1..=3 {
        assert_eq!(ask(&mut cluster, NodeId(id), Ask::Lock(acquire("r"))), Err(NotDone::FeatureClosed));
    }
    // It is replaced by a newer one.
    cluster.stop(NodeId(3));
    cluster.restart(NodeId(3), config(3));
    cluster.advance(5 * SECOND);
    assert!((1..=3).all(|id| cluster.node(NodeId(id)).is_open(Feature::Locks)));
    assert!(matches!(lock(&mut cluster, first, acquire("r")), (_, Outcome::Granted(_))));
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn a_lock_goes_from_one_to_the_next_in_their_order_and_shows_in_the_tree() {
    let mut cluster = cluster();
    let (one, other) = (leader(&cluster, &[1, 2, 3]), follower(&cluster));
    let (index, outcome) = lock(&mut cluster, other, acquire("first"));
    let first = grant(outcome);
    assert_eq!((first.token, first.claim.request.as_str()), (Token(index), "first"));
    let path = grant_path("locks/backup", first.token).expect("a path");
    cluster.advance(SECOND);
    let (data, _) = cluster.node(one).tree().data(&path, &[]).expect("it shows on every node");
    assert_eq!(data.as_deref(), Some(&b"owner=somebody\nttl_ms=5000\nvalue=there"[..]));
    let (again, outcome) = lock(&mut cluster, other, acquire("first"));
    assert!(again > index && grant(outcome).token == first.token, "the same request, the same grant");
    assert_eq!(lock(&mut cluster, one, acquire("second")).1, Outcome::Queued(0));
    assert_eq!(lock(&mut cluster, other, acquire("third")).1, Outcome::Queued(1));
    cluster.take_events();
    let (released, outcome) = lock(&mut cluster, other, release(first.token));
    assert_eq!(outcome, Outcome::Done);
    cluster.advance(SECOND);
    for node in [one, other] {
        let [(ended, locks::Event::Ended { why, .. }), (granted, locks::Event::Granted { grant, .. })] =
            &told(&cluster, node)[..]
        else {
            panic!("{:?}", told(&cluster, node));
        };
        assert_eq!((*ended, *why, *granted), (released, End::Released, released));
        assert_eq!((grant.token, grant.claim.request.as_str()), (Token(released), "second"));
    }
    assert!(cluster.node(other).tree().exists(&path).is_err(), "what has ended shows no longer");
    assert_eq!(lock(&mut cluster, one, acquire("first")).1, Outcome::Refused(Refusal::Ended(first.token)));
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn who_is_silent_loses_the_lock_and_who_renews_keeps_it() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let first = grant(lock(&mut cluster, node, acquire("first")).1);
    assert_eq!(lock(&mut cluster, node, acquire("second")).1, Outcome::Queued(0));
    for _ in 0..4 {
        cluster.advance(4 * SECOND);
        let renew = locks::Command::Renew { name: "locks/backup".into(), token: first.token };
        assert_eq!(grant(lock(&mut cluster, node, renew).1).token, first.token);
    }
    cluster.take_events();
    cluster.advance(Duration::from_millis(4_800));
    assert_eq!(told(&cluster, node), [], "not before its time");
    cluster.advance(SECOND);
    let told = told(&cluster, node);
    assert!(
        matches!(&told[..], [(_, locks::Event::Ended { why: End::Expired, .. }), (_, locks::Event::Granted { grant, .. })] if grant.claim.request == "second"),
        "{told:?}"
    );
    assert_eq!(lock(&mut cluster, node, release(first.token)).1, Outcome::Refused(Refusal::NotHeld));
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn who_waits_too_long_leaves_the_queue() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let first = grant(lock(&mut cluster, node, acquire("first")).1);
    let claim = Claim { owner: "somebody".into(), request: "second".into() };
    let terms = Terms { wait_ms: 1_000, ..terms() };
    let impatient = locks::Command::Acquire { name: "locks/backup".into(), claim, terms };
    assert_eq!(lock(&mut cluster, node, impatient).1, Outcome::Queued(0));
    cluster.take_events();
    cluster.advance(Duration::from_millis(1_500));
    let told = told(&cluster, node);
    assert!(
        matches!(&told[..], [(_, locks::Event::Withdrawn { request, .. })] if request == "second"),
        "{told:?}"
    );
    assert_eq!(lock(&mut cluster, node, release(first.token)).1, Outcome::Done);
    assert_eq!(cluster.node(node).locks().len(), 0);
}

#[test]
fn a_new_leader_gives_the_holder_its_full_time_and_tokens_go_on_growing() {
    let mut cluster = cluster();
    let (old, node) = (leader(&cluster, &[1, 2, 3]), follower(&cluster));
    let first = grant(lock(&mut cluster, node, acquire("first")).1);
    assert_eq!(lock(&mut cluster, node, acquire("second")).1, Outcome::Queued(0));
    cluster.advance(4 * SECOND);
    cluster.take_events();
    cluster.stop(old);
    let running: Vec<u64> = (1..=3).filter(|id| *id != old.0).collect();
    assert!(cluster.advance_until(10 * SECOND, |cluster| {
        running
            .iter()
            .any(|id| matches!(cluster.node(NodeId(*id)).report().role, Role::Leader { serving: true }))
    }));
    cluster.advance(Duration::from_millis(4_500));
    assert_eq!(told(&cluster, node), [], "its time began again");
    cluster.advance(SECOND);
    let told = told(&cluster, node);
    let [_, (index, locks::Event::Granted { grant, .. })] = &told[..] else { panic!("{told:?}") };
    assert!(grant.token == Token(*index) && grant.token > first.token);
    cluster.restart(old, config(old.0));
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn locks_and_fences_outlive_snapshots_and_restarts_of_everybody() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let first = grant(lock(&mut cluster, node, acquire("first")).1);
    let guard = |token| locks::Command::Guard { resource: "disk".into(), token };
    assert_eq!(lock(&mut cluster, node, guard(first.token)).1, Outcome::Kept);
    // Enough for the log to be replaced by a snapshot.
    for round in 0..200 {
        let ops = vec![Op::Create {
            path: format!("/n{round}"),
            data: Some(Bytes::from(vec![7; 200])),
            acl: vec![Acl { permissions: 31, identity: anyone() }],
            mode: CreateMode::Persistent,
        }];
        let change = Change {
            ops,
            identities: vec![],
            created: vec![],
            guard: Some(("locks/backup".into(), first.token)),
        };
        let done = ask(&mut cluster, node, Ask::Change(change));
        assert!(matches!(done, Ok((_, Answer::Change(Ok(_))))), "{done:?}");
        let renew = locks::Command::Renew { name: "locks/backup".into(), token: first.token };
        lock(&mut cluster, node, renew);
        cluster.take_events();
    }
    for id in 1..=3 {
        assert!(cluster.node(NodeId(id)).report().snapshot_index > first.token.0, "a snapshot was taken");
        cluster.stop(NodeId(id));
    }
    (1..=3).for_each(|id| cluster.restart(NodeId(id), config(id)));
    cluster.advance(3 * SECOND);
    agree(&mut cluster, &[1, 2, 3]);
    assert!(cluster.node(node).locks().grant("locks/backup", first.token).is_some());
    let stale = lock(&mut cluster, node, guard(Token(first.token.0 - 1))).1;
    assert_eq!(stale, Outcome::Refused(Refusal::Stale(first.token)));
    let typo = lock(&mut cluster, node, guard(Token(1_000_000_000_000))).1;
    assert_eq!(typo, Outcome::Refused(Refusal::Invalid("token")), "nobody was granted that yet");
    let next = locks::Command::Acquire {
        name: "locks/other".into(),
        claim: Claim { owner: "o".into(), request: "r".into() },
        terms: terms(),
    };
    assert!(grant(lock(&mut cluster, node, next).1).token > first.token);
}

fn anyone() -> Identity {
    Identity { scheme: "world".into(), id: "anyone".into() }
}

#[test]
fn a_change_without_a_session_is_all_or_nothing_and_obeys_acls() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let create = |path: &str, mode| Op::Create {
        path: path.into(),
        data: None,
        acl: vec![Acl { permissions: 1, identity: anyone() }],
        mode,
    };
    let set = |path: &str| Op::SetData { path: path.into(), data: Some(Bytes::new()), version: -1 };
    let mut change = |ops, identities, guard| match ask(
        &mut cluster,
        node,
        Ask::Change(Change { ops, identities, created: vec![], guard }),
    ) {
        Ok((_, Answer::Change(result))) => result.map(|results| results.len()),
        other => panic!("{other:?}"),
    };
    let failed = |at, error| Err(ChangeError::Failed(MultiError { at, error }));
    let persistent = CreateMode::Persistent;
    assert_eq!(
        change(vec![create("/a", persistent), create("/a", persistent)], vec![], None),
        failed(1, Error::NodeExists)
    );
    assert_eq!(change(vec![create("/a", persistent)], vec![], None), Ok(1), "nothing was left of the first");
    assert_eq!(
        change(vec![create("/e", CreateMode::Ephemeral)], vec![], None),
        failed(0, Error::BadArguments)
    );
    assert_eq!(change(vec![set("/a")], vec![], None), failed(0, Error::NoAuth));
    let everything = Identity { scheme: "super".into(), id: "".into() };
    assert_eq!(change(vec![set("/a")], vec![everything.clone()], None), Ok(1));
    let guard = Some(("locks/backup".into(), Token(1)));
    assert_eq!(change(vec![set("/a")], vec![everything.clone()], guard), Err(ChangeError::Stale));
    let czxid = cluster.node(node).tree().exists("/a").expect("it is there").czxid;
    for (czxid, expected) in [(czxid - 1, false), (czxid, true), (czxid, false)] {
        let ops = vec![Op::Delete { path: "/a".into(), version: -1 }];
        let created = vec![("/a".into(), czxid)];
        let change = Change { ops, identities: vec![everything.clone()], created, guard: None };
        let done = ask(&mut cluster, node, Ask::Change(change));
        let result = match done {
            Ok((_, Answer::Change(result))) => result.map(|_| ()),
            other => panic!("{other:?}"),
        };
        assert_eq!(result, if expected { Ok(()) } else { Err(ChangeError::Replaced) });
    }
}

#[test]
fn an_ask_without_a_leader_is_told_so() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    (1..=3).map(NodeId).filter(|id| *id != node).for_each(|id| cluster.stop(id));
    cluster.advance(10 * SECOND);
    assert_eq!(ask(&mut cluster, node, Ask::Lock(acquire("r"))), Err(NotDone::NoLeader));
    let question = cluster.request(node, Request::Confirm);
    (1..=3).map(NodeId).filter(|id| *id != node).for_each(|id| cluster.restart(id, config(id.0)));
    assert!(matches!(answer(&mut cluster, node, question), Ok((_, Answer::Confirmed))));
}

#[test]
fn an_ask_that_is_lost_on_its_way_is_sent_again() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let mut lost = 0;
    cluster.lose_if(move |from, _, message| {
        let forward = matches!(message, quipu_services::coordination::Message::Forward(_));
        lost += u64::from(forward);
        forward && from == node && lost == 1
    });
    let first = grant(lock(&mut cluster, node, acquire("first")).1);
    assert_eq!(first.claim.request, "first");
    agree(&mut cluster, &[1, 2, 3]);
}

#[test]
fn a_feature_that_this_program_does_not_know_is_told() {
    let mut cluster = cluster();
    let node = follower(&cluster);
    let ops = vec![Op::Create {
        path: "/quipu/flags/quipu.of-a-later-version".into(),
        data: None,
        acl: vec![Acl { permissions: 1, identity: anyone() }],
        mode: CreateMode::Persistent,
    }];
    let everything = Identity { scheme: "super".into(), id: "".into() };
    let change = Change { ops, identities: vec![everything], created: vec![], guard: None };
    let done = ask(&mut cluster, node, Ask::Change(change));
    assert!(matches!(done, Ok((_, Answer::Change(Ok(_))))), "{done:?}");
    cluster.advance(SECOND);
    for id in 1..=3 {
        let told = cluster.events().iter().any(|(at, event)| {
            *at == NodeId(id)
                && matches!(event, Event::UnknownFeature(name) if name == "quipu.of-a-later-version")
        });
        assert!(told, "node {id}");
    }
}
