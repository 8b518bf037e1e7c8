//! Reading typed values from names and texts: a query's parameters, or a path's.

use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;

/// Reads a struct whose fields are parameters.
///
/// # Errors
///
/// What is wrong with which parameter.
pub(super) fn read<'a, T, I>(pairs: I) -> Result<T, String>
where
    T: DeserializeOwned,
    I: Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + Clone,
{
    let map = || MapDeserializer::<_, Error>::new(pairs.clone().map(|(name, text)| (name, Parameter(text))));
    // Only who is wrong pays for being told where.
    T::deserialize(map()).or_else(|_| {
        serde_path_to_error::deserialize(map()).map_err(|error| match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })
    })
}

/// A parameter's text.
struct Parameter<'a>(Cow<'a, str>);

impl<'de> IntoDeserializer<'de, Error> for Parameter<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(Error::custom(format_args!("{:?} is not a whole number in its range", self.0))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameter<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(&self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &*self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(Error::custom(format_args!("{other:?} is neither true nor false"))),
        }
    }

    whole_numbers!(
        deserialize_u8 visit_u8, deserialize_u16 visit_u16, deserialize_u32 visit_u32,
        deserialize_u64 visit_u64, deserialize_i8 visit_i8, deserialize_i16 visit_i16,
        deserialize_i32 visit_i32, deserialize_i64 visit_i64
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::values::Whole;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        #[serde(default)]
        limit: Whole<1, 1000, 100>,
        after: Option<String>,
        #[serde(default)]
        stale: bool,
        version: Option<i32>,
    }

    fn parse(query: &str) -> Result<Query, String> {
        read(form_urlencoded::parse(query.as_bytes()))
    }

    #[test]
    fn parameters_are_typed() {
        let query = parse("limit=7&after=a%2Fb+c&stale=true&version=-1").expect("good");
        let after = Some("a/b c".to_string());
        assert_eq!(query, Query { limit: Whole(7), after, stale: true, version: Some(-1) });
        let query = parse("").expect("good");
        assert_eq!(query, Query { limit: Whole(100), after: None, stale: false, version: None });
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("limit=0").unwrap_err(), "limit: 0 is not from 1 to 1000");
        assert_eq!(parse("limit=x").unwrap_err(), "limit: \"x\" is not a whole number in its range");
        assert_eq!(parse("stale=1").unwrap_err(), "stale: \"1\" is neither true nor false");
        assert_eq!(parse("version=9999999999").unwrap_err().split(':').next(), Some("version"));
        assert!(parse("limits=1").unwrap_err().contains("unknown field `limits`"));
        assert!(parse("limit=1&limit=2").unwrap_err().contains("duplicate field `limit`"));
    }
}
