//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use store::Endpoint;
use store::engine::{self, EngineConfig, library};

/// Arguments of `deepflow-server`.
#[derive(Parser)]
#[command(name = "deepflow-server", version, about = "DeepFlow server")]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the storage engine alone: ClickHouse as a library behind ClickHouse's HTTP interface.
    Engine(EngineArguments),
}

/// Arguments of `engine`.
#[derive(Args)]
struct EngineArguments {
    /// Folder of the data; made when missing.
    #[arg(long)]
    data_dir: PathBuf,
    /// UNIX socket to listen on.
    #[arg(long, required_unless_present = "listen", conflicts_with = "listen")]
    socket: Option<PathBuf>,
    /// Loopback address and port to listen on instead of a socket.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// `libchdb.so`; else the environment's DEEPFLOW_LIBCHDB, else the usual places.
    #[arg(long)]
    library: Option<PathBuf>,
    /// End when standard input ends (set by the server that starts the engine).
    #[arg(long, hide = true)]
    ends_with_stdin: bool,
}

/// Runs a verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.verb {
        Verb::Engine(arguments) => run_engine(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deepflow-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_engine(arguments: EngineArguments) -> anyhow::Result<()> {
    start_logging();
    let hint = arguments.library.or_else(|| std::env::var_os("DEEPFLOW_LIBCHDB").map(Into::into));
    let program = std::env::current_exe().ok();
    let library = library::find(hint.as_deref(), program.as_deref())
        .map_err(|looked| anyhow::anyhow!("no libchdb.so; looked in {looked:?}"))?;
    let endpoint = match (arguments.socket, arguments.listen) {
        (Some(socket), _) => Endpoint::Unix(socket),
        (None, Some(address)) => Endpoint::Tcp(address),
        (None, None) => anyhow::bail!("give --socket or --listen"),
    };
    let config = EngineConfig {
        library,
        data_dir: arguments.data_dir,
        endpoint,
        ends_with_stdin: arguments.ends_with_stdin,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start of the runtime")?;
    match runtime.block_on(engine::serve(config)) {
        Ok(()) => engine::exit_now(0),
        Err(error) => {
            eprintln!("deepflow-server engine: {:#}", anyhow::Error::from(error));
            engine::exit_now(1)
        }
    }
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DEEPFLOW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
