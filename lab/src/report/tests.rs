//! What a page and a story must hold, whatever a program says.

use super::data::{
    Belief, Crash, Fate, Fault, Message, Node, Outcome, Report, Run, Search, Spec, Step, StepKind, Verdict,
    VerdictKind,
};
use super::{html, text, words};
use quipu_base::NodeId;

fn step(id: u64, node: u64, round: u32, kind: StepKind, text: &str, because: &[u64]) -> Step {
    Step { id, node, round, kind, text: text.to_owned(), because: because.to_vec() }
}

fn message(
    from: u64,
    to: u64,
    sent: u32,
    fate: Fate,
    text: &str,
    sender: u64,
    receiver: Option<u64>,
) -> Message {
    let arrives = match fate {
        Fate::Delivered | Fate::Dead => Some(sent + 1),
        Fate::Delayed => Some(sent + 2),
        Fate::Lost | Fate::Flying => None,
    };
    Message { from, to, sent, arrives, fate, text: text.to_owned(), sender, receiver }
}

/// Two nodes and four rounds with one of everything.
fn run() -> Run {
    let belief = |node, round, text: &str| Belief { node, round, text: text.to_owned() };
    Run {
        title: "counterexample".to_owned(),
        nodes: vec![Node { id: 1, name: "a".to_owned() }, Node { id: 2, name: "bob".to_owned() }],
        rounds: 5,
        steps: vec![
            step(1, 1, 1, StepKind::Start, "", &[]),
            step(2, 2, 1, StepKind::Start, "", &[]),
            step(3, 1, 1, StepKind::Request, "put 5", &[1]),
            step(4, 2, 2, StepKind::Message, "put 5", &[3, 2]),
            step(5, 1, 4, StepKind::Message, "ack", &[4, 3]),
            step(6, 1, 4, StepKind::Timer, "retry", &[5]),
            step(7, 2, 4, StepKind::Recover, "", &[4]),
            step(8, 2, 4, StepKind::Synced, "nothing", &[7]),
        ],
        messages: vec![
            message(1, 2, 1, Fate::Delivered, "put 5", 3, Some(4)),
            message(1, 2, 1, Fate::Lost, "commit", 3, None),
            message(2, 1, 2, Fate::Delayed, "ack", 4, Some(5)),
            message(1, 2, 2, Fate::Dead, "commit", 3, None),
            message(1, 2, 4, Fate::Flying, "commit", 6, None),
        ],
        outcomes: vec![Outcome {
            node: 1,
            round: 4,
            text: "done".to_owned(),
            step: 5,
            because: vec![3],
            goal: true,
        }],
        crashes: vec![Crash { node: 2, round: 3, until: Some(4) }],
        beliefs: vec![belief(2, 2, "holds 5"), belief(2, 4, "holds nothing")],
        good: false,
        verdict: "bob lost what it had acknowledged".to_owned(),
    }
}

fn report() -> Report {
    Report {
        program: "put".to_owned(),
        paper: "Nobody 2026".to_owned(),
        promise: "What is done stays done.".to_owned(),
        spec: Spec { recoveries: 1, delays: 1, skews: 0, ..Spec::new(5, 2, 1) },
        verdict: Verdict { kind: VerdictKind::Violated, text: "It did not.".to_owned() },
        search: Search {
            executions: 1234,
            seconds: 0.25,
            rows: vec![("hypotheses".to_owned(), "7".to_owned())],
        },
        faults: vec![
            Fault::Loss { from: NodeId(1), to: NodeId(2), round: 1 },
            Fault::Crash { node: NodeId(2), round: 3, until: Some(4) },
            Fault::Delay { from: NodeId(2), to: NodeId(1), round: 2, by: 1 },
            Fault::Skew { node: NodeId(1), round: 3, by: -2 },
        ],
        runs: vec![run()],
    }
}

/// The JSON as the page's script will find it.
fn embedded(page: &str) -> &str {
    let (_, rest) =
        page.split_once("<script type=\"application/json\" id=\"data\">").expect("data is embedded");
    rest.split_once("</script>").expect("the element ends").0
}

