//! A compiled rule applied to a context, step by step, until it is done or has taken too many.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Rule;
use super::operators::{Operator, apply};
use super::values::{to_text, truthy};

/// How many steps an evaluation may take. Every rule costs one each time it is evaluated, and so does every value that is
/// copied or looked through, a text one more for every 16 bytes. Some milliseconds and a megabyte, at the very most.
pub const MAX_STEPS: usize = 50_000;

const BYTES_PER_STEP: usize = 16;

/// The evaluation would take more than `MAX_STEPS`.
#[derive(Debug)]
pub(crate) struct Exhausted;

/// What a rule outside `map` and its like is applied to.
#[derive(Clone, Copy)]
pub(crate) struct Root<'a> {
    /// The caller's context.
    pub(crate) context: &'a Map<String, Value>,
    /// What `$flagd` names: the flag's key and the time.
    pub(crate) flagd: &'a Value,
}

/// What `var` looks into.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Root,
    Item(&'a Value),
    Reduce { current: &'a Value, accumulator: &'a Value },
}

/// The rule's value in this context.
pub(crate) fn evaluate<'a>(rule: &'a Rule, root: Root<'a>) -> Result<Cow<'a, Value>, Exhausted> {
    Evaluator { root, steps: Steps { left: MAX_STEPS } }.evaluate(rule, Scope::Root)
}

/// The steps that are left.
pub(super) struct Steps {
    left: usize,
}

impl Steps {
    pub(super) fn take(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }

    /// What copying this text costs.
    pub(super) fn take_text(&mut self, text: &str) -> Result<(), Exhausted> {
        self.take(text.len() / BYTES_PER_STEP)
    }

