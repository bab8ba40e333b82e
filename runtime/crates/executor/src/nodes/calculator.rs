//! `calculator`: a number and the operand, a list folded from the left, or an object that says
//! operation and operands itself. Whole numbers stay whole where they are exact.

use std::sync::Arc;

use remotemedia_core::{FrameMeta, ResolvedNode};
use serde_json::{Map, Value};

use super::{data_ports, give_value};
use crate::node::{Context, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

/// Whole numbers below this are exact.
const EXACT: f64 = (1_u64 << 53) as f64;

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Modulo,
}

const OPERATIONS: &[(&str, Operation)] = &[
    ("add", Operation::Add),
    ("subtract", Operation::Subtract),
    ("multiply", Operation::Multiply),
    ("divide", Operation::Divide),
    ("power", Operation::Power),
    ("modulo", Operation::Modulo),
];

#[derive(Clone)]
struct Calculator {
    operation: Operation,
    operand: Option<Value>,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let operation = params.choice("operation", OPERATIONS);
    let operand = params.optional_number("operand");
    params.finish()?;
    data_ports(node)?;
    Ok(Arc::new(Calculator { operation, operand }))
}

impl Operation {
    fn of(a: f64, b: f64, operation: Operation) -> Result<f64, &'static str> {
        let by_zero = "division by zero";
        Ok(match operation {
            Operation::Add => a + b,
            Operation::Subtract => a - b,
            Operation::Multiply => a * b,
            Operation::Divide | Operation::Modulo if b == 0.0 => return Err(by_zero),
            Operation::Divide => a / b,
            Operation::Power if a == 0.0 && b < 0.0 => return Err(by_zero),
            Operation::Power => a.powf(b),
            // The sign of the divisor, as in Python.
            Operation::Modulo => {
                let rest = a % b;
                let other = rest != 0.0 && (rest < 0.0) != (b < 0.0);
                if other { rest + b } else { rest.abs().copysign(b) }
            }
        })
    }
}

impl Calculator {
    fn run(&self, value: &Value) -> Result<Value, String> {
        let pair;
        let (operation, operands) = match (value, &self.operand) {
            (Value::Object(map), _) => request(map)?,
            (Value::Array(list), _) => (self.operation, list.as_slice()),
            (_, None) => {
                return Err("a calculator without an operand takes a list of numbers".into());
            }
            (value, Some(operand)) => {
                pair = [value.clone(), operand.clone()];
                (self.operation, pair.as_slice())
            }
        };
        let numbers = operands.iter().map(number).collect::<Result<Vec<f64>, String>>()?;
        let Some((first, rest)) = numbers.split_first() else {
            return Err("a calculator takes a list of at least one number".into());
        };
        let result =
            rest.iter().try_fold(*first, |sum, next| Operation::of(sum, *next, operation))?;
        if !result.is_finite() {
            return Err("the result is not a finite number".into());
        }
        let whole = operands.iter().all(|operand| operand.is_i64() || operand.is_u64());
        if whole && result.fract() == 0.0 && result.abs() < EXACT {
            return Ok((result as i64).into());
        }
        Ok(result.into())
    }
}

fn request(map: &Map<String, Value>) -> Result<(Operation, &[Value]), String> {
    let mut others = map.iter().filter(|(key, _)| *key != "operation");
    let operands = match (others.next(), others.next()) {
        (Some((key, operands)), None) if key == "operands" || key == "args" => operands,
        _ => return Err("a calculator takes {\"operation\": ..., \"operands\": [...]}".into()),
    };
    let wanted = map.get("operation").and_then(Value::as_str);
    let operation = OPERATIONS.iter().find(|(name, _)| Some(*name) == wanted);
    let Some((_, operation)) = operation else {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!("operation must be one of {}", names.join(", ")));
    };
    match operands {
        Value::Array(list) => Ok((*operation, list)),
        _ => Err("a calculator takes a list of at least one number".into()),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    let name = match value {
        Value::Number(number) => {
            return number.as_f64().ok_or_else(|| "a number is too large".to_owned());
        }
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    Err(format!("a calculator takes numbers, not {name}"))
}

impl NodeType for Calculator {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(self.clone())
    }

    fn passes(&self) -> bool {
        false
    }
}

impl StreamNode for Calculator {
    fn take(&mut self, meta: &FrameMeta, value: &Value, cx: &mut Context<'_>) {
        give_value(meta, self.run(value), cx);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn calculate(
        value: Value,
        operation: Operation,
        operand: Option<Value>,
    ) -> Result<Value, String> {
        Calculator { operation, operand }.run(&value)
    }

    #[test]
    fn numbers_lists_and_requests_are_calculated() {
        use Operation::{Add, Divide, Modulo, Power, Subtract};
        for (value, operation, operand, expected) in [
            (json!(2), Add, Some(json!(3)), json!(5)),
            (json!(2), Add, Some(json!(0.5)), json!(2.5)),
            (json!([10, 2, 3]), Subtract, None, json!(5)),
            (json!([1, 2]), Divide, None, json!(0.5)),
            (json!([4, 2]), Divide, None, json!(2)),
            (json!([4.0, 2]), Divide, None, json!(2.0)),
            (json!([-7, 3]), Modulo, None, json!(2)),
            (json!([7, -3]), Modulo, None, json!(-2)),
            (json!([2, 10]), Power, None, json!(1024)),
            (json!([2, 60]), Power, None, json!(2_f64.powi(60))),
            (json!([5]), Add, None, json!(5)),
            (json!({"operation": "multiply", "operands": [6, 7]}), Add, None, json!(42)),
            (json!({"operation": "add", "args": [6, 7]}), Power, Some(json!(1)), json!(13)),
        ] {
            assert_eq!(calculate(value.clone(), operation, operand), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_calculated_is_said() {
        use Operation::{Add, Divide, Modulo, Power};
        for (value, operation, says) in [
            (json!([1, 0]), Divide, "division by zero"),
            (json!([1, 0.0]), Modulo, "division by zero"),
            (json!([0, -1]), Power, "division by zero"),
            (json!([-8, 0.5]), Power, "not a finite"),
            (json!([1e308, 1e308]), Add, "not a finite"),
            (json!([1, "2"]), Add, "not str"),
            (json!([1, true]), Add, "not bool"),
            (json!([1, null]), Add, "not NoneType"),
            (json!([]), Add, "at least one"),
            (json!(1), Add, "without an operand"),
            (json!("1"), Add, "without an operand"),
            (json!({"operation": "root", "operands": [1]}), Add, "must be one of add"),
            (json!({"operation": "add"}), Add, "takes {"),
            (json!({"operation": "add", "operands": [1], "args": [1]}), Add, "takes {"),
            (json!({"operation": "add", "operands": 1}), Add, "at least one"),
        ] {
            let error = calculate(value.clone(), operation, None).unwrap_err();
            assert!(error.contains(says), "{value}: {error}");
        }
    }
}
