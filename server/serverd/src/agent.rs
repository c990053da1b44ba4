//! The agent of this host, as a child process of `all-in-one`.
//!
//! In: the agent's program and what it needs to enrol. Out: a running agent; one that dies is
//! started again. Never: an agent in our process group (Ctrl-C reaches the server, which ends the
//! agent first), or one that outlives the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time that an agent has to hand over what it holds.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// First and longest pause before a dead agent is started again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How to start the agent.
pub struct AgentChild {
    /// Program.
    pub program: PathBuf,
    /// Its configuration file.
    pub config: Option<PathBuf>,
    /// Its data.
    pub data_dir: PathBuf,
    /// The server's address for agents.
    pub server: SocketAddr,
    /// The server's token.
    pub token_file: PathBuf,
    /// Ports whose traffic is ours.
    pub own_ports: Vec<u16>,
}

/// A running agent.
pub struct RunningAgent {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AgentChild {
    /// Starts the agent.
    pub fn start(self) -> anyhow::Result<RunningAgent> {
        let child = self.spawn()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(self.keep(child, stopped));
        Ok(RunningAgent { stop, task })
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let ports: Vec<String> = self.own_ports.iter().map(u16::to_string).collect();
        let mut command = Command::new(&self.program);
        command
            .arg("run")
            .arg("--server")
            .arg(self.server.to_string())
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--token-file")
            .arg(&self.token_file)
            .arg("--own-ports")
            .arg(ports.join(","))
            .arg("--exit-with-parent");
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start of the agent {}", self.program.display()))
    }

    async fn keep(self, mut child: Child, mut stopped: watch::Receiver<bool>) {
        let mut pause = BACKOFF.0;
        loop {
            tokio::select! {
                () = told(&mut stopped) => {
                    store::supervisor::end_child(child, STOP_TIMEOUT).await;
                    return;
                }
                status = child.wait() => {
                    tracing::warn!(?status, ?pause, "agent ended; starting it again");
                }
            }
            loop {
                tokio::select! {
                    () = told(&mut stopped) => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(BACKOFF.1);
                match self.spawn() {
                    Ok(next) => {
                        child = next;
                        break;
                    }
                    Err(error) => tracing::error!("{error:#}"),
                }
            }
        }
    }
}

async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

impl RunningAgent {
    /// Ends the agent; it hands over what it holds first.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}
