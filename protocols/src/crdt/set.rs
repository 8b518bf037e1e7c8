//! The optimised observed-remove set (Bieniusa et al. 2012): concurrently added and removed is in. It keeps one dot per
//! replica and element that added it concurrently, no tombstone, and no element that is not in.

use super::{Causal, DotStore, Dots, Map, Register};
use quipu_base::NodeId;
use quipu_base::clocks::VectorClock;

/// A set on its own (OR-set).
pub type AddWinsSet<E> = Causal<Set<E>>;

/// Elements, each with the dots of the additions that nobody has seen and removed. Adding one that is there replaces its
/// dots by a new one: so that a removal that has not seen this addition does not undo it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set<E> {
    elements: Map<E, Register<()>>,
}

impl<E> Default for Set<E> {
    fn default() -> Self {
        Set { elements: Map::default() }
    }
}

impl<E: Ord> Set<E> {
    /// Adds an element.
    pub fn add(&mut self, dots: &mut Dots<'_>, element: E) {
        self.elements.update(dots, element, |additions, dots| additions.write(dots, ()));
    }

    /// Removes an element: the additions that this replica has seen. Whether it was there.
    pub fn remove(&mut self, element: &E) -> bool {
        self.elements.remove(element)
    }

    /// Whether an element is in.
    pub fn contains(&self, element: &E) -> bool {
        self.elements.value(element).is_some()
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.elements.iter().map(|(element, _)| element)
    }
}

impl<E: Ord + Clone> DotStore for Set<E> {
    fn join(&mut self, seen: &VectorClock, other: &Self, other_seen: &VectorClock) {
        self.elements.join(seen, &other.elements, other_seen);
    }

    fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

impl<E: Ord + Clone> AddWinsSet<E> {
    /// Adds an element, at `replica`.
    pub fn add(&mut self, replica: NodeId, element: E) {
        self.change(replica, |set, dots| set.add(dots, element));
    }

    /// Removes an element, at `replica`: the additions that it has seen. Whether it was there.
    pub fn remove(&mut self, replica: NodeId, element: &E) -> bool {
        self.change(replica, |set, _| set.remove(element))
    }

    /// Whether an element is in.
    pub fn contains(&self, element: &E) -> bool {
        self.store().contains(element)
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.store().iter()
    }
}
