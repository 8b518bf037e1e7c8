//! View changes (section 4.4): how those who do not lie go on when the primary does, or is dead.

use super::message::{Message, Ordered, SignatureOf, SignedOrder, have_stated};
use super::replica::{Environment, Leaving, Replica};
use super::{Event, Machine, Prepared, Statement, StatementOf, Timer};
use crate::byzantine::signature::Signer;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::NodeId;

impl<M: Machine, G: Signer<StatementOf<M>>> Replica<M, G> {
    /// A request, or the new view, is overdue.
    pub(super) fn leave(&mut self, env: &mut Environment<M, G>) {
        if !self.active || !self.waiting.is_empty() {
            self.leave_for(self.view + 1, env);
        }
    }

    /// Leaves for a view, and tells everybody what it knows of those before: signed, so that the new primary can show it.
    fn leave_for(&mut self, view: u64, env: &mut Environment<M, G>) {
        assert!(view > self.view, "views only go up");
        let id = self.config.id;
        self.view = view;
        self.active = false;
        self.impatience += 1;
        env.set_timer(Timer::Overdue, env.now() + self.patience());
        let mut prepared: BTreeMap<u64, Prepared<M::Operation, SignatureOf<M, G>>> = BTreeMap::new();
        for (sequence, of) in self.slots.keys().filter(|(_, of)| *of < view) {
            // Ascending by view: the last one stays.
            prepared.extend(self.prepared(*sequence, *of).map(|certificate| (*sequence, certificate)));
        }
        let prepared: Vec<_> = prepared.into_values().collect();
        let summary = prepared.iter().map(|one| (one.sequence, one.view, one.ordered.clone())).collect();
        let stable = self.stable.clone();
        let signature = self.config.signer.sign(&Statement::ViewChange {
            view,
            stable: stable.sequence,
            prepared: summary,
        });
        let leaving = Leaving::<M, G> { by: id, view, stable, prepared, signature };
        self.tell_others(&Message::ViewChange(leaving.clone()), env);
        self.note_leaving(leaving, env);
    }

    pub(super) fn hear_leaving(&mut self, from: NodeId, leaving: Leaving<M, G>, env: &mut Environment<M, G>) {
        let ahead = leaving.view > self.view || (leaving.view == self.view && !self.active);
        if ahead && leaving.by == from && self.is_valid(&leaving) {
            self.note_leaving(leaving, env);
        }
    }

    /// Whether a replica has signed this, and everything in it is proved.
    fn is_valid(&self, leaving: &Leaving<M, G>) -> bool {
        let (from, to) =
            (leaving.stable.sequence, leaving.stable.sequence + 2 * self.config.checkpoint_every);
        let signed = self.config.signer.verifies(leaving.by, &leaving.statement(), &leaving.signature);
        let numbers: BTreeSet<u64> = leaving.prepared.iter().map(|one| one.sequence).collect();
        self.config.replicas.contains(&leaving.by)
            && signed
            && self.is_proved(&leaving.stable)
            && numbers.len() == leaving.prepared.len()
            && leaving.prepared.iter().all(|one| {
                from < one.sequence && one.sequence <= to && one.view < leaving.view && self.is_prepared(one)
            })
    }

    /// Whether a prepared certificate is one.
    fn is_prepared(&self, certificate: &Prepared<M::Operation, SignatureOf<M, G>>) -> bool {
        let Prepared { view, sequence, ordered, primary, backups } = certificate;
        let leader = self.config.primary(*view);
        let (view, sequence) = (*view, *sequence);
        let pre_prepare = Statement::PrePrepare { view, sequence, ordered: ordered.clone() };
        let prepare = Statement::Prepare { view, sequence, ordered: ordered.clone() };
        let is_backup = |node| node != leader && self.config.replicas.contains(&node);
        self.config.signer.verifies(leader, &pre_prepare, primary)
            && have_stated(&self.config.signer, self.config.quorum() - 1, is_backup, &prepare, backups)
    }

    fn note_leaving(&mut self, leaving: Leaving<M, G>, env: &mut Environment<M, G>) {
        // One view for each replica, its latest: no more is kept.
        let (by, view) = (leaving.by, leaving.view);
        for (of, known) in &mut self.leaving {
            if *of < view {
                known.remove(&by);
            }
        }
        self.leaving.retain(|of, known| *of >= self.view && !known.is_empty());
        if self.leaving.range(view + 1..).any(|(_, known)| known.contains_key(&by)) {
            return;
        }
        self.leaving.entry(view).or_default().insert(by, leaving);
        self.join_those_who_leave(env);
        self.begin_view(env);
    }

