//! Epidemics (Demers et al., PODC 1987) under lineage-driven fault injection: what a rumor misses, what anti-entropy makes
//! good, and what becomes of deleted items.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use quipu_base::NodeId;
use quipu_protocols::gossip::{
    AntiEntropy, Config, Death, Direction, Event, Gossip, Interest, Request, RumorMongering,
};
use std::sync::Arc;

const SITES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
const KEY: &str = "k";
const PAPER: &str = "Demers et al.: Epidemic Algorithms for Replicated Database Maintenance (PODC 1987)";
/// What some run must reach.
const EVERYBODY: &str = "everybody heard";
/// What some run must reach where items are deleted.
const DELETED: &str = "everybody deleted the item";

/// The programs of this page.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(Update { feedback: true, backed: false }),
        Box::new(Update { feedback: false, backed: false }),
        Box::new(Update { feedback: false, backed: true }),
        Box::new(Deletion { keepers: 0 }),
        Box::new(Deletion { keepers: 2 }),
        Box::new(Deletion { keepers: 3 }),
    ]
}

/// Every site's configuration: compares with another every second round.
fn config(site: NodeId) -> Config {
    Config {
        site,
        sites: SITES.iter().map(|(site, _)| *site).collect::<Arc<[NodeId]>>(),
        rumors: None,
        anti_entropy: Some(AntiEntropy {
            period: ROUND * 2,
            direction: Direction::PushPull,
            redistribute: false,
        }),
        death: Death { threshold: ROUND * 1_000, dormant_threshold: ROUND * 1_000, keepers: 0 },
    }
}

fn cast(config: impl Fn(NodeId) -> Config) -> Vec<Actor<Config>> {
    SITES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
}

type Told = Event<&'static str, u64>;

fn is_value(event: &Told) -> bool {
    matches!(event, Event::Learned(_, item) if item.value().is_some())
}

fn is_deletion(event: &Told) -> bool {
    matches!(event, Event::Learned(_, item) if item.value().is_none())
}

fn living<'a>(seen: &'a Seen<'_, Told>) -> impl Iterator<Item = NodeId> + Clone + 'a {
    SITES.iter().map(|(site, _)| *site).filter(|site| !seen.is_down(*site))
}

/// An update that everybody is to hear of: as a rumor alone, or with anti-entropy behind it.
struct Update {
    feedback: bool,
    backed: bool,
}

impl Program for Update {
    type Protocol = Gossip<&'static str, u64>;

    fn card(&self) -> Card {
        let (name, promise) = match (self.feedback, self.backed) {
            (true, false) => {
                ("gossip-rumor", "an update that a living site has reaches every one, by rumor alone")
            }
            (false, false) => {
                ("gossip-blind", "an update that a living site has reaches every one, by a blind rumor")
            }
            (_, true) => (
                "gossip-backed",
                "an update that a living site has reaches every one, by rumor or anti-entropy",
            ),
        };
        Card {
            name,
            paper: PAPER,
            promise,
            expected: if self.backed { Expected::Holds } else { Expected::Breaks },
            spec: Spec::new(18, 6, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let rumors = Some(RumorMongering {
            cycle: ROUND,
            direction: Direction::Push,
            feedback: self.feedback,
            interest: Interest::Counter(if self.feedback { 1 } else { 3 }),
        });
        cast(|site| {
            let usual = config(site);
            Config { rumors, anti_entropy: usual.anti_entropy.filter(|_| self.backed), ..usual }
        })
    }

    fn script(&self) -> Vec<Line<Request<&'static str, u64>>> {
        vec![Line { round: 1, node: NodeId(1), request: Request::Set(KEY, 1) }]
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let has = |site: &NodeId| seen.told(*site, is_value);
        if !living(seen).any(|site| has(&site)) {
            return Judgement::Kept { goals: Vec::new(), vacuous: true };
        }
        match living(seen).find(|site| !has(site)) {
            Some(site) => Judgement::Broken(format!("{site} never heard of it")),
            None => {
                let goals = living(seen).filter_map(|site| seen.goal(site, is_value)).collect();
                Judgement::Kept { goals, vacuous: false }
            }
        }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let everybody = SITES.iter().all(|(site, _)| seen.told(*site, is_value));
        if everybody { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, site: &Self::Protocol) -> String {
        belief(site)
    }
}

/// An item that everybody has is deleted. Its certificate lasts for eight rounds, and then so many keep it dormant.
struct Deletion {
    keepers: usize,
}

/// When everybody has the item, and it is deleted.
const DELETED_IN: u32 = 12;
/// How many rounds certificates last.
const THRESHOLD: u32 = 8;

impl Program for Deletion {
    type Protocol = Gossip<&'static str, u64>;

    fn card(&self) -> Card {
        let (name, promise) = match self.keepers {
            0 => ("gossip-forgetful", "a deleted item stays deleted though every certificate expires"),
            2 => (
                "gossip-keepers",
                "a deleted item stays deleted while two sites keep its certificate dormant",
            ),
            _ => (
                "gossip-dormant",
                "a deleted item stays deleted while every site keeps its certificate dormant",
            ),
        };
        let spec = Spec { cuts: 2, cut: 14, total: 2, ..Spec::new(48, 24, 1) };
        let expected = if self.keepers == 3 { Expected::Holds } else { Expected::Breaks };
        Card { name, paper: PAPER, promise, expected, spec, sometimes: &[DELETED] }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let death =
            Death { threshold: ROUND * THRESHOLD, dormant_threshold: ROUND * 1_000, keepers: self.keepers };
        cast(|site| Config { death, ..config(site) })
    }

    fn script(&self) -> Vec<Line<Request<&'static str, u64>>> {
        vec![
            Line { round: 1, node: NodeId(1), request: Request::Set(KEY, 1) },
            Line { round: DELETED_IN, node: NodeId(1), request: Request::Delete(KEY) },
        ]
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let deleted = |site: &NodeId| seen.told(*site, is_deletion);
        if !living(seen).any(|site| deleted(&site)) {
            return Judgement::Kept { goals: Vec::new(), vacuous: true };
        }
        let last = |site| seen.of(site).filter(|event| is_value(event) || is_deletion(event)).last();
        let shows = |site: &NodeId| last(*site).is_some_and(is_value);
        match living(seen).find(shows) {
            Some(site) => Judgement::Broken(format!("{site} shows the deleted item")),
            None => {
                let goals: Vec<Goal> = living(seen).filter_map(|site| seen.goal(site, is_deletion)).collect();
                Judgement::Kept { goals, vacuous: false }
            }
        }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let everybody = SITES.iter().all(|(site, _)| seen.told(*site, is_deletion));
        if everybody { vec![DELETED] } else { Vec::new() }
    }

    fn belief(&self, site: &Self::Protocol) -> String {
        belief(site)
    }
}

fn belief(site: &Gossip<&'static str, u64>) -> String {
    match site.item(&KEY) {
        None => "nothing".to_owned(),
        Some(item) if item.value().is_some() => "the item".to_owned(),
        Some(_) => "deleted".to_owned(),
    }
}
