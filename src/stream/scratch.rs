//! Memory that a thread keeps for the copies that its streams make.

use super::send::LARGEST_COPY;
use crate::protocol::frame::LINE;
use std::cell::RefCell;

/// Bytes of a piece: all have the same size, so that none has to grow.
const SIZE: usize = LARGEST_COPY + LINE;

/// How many pieces a thread keeps: a stream whose transport is itself a stream needs one for each.
const MOST: usize = 4;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives `f` memory for the largest copy at any alignment, without contents. It is the thread's:
/// neither is it made for each copy, nor does a stream own it, nor is so much of a stack needed.
pub(super) fn with<T>(f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut memory = KEPT
        .try_with(|kept| kept.borrow_mut().pop())
        // A thread that ends keeps nothing any more.
        .unwrap_or_default()
        .unwrap_or_default();
    memory.clear();
    memory.reserve_exact(SIZE);
    let result = f(&mut memory);
    let _ended = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < MOST {
            kept.push(memory);
        }
    });
    result
}
