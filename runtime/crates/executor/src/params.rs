use std::ops::RangeInclusive;
use std::time::Duration;

use remotemedia_core::{ErrorCode, ManifestError};
use serde_json::{Map, Value};

/// What is wrong with one parameter; the caller knows where its object lies.
#[derive(Debug, PartialEq)]
pub(crate) struct ParamError {
    /// Name of the parameter; empty where the object itself is wrong.
    pub(crate) name: String,
    pub(crate) message: String,
}

impl ParamError {
    pub(crate) fn new(name: impl Into<String>, message: impl Into<String>) -> ParamError {
        ParamError { name: name.into(), message: message.into() }
    }

    /// The same error with its full path.
    pub(crate) fn at(self, path: &str) -> ManifestError {
        let path =
            if self.name.is_empty() { path.to_owned() } else { format!("{path}.{}", self.name) };
        ManifestError::new(ErrorCode::InvalidParameter, path, self.message)
    }
}

/// Reads parameters one by one and refuses what was not asked for.
///
/// In a manifest every parameter must be there; in a patch (`configure`) only those that change.
pub(crate) struct Params<'a> {
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
    error: Option<ParamError>,
}

impl<'a> Params<'a> {
    pub(crate) fn new(value: &'a Value) -> Result<Params<'a>, ParamError> {
        match value {
            Value::Object(map) => Ok(Params { map, known: Vec::new(), error: None }),
            other => Err(ParamError::new("", format!("must be an object, is {}", type_of(other)))),
        }
    }

    fn find(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.map.get(name)
    }

    fn fail(&mut self, name: &str, message: String) {
        self.error.get_or_insert(ParamError::new(name, message));
    }

    /// A number within `range`; `into` keeps its value where the parameter is absent.
    pub(crate) fn patch_f32(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f32>,
        into: &mut f32,
    ) -> bool {
        let Some(value) = self.find(name) else { return false };
        match value.as_f64() {
            Some(number) if range.contains(&(number as f32)) => *into = number as f32,
            _ => self.fail(
                name,
                format!("must be a number from {} to {}, is {value}", range.start(), range.end()),
            ),
        }
        true
    }

    /// An integer within `range`.
    pub(crate) fn patch_u32(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        into: &mut u32,
    ) -> bool {
        let Some(value) = self.find(name) else { return false };
        match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if range.contains(&number) => *into = number,
            _ => self.fail(
                name,
                format!("must be an integer from {} to {}, is {value}", range.start(), range.end()),
            ),
        }
        true
    }

    /// Whole milliseconds within `range`.
    pub(crate) fn patch_ms(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        into: &mut Duration,
    ) -> bool {
        let mut ms = 0;
        let found = self.patch_u32(name, range, &mut ms);
        if found && self.error.is_none() {
            *into = Duration::from_millis(u64::from(ms));
        }
        found
    }

