//! A picture of a violation: what happened as boxes, one below the other, and why one must come before the other as
//! arrows between them. One self-contained SVG, light or dark as its reader has it.
//!
//! A column is enough: a minimal cycle is a chain with one arrow back, and a column leaves room beside every arrow
//! for the sentence that explains it.

use std::fmt::Write;

/// A picture of a violation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diagram {
    /// What is wrong.
    pub title: String,
    /// What happened, from top to bottom.
    pub boxes: Vec<Node>,
    /// What comes before what.
    pub arrows: Vec<Arrow>,
}

/// Something that happened: a transaction, or an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name.
    pub title: String,
    /// What it did.
    pub lines: Vec<String>,
}

/// Why one thing comes before another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrow {
    /// What comes first: a position among the boxes.
    pub from: usize,
    /// What comes later.
    pub to: usize,
    /// The kind of reason, in a word or two.
    pub label: String,
    /// The reason, as a sentence.
    pub words: String,
    /// The colour.
    pub tone: Tone,
}

/// What kind of reason an arrow stands for: its colour and its dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tone {
    /// One write after another.
    Write,
    /// Somebody saw a write.
    Read,
    /// Somebody did not see a write, or must not have.
    Missed,
    /// The order in which one process did things.
    Process,
    /// The order that the clock shows.
    Time,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Write => "write",
            Tone::Read => "read",
            Tone::Missed => "missed",
            Tone::Process => "process",
            Tone::Time => "time",
        }
    }
}

const LETTER: f64 = 7.3;
const LINE: usize = 18;
const MARGIN: usize = 24;
const LANE: usize = 26;
/// The longest line that is drawn in full.
const LONGEST: usize = 110;

/// Every rule names the picture's class, since in a page the rules of one picture reach all others.
const STYLE: &str = "\
.why{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;background:#fbfbfa}\
.why text{fill:#24292f}.why .title{font-weight:700;font-size:15px}.why .name{font-weight:700}\
.why .box{fill:#fff;stroke:#8c959f}.why .arrow{fill:none;stroke-width:2}\
.why .write{--c:#57606a}.why .read{--c:#1a7f37}.why .missed{--c:#cf222e}.why .process{--c:#0969da}\
.why .time{--c:#8250df}.why .arrow,.why .chip{stroke:var(--c)}.why .head,.why .chip{fill:var(--c)}\
.why .chip+text{fill:#fff;font-weight:700}.why .missed.arrow{stroke-dasharray:6 4}\
.why .time.arrow{stroke-dasharray:2 4}\
@media(prefers-color-scheme:dark){.why{background:#0d1117}.why text{fill:#e6edf3}\
.why .box{fill:#161b22;stroke:#6e7681}.why .write{--c:#8b949e}.why .read{--c:#3fb950}\
.why .missed{--c:#ff7b72}.why .process{--c:#58a6ff}.why .time{--c:#bc8cff}.why .chip+text{fill:#0d1117}}";

impl Diagram {
    /// The picture, as an SVG document.
    ///
    /// # Panics
    /// If an arrow begins or ends at a box that is not there.
    pub fn svg(&self) -> String {
        assert!(self.arrows.iter().all(|arrow| arrow.from.max(arrow.to) < self.boxes.len()));
        Layout::of(self).draw(self)
    }
}

/// Where everything is.
struct Layout {
    /// Where the boxes begin, to the right of the lanes.
    left: usize,
    width: usize,
    height: usize,
    /// The top and the height of each box.
    boxes: Vec<(usize, usize)>,
}

/// Whether an arrow leads to the next box, and so needs no lane.
fn is_down(arrow: &Arrow) -> bool {
    arrow.to == arrow.from + 1
}

fn shorten(line: &str) -> String {
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= LONGEST {
        return line.to_owned();
    }
    let half = LONGEST / 2 - 2;
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{} … {}", part(&letters[..half]), part(&letters[letters.len() - half..]))
}

