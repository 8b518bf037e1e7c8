//! SWIM as its papers tell it, step by step. Whole clusters under attack are the lab's.

use quipu_base::{InMemory, NodeId};
use quipu_protocols::swim::{
    Belief, Config, Event, Kind, Lifeguard, MOST_UPDATES, Message, ProbeId, Request, Selection, State, Swim,
    Update,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(100);

fn config(id: u64, members: u64) -> Config {
    let roster: Arc<Vec<NodeId>> = Arc::new((1..=members).map(NodeId).collect());
    Config {
        period: PERIOD,
        ping_timeout: Duration::from_millis(20),
        lifeguard: Lifeguard::OFF,
        reconnect: 3,
        ..Config::local_network(NodeId(id), roster)
    }
}

fn cluster(members: u64, change: impl Fn(&mut Config)) -> InMemory<Swim> {
    let mut cluster = InMemory::new(11);
    for id in 1..=members {
        let mut config = config(id, members);
        change(&mut config);
        cluster.add(NodeId(id), config);
    }
    cluster
}

fn state(cluster: &InMemory<Swim>, at: u64, of: u64) -> Option<State> {
    cluster.node(NodeId(at)).belief(NodeId(of)).map(Belief::state)
}

/// How everybody who runs believes of one member.
fn states(cluster: &InMemory<Swim>, of: u64) -> Vec<State> {
    let others = cluster.running().filter(|node| node.0 != of);
    others.map(|at| state(cluster, at.0, of).expect("it is known")).collect()
}

fn changes(cluster: &mut InMemory<Swim>) -> Vec<(u64, u64, State)> {
    let changed = |(at, event): (NodeId, Event)| match event {
        Event::Changed { member, state, .. } => Some((at.0, member.0, state)),
        _ => None,
    };
    cluster.take_events().into_iter().filter_map(changed).collect()
}

#[test]
fn a_quiet_period_is_a_ping_and_an_ack_a_member() {
    let mut cluster = cluster(10, |_| {});
    cluster.advance(PERIOD);
    let before = cluster.messages();
    cluster.advance(PERIOD * 20);
    let messages = cluster.messages() - before;
    assert!((20 * 10 * 2 - 10..=20 * 10 * 2 + 10).contains(&messages), "{messages} messages");
    assert!(changes(&mut cluster).is_empty());
}

#[test]
fn who_stops_is_suspected_and_then_dead_to_everybody() {
    let mut cluster = cluster(8, |_| {});
    cluster.advance(PERIOD * 3);
    cluster.stop(NodeId(3));
    cluster.advance(PERIOD * 40);
    assert!(states(&cluster, 3).iter().all(|state| *state == State::Dead));
    let changes = changes(&mut cluster);
    let first = |state| changes.iter().position(|(_, member, found)| (*member, *found) == (3, state));
    assert!(first(State::Suspect) < first(State::Dead), "{changes:?}");
    assert!(changes.iter().all(|(_, member, _)| *member == 3), "{changes:?}");
    assert_eq!(cluster.node(NodeId(1)).active(), 7);
}

/// The paper's first protocol: who does not answer is dead.
#[test]
fn without_suspicion_nobody_is_suspected() {
    let mut cluster = cluster(5, |config| config.suspicion = 0);
    cluster.stop(NodeId(2));
    cluster.advance(PERIOD * 12);
    let changes = changes(&mut cluster);
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert!(changes.iter().all(|(_, member, state)| (*member, *state) == (2, State::Dead)), "{changes:?}");
}

#[test]
fn others_reach_whom_one_cannot() {
    let mut cluster = cluster(5, |_| {});
    cluster.lose_if(|from, to, _| from.0.min(to.0) == 1 && from.0.max(to.0) == 2);
    cluster.advance(PERIOD * 40);
    assert_eq!(changes(&mut cluster), []);
}

/// One way back is enough to deny a suspicion; and each denial is a new incarnation.
#[test]
fn who_is_suspected_denies_it() {
    let mut cluster = cluster(5, |_| {});
    let cut = Rc::new(RefCell::new(true));
    let lost = Rc::clone(&cut);
    cluster.lose_if(move |from, to, _| *lost.borrow() && (from.0 == 4 || to.0 == 4));
    assert!(cluster.advance_until(PERIOD * 20, |cluster| {
        states(cluster, 4).iter().all(|state| *state == State::Suspect)
    }));
    *cut.borrow_mut() = false;
    cluster.advance(PERIOD * 10);
    assert!(states(&cluster, 4).iter().all(|state| *state == State::Alive));
    let incarnations: Vec<u32> = (1..=5)
        .map(|at| cluster.node(NodeId(at)).belief(NodeId(4)).expect("it is known").incarnation())
        .collect();
    assert!(incarnations.iter().all(|incarnation| *incarnation == incarnations[0]), "{incarnations:?}");
    assert!(incarnations[0] > 0);
    assert!(changes(&mut cluster).iter().all(|(_, member, state)| *member != 4 || *state != State::Dead));
}

#[test]
fn a_partition_that_lasts_heals() {
    let mut cluster = cluster(6, |_| {});
    let cut = Rc::new(RefCell::new(true));
    let lost = Rc::clone(&cut);
    cluster.lose_if(move |from, to, _| *lost.borrow() && (from.0 <= 3) != (to.0 <= 3));
    cluster.advance(PERIOD * 60);
    assert_eq!(cluster.node(NodeId(1)).active(), 3);
    assert_eq!(cluster.node(NodeId(6)).active(), 3);
    *cut.borrow_mut() = false;
    cluster.advance(PERIOD * 60);
    for at in 1..=6 {
        assert_eq!(cluster.node(NodeId(at)).active(), 6);
    }
}

/// The paper has no way back for who was declared dead, and with `reconnect` off neither have we, while both sides hold
/// each other dead.
#[test]
fn without_reconnecting_a_partition_that_lasts_stays() {
    let mut cluster = cluster(6, |config| config.reconnect = 0);
    let cut = Rc::new(RefCell::new(true));
    let lost = Rc::clone(&cut);
    cluster.lose_if(move |from, to, _| *lost.borrow() && (from.0 <= 3) != (to.0 <= 3));
    cluster.advance(PERIOD * 60);
    *cut.borrow_mut() = false;
    cluster.advance(PERIOD * 60);
    assert_eq!(cluster.node(NodeId(1)).active(), 3);
}

#[test]
fn a_stranger_joins_through_anybody_and_knows_everybody() {
    let mut cluster = cluster(5, |_| {});
    cluster.advance(PERIOD * 2);
    let stranger = Config { roster: Arc::new(Vec::new()), ..config(9, 0) };
    cluster.add(NodeId(9), stranger);
    // The first time its wish gets lost.
    cluster.lose_if(|_, to, message| message.kind == Kind::Join && to == NodeId(3));
    cluster.request(NodeId(9), Request::Join(NodeId(3)));
    cluster.advance(PERIOD * 2);
    assert_eq!(cluster.node(NodeId(9)).active(), 1);
    cluster.lose_if(|_, _, _| false);
    cluster.advance(PERIOD * 10);
    assert!(states(&cluster, 9).iter().all(|state| *state == State::Alive));
    assert_eq!(cluster.node(NodeId(9)).active(), 6);
}

#[test]
fn who_leaves_is_gone_at_once_and_may_come_back() {
    let mut cluster = cluster(5, |_| {});
    cluster.advance(PERIOD * 2);
    cluster.request(NodeId(5), Request::Leave);
    let quiet = cluster.messages();
    cluster.deliver_all();
    assert_eq!(cluster.messages(), quiet, "nobody answers a farewell");
    cluster.advance(PERIOD * 4);
    assert!(states(&cluster, 5).iter().all(|state| *state == State::Left));
    cluster.request(NodeId(5), Request::Join(NodeId(1)));
    cluster.advance(PERIOD * 10);
    assert!(states(&cluster, 5).iter().all(|state| *state == State::Alive));
}

#[test]
fn who_crashed_and_comes_back_is_let_in() {
    let mut cluster = cluster(5, |_| {});
    cluster.stop(NodeId(2));
    cluster.advance(PERIOD * 40);
    assert!(states(&cluster, 2).iter().all(|state| *state == State::Dead));
    cluster.restart(NodeId(2), config(2, 5));
    cluster.advance(PERIOD * 20);
    assert!(states(&cluster, 2).iter().all(|state| *state == State::Alive));
}

/// The bound of section 4.3, and that chance alone has none.
#[test]
fn in_turns_nobody_waits_longer_than_two_rounds() {
    let longest = |selection| {
        let mut cluster = cluster(8, |config| config.selection = selection);
        let pinged = Rc::new(RefCell::new(BTreeMap::<(NodeId, NodeId), Vec<u32>>::new()));
        let log = Rc::clone(&pinged);
        cluster.lose_if(move |from, to, message| {
            if let Kind::Ping(probe) = message.kind {
                log.borrow_mut().entry((from, to)).or_default().push(probe.number);
            }
            false
        });
        cluster.advance(PERIOD * 300);
        let pinged = pinged.borrow();
        assert_eq!(pinged.len(), 8 * 7);
        let gaps = pinged.values().flat_map(|numbers| numbers.windows(2).map(|pair| pair[1] - pair[0]));
        gaps.max().expect("everybody is pinged twice")
    };
    assert!(longest(Selection::RoundRobin) < 2 * 7);
    assert!(longest(Selection::Uniform) > 2 * 7);
}

#[test]
fn news_is_passed_on_only_so_often_and_messages_stay_small() {
    let mut cluster = cluster(40, |config| config.piggyback = 3);
    let told: Rc<RefCell<(usize, usize)>> = Rc::default();
    let log = Rc::clone(&told);
    cluster.lose_if(move |_, _, message| {
        let mut told = log.borrow_mut();
        told.0 += message.updates.len();
        told.1 = told.1.max(message.updates.len());
        false
    });
    for gone in 30..=40 {
        cluster.request(NodeId(gone), Request::Leave);
    }
    cluster.advance(PERIOD * 60);
    for at in 1..30 {
        assert_eq!(cluster.node(NodeId(at)).active(), 29);
    }
    let (updates, most) = *told.borrow();
    // λ ln 40 = 12 times each of 11 updates by 40 members, and the farewells.
    assert!(updates <= 12 * 11 * 40, "{updates} updates were sent");
    assert!(most <= 3, "a message carried {most} updates");
}

/// Lifeguard: who asks others for help and hears from none of them blames itself.
#[test]
fn who_is_cut_off_takes_its_time() {
    let mut cluster = cluster(6, |config| config.lifeguard = Lifeguard::FULL);
    cluster.lose_if(|from, to, _| from.0 == 1 || to.0 == 1);
    cluster.advance(PERIOD * 10);
    // Three asked in vain, three more; and its periods grow longer.
    assert_eq!(cluster.node(NodeId(1)).local_health(), 6);
    assert!((2..=6).all(|at| cluster.node(NodeId(at)).local_health() < 3));
    // Five suspect it, so its suspicion is short; it alone suspects them, so theirs is six times as long.
    cluster.advance(PERIOD * 15);
    assert!(states(&cluster, 1).iter().all(|state| *state == State::Dead));
    assert!((2..=6).all(|of| state(&cluster, 1, of) != Some(State::Dead)));
    cluster.lose_if(|_, _, _| false);
    cluster.advance(PERIOD * 120);
    assert_eq!(cluster.node(NodeId(1)).local_health(), 0);
    assert_eq!(cluster.node(NodeId(1)).active(), 6);
}

#[test]
fn what_makes_no_sense_is_counted_and_ignored() {
    let mut cluster = cluster(3, |config| config.most_members = 4);
    cluster.advance(PERIOD);
    let before: Vec<_> = cluster.node(NodeId(1)).members().collect();
    // A request to itself, and members there is no room for.
    cluster.request(NodeId(1), Request::Join(NodeId(1)));
    assert_eq!(cluster.node(NodeId(1)).dropped(), 1);
    for stranger in [7, 8] {
        cluster.add(NodeId(stranger), Config { roster: Arc::new(Vec::new()), ..config(stranger, 0) });
        cluster.request(NodeId(stranger), Request::Join(NodeId(1)));
        cluster.deliver_all();
    }
    assert_eq!(cluster.node(NodeId(1)).active(), 4);
    assert_eq!(cluster.node(NodeId(1)).members().count(), before.len() + 1);
    assert!(cluster.node(NodeId(1)).dropped() > 1);
}

/// A hostile peer's messages, straight into one member.
#[test]
fn hostile_messages_harm_nobody() {
    use quipu_base::{Durable, Effect, Env, EventId, Input, Protocol, Time, WallTime};
    let mut env = Env::new(1);
    let mut swim = Swim::start(config(1, 3), Durable::default(), &mut env);
    let mut event = 0;
    let mut hear = |swim: &mut Swim, kind, updates| {
        event += 1;
        env.begin(Time(event), WallTime(0), EventId(event));
        swim.step(Input::Message { from: NodeId(2), message: Message { kind, updates } }, &mut env);
        swim.check();
        env.drain().filter(|effect| matches!(effect, Effect::Send { .. })).count()
    };
    let probe = |prober| ProbeId { prober: NodeId(prober), number: 7 };
    let about = |member, incarnation, state| Update {
        member: NodeId(member),
        belief: Belief::new(incarnation, state),
        by: NodeId(2),
    };
    // Too many updates, help for another one's probe, help against oneself, help with a stranger.
    let flood = vec![about(3, 0, State::Suspect); MOST_UPDATES + 1];
    assert_eq!(hear(&mut swim, Kind::Ping(probe(2)), flood), 0);
    assert_eq!(hear(&mut swim, Kind::PingRequest(probe(3), NodeId(3)), vec![]), 0);
    assert_eq!(hear(&mut swim, Kind::PingRequest(probe(2), NodeId(2)), vec![]), 0);
    assert_eq!(hear(&mut swim, Kind::PingRequest(probe(2), NodeId(99)), vec![]), 0);
    assert_eq!(swim.dropped(), 4);
    // An answer to nothing, forwarded to nobody.
    assert_eq!(hear(&mut swim, Kind::Ack(probe(1)), vec![]), 0);
    assert_eq!(hear(&mut swim, Kind::Ack(probe(99)), vec![]), 0);
    assert_eq!(hear(&mut swim, Kind::Nack(probe(1)), vec![]), 0);
    // The last incarnation cannot be denied; the one before can.
    let last = Belief::LAST_INCARNATION;
    hear(&mut swim, Kind::News, vec![about(1, last, State::Dead)]);
    assert_eq!(swim.belief(NodeId(1)), Some(Belief::new(0, State::Alive)));
    hear(&mut swim, Kind::News, vec![about(1, last - 1, State::Dead)]);
    assert_eq!(swim.belief(NodeId(1)), Some(Belief::new(last, State::Alive)));
}

/// Two beliefs merge to the greater one: that of the later incarnation, and within one the worse (section 4.2).
#[test]
fn beliefs_are_ordered_as_in_the_paper() {
    let alive = |incarnation| Belief::new(incarnation, State::Alive);
    let suspect = |incarnation| Belief::new(incarnation, State::Suspect);
    let dead = |incarnation| Belief::new(incarnation, State::Dead);
    assert!(alive(2) > suspect(1) && alive(2) > alive(1));
    assert!(suspect(1) > alive(1) && suspect(2) > suspect(1) && suspect(1) < alive(2));
    assert!(dead(1) > suspect(1) && dead(1) > alive(1) && dead(1) > alive(0));
    assert_eq!(dead(7).incarnation(), 7);
    assert_eq!(dead(7).state(), State::Dead);
}
