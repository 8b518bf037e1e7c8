//! A few operations as a picture: one lane for each process, a bar from call to return, the longest order that
//! explains answers as numbered points, and what has no place in that order in red.
//!
//! The picture is one SVG document without scripts or anything from elsewhere; light or dark as the reader's
//! system is. From left to right it shows which moment came first, not how long anything took: what matters is
//! who overlaps with whom, and everything has the room that its text needs.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// Whose it is. Operations of one lane that overlap are drawn below each other.
    pub lane: String,
    /// When it was called. Of two moments that are the same a call comes before a return.
    pub begin: u64,
    /// When it returned, if it did.
    pub end: Option<u64>,
    /// What is written above it.
    pub label: String,
    /// What a reader sees who points at it.
    pub detail: String,
    /// Its places in the order, from 1.
    pub places: Vec<usize>,
    /// Whether it was answered and the order leaves it out.
    pub unexplained: bool,
}

/// How wide a character is: all texts are in a font whose characters are of one width.
const CHARACTER: f64 = 7.3;
const LANE: f64 = 46.0;
const TOP: f64 = 58.0;
const MARGIN: f64 = 16.0;
/// How much of a label is shown.
const LONGEST_LABEL: usize = 36;

/// Draws the operations under a title of one line.
pub fn picture(title: &str, bars: &[Bar]) -> String {
    let rows = rows(bars);
    let names = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let left = MARGIN + CHARACTER * names as f64 + 20.0;
    let layout = layout(bars, &rows, left);
    let title_width = CHARACTER * 1.1 * title.chars().count() as f64 + 2.0 * MARGIN;
    let width = layout.right.max(title_width).max(CHARACTER * LEGEND.len() as f64) + 2.0 * MARGIN;
    let height = TOP + LANE * rows.len() as f64 + 34.0;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"heading\" x=\"{MARGIN}\" y=\"30\">{0}</text>",
        escaped(title)
    );
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + LANE * number as f64;
        let _ = writeln!(
            out,
            "<text class=\"lane\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\n\
             <line class=\"rail\" x1=\"{left:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            y + 30.0,
            escaped(&row.name),
            width - MARGIN,
            y + 26.0,
            y + 26.0
        );
        row.bars.iter().for_each(|bar| draw(&mut out, &bars[*bar], &layout.spans[*bar], y, width - MARGIN));
    }
    let _ = writeln!(
        out,
        "<text class=\"legend\" x=\"{MARGIN}\" y=\"{:.1}\">{LEGEND}</text>\n</svg>",
        height - 14.0
    );
    out
}

const LEGEND: &str =
    "1, 2, ...: an order that explains answers.  Red: has no place in it.  Dashed: not answered by then.";

const STYLE: &str = "\
text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b2530}\
.heading{font-size:13px;font-weight:600}.lane,.legend{fill:#5d6b7a}.paper{fill:#fff}\
.rail{stroke:#e3e8ee;stroke-width:1}\
.bar{fill:#cfe0f3;stroke:#4a7bb0;stroke-width:1.2}.open .bar{stroke-dasharray:4 3;fill-opacity:.45}\
.bad .bar{fill:#f9c9c6;stroke:#c62828}.bad .label{fill:#b3201f;font-weight:600}\
.point{fill:#1f5fa6}.number{fill:#fff;font-size:10px;font-weight:600;text-anchor:middle}\
@media (prefers-color-scheme:dark){text{fill:#e3e9f0}.lane,.legend{fill:#93a1b0}.paper{fill:#14191f}\
.rail{stroke:#28313b}.bar{fill:#26415f;stroke:#6ea3dc}.bad .bar{fill:#5e2423;stroke:#ff7b72}\
.bad .label{fill:#ff8d85}.point{fill:#8cbcf0}.number{fill:#0d1117}}";

/// One line of bars that do not overlap.
struct Row {
    name: String,
    bars: Vec<usize>,
}

