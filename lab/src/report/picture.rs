//! One run as a picture for a page of text: SVG without scripts or anything from elsewhere, light or dark as its reader's
//! system is.
//!
//! It is the page's space-time diagram, frozen: nodes are columns, time runs downward. What a node believes is a box on its
//! line, what it tells a mark; the event that breaks the promise is red. What speaks of the same number has the same colour: a
//! ballot, a term or a token is easily followed from line to line so.

use super::data::{Fate, Fault, Message, Outcome, Run};
use super::page::escape;
use std::fmt::Write;

/// How wide a character is at most: all texts are in a font whose characters are of one width.
const CHARACTER: f64 = 7.3;
const MARGIN: f64 = 16.0;
/// Where the first line is drawn.
const LEFT: f64 = 118.0;
/// From line to line.
const PITCH: f64 = 262.0;
/// How wide a box is.
const BOX: f64 = 138.0;
/// How high a round is.
const ROUND: f64 = 40.0;
const LINE: f64 = 15.0;
/// How many colours there are for numbers.
const COLOURS: usize = 4;

/// Draws a run of this program, with what went wrong in it; `breaks` is the place of the outcome that broke the promise.
pub(crate) fn picture(program: &str, run: &Run, faults: &[Fault], breaks: Option<usize>) -> String {
    Drawing::new(run, faults, breaks).draw(program)
}

struct Drawing<'a> {
    run: &'a Run,
    faults: &'a [Fault],
    breaks: Option<usize>,
    first: u32,
    last: u32,
    /// Numbers in the order in which they are spoken of.
    numbers: Vec<u64>,
    heading: Vec<String>,
    out: String,
}

impl<'a> Drawing<'a> {
    fn new(run: &'a Run, faults: &'a [Fault], breaks: Option<usize>) -> Self {
        let (first, last) = run.span();
        // Nothing that comes after the promise is broken makes a difference.
        let last = breaks.map_or(last, |breaks| run.outcomes[breaks].round + 1);
        let columns = (2.0 * LEFT + PITCH * (run.nodes.len().max(1) - 1) as f64 - 2.0 * MARGIN) / CHARACTER;
        let mut heading = wrapped(&sentence(&run.verdict), (columns / 1.16) as usize);
        let named = |fault: &Fault| fault.in_words(|node| run.name(node.0));
        let words: Vec<String> = faults.iter().map(named).collect();
        let takes = match words.len() {
            0 => "Nothing goes wrong.".to_owned(),
            _ => format!("What it takes: {}.", words.join("; ")),
        };
        heading.push(String::new());
        heading.extend(wrapped(&takes, columns as usize));
        Drawing { run, faults, breaks, first, last, numbers: numbers(run, last), heading, out: String::new() }
    }

