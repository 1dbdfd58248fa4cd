//! The public API is the one that `public-api.txt` lists, with all features.
//!
//! `UPDATE=1 cargo test -p public-api-listing` writes the file anew. What it changes belongs into
//! CHANGELOG.md; a line that goes away or changes is a breaking change.

use public_api::{Builder, PublicApi};
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The Rust that the listing is made with: the format of rustdoc's JSON and the paths of the standard
/// library's items change. When another one is in use, rustup gets it.
const RUST: &str = "1.95.0";

#[test]
fn the_public_api_is_the_listed_one() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("public-api.txt");
    let now = listing(&here.join("../.."));
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, &now).expect("the listing can be written");
    }
    let listed = fs::read_to_string(&file).expect("there is a listing");
    let differences = differences(&listed, &now);
    assert!(
        differences.is_empty(),
        "the public API has changed:\n{differences}If that is meant, \
         `UPDATE=1 cargo test -p public-api-listing` writes it down."
    );
}

/// The lines that are in one of them only.
fn differences(listed: &str, now: &str) -> String {
    let mut differences = String::new();
    for line in listed.lines().filter(|line| !now.lines().any(|other| other == *line)) {
        writeln!(differences, "- {line}").expect("a String takes all");
    }
    for line in now.lines().filter(|line| !listed.lines().any(|other| other == *line)) {
        writeln!(differences, "+ {line}").expect("a String takes all");
    }
    differences
}

fn listing(package: &Path) -> String {
    let api = public_api(package);
    let mut listing = String::new();
    for item in api.items() {
        let item = item.to_string();
        if is_api(&item) {
            writeln!(listing, "{item}").expect("a String takes all");
        }
    }
    listing
}

/// The guide is there in the documentation only, and some traits are the compiler's own business.
fn is_api(item: &str) -> bool {
    !item.contains("fastwebsockets_stream::guide")
        && !item.contains("core::marker::Freeze")
        && !item.contains("core::marker::UnsafeUnpin")
}

fn public_api(package: &Path) -> PublicApi {
    let json = rustdoc_json(package, cargo());
    Builder::from_rustdoc_json(json).omit_blanket_impls(true).build().expect("the format is known")
}

fn cargo() -> Command {
    let in_use = Command::new("rustc").arg("--version").output().expect("there is a rustc");
    if in_use.stdout.starts_with(format!("rustc {RUST} ").as_bytes()) {
        return Command::new(env::var_os("CARGO").expect("cargo runs the test"));
    }
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "--install", RUST, "cargo"]);
    // cargo sets them for the test, and would keep to them.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        cargo.env_remove(name);
    }
    cargo
}

/// In a target directory of its own: with RUSTC_BOOTSTRAP, which lets a stable toolchain write it,
/// dependencies are built anew.
fn rustdoc_json(package: &Path, mut cargo: Command) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("json");
    let status = cargo
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--all-features", "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"])
        .current_dir(package)
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .expect("cargo, or else rustup, can be run");
    assert!(status.success(), "{status}");
    target.join("doc/fastwebsockets_stream.json")
}
