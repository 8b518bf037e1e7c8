//! The calls and returns of the answered operations, in order, as a list from which operations can be lifted.

use crate::check::linearizability::{Model, PartOf};
use crate::sim::stream;

/// One call or return in the list.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) previous: usize,
    pub(super) next: usize,
    /// Index into the items.
    item: usize,
    is_return: bool,
}

/// The entry before the first.
pub(super) const HEAD: usize = 0;
/// Where the list ends.
pub(super) const END: usize = usize::MAX;

/// One answered operation.
pub(super) struct Item {
    /// Its position in the parts.
    pub(super) part: usize,
    pub(super) call: usize,
    pub(super) ret: usize,
    /// A random number; a set of operations is known by the exclusive or of theirs. In 128 bits two sets that a
    /// search can live to see do not share one.
    pub(super) signature: u128,
    pub(super) only_reads: bool,
    pub(super) is_eager: bool,
}

/// Unanswered operations that ask the same.
pub(super) struct Class {
    /// Their calls (as positions in the list) and positions in the parts, earliest first.
    pub(super) members: Vec<(usize, usize)>,
}

/// The list, and what it is a list of.
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    pub(super) items: Vec<Item>,
}

/// Lays out calls and returns. At one instant calls come first: operations that touch overlap, so that an order
/// between them is never invented.
pub(super) fn lay_out<M: Model>(model: &M, parts: &[PartOf<'_, M>]) -> (List, Vec<Class>) {
    let mut times: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * parts.len());
    for (at, part) in parts.iter().enumerate() {
        times.push((part.invoked, false, at));
        times.extend(part.returned.map(|returned| (returned, true, at)));
    }
    times.sort_unstable();
    let head = Entry { previous: END, next: END, item: END, is_return: false };
    let mut list =
        List { entries: Vec::with_capacity(times.len() + 1), items: Vec::with_capacity(parts.len()) };
    list.entries.push(head);
    let mut classes: Vec<Class> = Vec::new();
    let mut signatures = stream(0, "signatures", 0);
    let mut item_of: Vec<usize> = vec![END; parts.len()];
    for (_, is_return, at) in times {
        let part = &parts[at];
        let Some(output) = part.output else {
            classify(parts, &mut classes, at, list.entries.len());
            continue;
        };
        if is_return {
            let item = item_of[at];
            list.items[item].ret = list.push(item, true);
            continue;
        }
        let only_reads = model.only_reads(part.input, output);
        let is_eager = only_reads || model.is_eager(part.input, output);
        item_of[at] = list.items.len();
        let call = list.push(item_of[at], false);
        let signature = signatures.u128(..);
        list.items.push(Item { part: at, call, ret: END, signature, only_reads, is_eager });
    }
    (list, classes)
}

/// Puts an unanswered operation, called just before the list's entry `call`, with those that ask the same.
fn classify<I: PartialEq, O>(
    parts: &[crate::check::linearizability::Part<'_, I, O>],
    classes: &mut Vec<Class>,
    at: usize,
    call: usize,
) {
    let same = |class: &&mut Class| parts[class.members[0].1].input == parts[at].input;
    match classes.iter_mut().find(same) {
        Some(class) => class.members.push((call, at)),
        None => classes.push(Class { members: vec![(call, at)] }),
    }
}

impl List {
    fn push(&mut self, item: usize, is_return: bool) -> usize {
        let at = self.entries.len();
        self.entries[at - 1].next = at;
        self.entries.push(Entry { previous: at - 1, next: END, item, is_return });
        at
    }

    /// The operation that is called at an entry, if it is a call.
    pub(super) fn call(&self, at: usize) -> Option<usize> {
        let entry = self.entries.get(at)?;
        (!entry.is_return).then_some(entry.item)
    }

    /// The operations called from an entry on, up to the first return.
    pub(super) fn calls_from(&self, mut at: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::from_fn(move || {
            let item = self.call(at)?;
            at = self.entries[at].next;
            Some(item)
        })
    }

    /// The first return in the list: what was called after it cannot be next.
    pub(super) fn first_return(&self) -> usize {
        let mut at = self.entries[HEAD].next;
        while self.call(at).is_some() {
            at = self.entries[at].next;
        }
        at
    }

    /// Takes an operation that has taken effect out of the list.
    pub(super) fn lift(&mut self, item: usize) {
        for entry in [self.items[item].call, self.items[item].ret] {
            let Entry { previous, next, .. } = self.entries[entry];
            self.entries[previous].next = next;
            if next != END {
                self.entries[next].previous = previous;
            }
        }
    }

    /// Puts it back, in the opposite order.
    pub(super) fn put_back(&mut self, item: usize) {
        for entry in [self.items[item].ret, self.items[item].call] {
            let Entry { previous, next, .. } = self.entries[entry];
            self.entries[previous].next = entry;
            if next != END {
                self.entries[next].previous = entry;
            }
        }
    }
}
