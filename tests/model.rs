//! Whatever the scheduler, the transport, the peer and the application do: nothing is lost, nothing
//! hangs, nothing spins, and every frame that is sent is valid.
//!
//! `SEEDS=100000 cargo test --release --test model` runs more worlds than the default, and
//! `SEED=17 cargo test --test model` one of them.

mod simulation;

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::{
    env,
    panic::{self, AssertUnwindSafe},
};

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

fn each_seed(run: impl Fn(&[u8])) {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(1000),
    };
    for seed in seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; random.gen_range(0..4000)];
        random.fill_bytes(&mut bytes);
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| run(&bytes))) {
            eprintln!("the seed is {seed}");
            panic::resume_unwind(panic);
        }
    }
}

#[test]
fn one_stream_and_a_peer_that_sends_anything() {
    each_seed(simulation::one_stream::run);
}

#[test]
fn two_streams_always_finish() {
    each_seed(simulation::two_streams::run);
}
