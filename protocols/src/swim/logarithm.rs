//! Logarithms in whole numbers: `core` has none for fractions, and every machine has to agree on them.

/// How many parts one is counted in.
pub(super) const ONE: u64 = 1 << 16;

/// The logarithm to base 2, in parts of [`ONE`], rounded down.
pub(super) fn log2(number: u64) -> u64 {
    assert!(number > 0, "zero has no logarithm");
    let whole = u64::from(number.ilog2());
    // The mantissa, from 1 to 2, in parts of 2³¹: squaring it yields one binary digit after the other.
    let mut mantissa = if whole > 31 { number >> (whole - 31) } else { number << (31 - whole) };
    let mut fraction = 0;
    for _ in 0..16 {
        let squared = (mantissa * mantissa) >> 31;
        let digit = squared >> 32;
        fraction = fraction << 1 | digit;
        mantissa = squared >> digit;
    }
    whole * ONE + fraction
}

/// The natural logarithm, in parts of [`ONE`].
pub(super) fn ln(number: u64) -> u64 {
    log2(number) * 45_426 / ONE
}

/// The logarithm to base 10, in parts of [`ONE`].
pub(super) fn log10(number: u64) -> u64 {
    log2(number) * 19_728 / ONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_right_to_a_ten_thousandth() {
        for (number, expected) in [(1, 0.0), (2, 1.0), (3, 1.584_963), (9, 3.169_925), (10_000, 13.287_712)] {
            let found = log2(number) as f64 / ONE as f64;
            assert!((found - expected).abs() < 1e-4, "{number}: {found}");
        }
        assert!((ln(10_000) as f64 / ONE as f64 - 9.210_340).abs() < 1e-3);
        assert!((log10(10_000) as f64 / ONE as f64 - 4.0).abs() < 1e-3);
        assert_eq!(log2(u64::MAX) / ONE, 63);
    }
}
