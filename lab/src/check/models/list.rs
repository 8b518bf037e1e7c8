//! Lists that share their tails: a search keeps a state for every step, and a copy for each would be quadratic.

use std::rc::Rc;

/// A list. Cloning it costs nothing.
#[derive(Debug)]
pub(super) struct List(Option<Rc<Node>>);

#[derive(Debug)]
struct Node {
    value: u64,
    rest: List,
}

impl List {
    pub(super) fn empty() -> Self {
        List(None)
    }

    pub(super) fn with(&self, value: u64) -> Self {
        List(Some(Rc::new(Node { value, rest: self.clone() })))
    }

    pub(super) fn first(&self) -> Option<(u64, &List)> {
        self.0.as_ref().map(|node| (node.value, &node.rest))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut rest = self;
        std::iter::from_fn(move || {
            let (value, next) = rest.first()?;
            rest = next;
            Some(value)
        })
    }

    pub(super) fn reversed(&self) -> Self {
        self.iter().fold(List::empty(), |reversed, value| reversed.with(value))
    }
}

impl Clone for List {
    fn clone(&self) -> Self {
        List(self.0.clone())
    }
}

impl Drop for List {
    /// One node after the other: recursion would end a long list with a full stack.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(node) = next {
            next = Rc::into_inner(node).and_then(|mut node| node.rest.0.take());
        }
    }
}
