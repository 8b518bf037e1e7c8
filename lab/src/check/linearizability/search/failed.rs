//! What has been tried and has led nowhere.

use crate::check::map::Map;
use std::hash::Hash;
use std::rc::Rc;

/// How many of each class of unanswered operations are used up, without those of which none is; ascending.
pub(super) type Used = Rc<[(usize, usize)]>;

/// Configurations from which there is no order.
pub(super) enum Failed<S> {
    /// Where every operation was answered.
    Answered(Map<(u128, S), ()>),
    /// With what was used up of the unanswered operations.
    Unanswered(Map<(u128, S), Vec<Used>>),
}

impl<S: Clone + Hash + Eq> Failed<S> {
    pub(super) fn new(unanswered: bool) -> Self {
        if unanswered { Failed::Unanswered(Map::default()) } else { Failed::Answered(Map::default()) }
    }

    /// Whether there is surely no order from here. Comparing is work too: long lists of incomparable sets must use
    /// the budget up.
    pub(super) fn has(&self, taken: u128, state: &S, used: &Used, steps: &mut u64) -> bool {
        match self {
            // A key must be owned to be looked up; most searches never get here with anything to look up.
            Failed::Answered(failed) => !failed.is_empty() && failed.contains_key(&(taken, state.clone())),
            Failed::Unanswered(failed) if failed.is_empty() => false,
            Failed::Unanswered(failed) => failed.get(&(taken, state.clone())).is_some_and(|tried| {
                *steps += tried.len() as u64;
                tried.iter().any(|earlier| is_within(earlier, used))
            }),
        }
    }

    pub(super) fn add(&mut self, taken: u128, state: S, used: Used) {
        match self {
            Failed::Answered(failed) => {
                failed.insert((taken, state), ());
            }
            Failed::Unanswered(failed) => {
                remember(failed.entry((taken, state)).or_default(), &used);
            }
        }
    }
}

/// Remembers what is used up, unless something at most as large is remembered already. Whether it was new.
pub(super) fn remember(tried: &mut Vec<Used>, used: &Used) -> bool {
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

pub(super) fn one_more(used: &Used, class: usize) -> Used {
    let mut more = used.to_vec();
    match more.binary_search_by_key(&class, |(of, _)| *of) {
        Ok(at) => more[at].1 += 1,
        Err(at) => more.insert(at, (class, 1)),
    }
    more.into()
}
