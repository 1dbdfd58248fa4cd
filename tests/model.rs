//! Whatever the scheduler, the transport, the peer and the application do: nothing is lost, nothing
//! hangs, nothing spins, and every frame that is sent is valid. And the decoder says of any bytes
//! what the reference says.
//!
//! `SEEDS=50000 cargo test --release --test model` tries more than the default, and
//! `SEED=17 cargo test --test model` one.

#[path = "simulation/decoder.rs"]
mod decoder;
#[path = "../src/protocol/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a public crate uses the rest")]
mod protocol;
mod simulation;

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use simulation::reference;
use std::{
    env,
    fs::File,
    io::Read,
    panic::{self, AssertUnwindSafe},
    path::Path,
};
use tar::Archive;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

/// What the fuzzer has found worth keeping for this target, then what seeds give.
fn each_input(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{target}.tar"));
    // It isn't in the published package.
    if let Ok(corpus) = File::open(corpus) {
        for file in Archive::new(corpus).entries().unwrap() {
            let mut file = file.unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            try_input(&file.path().unwrap().display().to_string(), &bytes, &run);
        }
    }
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(1000),
    };
    for seed in seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; random.gen_range(0..4000)];
        random.fill_bytes(&mut bytes);
        try_input(&format!("seed {seed}"), &bytes, &run);
    }
}

fn try_input(name: &str, bytes: &[u8], run: &impl Fn(&[u8])) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| run(bytes))) {
        eprintln!("it was {name}");
        panic::resume_unwind(panic);
    }
}

#[test]
fn the_decoder_agrees_with_the_reference() {
    each_input("decoder", decoder::run);
}

#[test]
fn one_stream_and_a_peer_that_sends_anything() {
    each_input("one_stream", simulation::one_stream::run);
}

#[test]
fn two_streams_always_finish() {
    each_input("two_streams", simulation::two_streams::run);
}
