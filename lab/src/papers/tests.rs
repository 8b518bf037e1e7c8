use super::row::number;
use super::*;
use std::collections::BTreeSet;

#[test]
fn a_row_says_whether_it_is_met() {
    let met = |row: Row| matches!(row.verdict, Verdict::Met(_));
    assert!(met(Row::exact("messages", 6.0, 6.0)));
    assert!(!met(Row::exact("messages", 6.0, 7.0)));
    assert!(met(Row::number("residue", 0.18, 0.174).within(0.01)));
    assert!(!met(Row::number("residue", 0.18, 0.16).within(0.01)));
    assert!(met(Row::number("time", 100.0, 104.0).within_percent(5.0)));
    assert!(!met(Row::number("time", 100.0, 94.0).within_percent(5.0)));
    assert!(met(Row::at_most("load", 6.0, 6.0)) && !met(Row::at_most("load", 6.0, 6.1)));
    assert!(met(Row::at_least("speed", 2.0, 2.0)) && !met(Row::at_least("speed", 2.0, 1.9)));
    assert!(!met(Row::open("time", "11", 9.8, "nobody knows")));
}

#[test]
fn numbers_are_readable() {
    let numbers = [0.0, -3.0, 12.5, 0.0036, 4e-6, 287.04, 123_456.7, 1e20];
    let words = ["0", "-3", "12.50", "0.003600", "4.000e-6", "287.0", "1.235e5", "1.000e20"];
    assert_eq!(numbers.map(number), words);
}

#[test]
fn the_page_has_every_row_and_figure() {
    let rows = vec![
        Row::number("k = 1 | s", 0.18, 0.174).within(0.01).unit("share"),
        Row::exact("messages", 6.0, 7.0),
        Row::open("time", "11.0", 9.8, "nobody knows"),
        Row::ours_only("more", 3.0),
    ];
    let figures = vec![figure(Scale::Linear)];
    let findings = Findings {
        title: "Rumors: Table 1".to_owned(),
        source: "Demers (1987)".to_owned(),
        method: "As printed.".to_owned(),
        rows,
        figures,
    };
    let page = markdown(&[findings]);
    for line in [
        "- [Rumors: Table 1](#rumors-table-1): 1 met, **1 missed**, 1 open",
        "| k = 1 \\| s (share) | 0.1800 | 0.1740 | -0.006000 | met, within 0.01000 |",
        "| messages | 6 | 7 | +1 | **MISSED**, exactly |",
        "| time | 11.0 | 9.800 |  | open: nobody knows |",
        "| more |  | 3 |  |  |",
        "![a figure](papers/figure.svg)",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n---\n{page}");
    }
}

fn figure(scale: Scale) -> Figure {
    let axis = |label: &str| Axis { label: label.to_owned(), scale };
    Figure {
        name: "figure".to_owned(),
        title: "a figure".to_owned(),
        x: axis("across"),
        y: axis("up"),
        series: vec![
            Series::line("ours", vec![(1.0, 2.0), (3.0, 0.0), (10.0, 100.0)]),
            Series::points("theirs <of 1987>", vec![(2.0, 3.0)]),
        ],
    }
}

#[test]
fn a_figure_is_drawn_in_every_scale() {
    for scale in [Scale::Linear, Scale::Logarithmic] {
        let svg = figure(scale).svg();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for words in ["a figure", "across", "ours", "theirs &lt;of 1987&gt;"] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        assert_eq!(svg, figure(scale).svg(), "the same figure, the same picture");
    }
    let empty = Figure { series: vec![], ..figure(Scale::Logarithmic) };
    assert!(empty.svg().contains("a figure"));
}

#[test]
fn every_experiment_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = all().iter().map(|experiment| experiment.name()).collect();
    assert_eq!(names.len(), all().len());
}
