//! A stream whose peer, transport, scheduler and application do anything.
#![no_main]

#[path = "../../tests/simulation/mod.rs"]
mod simulation;

libfuzzer_sys::fuzz_target!(|choices: &[u8]| simulation::one_stream::run(choices));