    /// Of more replicas than can lie at least one does not: it has reason to leave (section 4.5.2).
    fn join_those_who_leave(&mut self, env: &mut Environment<M, G>) {
        let ahead: BTreeSet<NodeId> =
            self.leaving.range(self.view + 1..).flat_map(|(_, known)| known.keys().copied()).collect();
        if ahead.len() > self.config.faults
            && let Some(least) = self.leaving.range(self.view + 1..).map(|(view, _)| *view).next()
        {
            self.leave_for(least, env);
        }
    }

    /// New primary: a quorum has left for its view. It shows that, and goes on from there.
    fn begin_view(&mut self, env: &mut Environment<M, G>) {
        let view = self.view;
        let Some(known) = self.leaving.get(&view) else { return };
        if self.active || self.config.primary(view) != self.config.id || known.len() < self.config.quorum() {
            return;
        }
        let view_changes: Vec<Leaving<M, G>> = known.values().cloned().collect();
        let orders: Vec<_> = what_goes_on::<M, G>(&view_changes)
            .into_iter()
            .map(|(sequence, ordered)| {
                let statement = Statement::PrePrepare { view, sequence, ordered: ordered.clone() };
                (sequence, ordered, self.config.signer.sign(&statement))
            })
            .collect();
        self.tell_others(
            &Message::NewView { view, view_changes: view_changes.clone(), orders: orders.clone() },
            env,
        );
        self.enter(view, env);
        let stable = view_changes.iter().map(|one| one.stable.sequence).max().unwrap_or_default();
        self.last = orders.last().map_or(stable, |(sequence, ..)| *sequence).max(self.stable.sequence);
        for (sequence, ordered, primary) in orders {
            if sequence > self.stable.sequence && sequence <= self.high() {
                self.slot(sequence, view).ordered = Some((ordered, primary));
            }
        }
        self.order_what_waits(env);
    }

    /// Backup: the new primary shows why the view begins. What goes on in it everybody works out alike.
    pub(super) fn hear_new_view(
        &mut self,
        from: NodeId,
        view: u64,
        view_changes: &[Leaving<M, G>],
        orders: Vec<SignedOrder<M, G>>,
        env: &mut Environment<M, G>,
    ) {
        let who: BTreeSet<NodeId> = view_changes.iter().map(|leaving| leaving.by).collect();
        let ahead = view > self.view || (view == self.view && !self.active);
        if !ahead
            || from != self.config.primary(view)
            || who.len() < self.config.quorum()
            || who.len() != view_changes.len()
            || !view_changes.iter().all(|leaving| leaving.view == view && self.is_valid(leaving))
        {
            return;
        }
        let expected = what_goes_on::<M, G>(view_changes);
        if !orders.iter().map(|(sequence, ordered, _)| (*sequence, ordered.clone())).eq(expected) {
            return;
        }
        self.enter(view, env);
        for (sequence, ordered, primary) in orders {
            self.pre_prepare(sequence, ordered, primary, env);
        }
        // The new primary may not have heard of what the old one did not order.
        for (request, signature) in self.waiting.clone() {
            env.send(from, Message::Request(request, signature));
        }
    }

    fn enter(&mut self, view: u64, env: &mut Environment<M, G>) {
        self.view = view;
        self.active = true;
        self.leaving.retain(|of, _| *of > view);
        // Views before are over, except for what executes from them.
        env.emit(Event::Entered(view));
        if self.waiting.is_empty() {
            env.cancel_timer(Timer::Overdue);
        } else {
            env.set_timer(Timer::Overdue, env.now() + self.patience());
        }
    }
}

/// What goes on under its number in a new view, given who leaves for it: after the last checkpoint that is proved, up to the last
/// number that was prepared, what was prepared in the latest view; and nothing where nothing was.
fn what_goes_on<M: Machine, G: Signer<StatementOf<M>>>(
    view_changes: &[Leaving<M, G>],
) -> Vec<(u64, Ordered<M::Operation>)> {
    let stable = view_changes.iter().map(|leaving| leaving.stable.sequence).max().unwrap_or_default();
    let mut latest: BTreeMap<u64, (u64, Ordered<M::Operation>)> = BTreeMap::new();
    for one in view_changes.iter().flat_map(|leaving| &leaving.prepared) {
        let known = latest.entry(one.sequence).or_insert((one.view, one.ordered.clone()));
        if one.view > known.0 {
            *known = (one.view, one.ordered.clone());
        }
    }
    let last = latest.keys().next_back().copied().unwrap_or(stable);
    (stable + 1..=last)
        .map(|sequence| (sequence, latest.remove(&sequence).and_then(|(_, ordered)| ordered)))
        .collect()
}
