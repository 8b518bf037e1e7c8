//! docs/PAPERS.md.

use super::row::number;
use super::{Findings, Row, Verdict};
use std::fmt::Write;

const PREFACE: &str = "\
# The papers' numbers, and ours

Written by `cargo run --release -- lab papers`: do not edit. Every number below comes from our own protocols, run in the lab from fixed
seeds, so the same command writes the same page. *Published* is what the paper prints, *ours* is what we measure, and the last
column says whether ours is as published within what the row allows, or why it cannot be held against it.
";

/// The page. Pictures are expected beside it, in `papers/`.
pub fn markdown(findings: &[Findings]) -> String {
    let mut page = String::from(PREFACE);
    writeln!(page, "\n{}\n", summary(findings.iter().flat_map(|findings| &findings.rows)))
        .expect("writing to a string");
    for findings in findings {
        writeln!(page, "- [{}](#{}): {}", findings.title, anchor(&findings.title), summary(&findings.rows))
            .expect("writing to a string");
    }
    for findings in findings {
        section(&mut page, findings).expect("writing to a string");
    }
    page
}

fn section(page: &mut String, findings: &Findings) -> std::fmt::Result {
    writeln!(page, "\n## {}\n\n{}\n\n{}", findings.title, findings.source, findings.method)?;
    if !findings.rows.is_empty() {
        writeln!(page, "\n| what | published | ours | difference | |\n|---|---|---|---|---|")?;
    }
    for row in &findings.rows {
        let unit = if row.unit.is_empty() { String::new() } else { format!(" ({})", row.unit) };
        let cells = [
            format!("{}{unit}", row.what),
            row.published.clone(),
            number(row.ours),
            row.difference(),
            judged(&row.verdict),
        ];
        writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).join(" | "))?;
    }
    for figure in &findings.figures {
        writeln!(page, "\n![{}](papers/{}.svg)", figure.title, figure.name)?;
    }
    Ok(())
}

fn judged(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Met(how) => format!("met, {how}"),
        Verdict::Missed(how) => format!("**MISSED**, {how}"),
        Verdict::Open(why) => format!("open: {why}"),
        Verdict::Context => String::new(),
    }
}

fn summary<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let (mut met, mut missed, mut open) = (0, 0, 0);
    for row in rows {
        match row.verdict {
            Verdict::Met(_) => met += 1,
            Verdict::Missed(_) => missed += 1,
            Verdict::Open(_) => open += 1,
            Verdict::Context => {}
        }
    }
    let mut words = vec![format!("{met} met")];
    words.extend((missed > 0).then(|| format!("**{missed} missed**")));
    words.extend((open > 0).then(|| format!("{open} open")));
    words.join(", ")
}

/// The address of a title within a page, as Markdown's readers make it.
pub fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
