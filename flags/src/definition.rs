//! One flag as flagd defines it (flagd.dev/schema/v0/flags.json), checked down to its last field.

use std::fmt;

use serde_json::{Map, Value};

/// How large a definition of a flag or an evaluator may be, in bytes of JSON.
pub const MAX_DEFINITION_BYTES: usize = 256 * 1024;

/// How deep objects and arrays may stand in each other in a definition; a little less than parsers of JSON allow, so that
/// whoever shows a definition within something else can still be read.
pub const MAX_NESTING: usize = 100;

/// How many variants a flag may have.
pub const MAX_VARIANTS: usize = 1_000;

/// How long the key of a flag, or the name of an evaluator or variant, may be, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Why a definition is refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// A path into the definition, its parts separated by `/`; empty for the whole.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl Invalid {
    pub(crate) fn new(place: &str, message: impl Into<String>) -> Invalid {
        Invalid { place: place.to_owned(), message: message.into() }
    }

    /// The same, seen from one level further out.
    pub(crate) fn within(mut self, part: &str) -> Invalid {
        let separator = if self.place.is_empty() { "" } else { "/" };
        self.place = format!("{part}{separator}{}", self.place);
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Invalid {}

/// A flag's definition whose fields are as they must be; its targeting rule is not yet compiled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) enabled: bool,
    pub(crate) variants: Map<String, Value>,
    pub(crate) default_variant: Option<String>,
    pub(crate) targeting: Option<Value>,
    pub(crate) metadata: Map<String, Value>,
}

impl Definition {
    pub(crate) fn new(source: &Value) -> Result<Definition, Invalid> {
        let fields =
            source.as_object().ok_or_else(|| Invalid::new("", "a flag's definition is a JSON object"))?;
        for name in fields.keys() {
            if !["state", "variants", "defaultVariant", "targeting", "metadata"].contains(&name.as_str()) {
                return Err(Invalid::new(name, "flags have no such field"));
            }
        }
        let variants = variants(fields.get("variants"))?;
        let default_variant = default_variant(fields.get("defaultVariant"), &variants)?;
        Ok(Definition {
            enabled: enabled(fields.get("state"))?,
            variants,
            default_variant,
            targeting: targeting(fields.get("targeting"))?,
            metadata: metadata(fields.get("metadata"))?,
        })
    }
}

/// Reads JSON of a bounded size and depth.
pub(crate) fn read(text: &[u8]) -> Result<Value, Invalid> {
    if text.len() > MAX_DEFINITION_BYTES {
        let length = text.len();
        return Err(Invalid::new(
            "",
            format!("it has {length} bytes, and {MAX_DEFINITION_BYTES} is the most"),
        ));
    }
    let value =
        serde_json::from_slice(text).map_err(|error| Invalid::new("", format!("it is not JSON: {error}")))?;
    if is_deeper(&value, MAX_NESTING) {
        return Err(Invalid::new(
            "",
            format!("objects and arrays may stand at most {MAX_NESTING} deep in each other"),
        ));
    }
    Ok(value)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|field| is_deeper(field, levels - 1)),
        _ => false,
    }
}

/// Keys of flags and names of evaluators, which are names of nodes in the tree and parts of paths in URLs as well.
pub(crate) fn check_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(Invalid::new("", format!("a name has 1 to {MAX_NAME_BYTES} bytes")));
    }
    if name == "." || name == ".." || name.chars().any(|symbol| symbol == '/' || symbol.is_control()) {
        return Err(Invalid::new(
            "",
            "a name has no slash and no control character in it, and is neither . nor ..",
        ));
    }
    Ok(())
}

/// Metadata says booleans, strings and numbers, nothing nested.
pub(crate) fn metadata(source: Option<&Value>) -> Result<Map<String, Value>, Invalid> {
    let Some(source) = source else { return Ok(Map::new()) };
    let fields = source.as_object().ok_or_else(|| Invalid::new("metadata", "it must be an object"))?;
    for (name, value) in fields {
        if !(value.is_boolean() || value.is_string() || value.is_number()) {
            return Err(Invalid::new(name, "it must be a boolean, a string or a number").within("metadata"));
        }
    }
    Ok(fields.clone())
}

fn enabled(state: Option<&Value>) -> Result<bool, Invalid> {
    match state.and_then(Value::as_str) {
        Some("ENABLED") => Ok(true),
        Some("DISABLED") => Ok(false),
        _ => Err(Invalid::new("state", "it must be \"ENABLED\" or \"DISABLED\"")),
    }
}

fn variants(source: Option<&Value>) -> Result<Map<String, Value>, Invalid> {
    let wrong = |message: &str| Err(Invalid::new("variants", message));
    let Some(variants) = source.and_then(Value::as_object) else {
        return wrong("it must be an object: names, and the value of each");
    };
    if variants.is_empty() || variants.len() > MAX_VARIANTS {
        return wrong(&format!("a flag has 1 to {MAX_VARIANTS} variants"));
    }
    let first = variants.values().next().and_then(kind);
    for (name, value) in variants {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return wrong(&format!("a variant's name has 1 to {MAX_NAME_BYTES} bytes"));
        }
        match kind(value) {
            None => {
                return Err(
                    Invalid::new(name, "it must be a boolean, string, number or object").within("variants")
                );
            }
            other if other != first => {
                return Err(Invalid::new(
                    name,
                    "all variants must be of one type: boolean, string, number or object",
                )
                .within("variants"));
            }
            _ => {}
        }
    }
    Ok(variants.clone())
}

fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Bool(_) => Some("boolean"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Object(_) => Some("object"),
        Value::Null | Value::Array(_) => None,
    }
}

fn default_variant(source: Option<&Value>, variants: &Map<String, Value>) -> Result<Option<String>, Invalid> {
    let name = match source {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name,
        Some(_) => return Err(Invalid::new("defaultVariant", "it must be the name of a variant, or null")),
    };
    if !variants.contains_key(name) {
        return Err(Invalid::new("defaultVariant", format!("there is no variant {name:?}")));
    }
    Ok(Some(name.clone()))
}

/// An empty object is no targeting.
fn targeting(source: Option<&Value>) -> Result<Option<Value>, Invalid> {
    match source {
        None => Ok(None),
        Some(Value::Object(fields)) if fields.is_empty() => Ok(None),
        Some(rule @ Value::Object(fields)) if fields.len() == 1 => Ok(Some(rule.clone())),
        Some(_) => Err(Invalid::new("targeting", "it must be a JsonLogic rule: an object with one operator")),
    }
}
