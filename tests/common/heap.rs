//! Counts the heap: what a piece of code does with it, on its thread; and what is live, over the
//! threads that ask for it.
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

/// What was done with the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Heap {
    pub(crate) allocations: usize,
    /// Bytes.
    pub(crate) live: isize,
    /// The most bytes.
    pub(crate) peak: isize,
}

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static HERE: Cell<Heap> = const { Cell::new(Heap { allocations: 0, live: 0, peak: 0 }) };
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// What this thread does with the heap meanwhile: allocations, bytes that stay, and the peak above
/// the start.
pub(crate) fn heap<T>(f: impl FnOnce() -> T) -> (T, Heap) {
    let before = HERE.get();
    HERE.set(Heap { peak: before.live, ..before });
    let result = f();
    let after = HERE.get();
    let heap = Heap {
        allocations: after.allocations - before.allocations,
        live: after.live - before.live,
        peak: after.peak - before.live,
    };
    (result, heap)
}

/// What this thread has done with the heap so far.
pub(crate) fn here() -> Heap {
    HERE.get()
}

/// From here on, what this thread allocates and frees counts. For `on_thread_start` of a runtime.
pub(crate) fn count_this_thread() {
    COUNTED.set(true);
}

/// Bytes that are allocated now by the threads that count.
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

// A thread that ends may still free: then it isn't counted any more.

fn count(bytes: isize) {
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(live, Relaxed);
        }
    }
}

fn count_here(allocations: usize, bytes: isize) {
    let _ended = HERE.try_with(|heap| {
        let mut now = heap.get();
        now.allocations += allocations;
        now.live += bytes;
        now.peak = now.peak.max(now.live);
        heap.set(now);
    });
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        count_here(1, layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        count_here(1, layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        count_here(0, -(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // It may be another piece of memory, and both are there for a moment.
        count_here(1, size as isize);
        count_here(0, -(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}
