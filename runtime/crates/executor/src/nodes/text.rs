//! `text`: works on a text, or on the `text` of an object. Counts are of characters (code points),
//! white space is Unicode's.

use std::sync::Arc;

use remotemedia_core::{FrameMeta, ResolvedNode};
use serde_json::Value;

use super::{data_ports, give_value};
use crate::node::{Context, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

#[derive(Clone, Copy)]
enum Text {
    Uppercase,
    Lowercase,
    Strip,
    Reverse,
    Length,
    Words,
}

const OPERATIONS: &[(&str, Text)] = &[
    ("uppercase", Text::Uppercase),
    ("lowercase", Text::Lowercase),
    ("strip", Text::Strip),
    ("reverse", Text::Reverse),
    ("length", Text::Length),
    ("words", Text::Words),
];

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let operation = params.choice("operation", OPERATIONS);
    params.finish()?;
    data_ports(node)?;
    Ok(Arc::new(operation))
}

impl Text {
    fn run(self, value: &Value) -> Result<Value, String> {
        let text = match value {
            Value::Object(map) => map.get("text").and_then(Value::as_str),
            other => other.as_str(),
        };
        let text = text.ok_or("a text node takes a text or {\"text\": ...}")?;
        Ok(match self {
            Text::Uppercase => text.to_uppercase().into(),
            Text::Lowercase => text.to_lowercase().into(),
            Text::Strip => text.trim().into(),
            Text::Reverse => text.chars().rev().collect::<String>().into(),
            Text::Length => text.chars().count().into(),
            Text::Words => text.split_whitespace().collect::<Vec<_>>().into(),
        })
    }
}

impl NodeType for Text {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(*self)
    }

    fn passes(&self) -> bool {
        false
    }
}

impl StreamNode for Text {
    fn take(&mut self, meta: &FrameMeta, value: &Value, cx: &mut Context<'_>) {
        give_value(meta, self.run(value), cx);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operation_does_what_it_says() {
        let text = json!("\u{2003}Grüße ß\t");
        for (operation, expected) in [
            (Text::Uppercase, json!("\u{2003}GRÜSSE SS\t")),
            (Text::Lowercase, json!("\u{2003}grüße ß\t")),
            (Text::Strip, json!("Grüße ß")),
            (Text::Reverse, json!("\tß eßürG\u{2003}")),
            (Text::Length, json!(9)),
            (Text::Words, json!(["Grüße", "ß"])),
        ] {
            assert_eq!(operation.run(&text), Ok(expected));
        }
    }

    #[test]
    fn a_text_may_lie_in_an_object_and_nothing_else_is_one() {
        assert_eq!(Text::Length.run(&json!({"text": "abc", "more": 1})), Ok(json!(3)));
        for wrong in [json!(7), json!(null), json!(["a"]), json!({"text": 7}), json!({})] {
            assert!(Text::Length.run(&wrong).is_err(), "{wrong}");
        }
    }
}
