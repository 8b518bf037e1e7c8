//! Feature flags as flagd defines them: checked, and evaluated for a context.
//!
//! A [`FlagSet`] holds definitions in flagd's format (flagd.dev/reference/flag-definitions) and answers what a flag's value
//! is for somebody. It passes flagd's own scenarios for evaluators (`tests/scenarios.rs`), with the second version of
//! `fractional`. It reads no clock and no file; whoever calls it says what time it is.
//!
//! **Bounds.** A definition has at most [`MAX_DEFINITION_BYTES`], [`MAX_VARIANTS`] and rules at most [`MAX_DEPTH`] deep; a set
//! has at most [`MAX_FLAGS`], [`MAX_EVALUATORS`] and [`MAX_SET_BYTES`]. An evaluation takes at most [`MAX_STEPS`], whatever
//! the rule and the context are, and ends with an error if it would take more.

#![forbid(unsafe_code)]

mod definition;
mod logic;
mod murmur3;
mod targeting;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use definition::Definition;
pub use definition::{Invalid, MAX_DEFINITION_BYTES, MAX_NAME_BYTES, MAX_NESTING, MAX_VARIANTS};
use logic::{Compiled, Evaluators, Root};
pub use logic::{MAX_DEPTH, MAX_STEPS};
use serde_json::{Map, Value, json};

/// How many flags a set may have.
pub const MAX_FLAGS: usize = 10_000;

/// How many shared evaluators a set may have.
pub const MAX_EVALUATORS: usize = 1_000;

/// How large all definitions of a set may be together, in bytes of JSON.
pub const MAX_SET_BYTES: usize = 8 * 1024 * 1024;

/// Flags, the evaluators they share, and what can be said about all of them. A clone shares what is in it.
#[derive(Debug, Default, Clone)]
pub struct FlagSet {
    flags: BTreeMap<String, Entry>,
    sources: BTreeMap<String, (Arc<Value>, usize)>,
    evaluators: Evaluators,
    metadata: Map<String, Value>,
    bytes: usize,
}

/// A flag that can be evaluated, or why it cannot.
#[derive(Debug, Clone)]
struct Entry {
    flag: Result<Flag, Invalid>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Flag {
    definition: Arc<Definition>,
    rule: Option<Result<Compiled, Invalid>>,
}

/// Why a flag has the value it has: OpenFeature's reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The flag has no targeting.
    Static,
    /// Targeting chose the variant.
    TargetingMatch,
    /// Targeting chose none, or there is no default variant.
    Default,
    /// The flag is switched off: the caller's own default holds.
    Disabled,
}

impl Reason {
    /// As OpenFeature writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Static => "STATIC",
            Reason::TargetingMatch => "TARGETING_MATCH",
            Reason::Default => "DEFAULT",
            Reason::Disabled => "DISABLED",
        }
    }
}

/// Why there is no value: OpenFeature's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// There is no such flag.
    FlagNotFound,
    /// The flag's definition is broken.
    ParseError,
    /// The value is not of the type that was asked for.
    TypeMismatch,
    /// Anything else: targeting named a variant that does not exist, or took too long.
    General,
}

impl ErrorCode {
    /// As OpenFeature writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::FlagNotFound => "FLAG_NOT_FOUND",
            ErrorCode::ParseError => "PARSE_ERROR",
            ErrorCode::TypeMismatch => "TYPE_MISMATCH",
            ErrorCode::General => "GENERAL",
        }
    }
}

/// What a flag is for somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation<'a> {
    /// None if the caller's own default holds.
    pub value: Option<&'a Value>,
    /// The value's name; none if there is no value.
    pub variant: Option<&'a str>,
    /// How it came about.
    pub reason: Reason,
    /// The set's metadata, and the flag's over it.
    pub metadata: Cow<'a, Map<String, Value>>,
}

/// Why a flag has no value for somebody. The caller's own default holds.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationError<'a> {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub details: String,
    /// The set's metadata, and the flag's over it.
    pub metadata: Cow<'a, Map<String, Value>>,
}

impl fmt::Display for EvaluationError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.details)
    }
}

