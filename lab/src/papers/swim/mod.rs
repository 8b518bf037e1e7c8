//! SWIM and Lifeguard: how soon a crash is noticed, what that costs, how fast it is known, and how often it is a mistake.

mod accuracy;
mod detection;
mod load;
mod world;

pub use accuracy::{MEMBERS, Mistakes, OVERLOADS, false_positives, latency};
pub use detection::first_detection;
pub use world::{Detector, Overload, World};

use super::Experiment;
use quipu_base::NodeId;
use quipu_protocols::swim::{Config, Event, State, Swim};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Every experiment of this folder.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(detection::Detection),
        Box::new(load::Load),
        Box::new(load::Dissemination),
        Box::new(accuracy::Accuracy),
    ]
}

/// A protocol period.
pub const PERIOD: Duration = Duration::from_secs(1);
/// A message takes at least so long, and at most twice.
const LATENCY: Duration = Duration::from_millis(1);

impl Detector for Swim {
    fn buried(event: &Event) -> Option<NodeId> {
        match event {
            Event::Changed { member, state: State::Dead, .. } => Some(*member),
            _ => None,
        }
    }
}

fn local(id: NodeId, roster: &Arc<Vec<NodeId>>) -> Config {
    Config { period: PERIOD, ..Config::local_network(id, Arc::clone(roster)) }
}

/// Members 1 to n.
pub fn roster(members: u64) -> Arc<Vec<NodeId>> {
    Arc::new((1..=members).map(NodeId).collect())
}

/// What comes of each job, in their order, on two threads.
fn each<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<R>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        while let Some((place, job)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(place).map(|job| (place, job))
        } {
            let result = work(job);
            done.lock().expect("no thread panics while it holds the results")[place] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        worker();
    });
    let done = done.into_inner().expect("no thread panics while it holds the results");
    done.into_iter().map(|result| result.expect("every job is done")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_protocols::swim::Lifeguard;

    #[test]
    fn lifeguard_makes_fewer_mistakes_and_the_same_seed_the_same() {
        let mistakes = |lifeguard| {
            let found = false_positives::<Swim>(4, 1, |id, roster| Config { lifeguard, ..local(id, roster) });
            (found.all, found.healthy)
        };
        let (swim, full) = (mistakes(Lifeguard::OFF), mistakes(Lifeguard::FULL));
        assert_eq!(swim, mistakes(Lifeguard::OFF));
        assert!(swim.0 > 10 * full.0 && swim.0 > 100, "{swim:?} without Lifeguard, {full:?} with it");
    }

    #[test]
    fn the_results_are_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..1000).collect();
        assert_eq!(each(&jobs, |job| job * 2), jobs.iter().map(|job| job * 2).collect::<Vec<_>>());
    }
}
