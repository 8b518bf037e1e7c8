//! Defining flags anew, and removing them.

use super::definition::{boolean, describe, in_file, is_boolean, of_variants};
use super::{SetArguments, Share, path};
use crate::Failure;
use crate::client::{Client, Nodes, Request, escape};
use crate::print;
use crate::trouble::Trouble;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Longer than any definition that a node accepts.
const MAX_FILE: u64 = 4 << 20;

pub(super) fn set(nodes: &Nodes, how: SetArguments) -> Result<(), Trouble> {
    let client = nodes.client()?;
    let key = &how.key;
    let definition = wanted(&how)?;
    let before = before(&client, key)?;
    // Whoever changes it after we looked must not be overwritten unseen.
    let mut request = Request::put(noted(key, how.comment.as_deref()), definition);
    if let Some(before) = &before {
        let shorthand = how.on.is_some() || how.off;
        if shorthand && !how.replace && !is_boolean(&before["definition"]) {
            return Err(Trouble::from(format!(
                "flag {key} is of another kind: {}\nChange its definition with --file, or have it replaced with \
                 --replace",
                describe(&before["definition"])
            )));
        }
        request = request.header("if-match", format!("\"{}\"", before["version"]));
    } else {
        request = request.header("if-none-match", "*");
    }
    let answer = client.ask(&request)?;
    if how.json {
        print::json(&answer);
        return Ok(());
    }
    let what = describe(&answer["definition"]);
    let version = &answer["version"];
    print::line(&match before {
        Some(before) => {
            let was = describe(&before["definition"]);
            format!("{key} is now {what}\nversion {version}; version {} was {was}", before["version"])
        }
        None => format!("{key} is now {what}\nversion {version}; it is new"),
    });
    Ok(())
}

/// The definition that the command line describes.
fn wanted(how: &SetArguments) -> Result<Value, Failure> {
    if let Some(share) = how.on {
        return Ok(boolean(share));
    }
    if how.off {
        return Share::parse("0%").map(boolean);
    }
    if let Some(file) = &how.file {
        let text = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        return in_file(&text, &how.key).map_err(|why| format!("{}: {why}", file.display()));
    }
    let default = how.default.as_deref().ok_or("say with --default which of the variants it has")?;
    of_variants(&how.variant, default)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file)?)
    };
    if source.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        return Err(std::io::Error::other("too long for a flag's definition"));
    }
    Ok(text)
}

/// What the flag is now, if there is one.
fn before(client: &Client, key: &str) -> Result<Option<Value>, Trouble> {
    match client.ask(&Request::get(path(key))) {
        Ok(flag) => Ok(Some(flag)),
        Err(refusal) if refusal.code() == "not-found" => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Where a flag is changed, with why.
fn noted(key: &str, comment: Option<&str>) -> String {
    comment.map_or_else(|| path(key), |comment| format!("{}?comment={}", path(key), escape(comment)))
}

pub(super) fn remove(nodes: &Nodes, key: &str, comment: Option<&str>, json: bool) -> Result<(), Trouble> {
    let answer = nodes.client()?.ask(&Request::delete(noted(key, comment)))?;
    if json {
        print::json(&answer);
    } else {
        print::line(&format!("flag {key} is removed; programs use the default in their code"));
    }
    Ok(())
}