impl std::error::Error for EvaluationError<'_> {}

/// OpenFeature's types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A text.
    String,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Float,
    /// An object.
    Object,
}

impl<'a> Evaluation<'a> {
    /// The same, if its value is of this kind or the caller's own default holds.
    ///
    /// # Errors
    ///
    /// `TYPE_MISMATCH`.
    pub fn of_kind(self, kind: Kind) -> Result<Evaluation<'a>, EvaluationError<'a>> {
        let fits = self.value.is_none_or(|value| match kind {
            Kind::Boolean => value.is_boolean(),
            Kind::String => value.is_string(),
            Kind::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Kind::Float => value.is_number(),
            Kind::Object => value.is_object(),
        });
        if fits {
            return Ok(self);
        }
        let details = format!("the flag's value is not of the type {kind:?}");
        Err(EvaluationError { code: ErrorCode::TypeMismatch, details, metadata: self.metadata })
    }
}

impl FlagSet {
    /// A set without flags.
    pub fn new() -> FlagSet {
        FlagSet::default()
    }

    /// Reads a flagd configuration: `flags` by key, `$evaluators` by name, `metadata`. A broken flag is kept, and says so
    /// when it is evaluated, as flagd does.
    ///
    /// # Errors
    ///
    /// The document is not JSON, is not shaped like a configuration, or has more in it than a set may have.
    pub fn parse(text: &[u8]) -> Result<FlagSet, Invalid> {
        if text.len() > MAX_SET_BYTES {
            return Err(Invalid::new("", format!("a flag set has at most {MAX_SET_BYTES} bytes")));
        }
        let document: Value = serde_json::from_slice(text)
            .map_err(|error| Invalid::new("", format!("it is not JSON: {error}")))?;
        let object = |name: &str| match document.get(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(Invalid::new(name, "it must be an object")),
        };
        let flags = object("flags")?.ok_or_else(|| Invalid::new("flags", "it is missing"))?;
        let mut set = FlagSet { metadata: definition::metadata(document.get("metadata"))?, ..FlagSet::new() };
        for (name, source) in object("$evaluators")?.into_iter().flatten() {
            set.put_evaluator(name, source.to_string().as_bytes())
                .map_err(|invalid| invalid.within(name).within("$evaluators"))?;
        }
        for (key, source) in flags {
            let text = source.to_string();
            set.admit(key, text.len()).map_err(|invalid| invalid.within(key).within("flags"))?;
            set.put(key, text.as_bytes());
        }
        Ok(set)
    }

