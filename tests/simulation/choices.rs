//! Decisions, one byte or two each.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

/// Where decisions come from. Once the bytes are used up, every decision is the first one that
/// there is, which lets everything go its way.
#[derive(Clone)]
pub(crate) struct Choices(Rc<RefCell<VecDeque<u8>>>);

impl Choices {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Rc::new(RefCell::new(bytes.iter().copied().collect())))
    }

    pub(crate) fn byte(&self) -> u8 {
        self.0.borrow_mut().pop_front().unwrap_or(0)
    }

    /// A number below `n`.
    pub(crate) fn below(&self, n: usize) -> usize {
        let byte = usize::from(self.byte());
        let number = if n <= 256 { byte } else { byte << 8 | usize::from(self.byte()) };
        number % n
    }

    /// True one time in `n`, and not once the bytes are used up.
    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn pick<T: Clone>(&self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A pick that takes its byte from the end, and so leaves the others where they are: inputs that
    /// were kept mean what they did.
    pub(crate) fn pick_from_the_end<T: Clone>(&self, of: &[T]) -> T {
        let byte = self.0.borrow_mut().pop_back().unwrap_or(0);
        of[usize::from(byte) % of.len()].clone()
    }

    /// A size in bytes: often small, or beside a limit of the length's encoding.
    pub(crate) fn size(&self) -> usize {
        match self.below(16) {
            0..=3 => self.below(10),
            4..=8 => self.below(130),
            9 | 10 => 124 + self.below(4),
            11..=13 => self.below(3000),
            14 => [65_530, 66_540][self.below(2)] + self.below(12),
            _ => self.below(60_000),
        }
    }

    pub(crate) fn bytes(&self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
