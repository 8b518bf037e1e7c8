//! Values with bounds, which are checked as they are read and shown in the description of the API: the two cannot
//! differ.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::ops::Deref;

/// A whole number from `MIN` to `MAX`. `DEFAULT` is what `#[serde(default)]` takes where it is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64, const DEFAULT: u64 = MIN>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Default for Whole<MIN, MAX, DEFAULT> {
    fn default() -> Self {
        const { assert!(MIN <= DEFAULT && DEFAULT <= MAX) };
        Whole(DEFAULT)
    }
}

impl<'de, const MIN: u64, const MAX: u64, const DEFAULT: u64> Deserialize<'de> for Whole<MIN, MAX, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&value) {
            Ok(Whole(value))
        } else {
            Err(D::Error::custom(format_args!("{value} is not from {MIN} to {MAX}")))
        }
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Serialize for Whole<MIN, MAX, DEFAULT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> JsonSchema for Whole<MIN, MAX, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("WholeFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A string of `MIN` to `MAX` bytes in UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bounded<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Bounded<MIN, MAX> {
    /// The string.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> Deref for Bounded<MIN, MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&text.len()) {
            Ok(Bounded(text))
        } else {
            let length = text.len();
            Err(D::Error::custom(format_args!("must have {MIN} to {MAX} bytes, not {length}")))
        }
    }
}

impl<const MIN: usize, const MAX: usize> Serialize for Bounded<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("TextOf{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A character has a byte or more, so what the schema refuses is refused here too.
        let mut schema = json_schema!({ "type": "string", "maxLength": MAX });
        if MIN > 0 {
            schema.insert("minLength".into(), MIN.div_ceil(4).into());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept() {
        let whole = |text| serde_json::from_str::<Whole<2, 4, 3>>(text).map_err(|error| error.to_string());
        assert_eq!(whole("2"), Ok(Whole(2)));
        assert_eq!(whole("4"), Ok(Whole(4)));
        assert!(whole("1").is_err_and(|error| error.starts_with("1 is not from 2 to 4")));
        assert!(
            whole("5").is_err() && whole("-1").is_err() && whole("2.5").is_err() && whole("\"3\"").is_err()
        );
        assert_eq!(Whole::<2, 4, 3>::default().0, 3);
        let text = |text| serde_json::from_str::<Bounded<1, 3>>(text);
        assert!(text("\"\"").is_err() && text("\"abc\"").is_ok() && text("\"\u{e9}\u{e9}\"").is_err());
    }
}
