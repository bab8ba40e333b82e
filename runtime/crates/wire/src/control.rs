use std::fmt;

use remotemedia_core::ErrorCode;
use serde::Deserializer as _;
use serde::de::{self, MapAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::PROTOCOL_VERSION;

/// The longest control message, in bytes; longer ones are refused before they are parsed.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// How deep arrays and objects may nest, the message itself included.
pub const MAX_CONTROL_DEPTH: usize = 32;
/// The longest textual id and node name, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// How much of a client's own text an error repeats, in characters.
const MAX_QUOTED_CHARS: usize = 48;
/// How much of the JSON parser's words an error repeats: they quote the text too.
const MAX_REASON_CHARS: usize = 160;

const TYPES: &str = "configure, interrupt, flush, ping or input";

/// What a client chose to recognise the answer by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageId {
    /// A whole number.
    Number(i64),
    /// Up to [`MAX_ID_BYTES`].
    Text(String),
}

/// What a client asks of its session.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// Change live parameters of a node; which there are is the executor's to say.
    Configure {
        /// Echoed.
        id: Option<MessageId>,
        /// The node's id.
        node: String,
        /// Parameter by name.
        params: Map<String, Value>,
    },
    /// Drop what is under way.
    Interrupt {
        /// Echoed.
        id: Option<MessageId>,
    },
    /// Emit what is pending, as if the input had ended.
    Flush {
        /// Echoed.
        id: Option<MessageId>,
    },
    /// Measure the round trip.
    Ping {
        /// Echoed.
        id: Option<MessageId>,
        /// The client's clock, any unit: echoed.
        t: Option<Number>,
    },
    /// Data for a pipeline that takes more than audio.
    Input {
        /// Echoed.
        id: Option<MessageId>,
        /// Where it goes; it may be left out where there is one place alone.
        node: Option<String>,
        /// One JSON value.
        data: Value,
    },
}

impl Control {
    /// The id to echo.
    #[must_use]
    pub fn id(&self) -> Option<&MessageId> {
        match self {
            Self::Configure { id, .. }
            | Self::Interrupt { id }
            | Self::Flush { id }
            | Self::Ping { id, .. }
            | Self::Input { id, .. } => id.as_ref(),
        }
    }
}

/// Why a control message was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// The stable code: [`ErrorCode::InvalidMessage`].
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// The message's id where it could be read, for the reply.
    pub id: Option<MessageId>,
}

impl ControlError {
    fn new(message: impl Into<String>, field: Option<&str>) -> Self {
        Self {
            code: ErrorCode::InvalidMessage,
            message: message.into(),
            field: field.map(quoted),
            id: None,
        }
    }
}

/// Reads one control message.
///
/// # Errors
/// [`ControlError`] when it is too long or too deep, is not JSON, names a field twice, has an
/// unknown type or field, or lacks one. Never panics.
pub fn parse_control(bytes: &[u8]) -> Result<Control, ControlError> {
    if bytes.len() > MAX_CONTROL_BYTES {
        return Err(ControlError::new(
            format!("longer than {MAX_CONTROL_BYTES} bytes: {}", bytes.len()),
            None,
        ));
    }
    if depth(bytes) > MAX_CONTROL_DEPTH {
        return Err(ControlError::new(
            format!("nested deeper than {MAX_CONTROL_DEPTH} levels"),
            None,
        ));
    }
    let mut fields = Fields(read_object(bytes)?);
    let id = fields.id()?;
    read_control(fields, id.clone()).map_err(|error| ControlError { id, ..error })
}

