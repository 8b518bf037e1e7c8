//! The search for an order.
//!
//! A configuration is the set of answered operations that have taken effect, the unanswered ones that have, and
//! what the object then holds. From each one the search tries every operation that may be next: one that was
//! called before the first return of an operation that has not taken effect. It is depth-first, without
//! recursion, over the list of calls and returns of Lowe and Porcupine, from which operations are lifted and put
//! back. Three observations keep it small:
//!
//! * An operation that only reads may as well take effect as soon as its answer is right: if any order works, so
//!   does the one with this operation moved to the front. So nothing else is tried in its place.
//! * An unanswered operation need not take effect until an answered one needs it. So unanswered operations are
//!   tried last, in sequences that end with an answered operation, shortest first; of several that ask the same,
//!   the one called first.
//! * A configuration in which more unanswered operations are used up than in another, and which is otherwise the
//!   same, is no better. So it is not tried after the other.

use super::{Model, Operations, output_by, returned};
use crate::check::Completion;
use crate::check::linearizability::Budget;
use crate::sim::stream;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

/// What a search found.
pub(super) enum Found {
    /// An order.
    Order,
    /// That there is none; and the longest partial one, as numbers of operations.
    NoOrder(Vec<usize>),
    /// Nothing within the budget.
    Nothing,
}

/// Searches for an order of the operations up to `end`.
///
/// To show that there is none, the exact search must try every set of unanswered operations that may have taken
/// effect so far: hopeless where there are many. So if it does not come to an end soon, a search comes between
/// in which each of them may take effect any number of times. That one has few configurations, and where even it
/// finds no order there is none; only where it does, the exact search must go on.
pub(super) fn search<M: Model>(
    model: &M,
    operations: &Operations<M>,
    numbers: &[usize],
    end: u64,
    budget: Budget,
) -> Found {
    let begin = |repeats| Search::new(model, operations, numbers, end, repeats);
    let exact = begin(false);
    if exact.classes.is_empty() {
        return exact.run(budget);
    }
    let soon = 10_000 + 50 * numbers.len() as u64;
    match exact.run(Budget(budget.0.min(soon))) {
        Found::Nothing => {}
        found => return found,
    }
    match begin(true).run(budget) {
        Found::NoOrder(longest) => Found::NoOrder(longest),
        Found::Order | Found::Nothing => begin(false).run(budget),
    }
}

/// One call or return in the list.
#[derive(Clone, Copy)]
struct Entry {
    previous: usize,
    next: usize,
    /// Index into `Search::items`.
    item: usize,
    is_return: bool,
}

/// Where the list ends.
const END: usize = usize::MAX;

/// One answered operation.
struct Item {
    /// Its number in the history.
    number: usize,
    call: usize,
    ret: usize,
    /// A random number; a set of operations is known by the exclusive or of theirs. In 128 bits two sets that a
    /// search can live to see do not share one.
    signature: u128,
    only_reads: bool,
}

/// Unanswered operations that ask the same.
struct Class {
    /// Their calls (as positions in the list) and numbers, earliest first.
    members: Vec<(usize, usize)>,
}

/// How many of each class are used up, without those of which none is; ascending.
type Used = Rc<[(usize, usize)]>;

/// The standard hasher is keyed at random unless told otherwise; here everything is reproducible.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// A step: some unanswered operations, then an answered one.
struct Child<S> {
    via: Vec<usize>,
    item: usize,
    state: S,
    used: Used,
}

/// A configuration on the way, and what is still to be tried from it.
struct Frame<S> {
    /// The numbers of the operations of the step that led here.
    step: Vec<usize>,
    /// The answered one of them.
    item: Option<usize>,
    children: VecDeque<Child<S>>,
    /// What can be reached by unanswered operations alone, and has not led on yet: state, used, via.
    beyond: VecDeque<(S, Used, Vec<usize>)>,
    /// The same, and what has led on.
    reached: Map<S, Vec<Used>>,
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a Operations<M>,
    end: u64,
    /// Whether an unanswered operation may take effect any number of times.
    repeats: bool,
    items: Vec<Item>,
    classes: Vec<Class>,
    /// Entry 0 is the head.
    entries: Vec<Entry>,
    /// Which answered operations have taken effect.
    taken: u128,
    seen: Map<(u128, M::State), Vec<Used>>,
    steps: u64,
}

