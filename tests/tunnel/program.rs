//! The example as a process, which is killed with its value.

use crate::in_time;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// Where the example is: cargo builds it for a run of all tests, but not for a run of these alone.
static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--message-format", "json", "--all-features", "--example", "tunnel"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // What cargo tells tests would have build scripts run again, and again for the next test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_")
            || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(name);
        }
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = built.stdout.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    program.last().expect("cargo tells where the example is")
});

/// What the program says of arguments that it refuses, which ends it.
pub(crate) async fn refused(arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new(&*PROGRAM);
    let ended = in_time(command.args(arguments).kill_on_drop(true).output()).await.unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

pub(crate) struct Program {
    process: Child,
    pub(crate) address: SocketAddr,
    said: Arc<Said>,
}

/// The lines that the program has said.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Program {
    /// Starts it with these arguments, and waits until it listens.
    pub(crate) async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(&*PROGRAM);
        command.args(arguments).envs(environment.iter().copied());
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let said = Arc::new(Said::default());
        let hears = Arc::clone(&said);
        thread::spawn(move || {
            for line in output.lines() {
                hears.lines.lock().unwrap().push(line.unwrap());
                hears.more.notify_waiters();
            }
        });
        let mut program = Self { process, address: ([0, 0, 0, 0], 0).into(), said };
        let line = program.says(&["listening on "]).await;
        program.address = line["listening on ".len()..].parse().unwrap();
        program
    }

    /// A server for these targets.
    pub(crate) async fn server(targets: &[SocketAddr], options: &[&str]) -> Self {
        let targets: Vec<_> = targets.iter().map(SocketAddr::to_string).collect();
        let mut arguments = vec!["server"];
        for target in &targets {
            arguments.extend(["--allow", target]);
        }
        Self::start(&[&arguments, options].concat(), &[]).await
    }

    /// A client that goes to this target by that server.
    pub(crate) async fn client(server: &Self, target: SocketAddr, options: &[&str]) -> Self {
        let (via, target) = (format!("ws://{}/", server.address), target.to_string());
        let arguments = ["client", "--via", &via, "--to", &target];
        Self::start(&[&arguments, options].concat(), &[]).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The first line with all of these words, once the program has said it.
    pub(crate) async fn says(&self, words: &[&str]) -> String {
        self.says_often(1, words).await.remove(0)
    }

    /// The lines with all of these words, once the program has said so many.
    pub(crate) async fn says_often(&self, times: usize, words: &[&str]) -> Vec<String> {
        in_time(async {
            loop {
                let more = self.said.more.notified();
                let said = self.has_said(words);
                if said.len() >= times {
                    return said;
                }
                more.await;
            }
        })
        .await
    }

    /// The lines so far with all of these words.
    pub(crate) fn has_said(&self, words: &[&str]) -> Vec<String> {
        let lines = self.said.lines.lock().unwrap();
        let has_words = |line: &&String| words.iter().all(|word| line.contains(word));
        lines.iter().filter(has_words).cloned().collect()
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", self.id())]).status();
        assert!(sent.unwrap().success());
    }

    /// How it ends by itself.
    pub(crate) async fn ends(mut self) -> ExitStatus {
        in_time(async {
            loop {
                match self.process.try_wait().unwrap() {
                    Some(status) => return status,
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_dead = self.process.kill();
        let _reaped = self.process.wait();
    }
}