#[test]
fn the_story_is_the_golden_one() {
    let story = text(&report());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/golden/story.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &story).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file is there");
    assert_eq!(story, golden, "rewrite it with UPDATE=1 and read the difference");
    assert_eq!(story, text(&report()));
}

#[test]
fn the_page_carries_the_report() {
    let report = report();
    let page = html(&report);
    assert_eq!(serde_json::from_str::<Report>(embedded(&page)).expect("the data is JSON"), report);
}

#[test]
fn the_data_keeps_the_names_that_scripts_and_files_use() {
    let json = serde_json::to_value(report()).expect("a report is JSON");
    assert_eq!(json["faults"][0], serde_json::json!({"kind": "loss", "from": 1, "to": 2, "round": 1}));
    assert_eq!(json["faults"][1], serde_json::json!({"kind": "crash", "node": 2, "round": 3, "until": 4}));
    assert_eq!(json["verdict"]["kind"], "violated");
    assert_eq!(json["runs"][0]["steps"][6]["kind"], "recover");
    assert_eq!(json["runs"][0]["messages"][4]["fate"], "flying");
}

#[test]
fn nothing_that_a_program_says_leaves_its_place() {
    let hostile = "</script><!-- \"'& <b> {{script}} {{data}} \u{2028} ü";
    let mut report = report();
    for place in [&mut report.program, &mut report.paper, &mut report.promise, &mut report.verdict.text] {
        *place = hostile.to_owned();
    }
    report.search.rows = vec![(hostile.to_owned(), hostile.to_owned())];
    report.runs[0].title = hostile.to_owned();
    report.runs[0].nodes[1].name = hostile.to_owned();
    report.runs[0].messages[0].text = hostile.to_owned();
    let page = html(&report);
    assert_eq!(serde_json::from_str::<Report>(embedded(&page)).expect("the data is JSON"), report);
    assert_eq!(page.matches("</script>").count(), 2, "the two elements of the page end, nothing else does");
    assert!(!page.contains("<!--") && !page.contains("<b>"));
    let plain = html(&self::report());
    assert_eq!(
        page.matches("SIGNS = {").count(),
        plain.matches("SIGNS = {").count(),
        "no marker is filled in twice"
    );
}

#[test]
fn the_page_names_no_address_but_that_of_svg() {
    let page = html(&report());
    let addresses: Vec<&str> = page
        .match_indices("://")
        .map(|(at, _)| page[..at + 40].rsplit(['"', ' ']).nth(1).unwrap_or(""))
        .collect();
    assert_eq!(page.matches("://").count(), 1, "{addresses:?}");
    assert!(page.contains("http://www.w3.org/2000/svg"));
    for loading in ["src=", "href=", "@import", "url(h", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[test]
fn a_line_of_the_story_stays_one_line() {
    let mut report = report();
    let lines = text(&report).lines().count();
    report.runs[0].messages[0].text = "put\n5\r\u{0}".to_owned();
    report.runs[0].nodes[0].name = "a\nb".to_owned();
    assert_eq!(text(&report).lines().count(), lines);
}

#[test]
fn a_report_without_runs_is_a_page_and_a_story() {
    let mut report = report();
    report.runs.clear();
    assert!(html(&report).contains("what n1 sends n2 in round 1 is lost"));
    assert!(text(&report).contains("what n1 sends n2 in round 1 is lost"));
}

#[test]
fn bounds_are_said_in_words() {
    let mut report = report();
    report.spec = Spec::new(9, 7, 1);
    report.verdict.kind = VerdictKind::Certified;
    let bound = "Certified for runs of 9 rounds; any set of messages lost that would have arrived by round 7; at most one crash.";
    assert_eq!(words::bound(&report), bound);
}

#[test]
fn numbers_are_readable() {
    assert_eq!([0, 999, 1000, 1_234_567].map(words::grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0.00412, 0.0412, 0.999, 1.0, 75.0, 120.4].map(words::seconds),
        ["4.12 ms", "41.2 ms", "999 ms", "1.00 s", "75.0 s", "120 s"]
    );
}