fn text_width(line: &str) -> usize {
    (shorten(line).chars().count() as f64 * LETTER).ceil() as usize
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn chip_width(arrow: &Arrow) -> usize {
    text_width(&arrow.label) + 14
}

impl Layout {
    fn of(diagram: &Diagram) -> Layout {
        let lanes = diagram.arrows.iter().filter(|arrow| !is_down(arrow)).count();
        let left = MARGIN + lanes * LANE + usize::from(lanes > 0) * 8;
        let mut top = MARGIN + 34;
        let mut boxes = Vec::new();
        for (number, node) in diagram.boxes.iter().enumerate() {
            let height = (node.lines.len() + 1) * LINE + 14;
            boxes.push((top, height));
            let notes = diagram.arrows.iter().filter(|arrow| arrow.from == number).count();
            top += height + 22 + notes * 24;
        }
        let in_boxes = diagram.boxes.iter().flat_map(|node| node.lines.iter().chain([&node.title]));
        let widest = in_boxes.map(|line| text_width(line) + 24).max().unwrap_or_default();
        let notes = diagram.arrows.iter().map(|arrow| 76 + chip_width(arrow) + text_width(&arrow.words) + 60);
        let heading = (diagram.title.chars().count() as f64 * 9.3) as usize;
        let right = (left + widest.max(notes.max().unwrap_or_default())).max(MARGIN + heading);
        Layout { left, width: right + MARGIN, height: top + MARGIN - 16, boxes }
    }

    fn draw(&self, diagram: &Diagram) -> String {
        let (width, height) = (self.width, self.height);
        let mut svg = format!(
            "<svg class=\"why\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\"><title>{0}</title><style>{STYLE}</style><text class=\"title\" x=\"{MARGIN}\" y=\"{1}\">{0}</text>\n",
            escape(&diagram.title),
            MARGIN + 10,
        );
        for (node, place) in diagram.boxes.iter().zip(&self.boxes) {
            self.draw_box(&mut svg, node, *place);
        }
        let mut lanes = 0;
        for number in 0..diagram.boxes.len() {
            let leaving = diagram.arrows.iter().filter(|arrow| arrow.from == number);
            for (row, arrow) in leaving.enumerate() {
                if is_down(arrow) {
                    self.draw_down(&mut svg, arrow, row);
                } else {
                    self.draw_lane(&mut svg, arrow, lanes);
                    lanes += 1;
                }
                self.draw_words(&mut svg, diagram, arrow, row);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_box(&self, svg: &mut String, node: &Node, (top, height): (usize, usize)) {
        let lines = node.lines.iter().chain([&node.title]);
        let width = lines.map(|line| text_width(line) + 24).max().unwrap_or_default().max(220);
        let x = self.left;
        let _ = writeln!(
            svg,
            "<rect class=\"box\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\
             <text class=\"name\" x=\"{0}\" y=\"{1}\">{2}</text>",
            x + 12,
            top + LINE + 2,
            escape(&shorten(&node.title)),
        );
        for (row, line) in node.lines.iter().enumerate() {
            let (x, y) = (x + 12, top + (row + 2) * LINE + 2);
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{}</text>", escape(&shorten(line)));
        }
    }

    /// An arrow to the next box.
    fn draw_down(&self, svg: &mut String, arrow: &Arrow, row: usize) {
        let (top, height) = self.boxes[arrow.from];
        let (x, y, end) = (self.left + 28 + row * 12, top + height, self.boxes[arrow.to].0);
        let _ = writeln!(
            svg,
            "<path class=\"arrow {0}\" d=\"M{x} {y}V{1}\"/><path class=\"head {0}\" d=\"M{2} {1}h12l-6 9z\"/>",
            arrow.tone.class(),
            end - 9,
            x - 6,
        );
    }

    /// An arrow to any other box, by a lane of its own at the left.
    fn draw_lane(&self, svg: &mut String, arrow: &Arrow, lane: usize) {
        let x = self.left - 14 - (lane + 1) * LANE + 6;
        let middle = |place: usize| self.boxes[place].0 + self.boxes[place].1 / 2;
        // An arrow that leaves where another arrives starts a little lower.
        let (from, to) = (middle(arrow.from) + 8, middle(arrow.to) - 6 + lane % 3 * 4);
        let bend = if to < from { -10 } else { 10 };
        let _ = writeln!(
            svg,
            "<path class=\"arrow {0}\" d=\"M{left} {from}H{1}q-10 0 -10 {bend}V{2}q0 {bend} 10 {bend}H{3}\"/>\
             <path class=\"head {0}\" d=\"M{3} {4}v12l9 -6z\"/>",
            arrow.tone.class(),
            x + 10,
            to as i64 - bend,
            self.left - 9,
            to - 6,
            left = self.left,
        );
    }

    fn draw_words(&self, svg: &mut String, diagram: &Diagram, arrow: &Arrow, row: usize) {
        let (top, height) = self.boxes[arrow.from];
        let (x, y) = (self.left + 76, top + height + 11 + row * 24);
        let target = match is_down(arrow) {
            true => String::new(),
            false => format!("(to {}) ", name(&diagram.boxes[arrow.to])),
        };
        let (class, label, words) =
            (arrow.tone.class(), escape(&arrow.label), escape(&shorten(&format!("{target}{}", arrow.words))));
        let (width, baseline) = (chip_width(arrow), y + 13);
        let (label_x, words_x) = (x + 7, x + width + 8);
        let _ = writeln!(
            svg,
            "<rect class=\"chip {class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"18\" rx=\"9\"/>\
             <text x=\"{label_x}\" y=\"{baseline}\">{label}</text><text x=\"{words_x}\" y=\"{baseline}\">{words}</text>",
        );
    }
}

/// The first word of a box's title.
fn name(node: &Node) -> &str {
    node.title.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagram() -> Diagram {
        let node = |title: &str| Node { title: title.into(), lines: vec!["read x = [1 2] & <more>".into()] };
        let arrow = |from, to, tone| Arrow { from, to, label: "rw".into(), words: "\"why\"".into(), tone };
        Diagram {
            title: "G-single <cycle>".into(),
            boxes: vec![node("T1"), node("T2"), node("T3")],
            arrows: vec![arrow(0, 1, Tone::Read), arrow(1, 2, Tone::Missed), arrow(2, 0, Tone::Time)],
        }
    }

    #[test]
    fn text_is_escaped_and_every_arrow_is_drawn_with_its_words() {
        let svg = diagram().svg();
        assert!(svg.contains("&lt;cycle&gt;") && svg.contains("&amp; &lt;more&gt;"));
        assert_eq!(svg.matches("&quot;why&quot;").count(), 3);
        assert_eq!(svg.matches("class=\"head").count(), 3);
        assert!(svg.contains("(to T1)") && svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn a_long_line_loses_its_middle() {
        let line = "0123456789".repeat(30);
        let short = shorten(&line);
        assert!(short.chars().count() <= LONGEST && short.contains('…') && short.ends_with("789"));
        assert_eq!(shorten("short"), "short");
    }
}
