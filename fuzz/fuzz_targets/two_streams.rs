//! Two streams that talk to each other, whatever happens between them.
#![no_main]

#[path = "../../tests/simulation/mod.rs"]
mod simulation;

libfuzzer_sys::fuzz_target!(|choices: &[u8]| simulation::two_streams::run(choices));
