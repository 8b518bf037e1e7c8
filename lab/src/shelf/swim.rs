//! SWIM ([`quipu_protocols::swim`]): who stops is found dead by everybody, and who lives is not, as long as its word gets
//! through in time.
//!
//! Four programs over one protocol. With suspicion nobody who lives is declared dead, however messages get lost in the first
//! rounds; without it, two lost messages are enough. And where everything is lost for longer than a suspicion lasts,
//! who lives is declared dead, but does not stay so: in the end everybody who lives is on everybody's list; unless, as in the
//! paper, nobody ever speaks to the dead again.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Program, ROUND, Seen, Spec, Subject};
use quipu_base::NodeId;
use quipu_protocols::swim::{Config, Event, Lifeguard, Message, Selection, State, Swim};
use std::sync::Arc;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// A ping and its ack.
const ROUND_TRIP: u32 = 2;
/// A ping and its ack, and once more by way of another.
const PERIOD: u32 = ROUND_TRIP + 4;
/// Who is probed in turns waits for at most 2n − 1 periods, where n are the others.
const TURN: u32 = 2 * (NODES.len() as u32 - 1) - 1;
/// What some run must reach.
const FOUND: &str = "a crashed member is found dead by everybody";
const DENIED: &str = "a member denies that it is dead or suspect";

const BURIED: &str = "a member that lives is held dead for a while";

/// Which of the programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// Suspicions last longer than messages get lost.
    Suspecting,
    /// Who does not answer is dead.
    Hasty,
    /// Messages get lost for longer than suspicions last.
    Reviving,
    /// The same, and nobody pings the dead.
    Unforgiving,
}

/// Every program of this file.
pub fn all() -> Vec<Box<dyn Subject>> {
    let variants = [Variant::Suspecting, Variant::Hasty, Variant::Reviving, Variant::Unforgiving];
    variants.into_iter().map(|variant| Box::new(SwimMembership(variant)) as Box<dyn Subject>).collect()
}

/// The program; see the module.
pub struct SwimMembership(pub Variant);

impl SwimMembership {
    /// How many periods a suspicion lasts.
    fn suspicion(&self) -> u32 {
        match self.0 {
            Variant::Suspecting => 5,
            Variant::Hasty => 0,
            Variant::Reviving | Variant::Unforgiving => 1,
        }
    }

    /// How many rounds after its crash a member is dead to everybody who lives.
    fn bound(&self) -> u32 {
        (1 + TURN + 1 + self.suspicion()) * PERIOD
    }

    /// Whether who lives may not be declared dead, not even for a while.
    fn is_strict(&self) -> bool {
        matches!(self.0, Variant::Suspecting | Variant::Hasty)
    }
}

impl Program for SwimMembership {
    type Protocol = Swim;

