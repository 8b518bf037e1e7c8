//! Who holds which lock.

use super::lock;
use crate::client::{Nodes, Request};
use crate::print::{self, plain};
use crate::table::{duration, render};
use crate::trouble::Trouble;
use serde_json::{Value, json};

const HEADING: [&str; 7] = ["LOCK", "TOKEN", "OWNER", "TTL", "PERMITS", "WAITING", "VALUE"];

pub(super) fn list(nodes: &Nodes, prefix: &str, json: bool) -> Result<(), Trouble> {
    let mut items = nodes.client()?.list("/v1/locks")?;
    items.retain(|item| item["name"].as_str().is_some_and(|name| name.starts_with(prefix)));
    if json {
        print::json(&json!({ "items": items }));
    } else if items.is_empty() {
        eprintln!("no lock is held");
    } else {
        print::text(&render(&HEADING, &items.iter().flat_map(rows).collect::<Vec<_>>()));
    }
    Ok(())
}

pub(super) fn show(nodes: &Nodes, name: String, json: bool) -> Result<(), Trouble> {
    let place = lock(name);
    let seen = nodes.client()?.ask(&Request::get(place.path())).map_err(|refusal| match refusal.code() {
        "not-found" => Trouble::from(format!("lock {} is free", place.name)),
        _ => refusal.into(),
    })?;
    if json {
        print::json(&seen);
    } else {
        print::text(&describe(&seen));
    }
    Ok(())
}

/// One row for each holder; one without, for a lock that only rests or is waited for.
fn rows(item: &Value) -> Vec<Vec<String>> {
    let name = plain(&item["name"]);
    let (permits, waiting) = (plain(&item["permits"]), plain(&item["waiting"]));
    let row = |holder: &Value| {
        vec![
            name.clone(),
            plain(&holder["token"]),
            plain(&holder["owner"]),
            holder["ttl_ms"].as_u64().map_or_else(|| "-".into(), duration),
            permits.clone(),
            waiting.clone(),
            holder["value"].as_str().map(print::visible).unwrap_or_default(),
        ]
    };
    match item["holders"].as_array().map(Vec::as_slice) {
        None | Some([]) => vec![row(&Value::Null)],
        Some(holders) => holders.iter().map(row).collect(),
    }
}

fn describe(seen: &Value) -> String {
    let mut out = render(&HEADING, &rows(seen));
    let waiters: Vec<&Value> = seen["waiters"].as_array().into_iter().flatten().collect();
    if !waiters.is_empty() {
        out += "\nwaiting, the next one first:\n";
        for waiter in &waiters {
            out += &format!("  {}\n", plain(&waiter["owner"]));
        }
    }
    let hidden = seen["waiting"].as_u64().unwrap_or_default().saturating_sub(waiters.len() as u64);
    if hidden > 0 {
        out += &format!("  and {hidden} more\n");
    }
    if let Some(resting) = seen["resting"].as_u64().filter(|resting| *resting > 0) {
        out += &format!("\nresting after a holder fell silent: {resting}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_has_a_row_and_those_who_wait_are_named() {
        let seen = json!({
            "name": "backup", "permits": 2, "waiting": 3, "resting": 0,
            "holders": [{"token": 7, "owner": "a", "ttl_ms": 10_000}, {"token": 9, "owner": "b", "ttl_ms": 500, "value": "x"}],
            "waiters": [{"owner": "c"}, {"owner": "d\u{1b}[0m"}],
        });
        assert_eq!(
            describe(&seen),
            "LOCK    TOKEN  OWNER  TTL     PERMITS  WAITING  VALUE\n\
             backup  7      a      10 s    2        3\n\
             backup  9      b      500 ms  2        3        x\n\n\
             waiting, the next one first:\n  c\n  d\u{fffd}[0m\n  and 1 more\n"
        );
        let resting = json!({"name": "x", "permits": 1, "waiting": 0, "resting": 1, "holders": []});
        assert!(describe(&resting).contains("resting after a holder fell silent: 1"));
    }
}