    fn draw(mut self, program: &str) -> String {
        let width = 2.0 * LEFT + PITCH * (self.run.nodes.len().max(1) - 1) as f64;
        let height = self.y(self.last) + ROUND + 2.0 * LINE + MARGIN;
        let title = escape(&format!("{program}: {}", self.run.verdict));
        let _ = writeln!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{DEFINITIONS}\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>",
        );
        self.draw_heading();
        self.draw_lines();
        self.draw_boxes();
        self.draw_faults();
        self.draw_messages();
        self.draw_outcomes();
        let legend = escape(&format!(
            "Time runs downward, round by round. The same colour: the same number. Drawn by: quipu lab, program {program}"
        ));
        let _ = writeln!(
            self.out,
            "<text class=\"legend\" x=\"{MARGIN}\" y=\"{:.1}\">{legend}</text>\n</svg>",
            height - MARGIN
        );
        self.out
    }

    fn draw_heading(&mut self) {
        let mut class = "heading";
        for (row, line) in self.heading.iter().enumerate() {
            if line.is_empty() {
                class = "takes";
                continue;
            }
            let y = 30.0 + (LINE + 3.0) * row as f64 - if class == "takes" { 8.0 } else { 0.0 };
            let _ = writeln!(
                self.out,
                "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{y:.1}\">{}</text>",
                escape(line)
            );
        }
    }

    /// The nodes' names and lines, and the rounds' numbers.
    fn draw_lines(&mut self) {
        let (top, bottom) = (self.y(self.first) - 18.0, self.y(self.last) + ROUND * 0.6);
        for node in &self.run.nodes {
            let x = self.x(node.id);
            let _ = writeln!(
                self.out,
                "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\
                 <path class=\"rail\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>",
                top - 8.0,
                escape(&node.name),
            );
        }
        for round in self.first..=self.last {
            let y = self.y(round);
            let _ = writeln!(
                self.out,
                "<text class=\"round\" x=\"{MARGIN}\" y=\"{:.1}\">{round}</text>",
                y + 4.0
            );
        }
    }

    /// What nodes believe, from when to when.
    fn draw_boxes(&mut self) {
        let run = self.run;
        for (place, belief) in run.beliefs.iter().enumerate() {
            if belief.text.is_empty() || belief.round >= self.last {
                continue;
            }
            let later = run.beliefs[place + 1..].iter().find(|other| other.node == belief.node);
            let crash =
                run.crashes.iter().find(|crash| crash.node == belief.node && crash.round > belief.round);
            let ends = [later.map(|later| later.round), crash.map(|crash| crash.round)];
            let end = ends.into_iter().flatten().min().unwrap_or(u32::MAX);
            let (x, y) = (self.x(belief.node), self.y(belief.round));
            let bottom = if end > self.last { self.y(self.last) + ROUND * 0.6 } else { self.y(end) };
            let told = run.outcomes.iter().any(|told| (told.node, told.round) == (belief.node, belief.round));
            let text = y + if told { 26.0 } else { 15.0 };
            let colour = self.colour(&belief.text);
            let _ = writeln!(
                self.out,
                "<g class=\"{colour}\"><title>{}</title>\
                 <rect class=\"box\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{BOX}\" height=\"{:.1}\" rx=\"5\"/>",
                escape(&belief.text),
                x - BOX / 2.0,
                bottom - y,
            );
            for (row, line) in wrapped(&belief.text, (BOX / CHARACTER) as usize).iter().enumerate() {
                let y = text + LINE * row as f64;
                if y < bottom {
                    let line = escape(line);
                    let _ =
                        writeln!(self.out, "<text class=\"inside\" x=\"{x:.1}\" y=\"{y:.1}\">{line}</text>");
                }
            }
            self.out.push_str("</g>\n");
        }
    }

    /// Pauses, outages and wrong clocks, on the line of their node; what happens to messages is drawn with these.
    fn draw_faults(&mut self) {
        for fault in self.faults {
            let (node, from, until, text) = match *fault {
                Fault::Pause { node, round, until } => (node, round, Some(until), "paused"),
                Fault::Crash { node, round, until } => (node, round, until, "down"),
                Fault::Isolation { node, round, until } => (node, round, Some(until), "cut off"),
                Fault::Skew { node, round, by } if by > 0 => {
                    (node, round, Some(round + 1), "clock jumps ahead")
                }
                Fault::Skew { node, round, by } => {
                    (node, round, Some(round + by.unsigned_abs()), "clock stands still")
                }
                Fault::Loss { .. } | Fault::Delay { .. } | Fault::Cut { .. } => continue,
            };
            let until = until.unwrap_or(u32::MAX).min(self.last + 1);
            if until <= from {
                continue;
            }
            let x = self.x(node.0);
            // What a node does before it is paused is done: its box says so above.
            let top = self.y(from) + if matches!(fault, Fault::Pause { .. }) { 36.0 } else { 0.0 };
            let bottom = self.y(until) - 4.0;
            let _ = writeln!(
                self.out,
                "<rect class=\"fault\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"5\"/>\
                 <text class=\"strange\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
                x - BOX / 2.0 - 4.0,
                BOX + 8.0,
                (bottom - top).max(4.0),
                (top + bottom) / 2.0 + 4.0,
            );
        }
    }

    fn draw_messages(&mut self) {
        let (run, last) = (self.run, self.last);
        let breaking = self.breaks.map(|breaks| run.outcomes[breaks].step);
        let last = breaking.map_or(last, |_| last - 1);
        for message in run.messages.iter().filter(|message| message.sent < last) {
            self.draw_message(message, breaking.is_some() && message.receiver == breaking);
        }
    }

    fn draw_message(&mut self, message: &Message, breaks: bool) {
        let (from, to) = (self.x(message.from), self.x(message.to));
        let side = if to > from { 1.0 } else { -1.0 };
        let arrives = message.arrives.unwrap_or(message.sent + 1);
        let (top, bottom) = (self.y(message.sent), self.y(arrives.min(self.last + 1)));
        let is_lost = matches!(message.fate, Fate::Lost | Fate::Dead);
        // Boxes are as wide as they are; an arrow goes from edge to edge.
        let (begin, whole) = (from + side * BOX / 2.0, to - side * BOX / 2.0);
        let end = if is_lost { begin + (whole - begin) * 0.8 } else { whole };
        let bottom = if is_lost { top + (bottom - top) * 0.8 } else { bottom };
        let class = match message.fate {
            _ if breaks => "stale".to_owned(),
            Fate::Delivered | Fate::Flying => self.colour(&message.text),
            Fate::Delayed => format!("{} late", self.colour(&message.text)),
            Fate::Lost | Fate::Dead => "lost".to_owned(),
        };
        // Its words stand between the sender's line and the next one.
        let along = ((PITCH - BOX) / 2.0 / (whole - begin).abs()).min(0.5);
        let (x, y) = (begin + (whole - begin) * along, top + (bottom - top) * along);
        let head = if is_lost {
            format!("M{:.1} {:.1}l10 10m0 -10l-10 10", end - 5.0, bottom - 5.0)
        } else {
            let length = (end - begin).hypot(bottom - top);
            let (dx, dy) = ((end - begin) / length * 9.0, (bottom - top) / length * 9.0);
            let (left, right) = (
                (end - dx - dy * 0.4, bottom - dy + dx * 0.4),
                (end - dx + dy * 0.4, bottom - dy - dx * 0.4),
            );
            format!("M{end:.1} {bottom:.1}L{:.1} {:.1}L{:.1} {:.1}z", left.0, left.1, right.0, right.1)
        };
        let _ = writeln!(
            self.out,
            "<g class=\"{class}\"><path class=\"arrow\" d=\"M{begin:.1} {top:.1}L{end:.1} {bottom:.1}\"/>\
             <path class=\"tip\" d=\"{head}\"/><text class=\"words\" x=\"{x:.1}\" y=\"{:.1}\">{}</text></g>",
            y - 4.0,
            escape(&shortened(&message.text, ((PITCH - BOX) / CHARACTER) as usize + 2)),
        );
    }

    fn draw_outcomes(&mut self) {
        let (run, last) = (self.run, self.last);
        for (place, outcome) in run.outcomes.iter().enumerate().filter(|(_, told)| told.round <= last) {
            self.draw_outcome(outcome, self.breaks == Some(place));
        }
    }

    fn draw_outcome(&mut self, outcome: &Outcome, breaks: bool) {
        let (x, y) = (self.x(outcome.node), self.y(outcome.round));
        let text = if breaks { format!("✗ {}", outcome.text) } else { outcome.text.clone() };
        let lines = wrapped(&text, ((BOX - 10.0) / CHARACTER) as usize);
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let (width, height) = (CHARACTER * widest as f64 + 18.0, LINE * lines.len() as f64 + 6.0);
        let class = if breaks { "breaks".to_owned() } else { self.colour(&outcome.text) };
        let _ = writeln!(
            self.out,
            "<g class=\"{class}\"><rect class=\"told\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"10\"/>",
            x - width / 2.0,
            y - 10.0,
        );
        for (row, line) in lines.iter().enumerate() {
            let y = y + 4.0 + LINE * row as f64;
            let line = escape(line);
            let _ = writeln!(self.out, "<text class=\"inside\" x=\"{x:.1}\" y=\"{y:.1}\">{line}</text>");
        }
        self.out.push_str("</g>\n");
    }

    fn x(&self, node: u64) -> f64 {
        let place = self.run.nodes.iter().position(|other| other.id == node).unwrap_or_default();
        LEFT + PITCH * place as f64
    }

    fn y(&self, round: u32) -> f64 {
        let top = 30.0 + (LINE + 3.0) * self.heading.len() as f64 + 40.0;
        top + ROUND * f64::from(round.saturating_sub(self.first))
    }

    /// The colour of the last number that a text names.
    fn colour(&self, text: &str) -> String {
        let place =
            last_number(text).and_then(|number| self.numbers.iter().position(|other| *other == number));
        place.map_or_else(|| "plain".to_owned(), |place| format!("c{}", place % COLOURS))
    }
}

