//! One number: what the paper prints, what we measure, and what to make of the two.

/// One number of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// What it is a number of.
    pub what: String,
    /// Its unit, or nothing.
    pub unit: &'static str,
    /// What is published, as the paper prints it, or nothing.
    pub published: String,
    /// What we measure.
    pub ours: f64,
    /// The published number, where it is one that ours can be subtracted from.
    pub reference: Option<f64>,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What to make of a number.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// As published, within what the row allows: in words.
    Met(String),
    /// Not as published.
    Missed(String),
    /// It cannot be reproduced, or not be held against the paper: why.
    Open(String),
    /// Nothing is published.
    Context,
}

impl Verdict {
    /// Whether it is not as published, without a reason.
    pub fn is_missed(&self) -> bool {
        matches!(self, Verdict::Missed(_))
    }
}

impl Row {
    /// A published number. Say next how close ours has to be: until then it has to be the same.
    pub fn number(what: impl Into<String>, published: f64, ours: f64) -> Row {
        let row = Row::new(what, number(published), ours);
        Row { reference: Some(published), ..row }.judged(published == ours, "exactly".to_owned())
    }

    /// A published number that ours must equal: a count.
    pub fn exact(what: impl Into<String>, published: f64, ours: f64) -> Row {
        Row::number(what, published, ours)
    }

    /// Ours may differ by so much.
    pub fn within(self, allowed: f64) -> Row {
        let reference = self.reference.expect("only a published number has a neighbourhood");
        let met = (self.ours - reference).abs() <= allowed;
        self.judged(met, format!("within {}", number(allowed)))
    }

    /// Ours may differ by so many parts in a hundred of the published number.
    pub fn within_percent(self, percent: f64) -> Row {
        let reference = self.reference.expect("only a published number has a neighbourhood");
        let met = (self.ours - reference).abs() <= reference.abs() * percent / 100.0;
        self.judged(met, format!("within {} %", number(percent)))
    }

    /// The paper says that it is never more.
    pub fn at_most(what: impl Into<String>, bound: f64, ours: f64) -> Row {
        let row = Row::new(what, format!("≤ {}", number(bound)), ours);
        Row { reference: Some(bound), ..row }.judged(ours <= bound, "at most".to_owned())
    }

    /// The paper says that it is never less.
    pub fn at_least(what: impl Into<String>, bound: f64, ours: f64) -> Row {
        let row = Row::new(what, format!("≥ {}", number(bound)), ours);
        Row { reference: Some(bound), ..row }.judged(ours >= bound, "at least".to_owned())
    }

    /// Something is published that ours cannot be held against: it says why.
    pub fn open(
        what: impl Into<String>,
        published: impl Into<String>,
        ours: f64,
        why: impl Into<String>,
    ) -> Row {
        Row { verdict: Verdict::Open(why.into()), ..Row::new(what, published.into(), ours) }
    }

    /// Nothing is published; it stands here for context.
    pub fn ours_only(what: impl Into<String>, ours: f64) -> Row {
        Row::new(what, String::new(), ours)
    }

    /// In this unit.
    pub fn unit(self, unit: &'static str) -> Row {
        Row { unit, ..self }
    }

    /// Ours less what is published, as the page prints it.
    pub fn difference(&self) -> String {
        match (self.reference, &self.verdict) {
            (Some(reference), Verdict::Met(_) | Verdict::Missed(_)) => signed(self.ours - reference),
            _ => String::new(),
        }
    }

    fn new(what: impl Into<String>, published: String, ours: f64) -> Row {
        Row { what: what.into(), unit: "", published, ours, reference: None, verdict: Verdict::Context }
    }

    fn judged(self, met: bool, how: String) -> Row {
        Row { verdict: if met { Verdict::Met(how) } else { Verdict::Missed(how) }, ..self }
    }
}

/// A number as a table shows it: whole ones in full, others with four significant digits.
pub(super) fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return (value as i64).to_string();
    }
    let magnitude = value.abs().log10().floor();
    if (-4.0..5.0).contains(&magnitude) {
        let decimals = (3.0 - magnitude).max(0.0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.3e}")
    }
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}
