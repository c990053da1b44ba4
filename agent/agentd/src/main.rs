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

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().verb {
        Verb::Run(arguments) => logged(|| run::run(&arguments)).map(done),
        Verb::Standalone(arguments) => logged(|| run::standalone(&arguments)).map(done),
        Verb::Replay(arguments) => replay::run(&arguments),
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

/// Runs a daemon's verb with logging to standard error; `RUST_LOG` chooses what is logged.
fn logged(body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    body()
}
