//! The results for programs.

use crate::{
    contestants::Kind,
    rounds::{Outcome, Outcomes, Spread},
    targets,
};
use serde_json::{Map, Value, json};
use std::{env::consts, fs, process::Command, thread};

/// The whole file, with a line for each case.
pub fn results(all: &[Outcomes], rounds: usize) -> String {
    let head = json!({
        "machine": machine(),
        "rounds": rounds,
        "explanation": "ratios are formed within a round; low and high are the quartiles",
    });
    let head = format!("{head:#}");
    let head = head.strip_suffix("\n}").expect("it is an object");
    let line = |outcomes: &Outcomes| {
        format!("    {}: {}", Value::from(outcomes.case.as_str()), case(outcomes, all))
    };
    let cases: Vec<_> = all.iter().map(line).collect();
    format!("{head},\n  \"cases\": {{\n{}\n  }}\n}}\n", cases.join(",\n"))
}

fn case(outcomes: &Outcomes, all: &[Outcomes]) -> Value {
    let contestants: Map<_, _> = outcomes
        .standings
        .iter()
        .map(|standing| (standing.name.into(), contestant(standing.kind, &standing.outcome)))
        .collect();
    let targets: Vec<_> = targets::verdicts(outcomes, all)
        .iter()
        .map(|verdict| {
            json!({
                "ratio_to": verdict.target.reference(),
                "at_most": rounded(verdict.target.limit()),
                "measured": rounded(verdict.measured),
                "met": verdict.is_met(),
            })
        })
        .collect();
    let to_best_peer = outcomes.to_best_peer.map(|(name, ratio)| {
        let mut value = spread(ratio);
        value["peer"] = name.into();
        value
    });
    json!({ "contestants": contestants, "to_best_peer": to_best_peer, "targets": targets })
}

fn contestant(kind: Kind, outcome: &Outcome) -> Value {
    let kind = match kind {
        Kind::Bare => "transport",
        Kind::Ours | Kind::Peer => "byte stream",
        Kind::Loop => "message loop",
    };
    match outcome {
        Outcome::Measured { nanoseconds, to_bare } => json!({
            "kind": kind,
            "nanoseconds": spread(*nanoseconds),
            "to_bare": spread(*to_bare),
        }),
        Outcome::Absent => Value::Null,
        Outcome::Failed(why) => json!({ "kind": kind, "failed": why }),
    }
}

fn spread(spread: Spread) -> Value {
    json!({
        "low": rounded(spread.low),
        "median": rounded(spread.median),
        "high": rounded(spread.high),
    })
}

/// More digits would be noise.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// What it ran on.
pub fn machine() -> Value {
    let compiler = Command::new("rustc").arg("--version").output().ok();
    let compiler = compiler.and_then(|output| String::from_utf8(output.stdout).ok());
    json!({
        "processor": processor(),
        "threads": thread::available_parallelism().ok().map(usize::from),
        "system": format!("{} {}", consts::OS, consts::ARCH),
        "compiler": compiler.as_deref().map(str::trim),
    })
}

/// The processor's name, where Linux tells it.
fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_json() {
        let outcomes = Outcomes { case: "a/\"b\"".into(), standings: vec![], to_best_peer: None };
        for all in [vec![], vec![outcomes.clone()], vec![outcomes.clone(), outcomes]] {
            let parsed: Value = serde_json::from_str(&results(&all, 3)).unwrap();
            assert_eq!(parsed["rounds"], 3);
            assert_eq!(parsed["cases"].as_object().unwrap().len(), all.len().min(1));
        }
    }
}
