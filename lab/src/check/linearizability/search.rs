//! The search for an order.
//!
//! A configuration is the set of answered operations that have taken effect, the unanswered ones that have, and
//! what the object then holds. From each one the search tries every operation that may be next: one that was
//! called before the first return of an operation that has not taken effect. It is depth-first, without
//! recursion, over the list of calls and returns of Lowe and Porcupine, from which operations are lifted and put
//! back. These observations keep it small and quick:
//!
//! * An operation that only reads may as well take effect as soon as its answer is right: if any order works, so
//!   does the one with this operation moved to the front. So nothing else is tried in its place. A model may know
//!   more of that kind ([`Model::is_eager`]).
//! * On the way down no configuration can come twice, since each has more operations than the last. So it is
//!   enough to remember those that have led nowhere, and a search that hardly ever turns back remembers hardly
//!   anything.
//! * A set of operations is known by the exclusive or of random numbers, one for each: telling two sets apart
//!   costs the same for ten operations and for a million.
//! * Which operation is tried first decides how often the search turns back ([`Model::guide`]).
//! * An unanswered operation need not take effect until an answered one needs it. So unanswered operations are
//!   tried last, in sequences that end with an answered operation, shortest first; of several that ask the same,
//!   the one called first.
//! * A configuration in which more unanswered operations are used up than in another, and which is otherwise the
//!   same, is no better. So it is not tried after the other.

mod failed;
mod list;

use super::{Model, PartOf};
use crate::check::map::Map;
use failed::{Failed, Used, one_more, remember};
use list::{Class, END, HEAD, List};
use std::collections::VecDeque;
use std::rc::Rc;

/// What a search found.
pub(super) enum Found {
    /// An order.
    Order,
    /// That there is none.
    NoOrder,
    /// Nothing within the budget.
    Nothing,
}

