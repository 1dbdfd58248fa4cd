//! Bytes that nobody can predict (RFC 6455 section 10.3).

use rand::{RngCore, SeedableRng, rngs::StdRng};
use std::cell::RefCell;

thread_local! {
    /// A cryptographic generator for each thread, seeded by the system. Unlike `rand`'s own
    /// `thread_rng`, it is not on the heap, where an idle stream owns nothing.
    static GENERATOR: RefCell<StdRng> = RefCell::new(StdRng::from_entropy());
}

/// One word of the generator. `rand` would take one for each byte of an array.
#[inline]
pub(super) fn random() -> [u8; 4] {
    GENERATOR.with_borrow_mut(|generator| generator.next_u32().to_ne_bytes())
}
