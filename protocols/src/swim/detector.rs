//! The failure detector: sections 3.1 and 4.3. In each period one member is pinged; if it does not answer, k others are
//! asked to ping it; if none of them brings an answer by the end of the period, it is suspected.

use super::members::{Belief, Members, State};
use super::message::{Event, Kind, ProbeId, Timer, Update};
use super::{Selection, Swim};
use alloc::vec::Vec;
use quipu_base::{Env, NodeId, Rng, Support};

/// The most nacks that are owed at once; who asks for more gets its ping, but no nack.
const MOST_OWED: usize = 1024;

/// The probe of this period.
pub(super) struct Probe {
    number: u32,
    target: NodeId,
    answered: bool,
    /// How many others were asked, and how many of them at least say that they tried.
    asked: u32,
    nacks: u32,
}

impl Swim {
    pub(super) fn begin_period(&mut self, env: &mut Env<Self>) {
        self.periods += 1;
        env.set_timer(Timer::Period, env.now() + self.health.scale(self.config.period));
        self.knock(env);
        self.reconnect(env);
        let me = self.config.id;
        let target = match self.config.selection {
            Selection::Uniform => {
                self.members.pick(env.random(), |member, belief| member != me && belief.state().is_active())
            }
            Selection::RoundRobin => self.turns.next(me, &self.members, env.random()),
        };
        let Some(target) = target else { return };
        let number = self.next_number();
        self.probe = Some(Probe { number, target, answered: false, asked: 0, nacks: 0 });
        self.send(target, Kind::Ping(ProbeId { prober: me, number }), Support::given, env);
        env.set_timer(Timer::Unanswered, env.now() + self.health.scale(self.config.ping_timeout));
    }

    /// The ping was in vain: k others try.
    pub(super) fn ask_others(&mut self, env: &mut Env<Self>) {
        let me = self.config.id;
        let Some(Probe { number, target, answered: false, .. }) = self.probe else { return };
        let mut asked: Vec<NodeId> = Vec::new();
        while asked.len() < self.config.relays {
            let helper = self.members.pick(env.random(), |member, belief| {
                member != me && member != target && belief.state().is_active() && !asked.contains(&member)
            });
            let Some(helper) = helper else { break };
            asked.push(helper);
            let request = Kind::PingRequest(ProbeId { prober: me, number }, target);
            self.send(helper, request, Support::given, env);
        }
        self.probe = Some(Probe { number, target, answered: false, asked: asked.len() as u32, nacks: 0 });
    }

    /// Pings a member for another. With Lifeguard, the other hears in time that at least this member works.
    pub(super) fn help(&mut self, prober: NodeId, probe: ProbeId, target: NodeId, env: &mut Env<Self>) {
        let event = env.event();
        if probe.prober != prober || target == prober || self.members.belief(target).is_none() {
            self.dropped += 1;
        } else if target == self.config.id {
            self.send(prober, Kind::Ack(probe), || Support::all([event]), env);
        } else {
            self.send(target, Kind::Ping(probe), || Support::all([event]), env);
            if self.config.lifeguard.slowest > 0 && self.owed.len() < MOST_OWED {
                self.owed.insert(probe);
                env.set_timer(Timer::Nack(probe), env.now() + self.config.ping_timeout * 4 / 5);
            }
        }
    }

    pub(super) fn say_nack(&mut self, probe: ProbeId, env: &mut Env<Self>) {
        if self.owed.remove(&probe) {
            self.send(probe.prober, Kind::Nack(probe), Support::given, env);
        }
    }

    /// An answer, for this member or for whom it helps.
    pub(super) fn hear_answer(&mut self, probe: ProbeId, env: &mut Env<Self>) {
        let event = env.event();
        if probe.prober != self.config.id {
            if self.owed.remove(&probe) {
                env.cancel_timer(Timer::Nack(probe));
            }
            if self.members.belief(probe.prober).is_some() {
                self.send(probe.prober, Kind::Ack(probe), || Support::all([event]), env);
            }
            return;
        }
        // An answer that comes after its period is too late.
        let Some(current) = self.probe.as_mut().filter(|current| current.number == probe.number) else {
            return;
        };
        if !core::mem::replace(&mut current.answered, true) {
            let member = current.target;
            env.cancel_timer(Timer::Unanswered);
            self.health.better();
            env.because(|| Support::all([event]));
            env.emit(Event::Answered { member });
        }
    }

    pub(super) fn hear_nack(&mut self, probe: ProbeId) {
        if let Some(current) = self.probe.as_mut().filter(|current| current.number == probe.number) {
            current.nacks += 1;
        }
    }

    /// Nobody brought an answer. If those who were asked did not even say that they tried, it may be this member's own fault.
    pub(super) fn end_period(&mut self, env: &mut Env<Self>) {
        let Some(Probe { target, answered: false, asked, nacks, .. }) = self.probe.take() else { return };
        self.health.worse(if asked == 0 { 1 } else { asked.saturating_sub(nacks) });
        let belief = self.members.belief(target);
        if let Some(belief) = belief.filter(|belief| belief.state().is_active()) {
            let state = if self.config.suspicion == 0 { State::Dead } else { State::Suspect };
            let belief = Belief::new(belief.incarnation(), state);
            env.because(Support::given);
            self.hear(Update { member: target, belief, by: self.config.id }, env);
        }
    }

    /// One who is held dead is pinged now and then: if it lives, it hears what is said of it, and denies it.
    fn reconnect(&mut self, env: &mut Env<Self>) {
        let every = u64::from(self.config.reconnect);
        if every == 0 || !self.periods.is_multiple_of(every) {
            return;
        }
        let dead = self.members.pick(env.random(), |_, belief| belief.state() == State::Dead);
        if let Some(dead) = dead {
            let probe = ProbeId { prober: self.config.id, number: self.next_number() };
            self.send(dead, Kind::Ping(probe), Support::given, env);
        }
    }

    fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }
}

/// Everybody in turn: with n others, one of them is probed again after at most 2n − 1 periods.
#[derive(Default)]
pub(super) struct Turns {
    order: Vec<NodeId>,
    next: usize,
}

impl Turns {
    fn next(&mut self, me: NodeId, members: &Members, random: &mut Rng) -> Option<NodeId> {
        let active =
            |member: &NodeId| members.belief(*member).is_some_and(|belief| belief.state().is_active());
        for _ in 0..2 {
            while let Some(member) = self.order.get(self.next).copied() {
                self.next += 1;
                if active(&member) {
                    return Some(member);
                }
            }
            self.order.clear();
            self.order.extend(members.iter().map(|(member, _)| member).filter(|member| *member != me));
            random.shuffle(&mut self.order);
            self.next = 0;
        }
        None
    }

    /// A new member takes its turn anywhere in the order.
    pub(super) fn meet(&mut self, member: NodeId, random: &mut Rng) {
        let place = random.usize(0..=self.order.len());
        self.order.insert(place, member);
        self.next += usize::from(place < self.next);
    }
}
