//! What flags are, were, and are for somebody.

use super::definition::describe;
use super::{EvalArguments, path};
use crate::client::{Client, Nodes, Request, escape};
use crate::follow::follow;
use crate::print::{self, GREEN, coloured, plain};
use crate::table::render;
use crate::trouble::Trouble;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, UNIX_EPOCH};

pub(super) fn evaluate(nodes: &Nodes, how: EvalArguments) -> Result<(), Trouble> {
    let mut context: Map<String, Value> = how.context.into_iter().collect();
    if let Some(key) = how.key {
        context.insert("targetingKey".into(), key.into());
    }
    let path = format!("/ofrep/v1/evaluate/flags/{}", escape(&how.flag));
    let answer = nodes.client()?.ask(&Request::post(path, json!({ "context": context })))?;
    if how.json {
        print::json(&answer);
        return Ok(());
    }
    // Without a value, a program uses the default in its code.
    let value = answer.get("value").map_or_else(|| "the code's own default".into(), Value::to_string);
    let variant = answer["variant"]
        .as_str()
        .map_or_else(String::new, |variant| format!("  variant {}", print::visible(variant)));
    let value = coloured(GREEN, &print::visible(&value));
    print::line(&format!("{value}{variant}  {}", plain(&answer["reason"])));
    Ok(())
}

pub(super) fn list(nodes: &Nodes, prefix: &str, json: bool) -> Result<(), Trouble> {
    let mut items = nodes.client()?.list("/v1/flags")?;
    items.retain(|item| item["key"].as_str().is_some_and(|key| key.starts_with(prefix)));
    if json {
        print::json(&json!({ "items": items }));
        return Ok(());
    }
    if items.is_empty() {
        eprintln!("there are no flags; `quipu flags set --help` shows how to make one");
        return Ok(());
    }
    let row = |item: &Value| {
        let (key, version) = (plain(&item["key"]), plain(&item["version"]));
        vec![key, version, time(&item["modified_ms"]), describe(&item["definition"])]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    print::text(&render(&["FLAG", "VERSION", "CHANGED", "IS"], &rows));
    Ok(())
}

pub(super) fn get(nodes: &Nodes, key: &str, json: bool) -> Result<(), Trouble> {
    let flag = nodes.client()?.ask(&Request::get(path(key)))?;
    if json {
        print::json(&flag);
    } else {
        print::line(&format!("{:#}", flag["definition"]));
    }
    Ok(())
}

pub(super) fn history(nodes: &Nodes, key: &str, json: bool) -> Result<(), Trouble> {
    let items = nodes.client()?.list(&format!("{}/history", path(key)))?;
    if json {
        print::json(&json!({ "items": items }));
        return Ok(());
    }
    let row = |item: &Value| {
        let definition = &item["definition"];
        let what = if definition.is_null() { "removed".into() } else { describe(definition) };
        let comment = item["comment"].as_str().map(print::visible).unwrap_or_default();
        vec![plain(&item["number"]), time(&item["at_ms"]), plain(&item["by"]), what, comment]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    print::text(&render(&["CHANGE", "WHEN", "BY", "WAS", "COMMENT"], &rows));
    Ok(())
}

/// Milliseconds since 1970, for people: in universal time.
fn time(ms: &Value) -> String {
    let time = ms.as_u64().and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    time.map_or_else(|| "-".into(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// A flag as it was last seen: its version, and its definition.
type Seen = BTreeMap<String, Value>;

fn everything(client: &Client) -> Result<Seen, Trouble> {
    let items = client.list("/v1/flags")?;
    let keyed = items.into_iter().filter_map(|item| Some((item["key"].as_str()?.to_string(), item)));
    Ok(keyed.collect())
}

/// The stream only says that something has changed, as OFREP wants it; what has is found by looking.
pub(super) fn watch(nodes: &Nodes, json: bool) -> Result<(), Trouble> {
    let client = nodes.client()?;
    let mut seen = everything(&client)?;
    if !json {
        eprintln!("{} flags; watching", seen.len());
    }
    follow(&client, super::EVENTS, |_| {
        match everything(&client) {
            Ok(now) => {
                for (key, change) in changes(&seen, &now) {
                    tell(key, change, json);
                }
                seen = now;
            }
            Err(trouble) => crate::complain(&trouble.what),
        }
        ControlFlow::Continue(())
    })
}

/// What is new or another version, and, as none, what is gone.
fn changes<'a>(before: &'a Seen, now: &'a Seen) -> Vec<(&'a str, Option<&'a Value>)> {
    let changed = now.iter().filter(|(key, item)| {
        before
            .get(*key)
            .is_none_or(|before| before["version"] != item["version"] || before["zxid"] != item["zxid"])
    });
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    changed
        .map(|(key, item)| (key.as_str(), Some(item)))
        .chain(gone.map(|key| (key.as_str(), None)))
        .collect()
}

fn tell(key: &str, change: Option<&Value>, json: bool) {
    let shown = print::visible(key);
    match change {
        Some(item) if json => print::json(item),
        None if json => print::json(&json!({ "key": key, "definition": null })),
        Some(item) => {
            let what = describe(&item["definition"]);
            print::line(&format!("{shown}  version {}  {what}", plain(&item["version"])));
        }
        None => print::line(&format!("{shown}  removed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found_by_looking() {
        let seen = |items: &[(&str, u64, u64)]| -> Seen {
            items
                .iter()
                .map(|(key, version, zxid)| (key.to_string(), json!({"version": version, "zxid": zxid})))
                .collect()
        };
        let before = seen(&[("a", 1, 5), ("b", 1, 6), ("c", 1, 7)]);
        let now = seen(&[("a", 1, 5), ("b", 2, 9), ("c", 1, 11), ("d", 1, 10)]);
        let found: Vec<&str> = changes(&before, &now).iter().map(|(key, _)| *key).collect();
        assert_eq!(found, ["b", "c", "d"], "c was removed and made again");
        assert!(matches!(changes(&now, &seen(&[("a", 1, 5), ("b", 2, 9), ("d", 1, 10)]))[..], [("c", None)]));
    }

    #[test]
    fn times_are_universal() {
        assert_eq!(time(&json!(1_700_000_000_000_u64)), "2023-11-14T22:13:20Z");
        assert_eq!(time(&Value::Null), "-");
    }
}