/// Searches for an order, for as many steps as are in the purse.
///
/// To show that there is none, the exact search must try every set of unanswered operations that may have taken
/// effect so far: hopeless where there are many. So if it does not come to an end soon, a search comes between
/// in which each of them may take effect any number of times. That one has few configurations, and where even it
/// finds no order there is none; only where it does, the exact search must go on.
pub(super) fn search<M: Model>(model: &M, parts: &[PartOf<'_, M>], purse: &mut u64) -> Found {
    run(model, parts, purse, &mut None)
}

/// The longest beginning of an order, of parts that have none, as positions.
pub(super) fn longest_order<M: Model>(model: &M, parts: &[PartOf<'_, M>], steps: u64) -> Vec<usize> {
    let mut longest = Some(Vec::new());
    run(model, parts, &mut { steps }, &mut longest);
    longest.unwrap_or_default()
}

fn run<M: Model>(
    model: &M,
    parts: &[PartOf<'_, M>],
    purse: &mut u64,
    longest: &mut Option<Vec<usize>>,
) -> Found {
    let mut begin = |repeats: bool, purse: &mut u64, limit: u64| {
        let mut search = Search::new(model, parts, repeats, longest.is_some());
        let found = search.run(limit.min(*purse));
        *purse = purse.saturating_sub(search.steps);
        if let Some(longest) = longest.as_mut().filter(|longest| longest.len() < search.longest.len()) {
            *longest = search.longest;
        }
        found
    };
    let all_answered = parts.iter().all(|part| part.output.is_some());
    let soon = if all_answered { u64::MAX } else { 10_000 + 50 * parts.len() as u64 };
    match begin(false, purse, soon) {
        Found::Nothing if *purse > 0 && !all_answered => {}
        found => return found,
    }
    match begin(true, purse, u64::MAX) {
        Found::NoOrder => Found::NoOrder,
        Found::Order | Found::Nothing => begin(false, purse, u64::MAX),
    }
}

/// A configuration on the way, and what is still to be tried from it.
struct Frame<S> {
    /// The unanswered operations that took effect just before the answered one that led here, as positions.
    via: Vec<usize>,
    /// The answered one.
    item: Option<usize>,
    state: S,
    used: Used,
    /// Whether nothing else was to be tried in its place.
    forced: bool,
    /// Where the search for eager operations begins: those before it were tried in this very state.
    begin: usize,
    stage: Stage,
    beyond: Option<Box<Beyond<S>>>,
}

/// What comes next from a configuration.
enum Stage {
    /// An operation that is eager.
    Eager,
    /// The answered operations from this entry of the list on.
    From(usize),
    /// These answered operations, the last first.
    These(Vec<usize>),
    /// Sequences of unanswered operations.
    Unanswered,
    /// Nothing: there is no order from here.
    Nothing,
}

/// What can be reached from a configuration by unanswered operations.
struct Beyond<S> {
    /// What is reached by them alone, and has not led on yet: state, used, via.
    waiting: VecDeque<(S, Used, Vec<usize>)>,
    /// The same, and what has led on.
    reached: Map<S, Vec<Used>>,
    /// What is reached by an answered operation after them.
    exits: VecDeque<Frame<S>>,
}

struct Search<'a, 'p, M: Model> {
    model: &'a M,
    parts: &'a [PartOf<'p, M>],
    /// Whether an unanswered operation may take effect any number of times.
    repeats: bool,
    list: List,
    classes: Vec<Class>,
    ranks: Option<Vec<u64>>,
    /// Which answered operations have taken effect.
    taken: u128,
    failed: Failed<M::State>,
    steps: u64,
    /// Whether the longest order counts, and that order.
    track: bool,
    deepest: usize,
    longest: Vec<usize>,
}

impl<'a, 'p, M: Model> Search<'a, 'p, M> {
    fn new(model: &'a M, parts: &'a [PartOf<'p, M>], repeats: bool, track: bool) -> Self {
        let (list, classes) = list::lay_out(model, parts);
        let failed = Failed::new(!classes.is_empty());
        let ranks = model.guide(parts);
        assert!(ranks.as_ref().is_none_or(|ranks| ranks.len() == parts.len()), "a guide ranks every part");
        Search {
            model,
            parts,
            repeats,
            list,
            classes,
            ranks,
            taken: 0,
            failed,
            steps: 0,
            track,
            deepest: 0,
            longest: Vec::new(),
        }
    }

    fn run(&mut self, budget: u64) -> Found {
        let mut frames = vec![Frame::new(Vec::new(), None, self.model.initial(), Rc::from([]))];
        while self.list.entries[HEAD].next != END {
            if self.steps > budget {
                self.note(&frames);
                return Found::Nothing;
            }
            let Some(frame) = frames.last_mut() else { return Found::NoOrder };
            if let Some(child) = self.next(frame) {
                let item = child.item.expect("a step ends with an answered operation");
                self.taken ^= self.list.items[item].signature;
                self.list.lift(item);
                frames.push(child);
            } else {
                self.note(&frames);
                self.turn_back(&mut frames);
            }
        }
        Found::Order
    }

    /// The next configuration to go on to.
    fn next(&mut self, frame: &mut Frame<M::State>) -> Option<Frame<M::State>> {
        loop {
            match &mut frame.stage {
                Stage::Eager => {
                    if let Some(child) = self.eager(frame) {
                        frame.stage = Stage::Nothing;
                        return Some(child);
                    }
                    frame.stage = self.answered();
                }
                Stage::From(at) => match self.list.call(*at) {
                    Some(item) => {
                        *at = self.list.entries[*at].next;
                        if let Some(child) = self.attempt(item, &frame.state, &frame.used) {
                            return Some(child);
                        }
                    }
                    None => frame.stage = Stage::Unanswered,
                },
                Stage::These(items) => match items.pop() {
                    Some(item) => {
                        if let Some(child) = self.attempt(item, &frame.state, &frame.used) {
                            return Some(child);
                        }
                    }
                    None => frame.stage = Stage::Unanswered,
                },
                Stage::Unanswered => {
                    let exit = if self.classes.is_empty() { None } else { self.beyond(frame) };
                    if exit.is_none() {
                        frame.stage = Stage::Nothing;
                    }
                    return exit;
                }
                Stage::Nothing => return None,
            }
        }
    }

    /// The eager operation to go on with, if the answer of one is right. One that only reads is as good as any;
    /// of the others it must be the one that returned first.
    fn eager(&mut self, frame: &Frame<M::State>) -> Option<Frame<M::State>> {
        let mut at = if frame.begin == HEAD { self.list.entries[HEAD].next } else { frame.begin };
        let mut best: Option<(usize, M::State)> = None;
        while let Some(item) = self.list.call(at) {
            at = self.list.entries[at].next;
            let found = &self.list.items[item];
            if !found.is_eager {
                continue;
            }
            let (only_reads, ret) = (found.only_reads, found.ret);
            let Some(next) = self.step(item, &frame.state) else { continue };
            if only_reads {
                // What stands before it was tried in this state, unless something that changes the state waits.
                let after = if at == ret { self.list.entries[ret].next } else { at };
                let begin = if best.is_none() { after } else { HEAD };
                let forced = Frame::new(Vec::new(), Some(item), next, frame.used.clone());
                return Some(Frame { forced: true, begin, ..forced });
            }
            if best.as_ref().is_none_or(|(other, _)| ret < self.list.items[*other].ret) {
                best = Some((item, next));
            }
        }
        let (item, next) = best?;
        Some(Frame { forced: true, ..Frame::new(Vec::new(), Some(item), next, frame.used.clone()) })
    }

    /// The stage in which the answered operations that are not eager are tried.
    fn answered(&self) -> Stage {
        let first = self.list.entries[HEAD].next;
        let Some(ranks) = &self.ranks else { return Stage::From(first) };
        let mut items: Vec<usize> = self.list.calls_from(first).collect();
        items.retain(|item| !self.list.items[*item].is_eager);
        items.sort_by_key(|item| std::cmp::Reverse((ranks[self.list.items[*item].part], *item)));
        Stage::These(items)
    }

    /// The configuration after an answered operation, if its answer is right and it may lead anywhere.
    fn attempt(&mut self, item: usize, state: &M::State, used: &Used) -> Option<Frame<M::State>> {
        if self.list.items[item].is_eager {
            return None;
        }
        let next = self.step(item, state)?;
        let taken = self.taken ^ self.list.items[item].signature;
        (!self.failed.has(taken, &next, used, &mut self.steps))
            .then(|| Frame::new(Vec::new(), Some(item), next, used.clone()))
    }

    /// The next configuration that unanswered operations lead to, with an answered one after them.
    fn beyond(&mut self, frame: &mut Frame<M::State>) -> Option<Frame<M::State>> {
        let (state, used) = (&frame.state, &frame.used);
        let beyond = frame.beyond.get_or_insert_with(|| {
            let mut reached: Map<M::State, Vec<Used>> = Map::default();
            reached.insert(state.clone(), vec![used.clone()]);
            let waiting = VecDeque::from([(state.clone(), used.clone(), Vec::new())]);
            Box::new(Beyond { waiting, reached, exits: VecDeque::new() })
        });
        loop {
            while let Some(exit) = beyond.exits.pop_front() {
                let item = exit.item.expect("an exit is an answered operation");
                let taken = self.taken ^ self.list.items[item].signature;
                if !self.failed.has(taken, &exit.state, &exit.used, &mut self.steps) {
                    return Some(exit);
                }
            }
            let (state, used, via) = beyond.waiting.pop_front()?;
            self.go_beyond(beyond, &state, &used, &via);
        }
    }

    /// Tries every unanswered operation that may be next after `via`, and after each every answered one.
    fn go_beyond(&mut self, beyond: &mut Beyond<M::State>, state: &M::State, used: &Used, via: &[usize]) {
        let first_return = self.list.first_return();
        for class in 0..self.classes.len() {
            let count = used.iter().find(|(of, _)| *of == class).map_or(0, |(_, count)| *count);
            let Some((call, part)) = self.classes[class].members.get(count).copied() else { continue };
            if call > first_return {
                continue;
            }
            self.steps += 1;
            let input = self.parts[part].input;
            let Some(next) = self.model.step(state, input, None).filter(|next| next != state) else {
                continue;
            };
            let more = if self.repeats { used.clone() } else { one_more(used, class) };
            let tried = beyond.reached.entry(next.clone()).or_default();
            self.steps += tried.len() as u64;
            if !remember(tried, &more) {
                continue;
            }
            let via: Vec<usize> = via.iter().copied().chain([part]).collect();
            let calls: Vec<usize> = self.list.calls_from(self.list.entries[HEAD].next).collect();
            for item in calls {
                if let Some(after) = self.step(item, &next) {
                    beyond.exits.push_back(Frame::new(via.clone(), Some(item), after, more.clone()));
                }
            }
            beyond.waiting.push_back((next, more, via));
        }
    }

    /// What the object holds after an answered operation, if that can take effect now.
    fn step(&mut self, item: usize, state: &M::State) -> Option<M::State> {
        self.steps += 1;
        let item = &self.list.items[item];
        let part = &self.parts[item.part];
        let next = self.model.step(state, part.input, part.output)?;
        assert!(!item.only_reads || next == *state, "an operation that only reads has changed the state");
        Some(next)
    }

    /// Gives a configuration up for good.
    fn turn_back(&mut self, frames: &mut Vec<Frame<M::State>>) {
        let Some(frame) = frames.pop() else { return };
        let Some(item) = frame.item else { return };
        // Of a forced step, the configuration before it will be remembered.
        if !frame.forced {
            self.failed.add(self.taken, frame.state, frame.used);
        }
        self.taken ^= self.list.items[item].signature;
        self.list.put_back(item);
    }

    /// Keeps the order so far, if it counts and is the longest.
    fn note(&mut self, frames: &[Frame<M::State>]) {
        if self.track && frames.len() > self.deepest {
            self.deepest = frames.len();
            let step = |frame: &Frame<M::State>| {
                frame
                    .via
                    .iter()
                    .copied()
                    .chain(frame.item.map(|item| self.list.items[item].part))
                    .collect::<Vec<_>>()
            };
            self.longest = frames.iter().flat_map(step).collect();
        }
    }
}

impl<S> Frame<S> {
    fn new(via: Vec<usize>, item: Option<usize>, state: S, used: Used) -> Self {
        Frame { via, item, state, used, forced: false, begin: HEAD, stage: Stage::Eager, beyond: None }
    }
}