    fn card(&self) -> Card {
        // Long enough to be held dead by everybody, and to hold everybody dead.
        let cut = Spec { cuts: 1, cut: 36, total: 1, ..Spec::new(110, 44, 0) };
        let (name, expected, spec) = match self.0 {
            // Any number of messages takes ten times as long, and is certified too.
            Variant::Suspecting => ("swim", Expected::Holds, Spec { total: 3, ..Spec::new(72, 7, 1) }),
            Variant::Hasty => ("swim-hasty", Expected::Breaks, Spec { total: 3, ..Spec::new(72, 14, 1) }),
            Variant::Reviving => ("swim-reviving", Expected::Holds, cut),
            Variant::Unforgiving => ("swim-unforgiving", Expected::Breaks, cut),
        };
        Card {
            name,
            paper: "Das, Gupta, Motivala: SWIM (DSN 2002); Dadgar, Phillips, Currey: Lifeguard (2017)",
            promise: if self.is_strict() {
                "who stops is declared dead by everybody in time, and nobody else ever is"
            } else {
                "nobody who lives is held dead in the end"
            },
            expected,
            spec,
            sometimes: match self.0 {
                Variant::Suspecting => &[FOUND, DENIED],
                Variant::Reviving => &[DENIED, BURIED],
                Variant::Hasty | Variant::Unforgiving => &[],
            },
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let roster: Arc<Vec<NodeId>> = Arc::new(NODES.iter().map(|(id, _)| *id).collect());
        let config = |id| Config {
            period: ROUND * PERIOD,
            ping_timeout: ROUND * ROUND_TRIP,
            relays: 1,
            selection: Selection::RoundRobin,
            suspicion: self.suspicion(),
            reconnect: if self.0 == Variant::Unforgiving { 0 } else { 2 },
            lifeguard: Lifeguard { buddies: true, ..Lifeguard::OFF },
            ..Config::local_network(id, Arc::clone(&roster))
        };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn judge(&self, seen: &Seen<'_, Event>) -> Judgement {
        let crash =
            |node| seen.outages().iter().find(|outage| outage.node == node).map(|outage| outage.round);
        for (told, event) in seen.all().filter(|_| self.is_strict()) {
            let Some(member) = buried(event) else { continue };
            if crash(member).is_none_or(|round| told.round < round) {
                let round = told.round;
                return Judgement::Broken(format!(
                    "{} declares {member} dead in round {round}: it lives",
                    told.node
                ));
            }
        }
        let mut goals = Vec::new();
        let last_round = Program::card(self).spec.last_round;
        for (dead, _) in NODES.iter().filter(|(node, _)| crash(*node).is_some()) {
            let due = crash(*dead).is_some_and(|round| round + self.bound() <= last_round);
            for (witness, _) in NODES.iter().filter(|(node, _)| crash(*node).is_none()) {
                match seen.goal(*witness, |event| buried(event) == Some(*dead)) {
                    Some(goal) => goals.push(goal),
                    None if due => {
                        return Judgement::Broken(format!("{witness} never finds that {dead} is dead"));
                    }
                    None => {}
                }
            }
        }
        // That nobody is taken for dead hangs on every single answer.
        let answers =
            seen.all().enumerate().filter(|(_, (_, event))| matches!(event, Event::Answered { .. }));
        let answers = answers.map(|(way, _)| Goal { ways: vec![way], excused: true, lasting: false });
        goals.extend(answers);
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    /// Everybody who runs in the end is on everybody's list.
    fn compare(&self, nodes: &[(NodeId, &Swim)]) -> Result<(), String> {
        for (at, swim) in nodes {
            for (member, _) in nodes {
                let belief = swim.belief(*member).ok_or_else(|| format!("{at} does not know {member}"))?;
                if !belief.state().is_active() {
                    return Err(format!(
                        "in the end {at} believes that {member} is {belief:?}, and it lives"
                    ));
                }
            }
        }
        Ok(())
    }

    fn reached(&self, seen: &Seen<'_, Event>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        let found = |dead: NodeId| {
            let witnesses = NODES.iter().filter(|(node, _)| *node != dead);
            seen.is_down(dead)
                && witnesses
                    .into_iter()
                    .all(|(node, _)| seen.told(*node, |event| buried(event) == Some(dead)))
        };
        if NODES.iter().any(|(node, _)| found(*node)) {
            reached.push(FOUND);
        }
        if seen.all().any(|(_, event)| matches!(event, Event::Refuted { .. })) {
            reached.push(DENIED);
        }
        let alive_and_buried = |event: &Event| buried(event).is_some_and(|member| !seen.is_down(member));
        if seen.all().any(|(_, event)| alive_and_buried(event)) {
            reached.push(BURIED);
        }
        reached
    }

    fn describe(&self, message: &Message) -> String {
        let news: Vec<String> =
            message.updates.iter().map(|update| format!("{} {:?}", update.member, update.belief)).collect();
        format!("{:?} {}", message.kind, news.join(", "))
    }

    fn belief(&self, node: &Swim) -> String {
        let bad = node.members().filter(|(_, belief)| belief.state() != State::Alive);
        bad.map(|(member, belief)| format!("{member} {:?}", belief.state())).collect::<Vec<_>>().join(", ")
    }
}

/// Whom this event declares dead.
fn buried(event: &Event) -> Option<NodeId> {
    match event {
        Event::Changed { member, state: State::Dead, .. } => Some(*member),
        _ => None,
    }
}