    /// One of the named choices.
    pub(crate) fn patch_choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        into: &mut T,
    ) -> bool {
        let Some(value) = self.find(name) else { return false };
        match value.as_str().and_then(|text| choices.iter().find(|(choice, _)| *choice == text)) {
            Some((_, choice)) => *into = *choice,
            None => {
                let names: Vec<String> =
                    choices.iter().map(|(choice, _)| format!("\"{choice}\"")).collect();
                self.fail(name, format!("must be {}, is {value}", names.join(" or ")));
            }
        }
        true
    }

    /// A text of 1 to `max` bytes.
    pub(crate) fn text(&mut self, name: &'static str, max: usize) -> String {
        match self.find(name) {
            Some(Value::String(text)) if !text.is_empty() && text.len() <= max => text.clone(),
            Some(_) => {
                self.fail(name, format!("must be a text of 1 to {max} bytes"));
                String::new()
            }
            None => {
                self.missing(name);
                String::new()
            }
        }
    }

    /// Like [`Params::patch_f32`], and the parameter must be there.
    pub(crate) fn f32(&mut self, name: &'static str, range: RangeInclusive<f32>) -> f32 {
        let mut value = *range.start();
        if !self.patch_f32(name, range, &mut value) {
            self.missing(name);
        }
        value
    }

    /// Like [`Params::patch_u32`], and the parameter must be there.
    pub(crate) fn u32(&mut self, name: &'static str, range: RangeInclusive<u32>) -> u32 {
        let mut value = *range.start();
        if !self.patch_u32(name, range, &mut value) {
            self.missing(name);
        }
        value
    }

    /// Like [`Params::patch_ms`], and the parameter must be there.
    pub(crate) fn ms(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Duration {
        let mut value = Duration::ZERO;
        if !self.patch_ms(name, range, &mut value) {
            self.missing(name);
        }
        value
    }

    /// Like [`Params::patch_choice`], and the parameter must be there; the first choice stands in
    /// after an error.
    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let mut value = choices[0].1;
        if !self.patch_choice(name, choices, &mut value) {
            self.missing(name);
        }
        value
    }

    /// A list of `count` numbers within `range`.
    pub(crate) fn f32_list(
        &mut self,
        name: &'static str,
        count: usize,
        range: RangeInclusive<f32>,
    ) -> Vec<f32> {
        let list = match self.find(name) {
            Some(Value::Array(list)) if list.len() == count => list.as_slice(),
            Some(_) => {
                self.fail(name, format!("must be a list of {count} numbers"));
                &[]
            }
            None => {
                self.missing(name);
                &[]
            }
        };
        let mut numbers = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            match value.as_f64() {
                Some(number) if range.contains(&(number as f32)) => numbers.push(number as f32),
                _ => {
                    let (least, most) = (range.start(), range.end());
                    let message = format!("must be a number from {least} to {most}, is {value}");
                    self.fail(&format!("{name}[{index}]"), message);
                }
            }
        }
        numbers
    }

    /// A number as it is, or null.
    pub(crate) fn optional_number(&mut self, name: &'static str) -> Option<Value> {
        match self.find(name) {
            Some(Value::Null) => None,
            Some(number @ Value::Number(_)) => Some(number.clone()),
            Some(other) => {
                self.fail(name, format!("must be a number or null, is {}", type_of(other)));
                None
            }
            None => {
                self.missing(name);
                None
            }
        }
    }

    fn missing(&mut self, name: &'static str) {
        self.fail(name, "is missing".to_owned());
    }

    /// The first error: of a value, else of a parameter that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), ParamError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.map.keys().find(|key| !self.known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(ParamError::new(
                key.chars().take(64).collect::<String>(),
                if self.known.is_empty() {
                    "is not known: there are no parameters here".to_owned()
                } else {
                    format!("is not known: there are {}", self.known.join(", "))
                },
            )),
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_wrong_value_is_named() {
        let value = json!({"threshold": 1.5, "extra": 1});
        let mut params = Params::new(&value).unwrap();
        params.f32("threshold", 0.0..=1.0);
        let error = params.finish().unwrap_err().at("nodes[2].params");
        assert_eq!(error.path, "nodes[2].params.threshold");
        assert_eq!(error.code, ErrorCode::InvalidParameter);
    }

    #[test]
    fn missing_and_unknown_parameters_are_refused() {
        let value = json!({"tresh": 0.5});
        let mut params = Params::new(&value).unwrap();
        params.f32("threshold", 0.0..=1.0);
        assert_eq!(params.finish().unwrap_err(), ParamError::new("threshold", "is missing"));
        let params = Params::new(&value).unwrap();
        assert_eq!(params.finish().unwrap_err().name, "tresh");
        assert!(Params::new(&json!([])).is_err());
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let value = json!({"min_speech_ms": 100});
        let mut params = Params::new(&value).unwrap();
        let (mut speech, mut silence) = (Duration::from_millis(250), Duration::from_millis(80));
        params.patch_ms("min_speech_ms", 0..=60_000, &mut speech);
        params.patch_ms("min_silence_ms", 0..=60_000, &mut silence);
        params.finish().unwrap();
        assert_eq!((speech.as_millis(), silence.as_millis()), (100, 80));
    }
}
