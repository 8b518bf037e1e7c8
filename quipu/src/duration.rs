//! Durations as people type them: 10s, 1500ms, 2m, 1h.

use std::time::Duration;

/// What a person means; used by clap, which puts the option's name before what is wrong.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        // The API counts in milliseconds, so that less would silently be none.
        Ok(duration) if duration.subsec_nanos() % 1_000_000 != 0 => {
            Err("whole milliseconds are the least there is".into())
        }
        Ok(duration) => Ok(duration),
        Err(humantime::DurationError::NumberExpected(_) | humantime::DurationError::Empty) => {
            Err("a duration looks like 10s, 1500ms, 2m or 1h".into())
        }
        Err(error) => Err(format!("{error}; a duration looks like 10s, 1500ms, 2m or 1h")),
    }
}

/// As the API takes it; a duration beyond its range is as long as it can be.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_typed() {
        for (text, ms) in [
            ("10s", 10_000),
            ("1500ms", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            (" 1m 30s ", 90_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).map(millis), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "ten", "10", "10 apples", "-1s", "1.5.5s", "s"] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains("1500ms"), "{text}: {refused}");
        }
        assert!(parse("1us").is_err(), "the API would round it to nothing");
    }
}
