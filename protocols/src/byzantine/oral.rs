//! The algorithm OM(m) for oral messages (Lamport, Shostak and Pease, 1982, section 3).
//!
//! A commander gives an order to its lieutenants. In OM(0) each of them takes what it hears. In OM(m) each of them acts as the
//! commander of an OM(m-1) among the others, to tell them what it heard, and takes the majority of what it heard itself and of
//! what these told it. So an order has a path: who says that who says that the commander says so.
//!
//! The paper's assumptions are this protocol's: what is sent arrives within a round, its sender is known, and that something is
//! missing is noticed. Everybody starts at the same time, and the commander's order is given at once: [`Config::round`] must be longer
//! than a message takes, and than the nodes' starts are apart.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Debug;
use core::time::Duration;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Time};

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config<V> {
    /// This general.
    pub id: NodeId,
    /// All of them, the commander too.
    pub generals: Vec<NodeId>,
    /// Who gives the order.
    pub commander: NodeId,
    /// The m of OM(m): how many traitors there may be. There must be more than three times as many generals.
    pub traitors: usize,
    /// How long a round lasts.
    pub round: Duration,
    /// What is done where there is no majority, or no order: the paper's "retreat".
    pub default: V,
}

/// An order, and who passed it on: the commander first, the sender last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<V> {
    /// Who says that who says, and so on.
    pub path: Vec<NodeId>,
    /// What.
    pub order: V,
}

/// The rounds are over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decide;

/// The commander's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order<V>(pub V);

/// What a general does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Obeys<V>(pub V);

/// A general.
pub struct General<V> {
    config: Config<V>,
    started: Time,
    /// What was heard, by its path.
    heard: BTreeMap<Vec<NodeId>, V>,
    order: Option<V>,
}

impl<V: Clone + Ord + Debug> Protocol for General<V> {
    type Config = Config<V>;
    type Message = Message<V>;
    type Timer = Decide;
    type Request = Order<V>;
    type Event = Obeys<V>;
    type Record = Infallible;

    fn start(config: Config<V>, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let started = env.now();
        env.set_timer(Decide, started + config.round * (config.traitors as u32 + 1));
        General { config, started, heard: BTreeMap::new(), order: None }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Order(order), .. } if self.config.id == self.config.commander => {
                self.order = Some(order.clone());
                self.pass_on(&Message { path: Vec::new(), order }, env);
            }
            Input::Message { from, message } if self.is_credible(from, &message.path, env.now()) => {
                // Of two orders by the same path the first one counts.
                let before = self.heard.len();
                self.heard.entry(message.path.clone()).or_insert_with(|| message.order.clone());
                if self.heard.len() > before && message.path.len() <= self.config.traitors {
                    self.pass_on(&message, env);
                }
            }
            Input::Timer(Decide) => {
                let order = match &self.order {
                    Some(order) => order.clone(),
                    None => self.settle(&mut Vec::from([self.config.commander])),
                };
                env.emit(Obeys(order));
            }
            Input::Request { .. } | Input::Message { .. } | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl<V: Clone + Ord + Debug> General<V> {
    /// Whether a message can be what it says it is: sent by the last on its path, which leads from the commander through one
    /// general after the other, and in time for that many rounds.
    fn is_credible(&self, from: NodeId, path: &[NodeId], now: Time) -> bool {
        let in_time = now <= self.started + self.config.round * path.len() as u32;
        let is_path = path.iter().enumerate().all(|(place, general)| {
            self.config.generals.contains(general)
                && *general != self.config.id
                && !path[..place].contains(general)
        });
        let ends = path.first() == Some(&self.config.commander) && path.last() == Some(&from);
        in_time && is_path && ends && path.len() <= self.config.traitors + 1
    }

    /// Acts as the commander of the next smaller OM, among those who are not on the path.
    fn pass_on(&self, heard: &Message<V>, env: &mut Env<Self>) {
        let mut path = heard.path.clone();
        path.push(self.config.id);
        for general in self.config.generals.iter().filter(|general| !path.contains(general)) {
            env.send(*general, Message { path: path.clone(), order: heard.order.clone() });
        }
    }

    /// What the last on this path has ordered, as far as it can be known: the majority of what it said here and of what
    /// each of the others settles on that it said to them.
    fn settle(&self, path: &mut Vec<NodeId>) -> V {
        let own = self.heard.get(path).unwrap_or(&self.config.default).clone();
        if path.len() > self.config.traitors {
            return own;
        }
        let mut orders = Vec::from([own]);
        for other in &self.config.generals {
            if *other != self.config.id && !path.contains(other) {
                path.push(*other);
                orders.push(self.settle(path));
                path.pop();
            }
        }
        majority(orders).unwrap_or_else(|| self.config.default.clone())
    }
}

/// What more than half of them are.
fn majority<V: Ord>(mut orders: Vec<V>) -> Option<V> {
    orders.sort_unstable();
    let middle = orders.len() / 2;
    let count = orders.iter().filter(|order| **order == orders[middle]).count();
    (count > orders.len() / 2).then(|| orders.swap_remove(middle))
}
