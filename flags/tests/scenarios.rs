//! flagd's own scenarios for evaluators (github.com/open-feature/flagd-testbed, `evaluator/gherkin`), every one and every
//! example of it. Left out is only `@fractional-v1`, the older of two formulas that exclude each other.
//!
//! The scenarios are not part of this repository. They are looked for in `QUIPU_FLAGD_TESTBED`, then in
//! `shared/data/flagd-testbed` of every folder above; where they are not, this says that it was skipped.

use std::path::{Path, PathBuf};

use gherkin::{Examples, Feature, GherkinEnv, Scenario, Step};
use quipu_flags::{ErrorCode, EvaluationError, FlagSet, Kind, Reason};
use serde_json::{Map, Value, json};

/// Of the two formulas for `fractional`, the one that is not ours.
const OTHER_FORMULA: &str = "fractional-v1";

/// As many as there are in the testbed of 2026; fewer would mean that some were not found.
const AT_LEAST: usize = 125;

#[test]
fn every_scenario_of_flagd_passes() {
    let Some(folder) = testbed() else {
        println!(
            "skipped: flagd's scenarios are not on this machine (QUIPU_FLAGD_TESTBED, shared/data/flagd-testbed)"
        );
        return;
    };
    let flags =
        std::fs::read(folder.join("evaluator/flags/testkit-flags.json")).expect("the scenarios' flags");
    let flags = FlagSet::parse(&flags).expect("the scenarios' flags are a flag set");
    let (mut passed, mut failed, mut other) = (0, 0, 0);
    for path in features(&folder.join("evaluator/gherkin")) {
        // In Gherkin's tables a backslash escapes a backslash, a bar and an n, and these scenarios use it before quotes.
        let text = std::fs::read_to_string(&path).expect("a feature").replace("\\\"", "\\\\\"");
        let feature = Feature::parse(text, GherkinEnv::default()).expect("Gherkin");
        assert!(feature.rules.is_empty(), "{}: rules are not read here", path.display());
        for scenario in &feature.scenarios {
            for example in examples(&feature, scenario) {
                if example.tags.iter().any(|tag| tag == OTHER_FORMULA) {
                    other += 1;
                    continue;
                }
                match run(&flags, &feature, scenario, &example) {
                    Ok(()) => passed += 1,
                    Err(error) => {
                        failed += 1;
                        println!("FAILED {}: {} {:?}: {error}", feature.name, scenario.name, example.fields);
                    }
                }
            }
        }
    }
    println!(
        "flagd's scenarios for evaluators, each example counted; {other} more are of {OTHER_FORMULA}, which is not ours"
    );
    println!("{passed} passed, {failed} failed");
    assert!(failed == 0 && passed >= AT_LEAST, "{failed} failed, {passed} passed of at least {AT_LEAST}");
}

fn testbed() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("QUIPU_FLAGD_TESTBED") {
        let folder = PathBuf::from(folder);
        assert!(
            folder.join("evaluator/gherkin").is_dir(),
            "QUIPU_FLAGD_TESTBED has no folder evaluator/gherkin"
        );
        return Some(folder);
    }
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .map(|folder| folder.join("shared/data/flagd-testbed"))
        .find(|folder| folder.join("evaluator/gherkin").is_dir())
}

fn features(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of features");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "feature"));
    paths.sort();
    paths
}

/// One row of an outline's examples; a scenario without examples is one without fields.
struct Example {
    fields: Vec<(String, String)>,
    tags: Vec<String>,
}

fn examples(feature: &Feature, scenario: &Scenario) -> Vec<Example> {
    let tags: Vec<String> =
        feature.tags.iter().chain(&scenario.tags).map(|tag| tag.trim_start_matches('@').to_owned()).collect();
    if scenario.examples.is_empty() {
        return vec![Example { fields: Vec::new(), tags }];
    }
    scenario.examples.iter().flat_map(|table| rows(table, &tags)).collect()
}

fn rows(examples: &Examples, tags: &[String]) -> Vec<Example> {
    let table = examples.table.as_ref().expect("examples have a table");
    let (names, rows) = table.rows.split_first().expect("a table has a head");
    let own = examples.tags.iter().map(|tag| tag.trim_start_matches('@').to_owned());
    let tags: Vec<String> = tags.iter().cloned().chain(own).collect();
    let example = |row: &Vec<String>| Example {
        fields: names.iter().cloned().zip(row.iter().cloned()).collect(),
        tags: tags.clone(),
    };
    rows.iter().map(example).collect()
}

/// What an application got: what OpenFeature calls the resolution's details.
struct Details {
    value: Value,
    reason: Option<Reason>,
    error: Option<ErrorCode>,
    metadata: Map<String, Value>,
}

#[derive(Default)]
struct World {
    flag: Option<(String, Kind, Value)>,
    context: Map<String, Value>,
    details: Option<Details>,
    checks: usize,
}

fn run(flags: &FlagSet, feature: &Feature, scenario: &Scenario, example: &Example) -> Result<(), String> {
    let mut world = World::default();
    let background = feature.background.iter().flat_map(|background| &background.steps);
    for step in background.chain(&scenario.steps) {
        world.step(flags, step, example).map_err(|error| format!("{}: {error}", step.value))?;
    }
    if world.checks == 0 { Err("it checked nothing".to_owned()) } else { Ok(()) }
}

