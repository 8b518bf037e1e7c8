//! The laws of the logical clocks, over random histories, and the anomaly that dotted version vectors are for.

mod dotted;
mod formats;
mod hybrid;
mod siblings;
mod vector;

use quipu_base::Rng;

/// Runs a property over so many random histories; a failure names the seed that repeats it.
fn for_seeds(seeds: u64, property: impl Fn(&mut Rng)) {
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            property(&mut Rng::with_seed(seed));
        }));
        if let Err(panic) = outcome {
            eprintln!("with seed {seed}:");
            std::panic::resume_unwind(panic);
        }
    }
}
