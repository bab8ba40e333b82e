//! Python's values as JSON values and back, without JSON text.

use numpy::PyUntypedArray;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use remotemedia_core::{MAX_VALUE_BYTES, MAX_VALUE_DEPTH, check_value};
use serde_json::{Map, Number, Value};

use crate::samples::is_scalar;

/// The shortest JSON of a number, `true` or `null`, with what parts it from the next.
const SHORTEST: usize = 2;
/// The longest.
const LONGEST: usize = 26;
/// The longest JSON of a byte of text: `\u0000`.
const LONGEST_BYTE: usize = 6;

/// What becomes of NumPy's arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrays {
    /// Lists of their numbers.
    AsLists,
    /// They are not JSON.
    Refused,
}

/// Reads a value as JSON: `None`, bool, int, float, str, list, tuple, dict with text for keys, and
/// NumPy's scalars, which become numbers. `name` is what errors call it.
///
/// # Errors
/// What in it is not JSON, and where: `the result["a"][2] is nan, ...`.
pub(crate) fn read(value: &Bound<'_, PyAny>, name: &str, arrays: Arrays) -> Result<Value, String> {
    let mut reader = Reader { arrays, least: 0, most: 0 };
    let root = Path { parent: None, part: Part::Name(name), depth: 0 };
    let read = reader.value(value, &root)?;
    if reader.most > MAX_VALUE_BYTES {
        check_value(&read).map_err(|_| too_long(&root))?;
    }
    Ok(read)
}

/// A place in a value, as a list that ends at the root: text is made of it only for an error.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    part: Part<'a>,
    depth: usize,
}

enum Part<'a> {
    Name(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    fn with(&'a self, part: Part<'a>) -> Path<'a> {
        Path { parent: Some(self), part, depth: self.depth + 1 }
    }

    fn write(&self, text: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(text);
        }
        match self.part {
            Part::Name(name) => text.push_str(name),
            Part::Key(key) => {
                text.push_str("[\"");
                // Ids in errors are short: a key of megabytes is cut.
                text.extend(key.chars().take(64));
                text.push_str("\"]");
            }
            Part::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> String {
        let mut text = String::new();
        self.write(&mut text);
        format!("{text} {what}")
    }
}

struct Reader {
    arrays: Arrays,
    /// The JSON has at least so many bytes.
    least: usize,
    /// It has at most so many: within the bound nobody need count.
    most: usize,
}

impl Reader {
    fn count(&mut self, least: usize, most: usize, path: &Path<'_>) -> Result<(), String> {
        self.least = self.least.saturating_add(least);
        self.most = self.most.saturating_add(most);
        if self.least > MAX_VALUE_BYTES { Err(too_long(path)) } else { Ok(()) }
    }

