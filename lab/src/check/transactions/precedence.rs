//! What came before what, by intervals: an edge from whatever ended before something else began.
//!
//! There are quadratically many such pairs. All of them follow from those between an operation and the last ones that
//! ended before it began: one sweep over the beginnings and ends keeps a frontier of operations that have ended and
//! that no other ended operation comes after. The frontier is never larger than what overlaps at one time, so that
//! the edges are at most as many as the operations times their concurrency (Kingsbury and Alvaro 2020, section 6).

/// An operation: its node, when it began, and when it ended, if it is known to have.
#[derive(Clone, Copy)]
pub(in crate::check) struct Interval {
    pub(in crate::check) node: u32,
    pub(in crate::check) begin: u64,
    pub(in crate::check) end: Option<u64>,
}

/// Calls `edge` with the nodes of pairs of intervals, of which the first ended before the second began. Every such
/// pair is connected by the calls, directly or over others.
pub(in crate::check) fn reduced(intervals: &[Interval], mut edge: impl FnMut(u32, u32)) {
    let begins = intervals.iter().enumerate().map(|(number, interval)| (interval.begin, false, number));
    let ends = intervals.iter().enumerate();
    let ends = ends.filter_map(|(number, interval)| Some((interval.end?, true, number)));
    let mut moments: Vec<(u64, bool, usize)> = begins.chain(ends).collect();
    // What ends and what begins at the same time overlap: beginnings first.
    moments.sort_unstable();
    let mut frontier: Vec<Interval> = Vec::new();
    for (_, is_end, number) in moments {
        let interval = intervals[number];
        if is_end {
            frontier.retain(|earlier| earlier.end >= Some(interval.begin));
            frontier.push(interval);
        } else {
            frontier.iter().for_each(|earlier| edge(earlier.node, interval.node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_imply_every_pair_and_nothing_else() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(1..12);
            let intervals: Vec<Interval> = (0..count as u32)
                .map(|node| {
                    let begin = random.u64(0..20);
                    let end = random.bool().then(|| begin + random.u64(0..6));
                    Interval { node, begin, end }
                })
                .collect();
            let mut before = vec![vec![false; count]; count];
            reduced(&intervals, |from, to| before[from as usize][to as usize] = true);
            for middle in 0..count {
                for from in 0..count {
                    for to in 0..count {
                        before[from][to] |= before[from][middle] && before[middle][to];
                    }
                }
            }
            for (from, one) in intervals.iter().enumerate() {
                for (to, other) in intervals.iter().enumerate() {
                    let expected = one.end.is_some_and(|end| end < other.begin);
                    assert_eq!(before[from][to], expected, "seed {seed}: {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_long_history_of_few_processes_has_few_edges() {
        let interval = |node: u32| {
            let begin = u64::from(node / 10 * 10);
            Interval { node, begin, end: Some(begin + 5 + u64::from(node % 4)) }
        };
        let intervals: Vec<Interval> = (0..100_000).map(interval).collect();
        let mut edges = 0;
        reduced(&intervals, |_, _| edges += 1);
        assert!(edges <= 1_000_000, "{edges}");
    }
}