impl<'a, M: Model> Search<'a, M> {
    /// Lays out the calls and returns up to `end`. At one instant calls come first: operations that touch
    /// overlap, so that an order between them is never invented.
    fn new(model: &'a M, operations: &'a Operations<M>, numbers: &[usize], end: u64, repeats: bool) -> Self {
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for number in numbers {
            let operation = &operations[*number];
            if operation.invoked <= end && !matches!(operation.completion, Completion::Fail) {
                times.push((operation.invoked, false, *number));
                times.extend(returned(operation).filter(|at| *at <= end).map(|at| (at, true, *number)));
            }
        }
        times.sort_unstable();
        let head = Entry { previous: END, next: END, item: END, is_return: false };
        let mut search = Search {
            model,
            operations,
            end,
            repeats,
            items: Vec::new(),
            classes: Vec::new(),
            entries: vec![head],
            taken: 0,
            seen: Map::default(),
            steps: 0,
        };
        search.lay_out(&times);
        search
    }

    fn lay_out(&mut self, times: &[(u64, bool, usize)]) {
        let mut signatures = stream(0, "signatures", 0);
        let mut item_of: Map<usize, usize> = Map::default();
        for (_, is_return, number) in times {
            let operation = &self.operations[*number];
            let at = self.entries.len();
            let item = match output_by(operation, self.end) {
                None => {
                    self.classify(*number, at);
                    continue;
                }
                Some(_) if *is_return => item_of[number],
                Some(output) => {
                    let only_reads = self.model.only_reads(&operation.input, output);
                    let signature = signatures.u128(..);
                    self.items.push(Item { number: *number, call: at, ret: END, signature, only_reads });
                    item_of.insert(*number, self.items.len() - 1);
                    self.items.len() - 1
                }
            };
            if *is_return {
                self.items[item].ret = at;
            }
            self.entries[at - 1].next = at;
            self.entries.push(Entry { previous: at - 1, next: END, item, is_return: *is_return });
        }
    }

    /// Puts an unanswered operation, called just before the list's entry `at`, with those that ask the same.
    fn classify(&mut self, number: usize, at: usize) {
        let input = &self.operations[number].input;
        let same = |class: &&mut Class| self.operations[class.members[0].1].input == *input;
        match self.classes.iter_mut().find(same) {
            Some(class) => class.members.push((at, number)),
            None => self.classes.push(Class { members: vec![(at, number)] }),
        }
    }

    fn run(mut self, budget: Budget) -> Found {
        let root = self.expand(Vec::new(), None, self.model.initial(), Rc::from([]));
        let mut frames = vec![root];
        let mut longest: Vec<usize> = Vec::new();
        let mut deepest = 0;
        while self.entries[0].next != END {
            if self.steps > budget.0 {
                return Found::Nothing;
            }
            let depth = frames.len();
            let Some(frame) = frames.last_mut() else { return Found::NoOrder(longest) };
            if let Some(child) = frame.children.pop_front() {
                let taken = self.taken ^ self.items[child.item].signature;
                let tried = self.seen.entry((taken, child.state.clone())).or_default();
                // Comparing is work too: long lists of incomparable sets must use the budget up.
                self.steps += tried.len() as u64;
                if remember(tried, &child.used) {
                    self.lift(child.item);
                    let mut step = child.via;
                    step.push(self.items[child.item].number);
                    frames.push(self.expand(step, Some(child.item), child.state, child.used));
                }
            } else if let Some((state, used, via)) = frame.beyond.pop_front() {
                self.go_beyond(frame, &state, &used, &via);
            } else {
                if depth > deepest {
                    deepest = depth;
                    longest = frames.iter().flat_map(|frame| frame.step.iter().copied()).collect();
                }
                if let Some(item) = frames.pop().and_then(|frame| frame.item) {
                    self.unlift(item);
                }
            }
        }
        Found::Order
    }

    /// A configuration that was just reached, and what may be next.
    fn expand(
        &mut self,
        step: Vec<usize>,
        item: Option<usize>,
        state: M::State,
        used: Used,
    ) -> Frame<M::State> {
        let mut frame =
            Frame { step, item, children: VecDeque::new(), beyond: VecDeque::new(), reached: Map::default() };
        let mut at = self.entries[0].next;
        while at != END && !self.entries[at].is_return {
            let item = self.entries[at].item;
            at = self.entries[at].next;
            let Some(next) = self.try_item(item, &state) else { continue };
            let child = Child { via: Vec::new(), item, state: next, used: used.clone() };
            if self.items[item].only_reads {
                frame.children = VecDeque::from([child]);
                return frame;
            }
            frame.children.push_back(child);
        }
        if !self.classes.is_empty() {
            frame.reached.insert(state.clone(), vec![used.clone()]);
            frame.beyond.push_back((state, used, Vec::new()));
        }
        frame
    }