    fn value(&mut self, value: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, String> {
        if let Ok(text) = value.cast::<PyString>() {
            return self.text(text, path).map(Value::String);
        }
        self.count(SHORTEST, LONGEST, path)?;
        if value.is_none() {
            Ok(Value::Null)
        } else if let Ok(value) = value.cast::<PyBool>() {
            Ok(Value::Bool(value.is_true()))
        } else if let Ok(value) = value.cast::<PyInt>() {
            integer(value, path)
        } else if let Ok(value) = value.cast::<PyFloat>() {
            float(value, path)
        } else if path.depth >= MAX_VALUE_DEPTH {
            Err(path.error("is nested too deeply."))
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.dict(dict, path)
        } else if let Ok(list) = value.cast::<PyList>() {
            self.items(list.iter(), list.len(), path)
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.items(tuple.iter(), tuple.len(), path)
        } else {
            self.numpy(value, path)
        }
    }

    fn text(&mut self, text: &Bound<'_, PyString>, path: &Path<'_>) -> Result<String, String> {
        let text = text
            .to_str()
            .map_err(|_| path.error("has a lone surrogate, which UTF-8 cannot say."))?;
        self.count(text.len() + SHORTEST, LONGEST_BYTE * text.len() + LONGEST, path)?;
        Ok(text.to_owned())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, path: &Path<'_>) -> Result<Value, String> {
        let mut map = Map::new();
        // A copy of the items: nothing that happens meanwhile can change them.
        for item in dict.items() {
            let (Ok(key), Ok(value)) = (get(&item, 0), get(&item, 1)) else { continue };
            let Ok(key) = key.cast::<PyString>() else {
                return Err(
                    path.error(format_args!("has the key {}: keys must be text.", shown(&key)))
                );
            };
            let key = self.text(key, path)?;
            let value = self.value(&value, &path.with(Part::Key(&key)))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn items<'py>(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        count: usize,
        path: &Path<'_>,
    ) -> Result<Value, String> {
        let mut list = Vec::with_capacity(count.min(MAX_VALUE_BYTES / SHORTEST));
        for (index, item) in items.enumerate() {
            list.push(self.value(&item, &path.with(Part::Index(index)))?);
        }
        Ok(Value::Array(list))
    }

    fn numpy(&mut self, value: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, String> {
        let py = value.py();
        let plain = if is_scalar(value) {
            value.call_method0(intern!(py, "item"))
        } else if self.arrays == Arrays::AsLists
            && let Ok(array) = value.cast::<PyUntypedArray>()
        {
            // `tolist` would make objects of them all before their number is known.
            let count = array.getattr(intern!(py, "size")).and_then(|size| size.extract::<usize>());
            if count.is_ok_and(|count| count > MAX_VALUE_BYTES / SHORTEST) {
                return Err(too_long(path));
            }
            value.call_method0(intern!(py, "tolist"))
        } else {
            return Err(not_json(value, path));
        };
        match plain {
            // What stays NumPy's, such as longdouble, or becomes a date, is not JSON.
            Ok(plain) if is_scalar(&plain) => Err(not_json(value, path)),
            Ok(plain) => self.value(&plain, path),
            Err(error) => Err(path.error(format_args!("is not JSON: {error}."))),
        }
    }
}

fn too_long(path: &Path<'_>) -> String {
    let mut root = path;
    while let Some(parent) = root.parent {
        root = parent;
    }
    root.error(format_args!(
        "is longer than {MAX_VALUE_BYTES} bytes as JSON, the most there may be."
    ))
}

fn get<'py>(item: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyAny>> {
    item.cast::<PyTuple>()?.get_item(index)
}

fn integer(value: &Bound<'_, PyInt>, path: &Path<'_>) -> Result<Value, String> {
    if let Ok(value) = value.extract::<i64>() {
        return Ok(value.into());
    }
    value
        .extract::<u64>()
        .map(Value::from)
        .map_err(|_| path.error("is an integer of more than 64 bits: return it as text."))
}

fn float(value: &Bound<'_, PyFloat>, path: &Path<'_>) -> Result<Value, String> {
    let value = value.value();
    Number::from_f64(value).map(Value::Number).ok_or_else(|| {
        let text = if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        path.error(format_args!("is {text}, which JSON cannot say: return None instead."))
    })
}

fn not_json(value: &Bound<'_, PyAny>, path: &Path<'_>) -> String {
    let name = value.get_type().name().map_or_else(|_| "thing".to_owned(), |name| name.to_string());
    path.error(format_args!(
        "is a {name}, which is not JSON: return dicts, lists, text, numbers and None."
    ))
}

/// A key in an error: `repr` of what it is, or its type where that fails.
fn shown(key: &Bound<'_, PyAny>) -> String {
    match key.repr() {
        Ok(text) => text.to_string_lossy().chars().take(64).collect(),
        Err(_) => "that cannot be shown".to_owned(),
    }
}

/// A JSON value as Python's `json` module would read it.
pub(crate) fn write<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => {
            if let Some(value) = number.as_i64() {
                value.into_pyobject(py)?.into_any()
            } else if let Some(value) = number.as_u64() {
                value.into_pyobject(py)?.into_any()
            } else {
                // Without arbitrary precision a number is one of the three.
                PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any()
            }
        }
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(write(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (key, item) in map {
                dict.set_item(key, write(py, item)?)?;
            }
            dict.into_any()
        }
    })
}