fn read_control(mut fields: Fields, id: Option<MessageId>) -> Result<Control, ControlError> {
    if let Some(version) = fields.take("v")
        && version.as_u64() != Some(u64::from(PROTOCOL_VERSION))
    {
        return Err(ControlError::new(
            format!("this server speaks version {PROTOCOL_VERSION}"),
            Some("v"),
        ));
    }
    let kind = fields.text("type")?;
    let control = match kind.as_str() {
        "configure" => {
            let node = fields.name("node")?;
            let params = match fields.required("params")? {
                Value::Object(params) => params,
                _ => return Err(ControlError::new("must be an object", Some("params"))),
            };
            Control::Configure { id, node, params }
        }
        "interrupt" => Control::Interrupt { id },
        "flush" => Control::Flush { id },
        "ping" => match fields.take("t") {
            None => Control::Ping { id, t: None },
            Some(Value::Number(t)) => Control::Ping { id, t: Some(t) },
            Some(_) => return Err(ControlError::new("must be a number", Some("t"))),
        },
        "input" => {
            let node = fields.has("node").then(|| fields.name("node")).transpose()?;
            Control::Input { id, node, data: fields.required("data")? }
        }
        other => {
            return Err(ControlError::new(
                format!("unknown type \"{}\": expected {TYPES}", quoted(other)),
                Some("type"),
            ));
        }
    };
    match fields.0.first() {
        None => Ok(control),
        Some((name, _)) => Err(ControlError::new(
            format!("unknown field \"{}\" in \"{kind}\"", quoted(name)),
            Some(name),
        )),
    }
}

/// The fields that nobody has read yet.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    fn required(&mut self, name: &str) -> Result<Value, ControlError> {
        self.take(name)
            .ok_or_else(|| ControlError::new(format!("\"{name}\" is missing"), Some(name)))
    }

    fn text(&mut self, name: &str) -> Result<String, ControlError> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            _ => Err(ControlError::new("must be a string", Some(name))),
        }
    }

    fn name(&mut self, name: &str) -> Result<String, ControlError> {
        let text = self.text(name)?;
        if text.is_empty() || text.len() > MAX_ID_BYTES {
            return Err(ControlError::new(
                format!("must have 1 to {MAX_ID_BYTES} bytes"),
                Some(name),
            ));
        }
        Ok(text)
    }

    fn id(&mut self) -> Result<Option<MessageId>, ControlError> {
        match self.take("id") {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_ID_BYTES => {
                Ok(Some(MessageId::Text(text)))
            }
            Some(Value::Number(number)) if number.is_i64() => {
                Ok(number.as_i64().map(MessageId::Number))
            }
            Some(_) => Err(ControlError::new(
                format!("must be a whole number or a string of at most {MAX_ID_BYTES} bytes"),
                Some("id"),
            )),
        }
    }
}

fn read_object(bytes: &[u8]) -> Result<Vec<(String, Value)>, ControlError> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = Vec<(String, Value)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with a \"type\"")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields: Vec<(String, Value)> = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                // Keeps the search for duplicates short: no message has as many fields.
                if fields.len() >= 16 {
                    return Err(de::Error::custom("more than 16 fields"));
                }
                if fields.iter().any(|(key, _)| *key == name) {
                    return Err(de::Error::custom(format!(
                        "field \"{}\" appears twice",
                        quoted(&name)
                    )));
                }
                fields.push((name, value));
            }
            Ok(fields)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = |error: serde_json::Error| {
        let reason: String = error.to_string().chars().take(MAX_REASON_CHARS).collect();
        ControlError::new(format!("not valid: {reason}"), None)
    };
    let fields = deserializer.deserialize_map(Object).map_err(read)?;
    deserializer.end().map_err(read)?;
    Ok(fields)
}