/// The lanes in the order of their names, numbers as numbers; each as many rows as overlap in it.
fn rows(bars: &[Bar]) -> Vec<Row> {
    let mut lanes: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    for (number, bar) in bars.iter().enumerate() {
        lanes.entry((bar.lane.chars().count(), &bar.lane)).or_default().push(number);
    }
    let mut rows = Vec::new();
    for ((_, name), mut members) in lanes {
        members.sort_by_key(|bar| bars[*bar].begin);
        let first = rows.len();
        for member in members {
            let is_free = |row: &&mut Row| {
                let last = row.bars.last().map(|last| bars[*last].end);
                last.is_none_or(|end| end.is_some_and(|end| end <= bars[member].begin))
            };
            match rows[first..].iter_mut().find(is_free) {
                Some(row) => row.bars.push(member),
                None => {
                    let name = if rows.len() == first { name.to_owned() } else { String::new() };
                    rows.push(Row { name, bars: vec![member] });
                }
            }
        }
    }
    rows
}

/// Where everything is, from left to right.
struct Layout {
    spans: Vec<Span>,
    right: f64,
}

/// Where a bar is.
#[derive(Clone, Default)]
struct Span {
    begin: f64,
    end: Option<f64>,
    /// Its points, with their numbers.
    points: Vec<(f64, usize)>,
}

/// Something that has a place from left to right. Calls come before returns of the same moment, and points between
/// what they come after and what they must come before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Call(usize),
    Return(usize),
    Point(usize, usize),
}

fn layout(bars: &[Bar], rows: &[Row], left: f64) -> Layout {
    let mut spans: Vec<Span> = vec![Span::default(); bars.len()];
    let mut row_of = vec![0; bars.len()];
    for (number, row) in rows.iter().enumerate() {
        row.bars.iter().for_each(|bar| row_of[*bar] = number);
    }
    // Up to where each row is covered by a label.
    let mut covered = vec![0.0_f64; rows.len()];
    let mut x = left;
    for mark in marks(bars) {
        match mark {
            Mark::Call(bar) => {
                x = (x + 14.0).max(covered[row_of[bar]]);
                spans[bar].begin = x;
                covered[row_of[bar]] = x + CHARACTER * (label(&bars[bar]).chars().count() + 2) as f64;
            }
            Mark::Return(bar) => {
                x = (x + 14.0).max(spans[bar].begin + 22.0);
                spans[bar].end = Some(x);
            }
            Mark::Point(bar, place) => {
                x += if spans[bar].begin == x { 12.0 } else { 20.0 };
                spans[bar].points.push((x, place));
            }
        }
    }
    let right = covered.iter().fold(x + 30.0, |right, covered| right.max(*covered));
    Layout { spans, right }
}

fn marks(bars: &[Bar]) -> Vec<Mark> {
    let mut events: Vec<(u64, Mark)> = Vec::new();
    for (number, bar) in bars.iter().enumerate() {
        events.push((bar.begin, Mark::Call(number)));
        events.extend(bar.end.map(|end| (end, Mark::Return(number))));
    }
    events.sort_by_key(|(time, mark)| (*time, matches!(mark, Mark::Return(_))));
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (number, bar) in bars.iter().enumerate() {
        order.extend(bar.places.iter().map(|place| (*place, number)));
    }
    order.sort_unstable();
    let mut order = order.into_iter().peekable();
    let mut called = vec![false; bars.len()];
    let mut marks = Vec::new();
    for (_, mark) in events {
        marks.push(mark);
        if let Mark::Call(bar) = mark {
            called[bar] = true;
        }
        // As early as may be: after its call, and after those before it.
        while let Some((place, bar)) = order.next_if(|(_, bar)| called[*bar]) {
            marks.push(Mark::Point(bar, place));
        }
    }
    marks
}

