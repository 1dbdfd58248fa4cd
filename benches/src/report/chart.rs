//! The chart: for each case, everyone's ratio to the bare transport.

use crate::{
    contestants::Kind,
    rounds::{Outcome, Outcomes},
};
use svg::{
    Document, Node,
    node::element::{Circle, Group, Line, Rectangle, Style, Text},
};

/// The cases that it shows, and what they are called there.
const ROWS: [(&str, &str); 16] = [
    ("memory/read/64/into/64K/masked", "memory: read 64 B frames"),
    ("memory/read/1K/into/64K/masked", "memory: read 1 KiB frames"),
    ("memory/read/16K/into/64K/masked", "memory: read 16 KiB frames"),
    ("memory/read/64K/into/64K/masked", "memory: read 64 KiB frames"),
    ("memory/read/64K/into/64K/pieces/1448/masked", "memory: 64 KiB in 1448 B pieces"),
    ("memory/write/64/masked", "memory: write 64 B"),
    ("memory/write/1K/masked", "memory: write 1 KiB"),
    ("memory/write/16K/masked", "memory: write 16 KiB"),
    ("memory/write/64K/masked", "memory: write 64 KiB"),
    ("memory/vectored/16+16K/masked", "memory: vectored 16 B + 16 KiB"),
    ("tcp/flow/64K/masked", "TCP: writes of 64 KiB"),
    ("tcp/ping-pong/64", "TCP: round trip of 64 B"),
    ("tcp/framed/pipelined", "TCP: codec, pipelined"),
    ("http2/flow/64K/masked", "HTTP/2: writes of 64 KiB"),
    ("http2/ping-pong/64", "HTTP/2: round trip of 64 B"),
    ("http2/ping-pong/100-streams", "HTTP/2: 100 round trips at once"),
];

/// A colour each that can be told apart by everyone, on white and on black.
const COLOURS: [(&str, &str); 7] = [
    ("this crate", "#e8590c"),
    ("0.1.2", "#b8860b"),
    ("ws_stream_tungstenite", "#3aa0dd"),
    ("async-tungstenite", "#3b6fd4"),
    ("tokio-websockets", "#1a9a72"),
    ("fastwebsockets (messages)", "#c265a8"),
    ("yawc (messages)", "#8a8a8a"),
];

const WIDTH: f64 = 920.0;
const ROW: f64 = 26.0;
const TOP: f64 = 122.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 890.0;
const TICKS: [f64; 9] = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// GitHub shows an SVG in the reader's colour scheme.
const STYLE: &str = "
text { font-family: -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.note { font-size: 12px; fill: #59636e; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.bare { stroke: #59636e; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .note { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .bare { stroke: #9198a1; }
}";

pub fn chart(all: &[Outcomes]) -> String {
    let rows: Vec<_> = ROWS
        .iter()
        .filter_map(|(case, label)| Some((*label, all.iter().find(|o| o.case == *case)?)))
        .collect();
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 56.0;
    let mut chart = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(svg::node::element::Title::new("Time relative to the bare transport"))
        .add(Style::new(STYLE));
    chart.append(text(
        "A WebSocket as a byte stream: time relative to the bare transport",
        20.0,
        30.0,
        "title",
    ));
    chart.append(legend());
    chart.append(axis(bottom));
    for (i, (label, outcomes)) in rows.iter().enumerate() {
        chart.append(row(label, outcomes, TOP + ROW * (i as f64 + 0.5)));
    }
    format!("{chart}\n")
}

/// Where a ratio is: the axis is logarithmic.
fn x(ratio: f64) -> f64 {
    let (first, last) = (TICKS[0].ln(), TICKS[TICKS.len() - 1].ln());
    let part = (ratio.ln() - first) / (last - first);
    LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

fn text(content: impl Into<String>, x: f64, y: f64, class: &str) -> Text {
    let text = Text::new(content).set("x", rounded(x)).set("y", rounded(y));
    if class.is_empty() { text } else { text.set("class", class) }
}

fn line(from: (f64, f64), to: (f64, f64)) -> Line {
    Line::new()
        .set("x1", rounded(from.0))
        .set("y1", rounded(from.1))
        .set("x2", rounded(to.0))
        .set("y2", rounded(to.1))
}

fn legend() -> Group {
    let mut legend = Group::new();
    for (i, (name, colour)) in COLOURS.iter().enumerate() {
        let (x, y) = (28.0 + (i % 4) as f64 * 220.0, 58.0 + (i / 4) as f64 * 22.0);
        let kind = match name {
            &"this crate" => Kind::Ours,
            name if name.ends_with("(messages)") => Kind::Loop,
            _ => Kind::Peer,
        };
        legend.append(mark(kind, colour, x, y));
        legend.append(text(
            if *name == "0.1.2" { "this crate, 0.1.2" } else { name },
            x + 14.0,
            y + 4.0,
            "",
        ));
    }
    legend
}

fn axis(bottom: f64) -> Group {
    let mut axis = Group::new();
    for tick in TICKS {
        let class = if tick == 1.0 { "bare" } else { "grid" };
        axis.append(line((x(tick), TOP), (x(tick), bottom)).set("class", class));
        axis.append(
            text(tick.to_string(), x(tick), bottom + 18.0, "note").set("text-anchor", "middle"),
        );
    }
    let label = "time, 1 = the bare transport; less is better (logarithmic; masked frames; lines: quartiles)";
    axis.append(
        text(label, (LEFT + RIGHT) / 2.0, bottom + 40.0, "note").set("text-anchor", "middle"),
    );
    axis
}

fn row(label: &str, outcomes: &Outcomes, y: f64) -> Group {
    let mut row = Group::new().add(text(label, LEFT - 14.0, y + 4.0, "").set("text-anchor", "end"));
    row.append(line((LEFT, y), (RIGHT, y)).set("class", "grid").set("stroke-dasharray", "1 4"));
    // This crate is drawn last, over the others.
    let mut standings: Vec<_> = outcomes.standings.iter().collect();
    standings.sort_by_key(|standing| standing.kind == Kind::Ours);
    for standing in standings {
        let colour = COLOURS.iter().find(|(name, _)| *name == standing.name);
        if let (Some((_, colour)), Outcome::Measured { to_bare, .. }) = (colour, &standing.outcome)
        {
            let quartiles = line((x(to_bare.low), y), (x(to_bare.high), y));
            row.append(quartiles.set("stroke", *colour).set("stroke-width", 2));
            row.append(mark(standing.kind, colour, x(to_bare.median), y));
        }
    }
    row
}

/// Byte streams are discs, message loops are open squares.
fn mark(kind: Kind, colour: &str, x: f64, y: f64) -> Box<dyn Node> {
    if kind == Kind::Loop {
        let square = Rectangle::new()
            .set("x", rounded(x - 4.0))
            .set("y", rounded(y - 4.0))
            .set("width", 8)
            .set("height", 8);
        return Box::new(square.set("fill", "none").set("stroke", colour).set("stroke-width", 2));
    }
    let radius = if kind == Kind::Ours { 6.5 } else { 4.5 };
    Box::new(
        Circle::new()
            .set("cx", rounded(x))
            .set("cy", rounded(y))
            .set("r", radius)
            .set("fill", colour),
    )
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
