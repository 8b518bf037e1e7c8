//! Fifty sites keep one small map. An update spreads as a rumor, anti-entropy finds those who missed it, and a deleted item
//! stays deleted although a site that was away still has it.
//!
//! `cargo run -p quipu-protocols --example gossip`

use quipu_base::{InMemory, NodeId};
use quipu_protocols::gossip::{
    AntiEntropy, Config, Death, Direction, Event, Gossip, Interest, Request, RumorMongering,
};
use std::sync::Arc;
use std::time::Duration;

type Sites = InMemory<Gossip<String, &'static str>>;

const SITES: u64 = 50;
const CYCLE: Duration = Duration::from_secs(1);

fn main() {
    let sites: Arc<[NodeId]> = (1..=SITES).map(NodeId).collect();
    let config = |site: NodeId| Config {
        site,
        sites: Arc::clone(&sites),
        rumors: Some(RumorMongering {
            cycle: CYCLE,
            direction: Direction::Push,
            feedback: true,
            interest: Interest::Counter(1),
        }),
        anti_entropy: Some(AntiEntropy {
            period: CYCLE * 60,
            direction: Direction::PushPull,
            redistribute: false,
        }),
        death: Death {
            threshold: Duration::from_secs(3_600),
            dormant_threshold: Duration::from_secs(30 * 86_400),
            keepers: 3,
        },
    };
    let mut cluster = Sites::new(1);
    sites.iter().for_each(|site| cluster.add(*site, config(*site)));
    let key = "printer/floor2".to_owned();
    let count = |cluster: &Sites, key: &String| {
        cluster.running().filter(|site| cluster.node(*site).get(key).is_some()).count()
    };

    cluster.request(NodeId(7), Request::Set(key.clone(), "10.0.2.9"));
    cluster.advance(CYCLE * 30);
    let heard = count(&cluster, &key);
    println!("after 30 s {heard} of {SITES} sites have heard the rumor, for {} messages", cluster.messages());
    assert!(heard > 25 && (heard as u64) < SITES, "a quick rumor misses some");

    cluster.advance(CYCLE * 600);
    println!("after ten minutes of anti-entropy {} have the update", count(&cluster, &key));
    assert_eq!(count(&cluster, &key) as u64, SITES);

    // A site goes away, and the item is deleted meanwhile.
    let away = NodeId(23);
    cluster.stop(away);
    cluster.request(NodeId(7), Request::Delete(key.clone()));
    cluster.advance(CYCLE * 7_200);
    let remember = cluster.running().filter(|site| cluster.node(*site).item(&key).is_some()).count();
    println!("two hours after the deletion {remember} sites remember that there was something to delete");
    assert_eq!((count(&cluster, &key), remember), (0, 3));

    // It comes back and still has the item. A keeper of the certificate notices, and it is deleted everywhere again.
    cluster.take_events();
    cluster.restart(away, config(away));
    assert_eq!(cluster.node(away).get(&key), Some(&"10.0.2.9"));
    cluster.advance(CYCLE * 3_000);
    let awakened = cluster.events().iter().filter(|(_, event)| matches!(event, Event::Awakened(_))).count();
    println!(
        "the site that was away is back, and {} show the item: {awakened} awakened",
        count(&cluster, &key)
    );
    assert!(awakened > 0);
    assert_eq!(count(&cluster, &key), 0);
}
