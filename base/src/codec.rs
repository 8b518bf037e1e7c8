//! The binary form of our own messages and records: fixed-width little-endian numbers, length-prefixed bytes.
//!
//! Nothing here is self-describing: whoever frames the bytes says which version they are.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that are not what they should be. Says what was expected; the sender is at fault, not we.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}

impl core::error::Error for Malformed {}

/// A value with a binary form.
pub trait Codec: Sized {
    /// Appends the value's bytes.
    fn encode(&self, out: &mut BytesMut);

    /// Takes the value's bytes from the front. Bulk is cut out of `input`, not copied.
    fn decode(input: &mut Bytes) -> Result<Self, Malformed>;

    /// The value's bytes alone.
    fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }

    /// The value whose bytes are exactly these.
    fn from_bytes(mut input: Bytes) -> Result<Self, Malformed> {
        let value = Self::decode(&mut input)?;
        if input.is_empty() { Ok(value) } else { Err(Malformed("trailing bytes")) }
    }
}

macro_rules! number {
    ($type:ty, $put:ident, $get:ident) => {
        impl Codec for $type {
            fn encode(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
                if input.remaining() < size_of::<$type>() {
                    return Err(Malformed(concat!("too short for a ", stringify!($type))));
                }
                Ok(input.$get())
            }
        }
    };
}

number!(u8, put_u8, get_u8);
number!(u16, put_u16_le, get_u16_le);
number!(u32, put_u32_le, get_u32_le);
number!(u64, put_u64_le, get_u64_le);
number!(i32, put_i32_le, get_i32_le);
number!(i64, put_i64_le, get_i64_le);

impl Codec for bool {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(*self as u8);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a bool is 0 or 1")),
        }
    }
}

impl Codec for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        (self.len() as u32).encode(out);
        out.put_slice(self);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let length = u32::decode(input)? as usize;
        if input.len() < length {
            return Err(Malformed("bytes shorter than their length"));
        }
        Ok(input.split_to(length))
    }
}

impl Codec for String {
    fn encode(&self, out: &mut BytesMut) {
        (self.len() as u32).encode(out);
        out.put_slice(self.as_bytes());
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let bytes = Bytes::decode(input)?;
        let text = core::str::from_utf8(&bytes).map_err(|_| Malformed("text is not UTF-8"))?;
        Ok(String::from(text))
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn encode(&self, out: &mut BytesMut) {
        (self.len() as u32).encode(out);
        self.iter().for_each(|item| item.encode(out));
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let count = u32::decode(input)? as usize;
        // Every item takes at least a byte: a hostile count must not reserve memory it cannot fill.
        if count > input.len() {
            return Err(Malformed("more items than bytes"));
        }
        (0..count).map(|_| T::decode(input)).collect()
    }
}

impl<T: Codec> Codec for Option<T> {
    fn encode(&self, out: &mut BytesMut) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(if bool::decode(input)? { Some(T::decode(input)?) } else { None })
    }
}

macro_rules! newtype {
    ($($name:ident),*) => { $(
        impl Codec for crate::$name {
            fn encode(&self, out: &mut BytesMut) {
                self.0.encode(out);
            }

            fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
                Ok(crate::$name(Codec::decode(input)?))
            }
        }
    )* };
}

newtype!(NodeId, GroupId, RequestId, StreamId);

/// Implements [`Codec`] for a struct, field by field in the order given.
#[macro_export]
macro_rules! codec_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Codec for $name {
            fn encode(&self, out: &mut $crate::codec::__BytesMut) {
                $( $crate::codec::Codec::encode(&self.$field, out); )*
            }

            fn decode(
                input: &mut $crate::codec::__Bytes,
            ) -> core::result::Result<Self, $crate::codec::Malformed> {
                $( let $field = $crate::codec::Codec::decode(input)?; )*
                Ok($name { $($field),* })
            }
        }
    };
}

#[doc(hidden)]
pub use bytes::{Bytes as __Bytes, BytesMut as __BytesMut};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn values_come_back() {
        let value = (vec![Some(String::from("a")), None], 7u64);
        let mut out = BytesMut::new();
        value.0.encode(&mut out);
        value.1.encode(&mut out);
        let mut input = out.freeze();
        assert_eq!(Vec::<Option<String>>::decode(&mut input), Ok(value.0));
        assert_eq!(u64::decode(&mut input), Ok(7));
        assert!(input.is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(u64::from_bytes(Bytes::from_static(b"short")).is_err());
        assert!(bool::from_bytes(Bytes::from_static(b"\x02")).is_err());
        assert!(Vec::<u8>::from_bytes(Bytes::from_static(b"\xff\xff\xff\xff")).is_err());
        assert!(String::from_bytes(Bytes::from_static(b"\x01\0\0\0\xff")).is_err());
        assert!(u8::from_bytes(Bytes::from_static(b"\x01\x02")).is_err());
    }
}
