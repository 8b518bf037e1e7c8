//! Ben-Or's consensus under lineage-driven fault injection.

use quipu_lab::ldfi::{Limits, Program, Verdict, search};
use quipu_lab::shelf::benor::BenOrAgreement;

#[test]
fn nobody_decides_differently() {
    let outcome = search(&BenOrAgreement, &BenOrAgreement.card().spec, Limits::default(), &mut |_| {});
    println!("{} runs, {} vacuous, {:?}", outcome.executions, outcome.vacuous, outcome.elapsed);
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
    assert!(outcome.unreached.is_empty());
}