fn label(bar: &Bar) -> String {
    match bar.label.char_indices().nth(LONGEST_LABEL) {
        Some((cut, _)) => format!("{}…", &bar.label[..cut]),
        None => bar.label.clone(),
    }
}

fn draw(out: &mut String, bar: &Bar, span: &Span, y: f64, right: f64) {
    let class = match (bar.unexplained, bar.end) {
        (true, _) => "bad",
        (false, None) => "open",
        (false, Some(_)) => "good",
    };
    let end = span.end.unwrap_or(right);
    let _ = writeln!(
        out,
        "<g class=\"{class}\"><title>{}</title><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"3\"/>",
        escaped(&bar.detail),
        span.begin,
        y + 14.0,
        escaped(&label(bar)),
        span.begin,
        y + 20.0,
        end - span.begin
    );
    for (x, place) in &span.points {
        let _ = writeln!(
            out,
            "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"9\"/>\
             <text class=\"number\" x=\"{x:.1}\" y=\"{:.1}\">{place}</text>",
            y + 26.0,
            y + 29.6
        );
    }
    out.push_str("</g>\n");
}

/// Text that stands for itself in XML; characters that XML has no way to say are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(lane: &str, begin: u64, end: Option<u64>, label: &str, places: &[usize]) -> Bar {
        let unexplained = end.is_some() && places.is_empty();
        let (lane, label, detail) = (lane.to_owned(), label.to_owned(), "the <detail>".to_owned());
        Bar { lane, begin, end, label, detail, places: places.to_vec(), unexplained }
    }

    #[test]
    fn a_picture_shows_every_operation_its_place_and_what_has_none() {
        let bars = [
            bar("process 10", 1, Some(5), "write \"a<b & c\"", &[1]),
            bar("process 2", 2, Some(9), "read -> null", &[]),
            bar("process 2", 10, None, "write 7", &[]),
        ];
        let svg = picture("not linearizable", &bars);
        assert!(svg.contains("write &quot;a&lt;b &amp; c&quot;"), "{svg}");
        assert_eq!(svg.matches("class=\"bar\"").count(), 3);
        assert_eq!(
            (svg.matches("<g class=\"bad\">").count(), svg.matches("<g class=\"open\">").count()),
            (1, 1)
        );
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.find("process 2<") < svg.find("process 10<"), "lanes are in the order of numbers");
        assert!(!svg.contains("script") && svg.matches("http").count() == 1, "nothing from elsewhere");
        for tag in ["svg", "g", "text", "title", "style"] {
            let opened = svg.matches(&format!("<{tag}>")).count() + svg.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn points_stand_in_their_order_and_within_their_bars() {
        let bars = [
            bar("a", 1, Some(8), "one", &[3]),
            bar("b", 2, Some(3), "two", &[1]),
            bar("c", 2, Some(9), "three", &[2]),
            bar("d", 4, None, "four", &[4]),
        ];
        let layout = layout(&bars, &rows(&bars), 100.0);
        let mut points: Vec<(usize, f64)> = Vec::new();
        for span in &layout.spans {
            for (x, place) in &span.points {
                assert!(span.begin < *x && span.end.is_none_or(|end| *x < end));
                points.push((*place, *x));
            }
        }
        points.sort_by_key(|(place, _)| *place);
        assert_eq!(points.len(), 4);
        assert!(points.windows(2).all(|pair| pair[0].1 + 19.0 < pair[1].1), "{points:?}");
    }

    #[test]
    fn what_overlaps_in_a_lane_has_a_row_each() {
        let overlapping =
            [bar("a", 1, Some(5), "x", &[1]), bar("a", 2, Some(3), "y", &[2]), bar("a", 6, None, "z", &[3])];
        let rows = rows(&overlapping);
        assert_eq!(rows.iter().map(|row| row.bars.clone()).collect::<Vec<_>>(), [vec![0, 2], vec![1]]);
        assert_eq!(rows[1].name, "", "a lane has its name once");
    }
}
