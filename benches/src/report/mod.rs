//! What is told: a table, JSON and a chart.

pub mod chart;
pub mod json;
pub mod table;
