//! Counts the live bytes of the heap, over the threads that ask for it.
//!
//! A runtime whose threads are counted, and no others, shows what its tasks own: exactly, where
//! the resident size of a process has the allocator's holes in it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

/// The system's allocator, with counts. To be made the `#[global_allocator]`.
pub(crate) struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// From here on, what this thread allocates and frees counts. For `on_thread_start` of a runtime.
pub(crate) fn count_this_thread() {
    COUNTED.set(true);
}

/// Bytes that are allocated now.
pub(crate) fn live() -> isize {
    LIVE.load(Relaxed)
}

/// The most bytes since [`forget_peak`].
pub(crate) fn peak() -> isize {
    PEAK.load(Relaxed)
}

pub(crate) fn forget_peak() {
    PEAK.store(live(), Relaxed);
}

fn count(bytes: isize) {
    // A thread that ends may still free.
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(live, Relaxed);
        }
    }
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}
