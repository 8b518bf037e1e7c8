//! A small reader of server-sent events (WHATWG HTML, section 9.2).

use std::io::{self, BufRead, BufReader, Read};

/// Longer than any event of ours; what sends more is not a node.
const MAX_EVENT: usize = 4 << 20;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The last identity the stream has named, which is what to go on behind; empty if it has named none.
    pub(crate) id: String,
    /// What kind of event; `message` when it does not say.
    pub(crate) kind: String,
    /// Its lines.
    pub(crate) data: String,
}

/// The events of a body, one after the other.
pub(crate) struct Events {
    lines: BufReader<Box<dyn Read + Send>>,
    id: String,
}

impl Events {
    pub(crate) fn new(body: Box<dyn Read + Send>) -> Self {
        Events { lines: BufReader::new(body), id: String::new() }
    }

    /// The next event; none when the stream has ended. An event that the end cuts off does not count.
    pub(crate) fn next(&mut self) -> io::Result<Option<Event>> {
        let (mut kind, mut data) = (String::new(), Vec::new());
        let mut room = MAX_EVENT;
        loop {
            let Some(line) = self.line(room)? else { return Ok(None) };
            room -= line.len();
            if line.is_empty() {
                if !data.is_empty() {
                    let kind = if kind.is_empty() { "message".into() } else { kind };
                    return Ok(Some(Event { id: self.id.clone(), kind, data: data.join("\n") }));
                }
                kind.clear();
                room = MAX_EVENT;
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_string();
            match field {
                "event" => kind = value,
                "data" => data.push(value),
                "id" if !value.contains('\0') => self.id = value,
                // A comment, or something we do not know.
                _ => {}
            }
        }
    }

    /// A line without its end; none at the end of the stream, where half a line may be lost.
    fn line(&mut self, room: usize) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let limit = room as u64 + 1;
        let count = (&mut self.lines).take(limit).read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => {}
            Some(_) if count as u64 == limit => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an event is too long"));
            }
            _ => return Ok(None),
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        let mut events = Events::new(Box::new(io::Cursor::new(text.to_string().into_bytes())));
        std::iter::from_fn(|| events.next().expect("readable")).collect()
    }

    fn event(id: &str, kind: &str, data: &str) -> Event {
        Event { id: id.into(), kind: kind.into(), data: data.into() }
    }

    #[test]
    fn events_are_taken_apart() {
        let text = ": hello\n\nid: 7\nevent: elected\ndata: {\"term\":7}\n\n:\n\nid:9\r\nevent:vacant\r\ndata:a\r\ndata: b\r\n\r\n";
        assert_eq!(
            events(text),
            [event("7", "elected", "{\"term\":7}"), event("9", "vacant", "a\nb")],
            "comments say nothing, and lines are joined"
        );
    }

    #[test]
    fn an_identity_stays_until_another_comes() {
        assert_eq!(
            events("id: 7\ndata: a\n\ndata: b\n\nretry: 10\nevent: x\n\ndata: c\n\n"),
            [event("7", "message", "a"), event("7", "message", "b"), event("7", "message", "c")]
        );
    }

    #[test]
    fn what_the_end_cuts_off_did_not_happen() {
        assert_eq!(events("data: whole\n\ndata: half\n"), [event("", "message", "whole")]);
        assert_eq!(events("data: whole\n\ndata: ha"), [event("", "message", "whole")]);
        assert_eq!(events(""), []);
    }

    #[test]
    fn an_event_without_end_is_an_error() {
        let text = format!("data: {}\n\n", "x".repeat(MAX_EVENT + 1));
        let mut events = Events::new(Box::new(io::Cursor::new(text.into_bytes())));
        assert_eq!(events.next().expect_err("too long").kind(), io::ErrorKind::InvalidData);
        let text = format!("data: {}\n", "x".repeat(MAX_EVENT / 4)).repeat(5);
        let mut events = Events::new(Box::new(io::Cursor::new(text.into_bytes())));
        assert!(events.next().is_err());
    }
}
