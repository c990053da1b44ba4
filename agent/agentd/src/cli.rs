//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Zero-code observability: watches this host's traffic and system calls.
#[derive(Debug, Parser)]
#[command(name = "deepflow-agent", version, long_version = crate::version::text())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Watch this host and send what is seen to the server.
    Run(RunArguments),
    /// Watch this host and write what is seen into a folder as JSON lines; no server.
    Standalone(StandaloneArguments),
    /// Read capture files and print their records as JSON lines.
    Replay(ReplayArguments),
    /// Tell what works on this kernel, and what does not and why.
    Check(CheckArguments),
}

/// Of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Configuration file (YAML, DeepFlow's key names).
    #[arg(short = 'f', long = "config")]
    pub config: Option<PathBuf>,
    /// Server, as HOST:PORT; overrides the configuration.
    #[arg(long)]
    pub server: Option<String>,
    /// Folder for identity, ledger and spool; overrides the configuration.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// File with the enrolment token; overrides the configuration.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// Ports of our own traffic, which is left out (repeat or separate by commas); overrides the
    /// configuration.
    #[arg(long, value_delimiter = ',')]
    pub own_ports: Vec<u16>,
    /// Port of the liveness endpoint on loopback; 0 for none.
    #[arg(long, default_value_t = 39090)]
    pub liveness_port: u16,
    /// End when the process that started this one ends.
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Of `standalone`.
#[derive(Debug, Args)]
pub struct StandaloneArguments {
    /// Configuration file (YAML, DeepFlow's key names).
    #[arg(short = 'f', long = "config")]
    pub config: Option<PathBuf>,
    /// Folder to write into; overrides `global.standalone_mode.data_file_dir`.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Stop after so many seconds; without it, at Ctrl-C.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Write metrics, too: a file for each table.
    #[arg(long)]
    pub metrics: bool,
}

/// Of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// Capture files (pcap, pcapng).
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Which records to print.
    #[arg(long, value_enum, default_value_t = ReplayTable::L7FlowLog)]
    pub table: ReplayTable,
    /// Configuration file. Unless it says otherwise, every protocol is read, nothing redacted.
    #[arg(long)]
    pub config: Option<PathBuf>,
}

/// Of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Configuration file: TLS is tried only if it says so. Without one, it is tried.
    #[arg(short = 'f', long = "config")]
    pub config: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Try this tier of BPF programs alone, not the newest that works.
    #[arg(long, value_enum)]
    pub tier: Option<Tier>,
}

/// Tiers of BPF programs, by the oldest kernel series they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Tier {
    V310,
    V510,
}

/// Tables of `replay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ReplayTable {
    /// Flow log.
    #[value(name = "l4_flow_log")]
    L4FlowLog,
    /// Request log.
    #[value(name = "l7_flow_log")]
    L7FlowLog,
    /// Network metrics by second.
    Network,
    /// Application metrics by second.
    Application,
}