    /// Tries every unanswered operation that may be next after `via`, and after each every answered one.
    fn go_beyond(&mut self, frame: &mut Frame<M::State>, state: &M::State, used: &Used, via: &[usize]) {
        let first_return = self.first_return();
        for class in 0..self.classes.len() {
            let count = used.iter().find(|(of, _)| *of == class).map_or(0, |(_, count)| *count);
            let Some((call, number)) = self.classes[class].members.get(count).copied() else { continue };
            if call > first_return {
                continue;
            }
            self.steps += 1;
            let input = &self.operations[number].input;
            let Some(next) = self.model.step(state, input, None).filter(|next| next != state) else {
                continue;
            };
            let more = if self.repeats { used.clone() } else { one_more(used, class) };
            let tried = frame.reached.entry(next.clone()).or_default();
            self.steps += tried.len() as u64;
            if !remember(tried, &more) {
                continue;
            }
            let via: Vec<usize> = via.iter().copied().chain([number]).collect();
            self.add_exits(frame, &next, &more, &via);
            frame.beyond.push_back((next, more, via));
        }
    }

    /// The answered operations that may be next after `via`.
    fn add_exits(&mut self, frame: &mut Frame<M::State>, state: &M::State, used: &Used, via: &[usize]) {
        let mut at = self.entries[0].next;
        while at != END && !self.entries[at].is_return {
            let item = self.entries[at].item;
            at = self.entries[at].next;
            if let Some(next) = self.try_item(item, state) {
                frame.children.push_back(Child { via: via.to_vec(), item, state: next, used: used.clone() });
            }
        }
    }

    /// The first return in the list: what was called after it cannot be next.
    fn first_return(&self) -> usize {
        let mut at = self.entries[0].next;
        while at != END && !self.entries[at].is_return {
            at = self.entries[at].next;
        }
        at
    }

    /// What the object holds after an answered operation, if that can take effect now.
    fn try_item(&mut self, item: usize, state: &M::State) -> Option<M::State> {
        self.steps += 1;
        let operation = &self.operations[self.items[item].number];
        let next = self.model.step(state, &operation.input, output_by(operation, self.end))?;
        let reads = self.items[item].only_reads;
        assert!(!reads || next == *state, "an operation that only reads has changed the state");
        Some(next)
    }

    /// Takes an operation that has taken effect out of the list.
    fn lift(&mut self, item: usize) {
        self.taken ^= self.items[item].signature;
        for entry in [self.items[item].call, self.items[item].ret] {
            let Entry { previous, next, .. } = self.entries[entry];
            self.entries[previous].next = next;
            if next != END {
                self.entries[next].previous = previous;
            }
        }
    }

    /// Puts it back, in the opposite order.
    fn unlift(&mut self, item: usize) {
        self.taken ^= self.items[item].signature;
        for entry in [self.items[item].ret, self.items[item].call] {
            let Entry { previous, next, .. } = self.entries[entry];
            self.entries[previous].next = entry;
            if next != END {
                self.entries[next].previous = entry;
            }
        }
    }
}

/// Remembers what is used up, unless something at most as large is remembered already. Whether it was new.
fn remember(tried: &mut Vec<Used>, used: &Used) -> bool {
    if tried.iter().any(|earlier| is_within(earlier, used)) {
        return false;
    }
    tried.push(used.clone());
    true
}

/// Whether no class is used up more in `small` than in `large`.
fn is_within(small: &Used, large: &Used) -> bool {
    let mut large = large.iter();
    small.iter().all(|(class, count)| large.any(|(of, more)| of == class && more >= count))
}

fn one_more(used: &Used, class: usize) -> Used {
    let mut more = used.to_vec();
    match more.binary_search_by_key(&class, |(of, _)| *of) {
        Ok(at) => more[at].1 += 1,
        Err(at) => more.insert(at, (class, 1)),
    }
    more.into()
}
