//! Epidemics: what reaches whom, what stays deleted, and the details that the paper's tables hang on.

use quipu_base::{
    Durable, Effect, Env, EventId, InMemory, Input, NodeId, Protocol, RequestId, Time, WallTime,
};
use quipu_protocols::gossip::{
    AntiEntropy, BATCH, Config, Content, Death, Direction, Event, Gossip, Interest, Item, Message, Request,
    RumorMongering, Timer, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

type Site = Gossip<String, u64>;
type Cluster = InMemory<Site>;

const CYCLE: Duration = Duration::from_millis(100);
const LONG: Death =
    Death { threshold: Duration::from_secs(1_000), dormant_threshold: Duration::ZERO, keepers: 0 };

fn push(interest: Interest, feedback: bool) -> RumorMongering {
    RumorMongering { cycle: CYCLE, direction: Direction::Push, feedback, interest }
}

fn compare(direction: Direction) -> AntiEntropy {
    AntiEntropy { period: CYCLE, direction, redistribute: false }
}

fn config(sites: u64) -> Config {
    let sites: Arc<[NodeId]> = (1..=sites).map(NodeId).collect();
    Config { site: NodeId(1), sites, rumors: None, anti_entropy: None, death: LONG }
}

fn cluster(seed: u64, config: &Config) -> Cluster {
    let mut cluster = InMemory::new(seed);
    config.sites.iter().for_each(|site| cluster.add(*site, Config { site: *site, ..config.clone() }));
    cluster
}

fn set(cluster: &mut Cluster, site: u64, key: &str, value: u64) {
    cluster.request(NodeId(site), Request::Set(key.to_owned(), value));
}

fn holding(cluster: &Cluster, key: &str, value: u64) -> usize {
    let key = key.to_owned();
    cluster.running().filter(|site| cluster.node(*site).get(&key) == Some(&value)).count()
}

#[test]
fn rumors_spread_in_every_variant_and_die() {
    for direction in [Direction::Push, Direction::Pull, Direction::PushPull] {
        for feedback in [true, false] {
            for interest in [Interest::Counter(4), Interest::Coin(4)] {
                let rumors = RumorMongering { direction, ..push(interest, feedback) };
                let mut cluster = cluster(7, &Config { rumors: Some(rumors), ..config(60) });
                set(&mut cluster, 5, "a", 1);
                cluster.advance(CYCLE * 60);
                let reached = holding(&cluster, "a", 1);
                assert!(reached > 50, "{direction:?} {feedback} {interest:?}: {reached} of 60");
                assert!(cluster.running().all(|site| cluster.node(site).hot().len() == 0));
            }
        }
    }
}

#[test]
fn who_only_pushes_is_silent_when_nothing_is_hot() {
    let mut cluster = cluster(1, &Config { rumors: Some(push(Interest::Counter(2), true)), ..config(20) });
    set(&mut cluster, 1, "a", 1);
    cluster.advance(CYCLE * 40);
    let sent = cluster.messages();
    assert!(sent > 20);
    cluster.advance(CYCLE * 100);
    assert_eq!(cluster.messages(), sent);
}

#[test]
fn the_newest_version_stays_whoever_hears_what_first() {
    let rumors = Some(push(Interest::Counter(3), true));
    let both = Config { rumors, anti_entropy: Some(compare(Direction::PushPull)), ..config(20) };
    let mut cluster = cluster(3, &both);
    for value in 1..=20 {
        set(&mut cluster, value, "a", value);
        cluster.advance(Duration::from_millis(30));
    }
    cluster.advance(CYCLE * 30);
    assert_eq!(holding(&cluster, "a", 20), 20);
}

/// What a client writes replaces what its site holds, whatever the clocks say.
#[test]
fn a_write_is_newer_than_what_it_replaces() {
    let mut cluster = cluster(3, &config(1));
    set(&mut cluster, 1, "a", 1);
    set(&mut cluster, 1, "a", 2);
    assert_eq!(holding(&cluster, "a", 2), 1);
}

#[test]
fn anti_entropy_leaves_nobody_out_in_either_direction() {
    for direction in [Direction::Push, Direction::Pull, Direction::PushPull] {
        let mut cluster = cluster(9, &Config { anti_entropy: Some(compare(direction)), ..config(30) });
        for key in 0..300 {
            set(&mut cluster, key % 30 + 1, &format!("key {key}"), key);
        }
        cluster.lose_if(|from, to, _| from == NodeId(30) || to == NodeId(30));
        cluster.advance(CYCLE * 40);
        let root = cluster.node(NodeId(1)).root();
        let alike = cluster.running().filter(|site| cluster.node(*site).root() == root).count();
        assert_eq!(alike, 29, "{direction:?}");
        cluster.lose_if(|_, _, _| false);
        cluster.advance(CYCLE * 40);
        let root = cluster.node(NodeId(1)).root();
        assert!(cluster.running().all(|site| cluster.node(site).root() == root), "{direction:?}");
        assert_eq!(cluster.node(NodeId(30)).items().count(), 300);
    }
}

#[test]
fn what_anti_entropy_finds_becomes_a_rumor_again_if_wanted() {
    for redistribute in [true, false] {
        let anti_entropy = Some(AntiEntropy { redistribute, ..compare(Direction::PushPull) });
        let rumors = Some(push(Interest::Counter(2), true));
        let mut cluster = cluster(5, &Config { rumors, anti_entropy, ..config(2) });
        cluster.lose_if(|_, _, message| matches!(message, Message::Rumors { .. }));
        set(&mut cluster, 1, "a", 1);
        let heard = cluster.advance_until(CYCLE * 20, |cluster| holding(cluster, "a", 1) == 2);
        assert!(heard);
        assert_eq!(cluster.node(NodeId(2)).hot().len(), usize::from(redistribute));
    }
}

#[test]
fn many_rumors_take_turns_in_messages_of_a_bounded_size() {
    let mut cluster = cluster(2, &Config { rumors: Some(push(Interest::Counter(3), true)), ..config(2) });
    let rumors = 5 * BATCH as u64 + 3;
    (0..rumors).for_each(|key| set(&mut cluster, 1, &format!("key {key}"), key));
    let fits = |message: &Message<String, u64>| match message {
        Message::Rumors { rumors, .. } => rumors.len() <= BATCH,
        _ => true,
    };
    cluster.lose_if(move |_, _, message| {
        assert!(fits(message));
        false
    });
    cluster.advance(CYCLE * 7);
    assert_eq!(cluster.node(NodeId(2)).items().count() as u64, rumors);
}

/// What a step left behind.
fn sent(site: &mut Site, env: &mut Env<Site>, at: Duration, input: Input<Site>) -> Vec<Message<String, u64>> {
    env.begin(Time::ZERO + at, WallTime(1_000), EventId(0));
    site.step(input, env);
    site.check();
    let message = |effect| if let Effect::Send { message, .. } = effect { Some(message) } else { None };
    env.drain().filter_map(message).collect()
}

fn rumor(value: u64) -> Input<Site> {
    let at = Timestamp { time: WallTime(5), node: NodeId(3) };
    let item = Item { at, content: Content::Value(value) };
    let message = Message::Rumors { rumors: vec![("a".to_owned(), item)], ask: false };
    Input::Message { from: NodeId(2), message }
}

fn start(config: Config) -> (Site, Env<Site>) {
    let mut env = Env::new(1);
    let site = Gossip::start(config, Durable::default(), &mut env);
    env.drain().for_each(drop);
    (site, env)
}

/// The paper's tables hang on this: see the facts of its simulation in `lab/src/papers/gossip.rs`.
#[test]
fn whether_a_rumor_was_needed_is_judged_by_the_beginning_of_the_cycle() {
    let (mut site, mut env) = start(Config { rumors: Some(push(Interest::Counter(2), true)), ..config(3) });
    let mut needed = |at: Duration| match &sent(&mut site, &mut env, at, rumor(1))[..] {
        [Message::Feedback(said)] => said.iter().map(|(_, _, needed)| *needed).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(needed(CYCLE * 3), [true]);
    assert_eq!(needed(CYCLE * 3 + CYCLE / 2), [true]);
    assert_eq!(needed(CYCLE * 4), [false]);
}

#[test]
fn useless_contacts_count_in_a_row() {
    let (mut site, mut env) = start(Config { rumors: Some(push(Interest::Counter(2), true)), ..config(3) });
    sent(&mut site, &mut env, CYCLE, rumor(1));
    let at = Timestamp { time: WallTime(5), node: NodeId(3) };
    // Useless, useful, useless, useless: only the last two are in a row.
    for (cycle, (needed, tells)) in
        [(false, true), (true, true), (false, true), (false, true), (false, false)].into_iter().enumerate()
    {
        let now = CYCLE * (cycle as u32 + 2);
        assert_eq!(sent(&mut site, &mut env, now, Input::Timer(Timer::Cycle)).len() == 1, tells, "{cycle}");
        let feedback = Message::Feedback(vec![("a".to_owned(), at, needed)]);
        sent(&mut site, &mut env, now, Input::Message { from: NodeId(2), message: feedback });
    }
}

#[test]
fn a_site_that_several_ask_counts_one_contact() {
    let rumors = RumorMongering { direction: Direction::Pull, ..push(Interest::Counter(1), true) };
    let (mut site, mut env) = start(Config { rumors: Some(rumors), ..config(4) });
    sent(&mut site, &mut env, CYCLE, rumor(1));
    let at = Timestamp { time: WallTime(5), node: NodeId(3) };
    for (cycle, answers) in [[false, true, false], [false, false, false]].into_iter().enumerate() {
        let now = CYCLE * (cycle as u32 + 2);
        sent(&mut site, &mut env, now, Input::Timer(Timer::Cycle));
        assert_eq!(site.hot().len(), 1);
        for needed in answers {
            let ask = Input::Message { from: NodeId(2), message: Message::Ask };
            assert_eq!(sent(&mut site, &mut env, now, ask).len(), 1);
            let feedback = Message::Feedback(vec![("a".to_owned(), at, needed)]);
            sent(&mut site, &mut env, now, Input::Message { from: NodeId(2), message: feedback });
        }
    }
    sent(&mut site, &mut env, CYCLE * 4, Input::Timer(Timer::Cycle));
    assert_eq!(site.hot().len(), 0);
}

/// Site 3 is cut off while an item is deleted, for longer than certificates last. Who shows the item in the end, and whether
/// a certificate awakened.
fn cut_off_while_deleted(threshold: Duration, dormant_threshold: Duration) -> (usize, bool) {
    let death = Death { threshold, dormant_threshold, keepers: 2 };
    let anti_entropy = Some(compare(Direction::PushPull));
    let mut cluster = cluster(4, &Config { anti_entropy, death, ..config(4) });
    set(&mut cluster, 1, "a", 1);
    cluster.advance(CYCLE * 10);
    assert_eq!(holding(&cluster, "a", 1), 4);
    cluster.lose_if(|from, to, _| from == NodeId(3) || to == NodeId(3));
    cluster.request(NodeId(1), Request::Delete("a".to_owned()));
    cluster.advance(CYCLE * 10);
    assert_eq!(holding(&cluster, "a", 1), 1);
    cluster.advance(CYCLE * 30);
    cluster.lose_if(|_, _, _| false);
    cluster.advance(CYCLE * 20);
    let awakened = cluster.events().iter().any(|(_, event)| matches!(event, Event::Awakened(_)));
    (holding(&cluster, "a", 1), awakened)
}

#[test]
fn a_deleted_item_comes_back_when_nobody_remembers_that_it_was() {
    let short = CYCLE * 15;
    assert_eq!(cut_off_while_deleted(CYCLE * 100, Duration::ZERO), (0, false));
    assert_eq!(cut_off_while_deleted(short, Duration::ZERO), (4, false));
    assert_eq!(cut_off_while_deleted(short, CYCLE * 1_000), (0, true));
}

#[test]
fn certificates_are_forgotten_in_the_end_and_so_are_their_cells() {
    let death = Death { threshold: CYCLE * 15, dormant_threshold: CYCLE * 15, keepers: 2 };
    let anti_entropy = Some(compare(Direction::PushPull));
    let mut cluster = cluster(4, &Config { anti_entropy, death, ..config(4) });
    for round in 0..3 {
        (0..10).for_each(|key| set(&mut cluster, 1, &format!("key {key}"), round));
        cluster.advance(CYCLE * 10);
        for key in 0..10 {
            cluster.request(NodeId(2), Request::Delete(format!("key {key}")));
        }
        cluster.advance(CYCLE * 20);
        let held: usize = cluster.running().map(|site| cluster.node(site).items().count()).sum();
        assert_eq!(held, 20, "two keepers each");
        cluster.advance(CYCLE * 20);
        assert!(cluster.running().all(|site| cluster.node(site).items().count() == 0));
    }
}

/// A certificate that awakens must not cancel what was written since (section 2.3).
#[test]
fn an_item_that_was_written_again_survives_the_awakening() {
    let death = Death { threshold: CYCLE * 15, dormant_threshold: CYCLE * 1_000, keepers: 4 };
    let anti_entropy = Some(compare(Direction::PushPull));
    let mut cluster = cluster(4, &Config { anti_entropy, death, ..config(4) });
    set(&mut cluster, 1, "a", 1);
    cluster.advance(CYCLE * 10);
    cluster.lose_if(|from, to, _| from == NodeId(3) || to == NodeId(3));
    cluster.request(NodeId(1), Request::Delete("a".to_owned()));
    cluster.advance(CYCLE * 30);
    // On one side the item is written again, on the other its first version awakens the certificate.
    let side = |site: NodeId| site == NodeId(2) || site == NodeId(3);
    cluster.lose_if(move |from, to, _| side(from) != side(to));
    set(&mut cluster, 1, "a", 2);
    cluster.advance(CYCLE * 20);
    let awakened = |(site, event): &(NodeId, _)| *site == NodeId(2) && matches!(event, Event::Awakened(_));
    assert!(cluster.events().iter().any(awakened));
    assert_eq!((holding(&cluster, "a", 1), holding(&cluster, "a", 2)), (0, 2));
    cluster.lose_if(|_, _, _| false);
    cluster.advance(CYCLE * 20);
    assert_eq!(holding(&cluster, "a", 2), 4);
}

#[test]
fn a_site_that_restarts_holds_what_it_held() {
    let death = Death { threshold: CYCLE * 5, dormant_threshold: CYCLE * 1_000, keepers: 3 };
    let anti_entropy = Some(compare(Direction::PushPull));
    let config = Config { anti_entropy, death, ..config(3) };
    let mut cluster = cluster(6, &config);
    set(&mut cluster, 1, "kept", 1);
    set(&mut cluster, 1, "deleted", 2);
    cluster.advance(CYCLE * 10);
    cluster.request(NodeId(2), Request::Delete("deleted".to_owned()));
    cluster.advance(CYCLE * 20);
    let before: Vec<_> =
        cluster.node(NodeId(3)).items().map(|(key, item)| (key.clone(), item.clone())).collect();
    cluster.stop(NodeId(3));
    cluster.advance(CYCLE);
    cluster.restart(NodeId(3), Config { site: NodeId(3), ..config });
    let after: Vec<_> =
        cluster.node(NodeId(3)).items().map(|(key, item)| (key.clone(), item.clone())).collect();
    assert_eq!(before.len(), 2);
    assert_eq!(before, after);
    assert_eq!(cluster.node(NodeId(3)).root(), cluster.node(NodeId(1)).root());
    cluster.advance(CYCLE * 10);
    assert_eq!(holding(&cluster, "kept", 1), 3);
    assert_eq!(holding(&cluster, "deleted", 2), 0);
}

/// A rumor that outlives its certificate's threshold, and a certificate that a keeper hears of too late to spread it.
#[test]
fn a_certificate_that_sleeps_is_no_rumor() {
    let death = Death { threshold: CYCLE * 3, dormant_threshold: CYCLE * 1_000, keepers: 0 };
    let rumors = Some(push(Interest::Counter(1_000), true));
    let (mut site, mut env) = start(Config { rumors, death, ..config(2) });
    let certificate = |activated| Item {
        at: Timestamp { time: WallTime(5), node: NodeId(2) },
        content: Content::Deleted { activated: WallTime(activated), keepers: vec![NodeId(1)] },
    };
    let hear = |key: &str, item| Input::Message {
        from: NodeId(2),
        message: Message::Rumors { rumors: vec![(key.to_owned(), item)], ask: false },
    };
    sent(&mut site, &mut env, CYCLE, hear("late", certificate(1_000 - 301)));
    assert_eq!((site.items().count(), site.hot().len()), (1, 0));
    sent(&mut site, &mut env, CYCLE, hear("in time", certificate(1_000 - 299)));
    assert_eq!((site.items().count(), site.hot().len()), (2, 1));
    env.begin(Time::ZERO + CYCLE * 2, WallTime(1_001), EventId(0));
    site.step(Input::Timer(Timer::Certificates), &mut env);
    site.check();
    assert_eq!((site.items().count(), site.hot().len()), (2, 0));
}

/// What a peer makes up changes nothing but what it may change.
#[test]
fn nonsense_from_a_peer_is_harmless() {
    let both = Config {
        rumors: Some(push(Interest::Counter(1), true)),
        anti_entropy: Some(compare(Direction::PushPull)),
        ..config(3)
    };
    let (mut site, mut env) = start(both);
    let at = Timestamp { time: WallTime(i64::MAX), node: NodeId(9) };
    let key = || "unknown".to_owned();
    let nonsense = [
        Message::Feedback(vec![(key(), at, false)]),
        Message::Differ { items: vec![], wanted: vec![(key(), None), (key(), Some(at))] },
        Message::Rumors { rumors: vec![], ask: true },
    ];
    for message in nonsense {
        assert_eq!(sent(&mut site, &mut env, CYCLE, Input::Message { from: NodeId(2), message }), []);
    }
    // A timestamp at the end of time is still followed by another.
    let item = Item { at, content: Content::Value(1) };
    let rumors = Message::Rumors { rumors: vec![(key(), item)], ask: false };
    sent(&mut site, &mut env, CYCLE, Input::Message { from: NodeId(2), message: rumors });
    sent(&mut site, &mut env, CYCLE, Input::Request { id: RequestId(1), request: Request::Delete(key()) });
    assert_eq!(site.items().count(), 1);
}
