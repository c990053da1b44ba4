//! redis-benchmark with pipelining, and redis-cli with commands that fail.

use std::process::Command;

use anyhow::Result;

use super::{run_to_end, run_together};

/// `commands` SETs, then as many GETs, in pipelines of ten on four connections.
pub fn pipelined(port: u16, commands: u32) -> Result<()> {
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "-t", "set,get", "-r", "1000"]);
    command.args(["-n", &commands.to_string(), "-P", "10", "-c", "4"]);
    run_together(vec![command])
}

/// `commands` single commands, every fourth of which the server refuses.
pub fn with_errors(port: u16, commands: u32) -> Result<()> {
    let lines = ["SET word text", "INCR number", "GET word", "INCR word"];
    let input: Vec<&str> = lines.iter().copied().cycle().take(commands as usize).collect();
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    run_to_end(&mut command, &(input.join("\n") + "\n")).map(drop)
}
