//! Suspicion: section 4.2, and Lifeguard's section IV-B. Who is suspected has time to deny it, the more time the
//! fewer suspect it.

use super::Swim;
use super::members::{Belief, State};
use super::message::{Event, Timer, Update};
use alloc::vec::Vec;
use quipu_base::{Env, EventId, NodeId, Support, Time};

/// One member is suspected, since when and by whom.
pub(super) struct Suspicion {
    since: Time,
    by: Vec<NodeId>,
    /// The messages that told of it; each is enough. Kept only while somebody wants to know why.
    told_by: Vec<EventId>,
}

impl Swim {
    /// Somebody, perhaps this member itself, has found something out.
    pub(super) fn hear(&mut self, update: Update, env: &mut Env<Self>) {
        if update.member == self.config.id {
            return self.refute(update.belief, env);
        }
        match self.members.belief(update.member) {
            Some(known) if update.belief < known => {}
            Some(known) if update.belief == known => self.confirm(update, env),
            known => self.believe(update, known, env),
        }
    }

    /// What is said of this member itself and is not so is denied, in a new incarnation.
    fn refute(&mut self, said: Belief, env: &mut Env<Self>) {
        let own = self.own_belief();
        if said <= own {
            // Somebody has missed the denial, which was passed on only so often.
            if said.state() != State::Alive {
                self.news.remind(Update { member: self.config.id, belief: own, by: self.config.id });
            }
            return;
        }
        if said.incarnation() == Belief::LAST_INCARNATION {
            self.dropped += 1;
            return;
        }
        // If it is said to be alive, that was before a crash; and who is slow hears too late what others want to know.
        if said.state() != State::Alive {
            self.health.worse(1);
        }
        let belief = Belief::new(said.incarnation() + 1, State::Alive);
        self.declare(belief);
        env.emit(Event::Refuted { incarnation: belief.incarnation() });
    }

    /// Says of this member itself what only it can say.
    pub(super) fn declare(&mut self, belief: Belief) {
        let me = self.config.id;
        assert!(self.members.set(me, belief), "a member is on its own list");
        self.news.spread(Update { member: me, belief, by: me });
    }

    /// News.
    fn believe(&mut self, update: Update, known: Option<Belief>, env: &mut Env<Self>) {
        let Update { member, belief, .. } = update;
        if !self.members.set(member, belief) {
            self.dropped += 1;
            return;
        }
        self.news.spread(update);
        if known.is_none() {
            self.turns.meet(member, env.random());
        }
        let state = belief.state();
        if state == State::Suspect {
            self.suspect(update, env);
        } else if self.suspicions.remove(&member).is_some() {
            env.cancel_timer(Timer::Suspicion(member));
        }
        // Who was never here cannot go.
        let before = known.map_or(State::Left, Belief::state);
        if before != state && (known.is_some() || state.is_active()) {
            env.emit(Event::Changed { member, state, incarnation: belief.incarnation() });
        }
    }

    fn suspect(&mut self, update: Update, env: &mut Env<Self>) {
        let told_by = if env.traces() { Vec::from([env.event()]) } else { Vec::new() };
        let suspicion = Suspicion { since: env.now(), by: Vec::from([update.by]), told_by };
        self.suspicions.insert(update.member, suspicion);
        let lasts = self.config.suspicion_timeout(self.members.active(), 0);
        env.set_timer(Timer::Suspicion(update.member), env.now() + lasts);
    }

    /// Another one suspects the same member: that is worth telling, and makes it more likely.
    fn confirm(&mut self, update: Update, env: &mut Env<Self>) {
        let Some(suspicion) = self.suspicions.get_mut(&update.member) else { return };
        if env.traces() {
            suspicion.told_by.push(env.event());
        }
        // The first suspicion needs no more than so many to confirm it.
        if suspicion.by.len() > self.config.lifeguard.confirmations || suspicion.by.contains(&update.by) {
            return;
        }
        suspicion.by.push(update.by);
        let lasts = self.config.suspicion_timeout(self.members.active(), suspicion.by.len() - 1);
        env.set_timer(Timer::Suspicion(update.member), suspicion.since + lasts);
        self.news.spread(update);
    }

    /// It has not denied it.
    pub(super) fn bury(&mut self, member: NodeId, env: &mut Env<Self>) {
        let Some(suspicion) = self.suspicions.remove(&member) else { return };
        let belief = self.members.belief(member).expect("who is suspected is on the list");
        assert_eq!(belief.state(), State::Suspect, "only who is suspected is buried");
        let own = suspicion.by.contains(&self.config.id);
        env.because(|| if own { Support::given() } else { Support::any(suspicion.told_by) });
        let belief = Belief::new(belief.incarnation(), State::Dead);
        self.hear(Update { member, belief, by: self.config.id }, env);
    }
}
