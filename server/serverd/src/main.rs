//! `deepflow-server`: the server's verbs.
//!
//! In: the command line, a configuration file, the environment. Out: a running server, an engine,
//! or both with an agent. This is the only crate of the server that reads the environment.

mod commands;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    commands::run(arguments)
}
