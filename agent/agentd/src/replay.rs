//! `deepflow-agent replay`: records of capture files as JSON lines.
//!
//! Time is the captures'. Several files are one stream with state kept from one to the next. What
//! stands before damage is printed; a file that cannot be read to its end gives exit code 2.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use schema::{Batch, Table};
use source::replay::{Capture, ReplayError};
use wire::{DecapConfig, LinkType};

use crate::cli::{ReplayArguments, ReplayTable};
use crate::config::Config;
use crate::pipeline::{End, Owners, PacketPipeline, PacketSettings, Stage};

const DAMAGED: u8 = 2;
const NS_A_SECOND: u64 = 1_000_000_000;

/// Replays the files.
pub fn run(arguments: &ReplayArguments) -> Result<ExitCode> {
    let settings = settings(arguments.config.as_deref())?;
    let stage = Stage::new(Owners::default(), 0);
    let mut replay = Replay {
        pipeline: PacketPipeline::new(settings, stage),
        printer: Printer::new(arguments.table),
        second: 0,
    };
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.files {
        if let Err(error) = replay.file(path) {
            if error.downcast_ref::<std::io::Error>().is_some_and(is_closed_pipe) {
                return Ok(code);
            }
            let _ = replay.printer.out.flush();
            eprintln!("deepflow-agent: {}: {error:#}", path.display());
            code = ExitCode::from(DAMAGED);
        }
    }
    let batches = replay.pipeline.finish(replay.second * NS_A_SECOND, End::OfCapture);
    match replay.printer.print(&batches).and_then(|()| replay.printer.out.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("write records"),
        _ => Ok(code),
    }
}

fn settings(config: Option<&Path>) -> Result<PacketSettings> {
    let (loaded, ignored) = Config::load_for_replay(config)?;
    for key in ignored {
        eprintln!("deepflow-agent: {key} is not acted on by this version");
    }
    let mut settings = PacketSettings::new(&loaded)?;
    if config.is_none() {
        settings.decap = DecapConfig::all();
    }
    Ok(settings)
}

fn is_closed_pipe(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

struct Replay {
    pipeline: PacketPipeline,
    printer: Printer,
    /// Second of the last packet. unit s since the Unix epoch
    second: u64,
}

impl Replay {
    fn file(&mut self, path: &Path) -> Result<()> {
        let mut capture = Capture::open(path, LinkType::PCAP)?;
        while let Some(frame) = capture.next()? {
            let link = LinkType::from_pcap(frame.link_type).ok_or(ReplayError::LinkType {
                number: frame.link_type,
                readable: LinkType::PCAP,
            })?;
            let second = frame.time_ns / NS_A_SECOND;
            if second > self.second {
                self.second = second;
                let batches = self.pipeline.tick(second * NS_A_SECOND);
                self.printer.print(&batches)?;
            }
            let from = (frame.interface, link, None);
            self.pipeline.on_frame(frame.time_ns, from, frame.bytes, frame.wire_bytes);
        }
        Ok(())
    }
}

/// Prints the rows of one table.
struct Printer {
    table: Table,
    out: BufWriter<std::io::Stdout>,
    lines: String,
}

impl Printer {
    fn new(table: ReplayTable) -> Self {
        let table = match table {
            ReplayTable::L4FlowLog => Table::L4FlowLog,
            ReplayTable::L7FlowLog => Table::L7FlowLog,
            ReplayTable::Network => Table::Network1s,
            ReplayTable::Application => Table::Application1s,
        };
        Self { table, out: BufWriter::new(std::io::stdout()), lines: String::new() }
    }

    fn print(&mut self, batches: &[Batch]) -> std::io::Result<()> {
        for batch in batches.iter().filter(|batch| batch.table == self.table) {
            self.lines.clear();
            schema::json::write_lines(batch, &mut self.lines);
            self.out.write_all(self.lines.as_bytes())?;
        }
        Ok(())
    }
}
