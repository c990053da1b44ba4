//! `deepflow-agent replay`: records of capture files as JSON lines.
//!
//! Time is the captures'. Several files are one stream with state kept from one to the next. What
//! stands before damage is printed; a file that cannot be read to its end gives exit code 2.

use std::cell::RefCell;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

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
    let printer = Rc::new(RefCell::new(Printer::new(arguments.table)));
    let outlet = Rc::clone(&printer);
    let print = move |batch| outlet.borrow_mut().print(&batch);
    let stage = Stage::new(Owners::default(), 0, Box::new(print));
    let stage = match arguments.table {
        ReplayTable::L4FlowLog | ReplayTable::L7FlowLog => stage.without_metrics(),
        ReplayTable::Network | ReplayTable::Application => stage,
    };
    let mut replay = Replay { pipeline: PacketPipeline::new(settings, stage), second: 0, printer };
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.files {
        if let Err(error) = replay.file(path) {
            replay.printer.borrow_mut().flush();
            eprintln!("deepflow-agent: {}: {error:#}", path.display());
            code = ExitCode::from(DAMAGED);
        }
        if replay.printer.borrow().failure.is_some() {
            break;
        }
    }
    replay.pipeline.finish(replay.second * NS_A_SECOND, End::OfCapture);
    let mut printer = replay.printer.borrow_mut();
    printer.flush();
    match printer.failure.take() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write records"),
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
        settings.merges_health_checks = false;
    }
    Ok(settings)
}

struct Replay {
    pipeline: PacketPipeline,
    /// Second of the last packet. unit s since the Unix epoch
    second: u64,
    printer: Rc<RefCell<Printer>>,
}

impl Replay {
    /// Reads a file to its end, or until nobody takes the records any more.
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
                self.pipeline.tick(second * NS_A_SECOND);
                if self.printer.borrow().failure.is_some() {
                    break;
                }
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
    /// Why nothing can be written any more.
    failure: Option<std::io::Error>,
}

impl Printer {
    fn new(table: ReplayTable) -> Self {
        let table = match table {
            ReplayTable::L4FlowLog => Table::L4FlowLog,
            ReplayTable::L7FlowLog => Table::L7FlowLog,
            ReplayTable::Network => Table::Network1s,
            ReplayTable::Application => Table::Application1s,
        };
        let out = BufWriter::new(std::io::stdout());
        Self { table, out, lines: String::new(), failure: None }
    }

    fn print(&mut self, batch: &Batch) {
        if batch.table != self.table || self.failure.is_some() {
            return;
        }
        self.lines.clear();
        schema::json::write_lines(batch, &mut self.lines);
        self.failure = self.out.write_all(self.lines.as_bytes()).err();
    }

    fn flush(&mut self) {
        if self.failure.is_none() {
            self.failure = self.out.flush().err();
        }
    }
}
