//! Bytes that nobody can predict (RFC 6455 section 10.3).

use rand::{Rng, SeedableRng, distributions::Standard, prelude::Distribution, rngs::StdRng};
use std::cell::RefCell;

thread_local! {
    /// A cryptographic generator for each thread, seeded by the system. Unlike `rand`'s own
    /// `thread_rng`, it is not on the heap, where an idle stream owns nothing.
    static GENERATOR: RefCell<StdRng> = RefCell::new(StdRng::from_entropy());
}

pub(super) fn random<T>() -> T
where
    Standard: Distribution<T>,
{
    GENERATOR.with_borrow_mut(|generator| generator.r#gen())
}
