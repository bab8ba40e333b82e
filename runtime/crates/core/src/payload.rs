use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde_json::Value;

/// The longest value, in bytes of JSON: with its header it must fit a message of 64 KiB.
pub const MAX_VALUE_BYTES: usize = 60 * 1024;
/// The deepest value: a list in a list is two deep.
pub const MAX_VALUE_DEPTH: usize = 32;

/// An object that only Python nodes understand; here it is passed on as it is.
#[derive(Clone)]
pub struct Opaque(Arc<dyn Any + Send + Sync>);

impl Opaque {
    /// Wraps a value.
    pub fn new(value: impl Any + Send + Sync) -> Opaque {
        Opaque(Arc::new(value))
    }

    /// The value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opaque")
    }
}

/// The same object, not one that looks alike.
impl PartialEq for Opaque {
    fn eq(&self, other: &Opaque) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What travels along an edge and outlives the call that brought it.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Planar samples.
    Audio(Arc<[f32]>),
    /// A JSON value.
    Data(Arc<Value>),
    /// An object of a Python node.
    Opaque(Opaque),
}

impl Payload {
    /// The same, borrowed.
    #[must_use]
    pub fn piece(&self) -> Piece<'_> {
        match self {
            Payload::Audio(samples) => Piece::Audio(samples),
            Payload::Data(value) => Piece::Data(value),
            Payload::Opaque(value) => Piece::Opaque(value),
        }
    }
}

/// A borrowed [`Payload`]: what is pushed and what native nodes see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece<'a> {
    /// Planar samples.
    Audio(&'a [f32]),
    /// A JSON value.
    Data(&'a Arc<Value>),
    /// An object of a Python node.
    Opaque(&'a Opaque),
}

impl Piece<'_> {
    /// A copy that may be kept.
    #[must_use]
    pub fn to_payload(self) -> Payload {
        match self {
            Piece::Audio(samples) => Payload::Audio(samples.into()),
            Piece::Data(value) => Payload::Data(value.clone()),
            Piece::Opaque(value) => Payload::Opaque(value.clone()),
        }
    }
}

/// Checks that a value is at most [`MAX_VALUE_DEPTH`] deep and [`MAX_VALUE_BYTES`] long as JSON.
///
/// # Errors
/// What is wrong with it, as the end of a sentence: "is more than 32 deep".
pub fn check_value(value: &Value) -> Result<(), String> {
    if is_deeper(value, MAX_VALUE_DEPTH) {
        return Err(too_deep());
    }
    let mut count = Count(0);
    // Only the counter fails, at the bound: so a huge value costs no more than one that fits.
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => Ok(()),
        Err(_) => Err(format!("has more than {MAX_VALUE_BYTES} bytes as JSON")),
    }
}

/// Checks JSON text the same way, without making a value of it.
///
/// # Errors
/// As [`check_value`], and for text that is not JSON.
pub fn check_value_text(text: &str) -> Result<(), String> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(format!("has {} bytes of JSON; {MAX_VALUE_BYTES} are possible", text.len()));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| format!("is not JSON: {error}"))?;
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth > MAX_VALUE_DEPTH {
            return Err(too_deep());
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("is more than {MAX_VALUE_DEPTH} deep")
}

fn is_deeper(value: &Value, than: usize) -> bool {
    let Some(below) = than.checked_sub(1) else {
        return matches!(value, Value::Array(_) | Value::Object(_));
    };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        Value::Object(map) => map.values().any(|item| is_deeper(item, below)),
        _ => false,
    }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        if self.0 > MAX_VALUE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn depth_and_size_are_bounded_for_values_and_their_text() {
        let quoted = serde_json::to_string(&nested(100)).unwrap();
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        for (text, fits) in [
            (nested(MAX_VALUE_DEPTH), true),
            (nested(MAX_VALUE_DEPTH + 1), false),
            (quoted, true),
            (r#"{"a\"[":[1,{"b":null}]}"#.to_owned(), true),
            (long(MAX_VALUE_BYTES), true),
            (long(MAX_VALUE_BYTES + 1), false),
        ] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(check_value(&value).is_ok(), fits, "{text:.60}");
            assert_eq!(check_value_text(&text).is_ok(), fits, "{text:.60}");
        }
        assert!(check_value_text("NaN").is_err());
        assert!(check_value_text(&nested(50_000)).is_err());
    }

    #[test]
    fn an_opaque_value_is_itself_only() {
        let (one, other) = (Opaque::new(1_u8), Opaque::new(1_u8));
        assert!(one == one.clone() && one != other);
        assert_eq!((one.downcast_ref::<u8>(), one.downcast_ref::<u16>()), (Some(&1), None));
    }
}