/// The numbers that what is drawn speaks of, as they first come.
fn numbers(run: &Run, last: u32) -> Vec<u64> {
    let beliefs = run.beliefs.iter().map(|belief| (belief.round, &belief.text));
    let messages = run.messages.iter().map(|message| (message.sent, &message.text));
    let outcomes = run.outcomes.iter().map(|outcome| (outcome.round, &outcome.text));
    let mut texts: Vec<_> =
        beliefs.chain(messages).chain(outcomes).filter(|(round, _)| *round <= last).collect();
    texts.sort_by_key(|(round, _)| *round);
    let mut numbers = Vec::new();
    for number in texts.into_iter().filter_map(|(_, text)| last_number(text)) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn last_number(text: &str) -> Option<u64> {
    let mut words = text.split(|letter: char| !letter.is_ascii_digit());
    words.rfind(|word| !word.is_empty())?.parse().ok()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A text in lines of at most so many characters, where its words allow.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

const DEFINITIONS: &str = "<defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V8\"/></pattern></defs>";

const STYLE: &str = "\
text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b2530}.paper{fill:#fff}\
.heading{font-size:14px;font-weight:600}.takes,.legend,.round{fill:#5d6b7a}.round{font-size:11px}\
.name{font-weight:600;font-size:13px;text-anchor:middle}.rail{stroke:#c9d2dc;stroke-width:1.5}\
.inside,.words,.strange{text-anchor:middle}\
.words,.strange{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}\
.strange{font-weight:700;fill:#8a5a00;letter-spacing:1px}\
.plain{--s:#6b7885;--f:#eef1f4}.c0{--s:#b35900;--f:#ffe3c4}.c1{--s:#1f5fa6;--f:#cfe0f3}\
.c2{--s:#1a7f37;--f:#cdeed5}.c3{--s:#7a3fb8;--f:#e6d8f7}.lost{--s:#8b949e;--f:#fff}.breaks{--s:#c62828;--f:#c62828}\
.stale{--s:#c62828;--f:#fff}.stale .arrow{stroke-width:2.6}.stale text{fill:#c62828;font-weight:700}\
.box{fill:var(--f);stroke:var(--s)}.told{fill:#fff;stroke:var(--s);stroke-width:1.5}.breaks .told{fill:var(--f)}\
.breaks text{fill:#fff;font-weight:700}.arrow{fill:none;stroke:var(--s);stroke-width:1.6}\
.tip{fill:var(--s);stroke:var(--s)}.late .arrow,.lost .arrow{stroke-dasharray:5 4}.fault{fill:url(#hatch);stroke:#8a5a00;stroke-dasharray:5 3}\
.hatch{stroke:#c99a3c;stroke-width:2;opacity:.75}\
@media (prefers-color-scheme:dark){text{fill:#e3e9f0}.paper{fill:#14191f}.takes,.legend,.round{fill:#93a1b0}\
.rail{stroke:#3a4653}.words,.strange{stroke:#14191f}.strange{fill:#f0b848}\
.plain{--s:#93a1b0;--f:#222b35}.c0{--s:#f0a050;--f:#4a2f12}.c1{--s:#6ea3dc;--f:#1d3550}.c2{--s:#56c271;--f:#173a22}\
.c3{--s:#bc8cff;--f:#35234f}.lost{--s:#6e7681;--f:#14191f}.breaks{--s:#ff7b72;--f:#b3261e}.told{fill:#14191f}.stale{--s:#ff7b72}.stale text{fill:#ff7b72}\
.fault{stroke:#f0b848}.hatch{stroke:#a07a2c}}";
