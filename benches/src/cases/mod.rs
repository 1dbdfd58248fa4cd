//! What is measured.

pub mod flow;
pub mod memory;
pub mod network;
pub mod requests;

use crate::contestants::{ByteStream, Contestant, Kind};
use crate::{for_each_loop, for_each_stream};
use std::{io, time::Duration};

/// How a run looks at the bytes that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At some of them, and how many they are: while time is taken.
    Sample,
    /// At each: before time is taken.
    Thorough,
}

/// What a contestant does in a turn.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub operations: u64,
    pub look: Look,
    /// What may differ from round to round is the same for everyone in a round.
    pub round: usize,
}

/// Does it and returns the time. `None`: the contestant has no such thing.
pub type Run = Box<dyn Fn(Work) -> io::Result<Option<Duration>>>;

/// One contestant in one case.
pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    pub run: Run,
}

pub struct Case {
    /// Its parts, separated by slashes.
    pub name: String,
    /// How long a contestant's turn is, about.
    pub turn: Duration,
    pub entries: Vec<Entry>,
}

/// A measurement that all contestants can be in.
pub trait Measure: Clone + 'static {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>>;

    /// The case of everyone.
    fn case(self, name: String, turn: Duration) -> Case {
        let mut entries = Vec::new();
        macro_rules! enter {
            ($contestant:ty) => {{
                let measure = self.clone();
                entries.push(Entry {
                    name: <$contestant as Contestant>::NAME,
                    kind: <$contestant as Contestant>::KIND,
                    run: Box::new(move |work| measure.run::<$contestant>(work)),
                });
            }};
        }
        for_each_stream!(enter);
        for_each_loop!(enter);
        Case { name, turn, entries }
    }
}

/// A measurement for byte streams.
pub trait MeasureStream: Clone + 'static {
    fn run<C: ByteStream>(&self, work: Work) -> io::Result<Option<Duration>>;

    /// The case of all byte streams.
    fn case(self, name: String, turn: Duration) -> Case {
        let mut entries = Vec::new();
        macro_rules! enter {
            ($contestant:ty) => {{
                let measure = self.clone();
                entries.push(Entry {
                    name: <$contestant as ByteStream>::NAME,
                    kind: <$contestant as ByteStream>::KIND,
                    run: Box::new(move |work| measure.run::<$contestant>(work)),
                });
            }};
        }
        for_each_stream!(enter);
        Case { name, turn, entries }
    }
}

/// All cases whose names have the filter's parts one after the other. Filters are separated by
/// commas; an empty one is everything.
pub fn matching(filter: &str) -> Vec<Case> {
    let mut cases = memory::cases();
    cases.extend(flow::cases());
    cases.extend(requests::cases());
    cases.retain(|case| filter.split(',').any(|filter| matches(&case.name, filter)));
    cases
}

fn matches(name: &str, filter: &str) -> bool {
    let whole_parts = format!("/{}/", filter.trim_matches('/'));
    filter.is_empty() || format!("/{name}/").contains(&whole_parts)
}

/// A number of bytes, in short.
pub fn short(bytes: usize) -> String {
    match bytes {
        0..1024 => bytes.to_string(),
        1024..1_048_576 => format!("{}K", bytes >> 10),
        _ => format!("{}M", bytes >> 20),
    }
}

/// The name of a direction.
pub fn mask_name(masked: bool) -> &'static str {
    if masked { "masked" } else { "plain" }
}
