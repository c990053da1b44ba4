//! `deepflow-agent`: the daemon of every host. This crate reads the command line, configuration
//! and environment, wires sources to pipelines and pipelines to export, and holds no logic of
//! protocols, flows or the wire.

mod check;
mod cli;
mod config;
mod live;
mod owners;
mod pipeline;
mod replay;
mod run;
mod standalone;
mod surroundings;
mod telemetry;
mod version;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().verb {
        Verb::Run(arguments) => logged("info", || run::run(&arguments)).map(done),
        Verb::Standalone(arguments) => logged("info", || run::standalone(&arguments)).map(done),
        Verb::Replay(arguments) => logged("warn", || replay::run(&arguments)),
        Verb::Check(arguments) => check::run(&arguments).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("deepflow-agent: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Runs a verb with logging to standard error: what is at least as grave as `level`, unless
/// `RUST_LOG` chooses otherwise.
fn logged<T>(level: &str, body: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    body()
}
