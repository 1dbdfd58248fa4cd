//! Bytes that nobody can predict (RFC 6455 section 10.3).

use rand::{RngCore, SeedableRng, rngs::StdRng};
use std::cell::RefCell;

thread_local! {
    /// A cryptographic generator for each thread, seeded by the system. Unlike `rand`'s own
    /// `thread_rng`, it is not on the heap, where an idle stream owns nothing.
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

struct Generator {
    words: StdRng,
    /// The forks that this process had come from when it was seeded.
    forks: usize,
}

impl Generator {
    #[cold]
    #[inline(never)]
    fn new() -> Self {
        fork::watch();
        Self { words: StdRng::from_entropy(), forks: fork::count() }
    }
}

/// One word of the generator. `rand` would take one for each byte of an array.
#[inline]
pub(super) fn random() -> [u8; 4] {
    GENERATOR.with_borrow_mut(|generator| {
        // Parent and child must not go on with the same keys.
        let generator = match generator {
            Some(generator) if generator.forks == fork::count() => generator,
            other => other.insert(Generator::new()),
        };
        generator.words.next_u32().to_ne_bytes()
    })
}

/// Notices that this process is the child of a `fork`. `rand` does that as well, but looks only
/// once in 64 words.
#[cfg(all(unix, not(target_os = "emscripten")))]
mod fork {
    use std::sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    };

    static FORKS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins to count, if that hasn't begun.
    #[allow(unsafe_code, reason = "only the C library knows of a fork")]
    pub(super) fn watch() {
        static WATCHED: Once = Once::new();
        WATCHED.call_once(|| {
            // SAFETY: the function is there as long as the program, and does nothing that isn't
            // allowed in the child of a process with several threads: it adds to an atomic.
            let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            assert_eq!(failed, 0, "no memory to notice a fork");
        });
    }

    #[inline]
    pub(super) fn count() -> usize {
        FORKS.load(Ordering::Relaxed)
    }
}

/// There is no `fork`.
#[cfg(not(all(unix, not(target_os = "emscripten"))))]
mod fork {
    pub(super) fn watch() {}

    pub(super) fn count() -> usize {
        0
    }
}
