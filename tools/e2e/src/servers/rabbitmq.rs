//! RabbitMQ as a node of its own: its data, its name and its port mapper are nobody else's.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::plain;
use super::program;
use crate::lab::Namespace;
use crate::process::Process;

/// How long a start may take: the node makes its database first.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Port of the port mapper. The namespace has no other.
const MAPPER_PORT: u16 = 4369;

/// A running node with its port mapper, which would go on as a daemon if the node started it.
#[derive(Debug)]
pub struct RabbitMq {
    _node: Process,
    _mapper: Process,
}

impl RabbitMq {
    /// Starts it below `folder`.
    pub fn start(space: &Namespace, folder: &Path, port: u16) -> Result<Self> {
        let folder = folder.join("rabbitmq");
        std::fs::create_dir_all(&folder)?;
        let mut command = space.command(program("epmd")?);
        let mapper = plain::start(space, &folder, "epmd", MAPPER_PORT, &mut command)?;
        let mut command = space.command("/usr/lib/rabbitmq/bin/rabbitmq-server");
        std::fs::write(folder.join("enabled_plugins"), "[rabbitmq_amqp1_0].\n")?;
        command
            .env("HOME", &folder)
            .env("RABBITMQ_NODENAME", "e2e@localhost")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("none"))
            .env("RABBITMQ_PID_FILE", folder.join("rabbitmq.pid"));
        let mut node = Process::start("rabbitmq", &folder, &mut command)?;
        node.wait_until(START_TIMEOUT, || space.listens(port))?;
        Ok(Self { _node: node, _mapper: mapper })
    }
}
