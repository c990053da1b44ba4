//! `deepflow-server`: the server's verbs.
//!
//! In: the command line, a configuration file, the environment. Out: a running server, an engine,
//! or a server with an agent. This is the only crate of the server that reads the environment.

mod agent;
mod assets;
mod commands;
mod config;
mod http;
mod metrics;
mod ports;
mod run;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    commands::run(commands::Arguments::parse())
}