/// How deep brackets nest outside strings. Exact for JSON; for anything else the parser decides.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The beginning of a client's text, so that no error is as long as the message.
fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Control, ControlError> {
        parse_control(text.as_bytes())
    }

    fn field_of(text: &str) -> String {
        parse(text).unwrap_err().field.unwrap()
    }

    #[test]
    fn every_type_is_read() {
        let configure =
            parse(r#"{"type":"configure","id":"a","node":"vad","params":{"threshold":0.6}}"#);
        let Ok(Control::Configure { id, node, params }) = configure else {
            panic!("{configure:?}")
        };
        assert_eq!(id, Some(MessageId::Text("a".into())));
        assert_eq!((node.as_str(), &params["threshold"]), ("vad", &json!(0.6)));
        assert_eq!(parse(r#"{"type":"interrupt"}"#), Ok(Control::Interrupt { id: None }));
        assert_eq!(
            parse(r#"{"v":1,"type":"flush","id":-4}"#),
            Ok(Control::Flush { id: Some(MessageId::Number(-4)) })
        );
        let ping = parse(r#"{"type":"ping","t":1.5}"#);
        assert_eq!(ping, Ok(Control::Ping { id: None, t: Number::from_f64(1.5) }));
        let input = parse(r#"{"type":"input","node":"llm","data":["hello"]}"#).unwrap();
        let node = Some("llm".to_owned());
        assert_eq!(input, Control::Input { id: None, node, data: json!(["hello"]) });
        let input = parse(r#"{"type":"input","data":null}"#).unwrap();
        assert_eq!(input, Control::Input { id: None, node: None, data: Value::Null });
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(field_of("{}"), "type");
        assert_eq!(field_of(r#"{"type":"dance"}"#), "type");
        assert_eq!(field_of(r#"{"type":3}"#), "type");
        assert_eq!(field_of(r#"{"type":"flush","force":true}"#), "force");
        assert_eq!(field_of(r#"{"type":"configure","params":{}}"#), "node");
        assert_eq!(field_of(r#"{"type":"configure","node":"","params":{}}"#), "node");
        assert_eq!(field_of(r#"{"type":"configure","node":"a","params":[]}"#), "params");
        assert_eq!(field_of(r#"{"type":"ping","t":"now"}"#), "t");
        assert_eq!(field_of(r#"{"type":"input","node":"a"}"#), "data");
        assert_eq!(field_of(r#"{"type":"input","node":null,"data":1}"#), "node");
        assert_eq!(field_of(r#"{"type":"ping","id":1.5}"#), "id");
        assert_eq!(field_of(r#"{"type":"ping","v":2}"#), "v");
    }

    #[test]
    fn an_error_keeps_the_id_for_the_reply() {
        let error = parse(r#"{"id":9,"type":"dance"}"#).unwrap_err();
        assert_eq!(error.id, Some(MessageId::Number(9)));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in ["", "3", "[]", "ping: 12", "{} {}", r#"{"type":"ping","type":"ping"}"#] {
            assert_eq!(parse(text).unwrap_err().code, ErrorCode::InvalidMessage, "{text}");
        }
        assert!(parse_control(b"{\"type\":\"\xff\"}").is_err());
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(MAX_CONTROL_BYTES));
        assert!(parse(&long).unwrap_err().message.contains("longer"));
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"type":"input","node":"a","data":{open}{close}}}"#)
        };
        assert!(parse(&nested(MAX_CONTROL_DEPTH - 1)).is_ok());
        assert!(parse(&nested(MAX_CONTROL_DEPTH)).unwrap_err().message.contains("deeper"));
        assert!(parse(&nested(30_000)).is_err());
        let in_text = format!(r#"{{"type":"input","node":"a","data":"\"{}"}}"#, "[".repeat(99));
        assert!(parse(&in_text).is_ok());
    }

    #[test]
    fn an_error_is_short_however_long_the_message() {
        let text = format!(r#"{{"type":"ping","{}":1}}"#, "k".repeat(60_000));
        let error = parse(&text).unwrap_err();
        assert!(error.message.len() < 300, "{}", error.message.len());
        assert!(error.field.unwrap().len() <= MAX_QUOTED_CHARS);
        let text = format!("\"{}\"", "k".repeat(60_000));
        assert!(parse(&text).unwrap_err().message.len() < 300);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_control(&bytes);
        }

        #[test]
        fn damaged_messages_are_read_or_refused(
            at in 0_usize..70, byte in any::<u8>(), cut in 0_usize..80,
        ) {
            let good = br#"{"type":"configure","id":"a","node":"vad","params":{"threshold":0.6}}"#;
            let mut bytes = good.to_vec();
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(cut);
            let _ = parse_control(&bytes);
        }

        #[test]
        fn any_id_comes_back(number in any::<i64>(), text in "[ -~]{0,64}") {
            let message = json!({"type": "flush", "id": number}).to_string();
            let control = parse(&message).unwrap();
            prop_assert_eq!(control.id(), Some(&MessageId::Number(number)));
            let message = json!({"type": "flush", "id": text}).to_string();
            let control = parse(&message).unwrap();
            prop_assert_eq!(control.id(), Some(&MessageId::Text(text)));
        }
    }
}
