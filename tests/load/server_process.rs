//! The server as the load sees it: a child process.

use crate::{BoxError, measure::Figures, process};
use std::{net::SocketAddr, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The command of this program that is the server.
pub(crate) const COMMAND: &str = "server";

/// It ends with its value: its input ends then, and it is killed besides.
pub(crate) struct ServerProcess {
    pub(crate) address: SocketAddr,
    pid: u32,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl ServerProcess {
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let questions = child.stdin.take().ok_or("no input")?;
        let answers = child.stdout.take().ok_or("no output")?;
        let mut answers = BufReader::new(answers).lines();
        let address = answers.next_line().await?.ok_or("the server didn't start")?.parse()?;
        let pid = child.id().ok_or("the server has ended")?;
        Ok(Self { address, pid, questions, answers, _child: child })
    }

    /// How the server is now.
    pub(crate) async fn figures(&mut self) -> Result<Figures, BoxError> {
        self.questions.write_all(b"\n").await?;
        let answer = self.answers.next_line().await?.ok_or("the server has ended")?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let number = |name: &str| answer[name].as_i64().ok_or("not a figure of the server");
        Ok(Figures {
            tasks: usize::try_from(number("tasks")?)?,
            heap: number("heap")?,
            open: usize::try_from(number("open")?)?,
            cut: usize::try_from(number("cut")?)?,
            errors: usize::try_from(number("errors")?)?,
            resident: process::resident(self.pid)?,
            descriptors: process::descriptors(self.pid)?,
        })
    }
}
