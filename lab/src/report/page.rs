//! The report as one HTML file: the head is written here and reads without scripts, the picture is drawn by `page/*.js`.

use super::data::{Report, VerdictKind};
use super::{story, words};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One script, in the order in which its parts build on each other.
const SCRIPTS: [&str; 4] = [
    include_str!("page/model.js"),
    include_str!("page/layout.js"),
    include_str!("page/draw.js"),
    include_str!("page/controls.js"),
];

/// The whole page: style, script and data in one file that loads nothing else.
pub fn html(report: &Report) -> String {
    fill(TEMPLATE, |marker| match marker {
        "title" => escape(&format!("{}: {}", report.program, verdict_word(report.verdict.kind))),
        "style" => STYLE.to_owned(),
        "program" => escape(&report.program),
        "paper" => escape(&report.paper),
        "promise" => escape(&report.promise),
        "verdict_kind" => verdict_word(report.verdict.kind).to_owned(),
        "verdict_mark" => verdict_mark(report.verdict.kind).to_owned(),
        "verdict" => escape(&report.verdict.text),
        "faults" => faults(report),
        "bound" => escape(&words::bound(report)),
        "search" => search(report),
        "story" => escape(&story::text(report)),
        "data" => data(report),
        "script" => format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat()),
        unknown => unreachable!("the template has a marker {unknown}"),
    })
}

/// Replaces each `{{marker}}` of the template. What is filled in is not looked at again: a program's text may hold
/// anything, markers too.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (marker, rest) = piece.split_once("}}").expect("every marker of the template is closed");
        page += &value(marker);
        page += rest;
    }
    page
}

fn verdict_word(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Violated => "violated",
        VerdictKind::Certified => "certified",
        VerdictKind::Open => "open",
    }
}

/// The verdict without colour.
fn verdict_mark(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Violated => "✕",
        VerdictKind::Certified => "✓",
        VerdictKind::Open => "…",
    }
}

fn faults(report: &Report) -> String {
    let faults = words::faults(report);
    if faults.is_empty() {
        return "<p class=\"none\">None: nothing was found that breaks it.</p>".to_owned();
    }
    let items: String = faults.iter().map(|fault| format!("<li>{}</li>", escape(fault))).collect();
    format!("<ol>{items}</ol>")
}

fn search(report: &Report) -> String {
    let own = [
        ("executions".to_owned(), words::grouped(report.search.executions)),
        ("time".to_owned(), words::seconds(report.search.seconds)),
    ];
    let row = |(label, value): &(String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(label), escape(value))
    };
    own.iter().chain(&report.search.rows).map(row).collect()
}

/// The report as JSON that can stand in a script element: `</script>` and `<!--` end or change one wherever they
/// stand, and these three characters occur in JSON only inside strings.
fn data(report: &Report) -> String {
    let json = serde_json::to_string(report).expect("a report has no map with keys that are no strings");
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            character => escaped.push(character),
        }
    }
    escaped
}
