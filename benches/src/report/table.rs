//! The table that is printed, a line as soon as its case is done.

use crate::{
    contestants::Kind,
    rounds::{Outcome, Outcomes, Spread},
    targets::Verdict,
};

/// Short names, so that a line fits a screen.
const COLUMNS: [(&str, &str); 6] = [
    ("0.1.2", "0.1.2"),
    ("ws_stream_tungstenite", "ws_st."),
    ("async-tungstenite", "async-t."),
    ("tokio-websockets", "tok-ws"),
    ("fastwebsockets (messages)", "(fastws)"),
    ("yawc (messages)", "(yawc)"),
];

pub const EXPLANATION: &str = "\
Time of an operation: the bare transport's in ns, all others as a ratio to it in the same round.
Medians, with the quartiles in brackets. `to best`: this crate to the best of the byte streams.
In parentheses message loops, for orientation. `-`: it has no such thing; `!`: it failed.";

pub fn head() -> String {
    let mut line = format!("{:44} {:>9}  {:20}", "case", "bare ns", "this crate");
    for (_, short) in COLUMNS {
        line += &format!(" {short:>8}");
    }
    line + &format!("  {:20}  target", "to best")
}

pub fn line(outcomes: &Outcomes, verdicts: &[Verdict]) -> String {
    let find = |name: &str| outcomes.standings.iter().find(|standing| standing.name == name);
    let bare = outcomes.standings.iter().find(|standing| standing.kind == Kind::Bare);
    let bare = match bare.map(|standing| &standing.outcome) {
        Some(Outcome::Measured { nanoseconds, .. }) => number(nanoseconds.median),
        _ => "!".into(),
    };
    let ours = outcomes.ours().map_or("!".into(), spread);
    let mut line = format!("{:44} {bare:>9}  {ours:20}", outcomes.case);
    for (name, _) in COLUMNS {
        let cell = match find(name).map(|standing| &standing.outcome) {
            Some(Outcome::Measured { to_bare, .. }) => number(to_bare.median),
            Some(Outcome::Failed(_)) => "!".into(),
            Some(Outcome::Absent) | None => "-".into(),
        };
        line += &format!(" {cell:>8}");
    }
    let to_best = outcomes.to_best_peer.map_or("-".into(), |(_, ratio)| spread(ratio));
    line += &format!("  {to_best:20}");
    for verdict in verdicts {
        let word = if verdict.is_met() { "met" } else { "MISSED" };
        line += &format!("  {}: {word} ({:.2})", verdict.target, verdict.measured);
    }
    line.truncate(line.trim_end().len());
    line
}

/// Why contestants failed.
pub fn failures(outcomes: &Outcomes) -> impl Iterator<Item = String> {
    outcomes.standings.iter().filter_map(|standing| match &standing.outcome {
        Outcome::Failed(why) => Some(format!("{}: {}: {why}", outcomes.case, standing.name)),
        _ => None,
    })
}

fn spread(spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    format!("{} [{}-{}]", number(median), number(low), number(high))
}

/// Three digits that count.
fn number(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
