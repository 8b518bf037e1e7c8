//! Jute primitives (`BinaryInputArchive`, `BinaryOutputArchive`): big-endian numbers, counted bytes and lists.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use smol_str::SmolStr;

/// The count of a null string, buffer or list.
const NULL: i32 = -1;

/// Bytes that are not the record they should be. Says which part; the sender is at fault, not we.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}

impl core::error::Error for Malformed {}

/// Reads a record from the front of a frame.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        if self.0.is_empty() {
            return Err(Malformed("too short for a bool"));
        }
        Ok(self.0.get_u8() != 0)
    }

    pub(super) fn int(&mut self) -> Result<i32, Malformed> {
        self.0.try_get_i32().map_err(|_| Malformed("too short for an int"))
    }

    pub(super) fn long(&mut self) -> Result<i64, Malformed> {
        self.0.try_get_i64().map_err(|_| Malformed("too short for a long"))
    }

    /// Bytes, cut out of the frame; `None` if null.
    pub(super) fn buffer(&mut self) -> Result<Option<Bytes>, Malformed> {
        Ok(self.length()?.map(|length| self.0.split_to(length)))
    }

    /// Text; `None` if null.
    pub(super) fn text(&mut self) -> Result<Option<String>, Malformed> {
        self.lossy(|text| text.into_owned())
    }

    /// Text that may be null, which then reads as empty; without an allocation if it is short.
    pub(super) fn word(&mut self) -> Result<SmolStr, Malformed> {
        Ok(self.lossy(|text| SmolStr::new(text))?.unwrap_or_default())
    }

    fn lossy<T>(&mut self, read: impl FnOnce(Cow<'_, str>) -> T) -> Result<Option<T>, Malformed> {
        let Some(length) = self.length()? else { return Ok(None) };
        let text = read(String::from_utf8_lossy(&self.0[..length]));
        self.0.advance(length);
        Ok(Some(text))
    }

    /// How many bytes follow, all of which are there; `None` if null.
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        let length = self.int()?;
        if length == NULL {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("a negative length"))?;
        if length > self.0.len() {
            return Err(Malformed("bytes shorter than their length"));
        }
        Ok(Some(length))
    }

    /// Text that may be null, which then reads as empty.
    pub(super) fn text_or_empty(&mut self) -> Result<String, Malformed> {
        Ok(self.text()?.unwrap_or_default())
    }

    /// A path, which must not be null.
    pub(super) fn path(&mut self) -> Result<String, Malformed> {
        self.text()?.ok_or(Malformed("a null path"))
    }

    /// A list of items that take at least `item_minimum` bytes each; `None` if null.
    pub(super) fn list<T>(
        &mut self,
        item_minimum: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        assert!(item_minimum > 0, "items that take no bytes would make a count unbounded");
        let count = self.int()?;
        if count == NULL {
            return Ok(None);
        }
        // Below the null mark there is nothing to read either: the reference's loop runs while a count is positive.
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.0.len() / item_minimum {
            return Err(Malformed("more items than bytes"));
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(Some(items))
    }

    /// A list of paths or names; `None` if null.
    pub(super) fn paths(&mut self) -> Result<Option<Vec<String>>, Malformed> {
        self.list(size_of::<i32>(), Reader::path)
    }
}

/// Appends jute to an output buffer.
pub(super) trait Writer {
    fn put_bool(&mut self, value: bool);
    fn put_buffer(&mut self, bytes: Option<&[u8]>);
    fn put_text(&mut self, text: &str);
    fn put_text_or_null(&mut self, text: Option<&str>);
    fn put_count(&mut self, count: usize);
    fn put_paths(&mut self, paths: &[String]);
}

impl Writer for BytesMut {
    fn put_bool(&mut self, value: bool) {
        self.put_u8(value as u8);
    }

    fn put_buffer(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.put_i32(NULL),
            Some(bytes) => {
                self.put_count(bytes.len());
                self.put_slice(bytes);
            }
        }
    }

    fn put_text(&mut self, text: &str) {
        self.put_buffer(Some(text.as_bytes()));
    }

    fn put_text_or_null(&mut self, text: Option<&str>) {
        self.put_buffer(text.map(str::as_bytes));
    }

    /// A count that does not fit makes the frame too long as well, so the frame is refused when it is finished.
    fn put_count(&mut self, count: usize) {
        self.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    fn put_paths(&mut self, paths: &[String]) {
        self.put_count(paths.len());
        paths.iter().for_each(|path| self.put_text(path));
    }
}
