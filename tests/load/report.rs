//! What was measured, and which bounds were missed.

use serde_json::{Map, Value, json};
use std::{fmt::Display, process::ExitCode};

/// Prints each figure as it is known, and keeps it.
#[derive(Default)]
pub(crate) struct Report {
    part: &'static str,
    figures: Map<String, Value>,
    missed: Vec<String>,
}

impl Report {
    /// The figures that follow belong to this part of the load.
    pub(crate) fn begin(&mut self, part: &'static str) {
        self.part = part;
        println!("\n{part}");
    }

    pub(crate) fn figure(&mut self, name: impl Display, value: f64, unit: &str) {
        self.line(&name, value, unit, "");
    }

    /// A figure that may not be larger than `most`.
    pub(crate) fn at_most(&mut self, name: impl Display, value: f64, most: f64, unit: &str) {
        let verdict = if value <= most { "ok" } else { "MISSED" };
        self.line(&name, value, unit, &format!("at most {}: {verdict}", number(most)));
        if value > most {
            let part = self.part;
            self.missed.push(format!("{part}: {name} is {}, at most {most}", number(value)));
        }
    }

    fn line(&mut self, name: &dyn Display, value: f64, unit: &str, bound: &str) {
        let name = name.to_string();
        let line = format!("  {name:<44} {:>12} {unit:<10} {bound}", number(value));
        println!("{}", line.trim_end());
        let part = self.figures.entry(self.part).or_insert_with(|| json!({}));
        part[name] = json!({ "value": value, "unit": unit });
    }

    pub(crate) fn json(&self) -> String {
        format!("{:#}\n", json!({ "figures": self.figures, "missed": self.missed }))
    }

    pub(crate) fn finish(self) -> ExitCode {
        if self.missed.is_empty() {
            println!("\nall bounds kept");
            return ExitCode::SUCCESS;
        }
        println!();
        for missed in &self.missed {
            println!("MISSED {missed}");
        }
        ExitCode::FAILURE
    }
}

/// Whole, unless it is small.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
