//! Tables for people, kept between markers in a Markdown file so that a run can rewrite its own and no other.

use crate::Failure;
use std::fs;
use std::path::Path;

/// Puts `text` between the markers of `section` in the file at `path`; at the end if it has none yet.
pub fn write_section(path: &Path, section: &str, text: &str) -> Result<(), Failure> {
    let document = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, with_section(&document, section, text)?)?;
    Ok(())
}

/// A Markdown table. Columns after the first are right-aligned.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    assert!(rows.iter().all(|row| row.len() == head.len()), "a row is as long as the head");
    let rule: Vec<&str> = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
    let mut out = format!("| {} |\n| {} |\n", head.join(" | "), rule.join(" | "));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out
}

/// The middle of some figures; of an even number, the mean of the two in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    assert!(!figures.is_empty(), "nothing has no median");
    figures.sort_by(f64::total_cmp);
    (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0
}

/// A number with its thousands set apart.
pub fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with about three significant digits.
pub fn short(figure: f64) -> String {
    match figure {
        f if f >= 100.0 => format!("{f:.0}"),
        f if f >= 10.0 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}

fn with_section(document: &str, section: &str, text: &str) -> Result<String, Failure> {
    let begin = format!("<!-- {section}:begin -->");
    let end = format!("<!-- {section}:end -->");
    let fresh = format!("{begin}\n{}\n{end}", text.trim_end());
    let Some((before, rest)) = document.split_once(&begin) else {
        let separator = if document.is_empty() { "" } else { "\n\n" };
        return Ok(format!("{}{separator}{fresh}\n", document.trim_end()));
    };
    let (_, after) = rest.split_once(&end).ok_or(format!("{begin} without {end}"))?;
    Ok(format!("{before}{fresh}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let first = with_section("# Title\n", "a", "one").expect("no markers is fine");
        assert_eq!(first, "# Title\n\n<!-- a:begin -->\none\n<!-- a:end -->\n");
        let both = with_section(&first, "b", "two").expect("other markers are fine");
        let again = with_section(&both, "a", "three\n").expect("markers match");
        assert_eq!(again, both.replace("one", "three"));
        assert!(with_section("<!-- a:begin -->", "a", "x").is_err());
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(grouped(1234567.0), "1,234,567");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(short(0.234), "0.23");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(1234.5), "1234");
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_table_has_its_rule() {
        assert_eq!(
            table(&["a", "b"], &[vec!["x".into(), "1".into()]]),
            "| a | b |\n| --- | ---: |\n| x | 1 |\n"
        );
    }
}