    /// Whether this definition can be put into the set under this key: everything about it is checked.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn check(&self, key: &str, text: &[u8]) -> Result<(), Invalid> {
        self.admit(key, text.len())?;
        let flag = self.read_flag(text)?;
        flag.rule.transpose().map(drop)
    }

    /// Puts a flag in, or another definition for it. One that is broken is kept as broken.
    pub fn put(&mut self, key: &str, text: &[u8]) {
        let flag = self.admit(key, text.len()).and_then(|()| self.read_flag(text));
        self.remove(key);
        self.bytes += text.len();
        self.flags.insert(key.to_owned(), Entry { flag, bytes: text.len() });
    }

    /// Takes a flag out.
    pub fn remove(&mut self, key: &str) {
        if let Some(entry) = self.flags.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Whether this rule can be put into the set as an evaluator: whatever refers to it still compiles, with what it refers
    /// to in turn.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn check_evaluator(&self, name: &str, text: &[u8]) -> Result<(), Invalid> {
        let mut sources = self.rules();
        sources.insert(name.to_owned(), Arc::new(self.read_evaluator(name, text)?));
        let compiled = logic::compile_evaluators(&sources);
        if let Some(Err(invalid)) = compiled.get(name) {
            return Err(invalid.clone());
        }
        match self.broken_by(&compiled) {
            None => Ok(()),
            Some(key) => {
                Err(Invalid::new("", format!("the flag {key:?}, which refers to it, would be broken")))
            }
        }
    }

    /// Puts an evaluator in, or another rule for it, and compiles the flags that refer to evaluators again.
    ///
    /// # Errors
    ///
    /// It is no rule, or there are too many. What was there under that name stays.
    pub fn put_evaluator(&mut self, name: &str, text: &[u8]) -> Result<(), Invalid> {
        let source = self.read_evaluator(name, text)?;
        self.bytes += text.len();
        if let Some((_, bytes)) = self.sources.insert(name.to_owned(), (Arc::new(source), text.len())) {
            self.bytes -= bytes;
        }
        self.compile_again();
        Ok(())
    }

    /// Takes an evaluator out; flags that refer to it are broken from then on.
    pub fn remove_evaluator(&mut self, name: &str) {
        if let Some((_, bytes)) = self.sources.remove(name) {
            self.bytes -= bytes;
            self.compile_again();
        }
    }

    /// The key of a flag that refers to an evaluator, itself or through others.
    pub fn user_of(&self, name: &str) -> Option<&str> {
        let mut sources = self.rules();
        sources.remove(name);
        self.broken_by(&logic::compile_evaluators(&sources))
    }

    /// The keys of all flags, in order, broken ones included.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.keys().map(String::as_str)
    }

    /// How many flags there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are no flags.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// The set's own metadata.
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// What a flag is for somebody, at a time in seconds since 1970. The time is what `$flagd.timestamp` says.
    ///
    /// # Errors
    ///
    /// There is no such flag, it is broken, targeting chose a variant that does not exist, or it took too many steps.
    pub fn evaluate(
        &self,
        key: &str,
        context: &Map<String, Value>,
        now_s: u64,
    ) -> Result<Evaluation<'_>, EvaluationError<'_>> {
        let Some(entry) = self.flags.get(key) else {
            return Err(self.error(None, ErrorCode::FlagNotFound, format!("there is no flag {key:?}")));
        };
        let flag = match &entry.flag {
            Ok(flag) => flag,
            Err(invalid) => {
                return Err(self.error(
                    None,
                    ErrorCode::ParseError,
                    format!("the flag {key:?} is broken: {invalid}"),
                ));
            }
        };
        if !flag.definition.enabled {
            return Ok(self.evaluation(flag, None, Reason::Disabled));
        }
        let default = flag.definition.default_variant.as_deref();
        let rule = match &flag.rule {
            None if default.is_some() => return Ok(self.evaluation(flag, default, Reason::Static)),
            None => return Ok(self.evaluation(flag, None, Reason::Default)),
            Some(Ok(compiled)) => &compiled.rule,
            Some(Err(invalid)) => {
                return Err(self.error(
                    Some(flag),
                    ErrorCode::ParseError,
                    format!("the flag {key:?} is broken: {invalid}"),
                ));
            }
        };
        let flagd = json!({"flagKey": key, "timestamp": now_s});
        let Ok(chosen) = logic::evaluate(rule, Root { context, flagd: &flagd }) else {
            return Err(self.error(
                Some(flag),
                ErrorCode::General,
                format!("targeting takes more than {MAX_STEPS} steps"),
            ));
        };
        let Some(name) = variant_name(&chosen) else {
            return Ok(self.evaluation(flag, default, Reason::Default));
        };
        match flag.definition.variants.get_key_value(name.as_ref()) {
            Some((name, _)) => Ok(self.evaluation(flag, Some(name), Reason::TargetingMatch)),
            None => Err(self.error(
                Some(flag),
                ErrorCode::General,
                format!("targeting chose {name:?}, and the flag has no such variant"),
            )),
        }
    }

    fn evaluation<'a>(&'a self, flag: &'a Flag, variant: Option<&'a str>, reason: Reason) -> Evaluation<'a> {
        let value = variant.and_then(|name| flag.definition.variants.get(name));
        Evaluation { value, variant, reason, metadata: self.metadata_of(Some(flag)) }
    }

    fn error<'a>(&'a self, flag: Option<&'a Flag>, code: ErrorCode, details: String) -> EvaluationError<'a> {
        EvaluationError { code, details, metadata: self.metadata_of(flag) }
    }

    fn metadata_of<'a>(&'a self, flag: Option<&'a Flag>) -> Cow<'a, Map<String, Value>> {
        let Some(flag) = flag else { return Cow::Borrowed(&self.metadata) };
        if self.metadata.is_empty() {
            return Cow::Borrowed(&flag.definition.metadata);
        }
        let mut metadata = self.metadata.clone();
        metadata.extend(flag.definition.metadata.clone());
        Cow::Owned(metadata)
    }

    /// Whether there is room in the set for something of this size under this key.
    fn admit(&self, key: &str, bytes: usize) -> Result<(), Invalid> {
        definition::check_name(key)?;
        let before = self.flags.get(key);
        if before.is_none() && self.flags.len() >= MAX_FLAGS {
            return Err(Invalid::new(
                "",
                format!("there are {MAX_FLAGS} flags already, and that is the most"),
            ));
        }
        self.admit_bytes(before.map_or(0, |entry| entry.bytes), bytes)
    }

    fn admit_bytes(&self, before: usize, bytes: usize) -> Result<(), Invalid> {
        if self.bytes - before + bytes > MAX_SET_BYTES {
            return Err(Invalid::new("", format!("all definitions together may have {MAX_SET_BYTES} bytes")));
        }
        Ok(())
    }

    fn read_flag(&self, text: &[u8]) -> Result<Flag, Invalid> {
        let definition = Definition::new(&definition::read(text)?)?;
        let rule = compile_targeting(&definition, &self.evaluators);
        Ok(Flag { definition: Arc::new(definition), rule })
    }

    fn read_evaluator(&self, name: &str, text: &[u8]) -> Result<Value, Invalid> {
        definition::check_name(name)?;
        let before = self.sources.get(name);
        if before.is_none() && self.sources.len() >= MAX_EVALUATORS {
            return Err(Invalid::new(
                "",
                format!("there are {MAX_EVALUATORS} evaluators already, and that is the most"),
            ));
        }
        self.admit_bytes(before.map_or(0, |(_, bytes)| *bytes), text.len())?;
        let source = definition::read(text)?;
        if !source.is_object() {
            return Err(Invalid::new("", "an evaluator is a JsonLogic rule, an object"));
        }
        Ok(source)
    }

    fn rules(&self) -> BTreeMap<String, Arc<Value>> {
        self.sources.iter().map(|(name, (source, _))| (name.clone(), Arc::clone(source))).collect()
    }

    fn compile_again(&mut self) {
        self.evaluators = logic::compile_evaluators(&self.rules());
        for entry in self.flags.values_mut() {
            if let Ok(flag) = &mut entry.flag
                && refers(&flag.definition)
            {
                flag.rule = compile_targeting(&flag.definition, &self.evaluators);
            }
        }
    }

    /// A flag that compiles now, and would not with these evaluators.
    fn broken_by(&self, evaluators: &Evaluators) -> Option<&str> {
        let breaks = |flag: &Flag| {
            matches!(flag.rule, Some(Ok(_)))
                && refers(&flag.definition)
                && matches!(compile_targeting(&flag.definition, evaluators), Some(Err(_)))
        };
        let broken = self.flags.iter().find(|(_, entry)| entry.flag.as_ref().is_ok_and(breaks));
        broken.map(|(key, _)| key.as_str())
    }
}

fn compile_targeting(definition: &Definition, evaluators: &Evaluators) -> Option<Result<Compiled, Invalid>> {
    let source = definition.targeting.as_ref()?;
    Some(logic::compile(source, evaluators).map_err(|invalid| invalid.within("targeting")))
}

fn refers(definition: &Definition) -> bool {
    let mut names = Vec::new();
    if let Some(source) = &definition.targeting {
        logic::references(source, &mut names);
    }
    !names.is_empty()
}

/// What targeting chose. A boolean or a number names the variant that is written like it; null chooses none.
fn variant_name(chosen: &Value) -> Option<Cow<'_, str>> {
    match chosen {
        Value::Null => None,
        Value::String(name) => Some(Cow::Borrowed(name)),
        other => Some(Cow::Owned(other.to_string())),
    }
}
