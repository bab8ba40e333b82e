use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remotemedia_core::{ErrorCode, ResolvedManifest};
use remotemedia_executor::Plan;

use crate::EngineError;
use crate::error::printable;

/// What is served, by name.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    plans: Mutex<HashMap<String, Arc<Plan>>>,
}

impl Pipelines {
    /// Serves a pipeline under `name`; who runs an older one of that name goes on with it.
    pub(crate) fn add(&self, name: &str, resolved_json: &str) -> Result<(), EngineError> {
        let plan = Plan::compile(&ResolvedManifest::from_json(resolved_json)?)?;
        self.lock().insert(name.to_owned(), Arc::new(plan));
        Ok(())
    }

    /// The pipeline of that name; any that is there where nobody names one and there is no choice,
    /// or something is `running` already.
    pub(crate) fn find(
        &self,
        name: Option<&str>,
        running: bool,
    ) -> Result<(Arc<str>, Arc<Plan>), EngineError> {
        let plans = self.lock();
        let found = match name {
            Some(name) => plans.get_key_value(name),
            None if plans.len() == 1 || running => plans.iter().next(),
            None => None,
        };
        found.map(|(name, plan)| (Arc::from(name.as_str()), Arc::clone(plan))).ok_or_else(|| {
            let mut names: Vec<&str> = plans.keys().map(String::as_str).collect();
            names.sort_unstable();
            let message = match name {
                Some(name) => format!("no pipeline \"{}\"", printable(name)),
                None => "say which pipeline".to_owned(),
            };
            EngineError::new(ErrorCode::UnknownPipeline, message)
                .with_field("pipeline")
                .with_hint(format!("served here: {}", names.join(", ")))
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A level meter for each source.
    pub(crate) fn level(sources: &[&str]) -> String {
        let format = json!({"type": "audio", "rate": 48_000, "channels": 1});
        let node = |source: &&str| {
            json!({"id": format!("level-{source}"), "kind": "level", "runtime": "native",
                "params": {"interval_ms": 50}, "inputs": [{"port": "in", "format": format}],
                "outputs": []})
        };
        let edge = |source: &&str| {
            json!({"from": {"node": "$source", "port": source},
                "to": {"node": format!("level-{source}"), "port": "in"}})
        };
        json!({"version": "resolved/1", "name": "level",
            "sources": sources.iter()
                .map(|source| json!({"id": source, "format": format})).collect::<Vec<Value>>(),
            "nodes": sources.iter().map(node).collect::<Vec<Value>>(),
            "edges": sources.iter().map(edge).collect::<Vec<Value>>()})
        .to_string()
    }

    #[test]
    fn a_pipeline_may_have_several_sources() {
        let pipelines = Pipelines::default();
        pipelines.add("two", &level(&["left", "right"])).unwrap();
        assert_eq!(pipelines.find(Some("two"), false).unwrap().1.sources().len(), 2);
    }

    #[test]
    fn who_names_no_pipeline_gets_the_only_one() {
        let pipelines = Pipelines::default();
        assert_eq!(pipelines.find(None, false).unwrap_err().code, ErrorCode::UnknownPipeline);
        pipelines.add("one", &level(&["input"])).unwrap();
        assert_eq!(&*pipelines.find(None, false).unwrap().0, "one");
        pipelines.add("two", &level(&["input"])).unwrap();
        let refused = pipelines.find(None, false).unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("served here: one, two"));
        assert!(pipelines.find(None, true).is_ok());
        assert_eq!(&*pipelines.find(Some("two"), false).unwrap().0, "two");
    }
}
