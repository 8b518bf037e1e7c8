//! Files against models of which a history may have some and not others: isolation levels, session guarantees, causal
//! consistency. They need no budget, since nothing is searched for.

use super::{Event, Judgement, Malformed, Opinion};
use crate::check::diagram::Diagram;
use crate::check::guarantees::{self, Guarantee, Order};
use crate::check::{causal, transactions};
use serde_json::{Value, json};

/// A judgement that tells of everything that was found.
fn judgement(
    good: bool,
    summary: String,
    report: String,
    json: Value,
    diagram: Option<&Diagram>,
) -> Judgement {
    let opinion = if good { Opinion::Good } else { Opinion::Bad };
    let report = if diagram.is_some() { report } else { String::new() };
    Judgement { opinion, summary, report, json, picture: diagram.map(Diagram::svg) }
}

/// Transactions of appends to lists; good is strict serializable.
pub(super) fn list_append(events: &[Event]) -> Result<Judgement, Malformed> {
    let history = transactions::from_events(events)?;
    let report = transactions::check(&history)?;
    let good = report.holds(transactions::Level::StrictSerializable);
    let strongest = report.strongest().map(|level| level.to_string());
    let summary = format!(
        "{}: {} transactions committed",
        strongest.as_deref().unwrap_or("not even read uncommitted"),
        report.committed
    );
    let levels = transactions::Level::ALL.into_iter().filter(|level| report.holds(*level));
    let anomalies = report.anomalies.iter().map(|anomaly| {
        json!({"kind": anomaly.kind.to_string(), "transactions": anomaly.transactions, "words": anomaly.words})
    });
    let counts = report.counts.iter().map(|(kind, count)| (kind.to_string(), json!(count)));
    let json = json!({
        "verdict": strongest,
        "levels": levels.map(|level| level.to_string()).collect::<Vec<_>>(),
        "transactions": report.committed,
        "counts": counts.collect::<serde_json::Map<_, _>>(),
        "anomalies": anomalies.collect::<Vec<_>>(),
    });
    let diagram = report.anomalies.first().map(|anomaly| &anomaly.diagram);
    Ok(judgement(good, summary, report.to_string(), json, diagram))
}

/// Registers and what sessions are promised; good is all of it.
pub(super) fn sessions(events: &[Event]) -> Result<Judgement, Malformed> {
    let history = causal::from_events(events)?;
    let report = guarantees::check(&history, Order::of(&history))?;
    let good = report.holds_together();
    let broken: Vec<String> = Guarantee::ALL
        .into_iter()
        .filter(|guarantee| !report.holds(*guarantee))
        .map(|guarantee| guarantee.to_string())
        .collect();
    let verdict = match (good, broken.is_empty()) {
        (true, _) => "nothing contradicts the session guarantees".to_owned(),
        (false, true) => "the session guarantees cannot hold together".to_owned(),
        (false, false) => format!("violated: {}", broken.join(", ")),
    };
    let violations = report.violations.iter().map(|violation| {
        let names: Vec<String> = violation.guarantees.iter().map(Guarantee::to_string).collect();
        json!({"guarantees": names, "operations": violation.operations, "words": violation.words})
    });
    let violations = violations.collect::<Vec<_>>();
    let json = json!({"verdict": verdict, "operations": report.operations, "violated": broken, "violations": violations});
    let diagram = report.violations.first().map(|violation| &violation.diagram);
    Ok(judgement(
        good,
        format!("{verdict}: {} operations", report.operations),
        report.to_string(),
        json,
        diagram,
    ))
}

/// Registers and causal consistency; good is the weakest of the three models, since no store has to have the others.
pub(super) fn causal(events: &[Event]) -> Result<Judgement, Malformed> {
    let history = causal::from_events(events)?;
    let report = causal::check(&history)?;
    let good = report.holds(causal::Model::CausalConsistency);
    let held = causal::Model::ALL.into_iter().filter(|model| report.holds(*model));
    let held: Vec<String> = held.map(|model| model.to_string()).collect();
    let verdict = if good { held.join(", ") } else { "not causally consistent".to_owned() };
    let violations = report.violations.iter().map(|violation| {
        let pattern = violation.pattern.to_string();
        json!({"pattern": pattern, "operations": violation.operations, "words": violation.words})
    });
    let violations = violations.collect::<Vec<_>>();
    let json = json!({"verdict": verdict, "operations": report.operations, "models": held, "violations": violations});
    let diagram = report.violations.first().map(|violation| &violation.diagram);
    Ok(judgement(
        good,
        format!("{verdict}: {} operations", report.operations),
        report.to_string(),
        json,
        diagram,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{MODELS, parse};
    use super::*;

    fn judge(model: &str, operations: &[(u64, &str, &str)]) -> Judgement {
        let event = |(process, f, value): &(u64, &str, &str)| {
            ["invoke", "ok"]
                .map(|kind| format!(r#"{{"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#))
        };
        let lines: Vec<String> = operations.iter().flat_map(event).collect();
        let model = MODELS.iter().find(|known| known.name == model).expect("a model");
        let events = parse(&lines.join("\n")).expect("it is JSON");
        (model.judge)(&events, crate::check::Budget::default()).expect("it is well formed")
    }

    #[test]
    fn a_good_history_has_a_verdict_and_nothing_to_draw() {
        let good =
            judge("list-append", &[(0, "txn", r#"[["append","x",1]]"#), (1, "txn", r#"[["r","x",[1]]]"#)]);
        assert_eq!(
            (good.opinion, good.summary.as_str()),
            (Opinion::Good, "strict serializable: 2 transactions committed")
        );
        for model in ["sessions", "causal"] {
            let good = judge(model, &[(0, "write", "1"), (1, "read", "1")]);
            assert_eq!(good.opinion, Opinion::Good);
            assert!(good.report.is_empty() && good.picture.is_none());
        }
    }

    #[test]
    fn a_bad_history_is_told_in_words_in_json_and_as_a_picture() {
        let stale =
            judge("list-append", &[(0, "txn", r#"[["append","x",1]]"#), (1, "txn", r#"[["r","x",[]]]"#)]);
        assert_eq!(stale.opinion, Opinion::Bad);
        assert_eq!(stale.summary, "strong session serializable: 2 transactions committed");
        assert_eq!(stale.json["counts"]["G-single-realtime"], 1);
        assert!(stale.report.contains("T1 read x as [], without T0's append of 1"), "{}", stale.report);
        let back = [(0, "write", "1"), (0, "write", "2"), (0, "read", "1")];
        for (model, summary) in [
            ("sessions", "the session guarantees cannot hold together: 3 operations"),
            ("causal", "not causally consistent: 3 operations"),
        ] {
            let bad = judge(model, &back);
            assert_eq!((bad.opinion, bad.summary.as_str()), (Opinion::Bad, summary));
            assert_eq!(bad.json["violations"][0]["operations"].as_array().map(Vec::len), Some(3));
            assert!(bad.picture.is_some_and(|picture| picture.starts_with("<svg")));
        }
    }
}