impl World {
    fn step(&mut self, flags: &FlagSet, step: &Step, example: &Example) -> Result<(), String> {
        let text = example.fill(&step.value);
        let (plain, quoted) = unquote(&text);
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        match (plain.as_str(), quoted.as_slice()) {
            ("an evaluator", []) => Ok(()),
            ("the flag was evaluated with details", []) => self.evaluate(flags),
            ("a context containing a targeting key with value _", [value]) => {
                self.put("targetingKey", json!(value))
            }
            ("a context containing a key _, with type _ and with value _", [name, kind, value]) => {
                let value = typed(kind_named(kind)?, value)?;
                self.put(name, value)
            }
            (
                "a context containing a nested property with outer key _ and inner key _, with value _",
                [outer, inner, value],
            ) => self.put(outer, json!({*inner: value})),
            ("the resolved details value should be _", [expected]) => self.check_value(expected),
            ("the reason should be _", [expected]) => {
                let reason = self.details()?.reason.map_or("ERROR", Reason::as_str);
                self.check(reason == *expected, || format!("it is {reason}"))
            }
            ("the error-code should be _", [expected]) => {
                let code = self.details()?.error.map_or("", ErrorCode::as_str);
                self.check(code == *expected, || format!("it is {code:?}"))
            }
            ("the resolved metadata is empty", []) => {
                let metadata = self.details()?.metadata.clone();
                self.check(metadata.is_empty(), || format!("it is {metadata:?}"))
            }
            ("the resolved metadata should contain", []) => self.check_metadata(step),
            (flag, [key, fallback]) if flag.ends_with("-flag with key _ and a fallback value _") => {
                let kind = flag.trim_start_matches("a ").split('-').next().unwrap_or_default();
                let kind = kind_named(kind)?;
                self.flag = Some(((*key).to_owned(), kind, typed(kind, fallback)?));
                Ok(())
            }
            _ => Err("nobody has taught this test that step".to_owned()),
        }
    }

    fn put(&mut self, name: &str, value: Value) -> Result<(), String> {
        self.context.insert(name.to_owned(), value);
        Ok(())
    }

    /// As an OpenFeature provider does it: the application's own value where the flag has none, or not one of its type.
    fn evaluate(&mut self, flags: &FlagSet) -> Result<(), String> {
        let (key, kind, fallback) = self.flag.clone().ok_or("no flag was named")?;
        let result = flags
            .evaluate(&key, &self.context, 1_760_000_000)
            .and_then(|evaluation| evaluation.of_kind(kind));
        self.details = Some(match result {
            Ok(evaluation) => Details {
                value: evaluation.value.cloned().unwrap_or(fallback),
                reason: Some(evaluation.reason),
                error: None,
                metadata: evaluation.metadata.into_owned(),
            },
            Err(EvaluationError { code, metadata, .. }) => {
                Details { value: fallback, reason: None, error: Some(code), metadata: metadata.into_owned() }
            }
        });
        Ok(())
    }

    fn details(&self) -> Result<&Details, String> {
        self.details.as_ref().ok_or_else(|| "nothing was evaluated".to_owned())
    }

    fn check(&mut self, holds: bool, otherwise: impl Fn() -> String) -> Result<(), String> {
        self.checks += 1;
        if holds { Ok(()) } else { Err(otherwise()) }
    }

    fn check_value(&mut self, expected: &str) -> Result<(), String> {
        let kind = self.flag.as_ref().ok_or("no flag was named")?.1;
        let expected = typed(kind, expected)?;
        let value = self.details()?.value.clone();
        self.check(equal(&value, &expected), || format!("it is {value}"))
    }

    fn check_metadata(&mut self, step: &Step) -> Result<(), String> {
        let table = step.table.as_ref().ok_or("there is no table")?;
        for row in table.rows.iter().skip(1) {
            let [name, kind, expected] = row.as_slice() else { return Err(format!("not a row: {row:?}")) };
            let expected = typed(kind_named(kind)?, expected)?;
            let found = self.details()?.metadata.get(name).cloned().unwrap_or(Value::Null);
            self.check(equal(&found, &expected), || format!("{name} is {found}"))?;
        }
        Ok(())
    }
}

impl Example {
    fn fill(&self, text: &str) -> String {
        self.fields
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    }
}

/// A step with `_` for each text in quotes, and those texts. A quote within a text is written `\"`.
fn unquote(text: &str) -> (String, Vec<String>) {
    let (mut plain, mut quoted) = (String::new(), Vec::new());
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        if symbol != '"' {
            plain.push(symbol);
            continue;
        }
        let mut inner = String::new();
        while let Some(symbol) = symbols.next().filter(|symbol| *symbol != '"') {
            inner.push(if symbol == '\\' { symbols.next().unwrap_or('\\') } else { symbol });
        }
        plain.push('_');
        quoted.push(inner);
    }
    (plain, quoted)
}

fn kind_named(name: &str) -> Result<Kind, String> {
    match name {
        "Boolean" => Ok(Kind::Boolean),
        "String" => Ok(Kind::String),
        "Integer" => Ok(Kind::Integer),
        "Float" => Ok(Kind::Float),
        "Object" => Ok(Kind::Object),
        _ => Err(format!("no type is called {name:?}")),
    }
}

fn typed(kind: Kind, text: &str) -> Result<Value, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{text:?} is no {kind:?}: {error}");
    match kind {
        Kind::String => Ok(json!(text)),
        Kind::Boolean => text.parse::<bool>().map(Value::from).map_err(|error| wrong(&error)),
        Kind::Integer => text.parse::<i64>().map(Value::from).map_err(|error| wrong(&error)),
        Kind::Float => text.parse::<f64>().map(Value::from).map_err(|error| wrong(&error)),
        Kind::Object => serde_json::from_str(text).map_err(|error| wrong(&error)),
    }
}

/// Equal in type and value, where 0 and 0.0 are one number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}
