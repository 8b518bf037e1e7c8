//! JsonLogic (jsonlogic.com), with flagd's operators: a rule is compiled once, and evaluated with a bounded effort.
//!
//! The libraries for it know no bound, and some rules of a hundred bytes take longer than anybody lives (a `reduce` that
//! doubles its accumulator). A node that evaluates on its only thread cannot afford that.

mod evaluate;
mod operators;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use evaluate::MAX_STEPS;
pub(crate) use evaluate::{Root, evaluate};
use operators::Operator;
use serde_json::Value;

use crate::Invalid;

/// How deep operators and arrays may stand in each other, shared evaluators counted in.
pub const MAX_DEPTH: usize = 64;

/// A rule as it is evaluated.
#[derive(Debug)]
pub(crate) enum Rule {
    /// A value without an operator anywhere in it.
    Literal(Value),
    /// An array with operators in it.
    List(Vec<Rule>),
    /// What `$ref` names.
    Shared(Arc<Rule>),
    /// An operator and what it is applied to.
    Apply { operator: Operator, arguments: Vec<Rule> },
}

/// A rule, and how deep it is.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) rule: Arc<Rule>,
    depth: usize,
}

/// What `$ref` may name: each compiled, or why it could not be.
pub(crate) type Evaluators = BTreeMap<String, Result<Compiled, Invalid>>;

/// Compiles every evaluator. They may name each other, but not in a circle.
pub(crate) fn compile_evaluators(sources: &BTreeMap<String, Arc<Value>>) -> Evaluators {
    let mut compiled = Evaluators::new();
    for name in sources.keys() {
        compile_evaluator(sources, name, &mut compiled, 0);
    }
    compiled
}

/// Compiles those that `name` names, then itself.
fn compile_evaluator(
    sources: &BTreeMap<String, Arc<Value>>,
    name: &str,
    compiled: &mut Evaluators,
    nesting: usize,
) {
    let Some(source) = sources.get(name).filter(|_| !compiled.contains_key(name)) else { return };
    if nesting >= MAX_DEPTH {
        return;
    }
    // Until it is compiled, whoever names it stands in a circle.
    let circle = Invalid::new("$ref", format!("the evaluator {name:?} refers to itself"));
    compiled.insert(name.to_owned(), Err(circle));
    let mut names = Vec::new();
    references(source, &mut names);
    for other in names {
        compile_evaluator(sources, other, compiled, nesting + 1);
    }
    let result = compile(source, compiled);
    compiled.insert(name.to_owned(), result);
}

/// The names of the evaluators that a rule refers to.
pub(crate) fn references<'a>(source: &'a Value, names: &mut Vec<&'a str>) {
    match source {
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        Value::Object(fields) => match operation(source) {
            Some(("$ref", Value::String(name))) => names.push(name),
            _ => fields.values().for_each(|field| references(field, names)),
        },
        _ => {}
    }
}

/// Checks a rule and makes it ready. An error's place is a path within the rule.
pub(crate) fn compile(source: &Value, evaluators: &Evaluators) -> Result<Compiled, Invalid> {
    let mut compiler = Compiler { evaluators, depth: 0 };
    let rule = compiler.rule(source, 1)?;
    Ok(Compiled { rule: Arc::new(rule), depth: compiler.depth })
}

struct Compiler<'a> {
    evaluators: &'a Evaluators,
    depth: usize,
}

impl Compiler<'_> {
    fn rule(&mut self, source: &Value, depth: usize) -> Result<Rule, Invalid> {
        self.reach(depth)?;
        match source {
            Value::Array(items) => Ok(list(self.rules(items, depth + 1)?)),
            Value::Object(_) => match operation(source) {
                Some((name, argument)) => {
                    self.operation(name, argument, depth).map_err(|invalid| invalid.within(name))
                }
                None => Ok(Rule::Literal(source.clone())),
            },
            _ => Ok(Rule::Literal(source.clone())),
        }
    }

    fn rules(&mut self, items: &[Value], depth: usize) -> Result<Vec<Rule>, Invalid> {
        let numbered = items.iter().enumerate();
        numbered
            .map(|(index, item)| self.rule(item, depth).map_err(|invalid| invalid.within(&index.to_string())))
            .collect()
    }

    fn operation(&mut self, name: &str, argument: &Value, depth: usize) -> Result<Rule, Invalid> {
        if name == "$ref" {
            return self.reference(argument, depth);
        }
        let Some(operator) = Operator::named(name) else {
            return Err(Invalid::new("", format!("JsonLogic and flagd have no operator {name:?}")));
        };
        let arguments = match argument {
            Value::Array(items) => self.rules(items, depth + 1)?,
            // One argument may stand without its array.
            one => vec![self.rule(one, depth + 1)?],
        };
        Ok(Rule::Apply { operator, arguments })
    }

    fn reference(&mut self, argument: &Value, depth: usize) -> Result<Rule, Invalid> {
        let name = argument
            .as_str()
            .ok_or_else(|| Invalid::new("", "it must be the name of an evaluator, a string"))?;
        match self.evaluators.get(name) {
            Some(Ok(compiled)) => {
                self.reach(depth + compiled.depth)?;
                Ok(Rule::Shared(Arc::clone(&compiled.rule)))
            }
            Some(Err(invalid)) => {
                Err(Invalid::new("", format!("the evaluator {name:?} is broken: {invalid}")))
            }
            None => Err(Invalid::new("", format!("there is no evaluator {name:?}"))),
        }
    }

    fn reach(&mut self, depth: usize) -> Result<(), Invalid> {
        self.depth = self.depth.max(depth);
        if depth > MAX_DEPTH {
            return Err(Invalid::new(
                "",
                format!("operators and arrays may stand at most {MAX_DEPTH} deep in each other"),
            ));
        }
        Ok(())
    }
}

/// An operation is an object with one field; every other object is a value.
fn operation(source: &Value) -> Option<(&str, &Value)> {
    let fields = source.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(name, argument)| (name.as_str(), argument))
}

/// An array of values alone is a value, which costs nothing to evaluate.
fn list(rules: Vec<Rule>) -> Rule {
    if !rules.iter().all(|rule| matches!(rule, Rule::Literal(_))) {
        return Rule::List(rules);
    }
    let values =
        rules.into_iter().filter_map(|rule| if let Rule::Literal(value) = rule { Some(value) } else { None });
    Rule::Literal(Value::Array(values.collect()))
}
