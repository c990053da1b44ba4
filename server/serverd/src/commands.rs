//! The command line, and what the environment adds to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use store::Endpoint;
use store::engine::{self, EngineConfig, library};

use crate::config::{Config, Overrides};
use crate::run;

/// Arguments of `deepflow-server`.
#[derive(Parser)]
#[command(name = "deepflow-server", version, about = "DeepFlow server")]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server: ingest, store, query and web page.
    Run(RunArguments),
    /// Run the server and an agent of this host.
    AllInOne(AllInOneArguments),
    /// Run the storage engine alone: ClickHouse as a library behind ClickHouse's HTTP interface.
    Engine(EngineArguments),
}

/// Arguments of `run`; they override the configuration file.
#[derive(Args)]
struct RunArguments {
    /// Configuration file (YAML).
    #[arg(short = 'f', long)]
    config: Option<PathBuf>,
    /// Folder of all data; made when missing. Default /var/lib/deepflow for root, else
    /// ~/.local/share/deepflow.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address and port of HTTP. Default 127.0.0.1:20416.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address and UDP port for agents. Default 127.0.0.1:20033.
    #[arg(long)]
    ingest_listen: Option<SocketAddr>,
}

/// Arguments of `all-in-one`.
#[derive(Args)]
struct AllInOneArguments {
    #[command(flatten)]
    run: RunArguments,
    /// The agent's program; else the one next to this program.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Configuration file of the agent (YAML).
    #[arg(long)]
    agent_config: Option<PathBuf>,
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
    start_logging();
    let outcome = match arguments.verb {
        Verb::Run(arguments) => configure(arguments).and_then(run_server),
        Verb::AllInOne(arguments) => configure_all(arguments).and_then(run_server),
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

fn configure(arguments: RunArguments) -> anyhow::Result<Config> {
    let home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    let overrides = Overrides {
        data_dir: arguments.data_dir,
        listen: arguments.listen,
        ingest_listen: arguments.ingest_listen,
        user_data_home: home,
        program: std::env::current_exe().context("place of this program")?,
        library: std::env::var_os("DEEPFLOW_LIBCHDB").map(PathBuf::from),
        search_path: std::env::var_os("PATH").unwrap_or_default(),
    };
    Config::load(arguments.config.as_deref(), overrides)
}

fn configure_all(arguments: AllInOneArguments) -> anyhow::Result<Config> {
    let mut config = configure(arguments.run)?;
    let program = match arguments.agent {
        Some(program) => program,
        None => config.program.with_file_name("deepflow-agent"),
    };
    if !program.is_file() {
        bail!("no agent at {}: build it, or give its place by --agent", program.display());
    }
    config.agent = Some(run::AgentProgram { program, config: arguments.agent_config });
    Ok(config)
}

fn run_server(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start of the runtime")?;
    let outcome = runtime.block_on(run::run(config));
    // Nothing of ours is left; a blocked look-up of a library must not hold the end up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

fn run_engine(arguments: EngineArguments) -> anyhow::Result<()> {
    let hint = arguments.library.or_else(|| std::env::var_os("DEEPFLOW_LIBCHDB").map(Into::into));
    let program = std::env::current_exe().ok();
    let library = library::find(hint.as_deref(), program.as_deref())
        .map_err(|looked| anyhow::anyhow!("no libchdb.so; looked in {looked:?}"))?;
    let endpoint = match (arguments.socket, arguments.listen) {
        (Some(socket), _) => Endpoint::Unix(socket),
        (None, Some(address)) => Endpoint::Tcp(address),
        (None, None) => bail!("give --socket or --listen"),
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