    /// What copying a value, or looking through all of it, costs.
    pub(super) fn take_value(&mut self, value: &Value) -> Result<(), Exhausted> {
        self.take(1)?;
        match value {
            Value::String(text) => self.take_text(text),
            Value::Array(items) => items.iter().try_for_each(|item| self.take_value(item)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
                self.take_text(name)?;
                self.take_value(field)
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn own(&mut self, value: Cow<'_, Value>) -> Result<Value, Exhausted> {
        if let Cow::Borrowed(borrowed) = value {
            self.take_value(borrowed)?;
        }
        Ok(value.into_owned())
    }
}

pub(super) struct Evaluator<'r> {
    pub(super) root: Root<'r>,
    pub(super) steps: Steps,
}

impl<'r> Evaluator<'r> {
    fn evaluate<'a>(&mut self, rule: &'a Rule, scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        self.steps.take(1)?;
        match rule {
            Rule::Literal(value) => Ok(Cow::Borrowed(value)),
            Rule::Shared(shared) => self.evaluate(shared, scope),
            Rule::List(items) => {
                let items = self.all(items, scope)?;
                Ok(Cow::Owned(self.array(items)?))
            }
            Rule::Apply { operator, arguments } => self.apply(*operator, arguments, scope),
        }
    }

    /// Those that decide which arguments are evaluated, and for what, stand here; the others take values.
    fn apply<'a>(
        &mut self,
        operator: Operator,
        arguments: &'a [Rule],
        scope: Scope<'a>,
    ) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        match operator {
            Operator::If => self.choose(arguments, scope),
            Operator::And => self.first(arguments, scope, false),
            Operator::Or => self.first(arguments, scope, true),
            Operator::Filter => self.filter(arguments, scope),
            Operator::Map => self.map(arguments, scope),
            Operator::Reduce => self.reduce(arguments, scope),
            Operator::All => {
                Ok(boolean(self.count(arguments, scope, false)?.is_some_and(|(found, of)| !found && of > 0)))
            }
            Operator::Some => {
                Ok(boolean(self.count(arguments, scope, true)?.is_some_and(|(found, _)| found)))
            }
            Operator::None => {
                Ok(boolean(self.count(arguments, scope, true)?.is_none_or(|(found, _)| !found)))
            }
            Operator::Var => self.variable(arguments, scope),
            Operator::Missing => {
                let keys = self.keys(arguments, scope)?;
                Ok(Cow::Owned(Value::Array(self.missing(keys, scope)?)))
            }
            Operator::MissingSome => self.missing_some(arguments, scope),
            _ => {
                let values = self.all(arguments, scope)?;
                apply(operator, values, self)
            }
        }
    }

    fn all<'a>(&mut self, rules: &'a [Rule], scope: Scope<'a>) -> Result<Vec<Cow<'a, Value>>, Exhausted>
    where
        'r: 'a,
    {
        rules.iter().map(|rule| self.evaluate(rule, scope)).collect()
    }

    pub(super) fn array(&mut self, items: Vec<Cow<'_, Value>>) -> Result<Value, Exhausted> {
        let items: Result<Vec<Value>, Exhausted> =
            items.into_iter().map(|item| self.steps.own(item)).collect();
        Ok(Value::Array(items?))
    }

    /// `if`: conditions and consequences in turn, and what holds otherwise.
    fn choose<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let (pairs, otherwise) = arguments.as_chunks::<2>();
        for [condition, consequence] in pairs {
            if truthy(&*self.evaluate(condition, scope)?) {
                return self.evaluate(consequence, scope);
            }
        }
        if let Some(otherwise) = otherwise.first() {
            return self.evaluate(otherwise, scope);
        }
        Ok(null())
    }

    /// The first argument that is as true as `wanted`, or the last.
    fn first<'a>(
        &mut self,
        arguments: &'a [Rule],
        scope: Scope<'a>,
        wanted: bool,
    ) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut last = null();
        for argument in arguments {
            last = self.evaluate(argument, scope)?;
            if truthy(&last) == wanted {
                break;
            }
        }
        Ok(last)
    }

    fn filter<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut kept = Vec::new();
        if let Some((items, test)) = self.items(arguments, scope)? {
            for item in array_of(&items) {
                if truthy(&*self.evaluate(test, Scope::Item(item))?) {
                    kept.push(self.steps.own(Cow::Borrowed(item))?);
                }
            }
        }
        Ok(Cow::Owned(Value::Array(kept)))
    }

    fn map<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut mapped = Vec::new();
        if let Some((items, rule)) = self.items(arguments, scope)? {
            for item in array_of(&items) {
                let value = self.evaluate(rule, Scope::Item(item))?;
                mapped.push(self.steps.own(value)?);
            }
        }
        Ok(Cow::Owned(Value::Array(mapped)))
    }

    fn reduce<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut accumulator = match arguments.get(2) {
            Some(initial) => {
                let initial = self.evaluate(initial, scope)?;
                self.steps.own(initial)?
            }
            None => Value::Null,
        };
        if let Some((items, rule)) = self.items(arguments, scope)? {
            for current in array_of(&items) {
                let next = self.evaluate(rule, Scope::Reduce { current, accumulator: &accumulator })?;
                accumulator = self.steps.own(next)?;
            }
        }
        Ok(Cow::Owned(accumulator))
    }

    /// Whether an item's truth is `wanted`, and how many items there are. None if the first argument is no array.
    fn count<'a>(
        &mut self,
        arguments: &'a [Rule],
        scope: Scope<'a>,
        wanted: bool,
    ) -> Result<Option<(bool, usize)>, Exhausted>
    where
        'r: 'a,
    {
        let Some((items, test)) = self.items(arguments, scope)? else { return Ok(None) };
        if !items.is_array() {
            return Ok(None);
        }
        let items = array_of(&items);
        for item in items {
            if truthy(&*self.evaluate(test, Scope::Item(item))?) == wanted {
                return Ok(Some((true, items.len())));
            }
        }
        Ok(Some((false, items.len())))
    }

    /// The items that an operator goes through, and the rule that it applies to each.
    fn items<'a>(
        &mut self,
        arguments: &'a [Rule],
        scope: Scope<'a>,
    ) -> Result<Option<(Cow<'a, Value>, &'a Rule)>, Exhausted>
    where
        'r: 'a,
    {
        let [items, rule, ..] = arguments else { return Ok(None) };
        Ok(Some((self.evaluate(items, scope)?, rule)))
    }

    fn variable<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let path = match arguments.first() {
            Some(path) => self.evaluate(path, scope)?,
            None => null(),
        };
        match self.look_up(&path, scope)? {
            Some(found) => Ok(found),
            None => arguments.get(1).map_or_else(|| Ok(null()), |default| self.evaluate(default, scope)),
        }
    }

    fn look_up<'a>(&mut self, path: &Value, scope: Scope<'a>) -> Result<Option<Cow<'a, Value>>, Exhausted>
    where
        'r: 'a,
    {
        self.steps.take_value(path)?;
        let path = if path.is_null() { String::new() } else { to_text(path) };
        if path.is_empty() {
            return self.whole(scope).map(Some);
        }
        let mut parts = path.split('.');
        let mut found = match scope {
            Scope::Item(item) => Some(item),
            Scope::Reduce { current, accumulator } => match parts.next() {
                Some("current") => Some(current),
                Some("accumulator") => Some(accumulator),
                _ => None,
            },
            Scope::Root => match parts.next() {
                Some("$flagd") => Some(self.root.flagd),
                Some(name) => self.root.context.get(name),
                None => None,
            },
        };
        for part in parts {
            found = match found {
                Some(Value::Object(fields)) => fields.get(part),
                Some(Value::Array(items)) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
        }
        Ok(found.map(Cow::Borrowed))
    }

    fn whole<'a>(&mut self, scope: Scope<'a>) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let fields: Vec<(&str, &Value)> = match scope {
            Scope::Item(item) => return Ok(Cow::Borrowed(item)),
            Scope::Reduce { current, accumulator } => {
                vec![("current", current), ("accumulator", accumulator)]
            }
            Scope::Root => {
                let context = self.root.context.iter().map(|(name, value)| (name.as_str(), value));
                context.chain([("$flagd", self.root.flagd)]).collect()
            }
        };
        let mut whole = Map::new();
        for (name, value) in fields {
            self.steps.take_text(name)?;
            whole.insert(name.to_owned(), self.steps.own(Cow::Borrowed(value))?);
        }
        Ok(Cow::Owned(Value::Object(whole)))
    }

    /// The keys given to `missing`: its arguments, or the array that its only argument is.
    fn keys<'a>(&mut self, arguments: &'a [Rule], scope: Scope<'a>) -> Result<Vec<Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut values = self.all(arguments, scope)?;
        if values.first().is_some_and(|first| first.is_array()) {
            values.truncate(1);
        }
        match self.array(values)? {
            Value::Array(mut keys) => match keys.first_mut() {
                Some(Value::Array(inner)) => Ok(std::mem::take(inner)),
                _ => Ok(keys),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// Those of the keys under which the context has nothing.
    fn missing<'a>(&mut self, keys: Vec<Value>, scope: Scope<'a>) -> Result<Vec<Value>, Exhausted>
    where
        'r: 'a,
    {
        let mut missing = Vec::new();
        for key in keys {
            let found = self.look_up(&key, scope)?;
            if found.is_none_or(|found| found.is_null() || found.as_str() == Some("")) {
                missing.push(key);
            }
        }
        Ok(missing)
    }

    fn missing_some<'a>(
        &mut self,
        arguments: &'a [Rule],
        scope: Scope<'a>,
    ) -> Result<Cow<'a, Value>, Exhausted>
    where
        'r: 'a,
    {
        let values = self.all(arguments, scope)?;
        let needed = values.first().and_then(|needed| needed.as_u64()).unwrap_or(0);
        let options = match values.get(1) {
            Some(options) => {
                self.steps.take_value(options)?;
                array_of(options).to_vec()
            }
            None => Vec::new(),
        };
        let count = options.len();
        let missing = self.missing(options, scope)?;
        let enough = (count - missing.len()) as u64 >= needed;
        Ok(Cow::Owned(Value::Array(if enough { Vec::new() } else { missing })))
    }
}

pub(super) fn null<'a>() -> Cow<'a, Value> {
    Cow::Owned(Value::Null)
}

pub(super) fn boolean<'a>(truth: bool) -> Cow<'a, Value> {
    Cow::Owned(Value::Bool(truth))
}

fn array_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
