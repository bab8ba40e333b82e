//! Control messages of a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remotemedia_wire::parse_control;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_control(bytes);
});
