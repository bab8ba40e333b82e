//! Resolved manifests: the parser, then the graph compiler.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remotemedia_core::ResolvedManifest;
use remotemedia_executor::Plan;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = ResolvedManifest::from_json(text) {
        let _ = Plan::compile(&manifest);
    }
});
