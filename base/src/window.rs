//! Which of the numbers that somebody counts have come: what telling a repetition from news takes.

use alloc::collections::BTreeSet;

/// The numbers that have come of a count that begins at 0: every one below some number, and some beyond it. It remembers
/// at most [`Window::SPAN`] numbers, however long the count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Window {
    below: u64,
    beyond: BTreeSet<u64>,
}

/// What a number is to a [`Window`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It had not come before.
    New,
    /// It had.
    Known,
    /// It is so far ahead of one that is missing that it cannot be remembered: whoever sent it must send it again.
    TooFar,
}

impl Window {
    /// How far beyond the first number that is missing a number may be.
    pub const SPAN: u64 = 65_536;

    /// A number comes.
    pub fn admit(&mut self, number: u64) -> Admission {
        if self.has(number) {
            return Admission::Known;
        }
        if number - self.below >= Self::SPAN {
            return Admission::TooFar;
        }
        self.beyond.insert(number);
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
        Admission::New
    }

    /// Whether a number has come.
    pub fn has(&self, number: u64) -> bool {
        number < self.below || self.beyond.contains(&number)
    }

    /// The first number that has not come.
    pub fn missing(&self) -> u64 {
        self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_news_once_in_any_order() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut numbers: alloc::vec::Vec<u64> = (0..500).chain(0..500).collect();
        random.shuffle(&mut numbers);
        let mut window = Window::default();
        let news = numbers.iter().filter(|number| window.admit(**number) == Admission::New).count();
        assert_eq!((news, window.missing(), window.beyond.len()), (500, 500, 0));
    }

    #[test]
    fn what_is_too_far_ahead_is_refused_until_the_gap_is_filled() {
        let mut window = Window::default();
        assert_eq!(window.admit(Window::SPAN), Admission::TooFar);
        assert_eq!(window.admit(u64::MAX), Admission::TooFar);
        assert_eq!(window.admit(0), Admission::New);
        assert_eq!(window.admit(Window::SPAN), Admission::New);
        assert!(window.has(Window::SPAN) && !window.has(1));
    }
}
