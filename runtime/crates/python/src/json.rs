//! JSON text as Python's values, in one pass.

use std::fmt;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString};
use remotemedia_core::ErrorCode;
use remotemedia_engine::EngineError;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::fault::fault;

/// Reads a message of ours as Python's `json.loads` would.
pub(crate) fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    ToPython { py }.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        fault(
            py,
            EngineError {
                code: ErrorCode::Internal,
                message: format!("a message is not JSON: {error}"),
                field: None,
                hint: None,
            },
        )
    })
}

#[derive(Clone, Copy)]
struct ToPython<'py> {
    py: Python<'py>,
}

impl<'de, 'py> DeserializeSeed<'de> for ToPython<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

/// Only a lack of memory makes Python refuse one of these values.
fn refused<E: Error>(error: impl fmt::Display) -> E {
    E::custom(error)
}

impl<'de, 'py> Visitor<'de> for ToPython<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(PyBool::new(self.py, value).to_owned().into_any())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        value.into_pyobject(self.py).map(Bound::into_any).map_err(refused)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        value.into_pyobject(self.py).map(Bound::into_any).map_err(refused)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(PyFloat::new(self.py, value).into_any())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.py, value).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.py);
        while let Some(item) = items.next_element_seed(self)? {
            list.append(item).map_err(refused)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.py);
        while let Some(key) = items.next_key_seed(Key { py: self.py })? {
            let value = items.next_value_seed(self)?;
            dict.set_item(key, value).map_err(refused)?;
        }
        Ok(dict.into_any())
    }
}

struct Key<'py> {
    py: Python<'py>,
}

impl<'de, 'py> DeserializeSeed<'de> for Key<'py> {
    type Value = Bound<'py, PyString>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'py> Visitor<'_> for Key<'py> {
    type Value = Bound<'py, PyString>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(known(self.py, value).unwrap_or_else(|| PyString::new(self.py, value)))
    }
}

/// The keys of our messages, made once.
macro_rules! known {
    ($py:expr, $given:expr, $($key:literal)*) => {
        match $given {
            $($key => Some(intern!($py, $key).clone()),)*
            _ => None,
        }
    };
}

fn known<'py>(py: Python<'py>, key: &str) -> Option<Bound<'py, PyString>> {
    known!(
        py, key,
        "v" "type" "node" "session" "participant" "stream" "seq" "pts_ms" "rtp_ts" "latency_ms"
        "data" "speech" "probability" "start_ms" "duration_ms" "rms_dbfs" "peak_dbfs" "text" "final"
        "code" "message" "field" "hint" "traceback"
    )
}
