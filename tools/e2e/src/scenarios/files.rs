//! Slow calls on files, asked of the server by SQL: `dd` that reads a slow disk, nginx that serves
//! from it, and nginx that stores what it is given while the disk is frozen.
//!
//! What they truly did: `dd` reads one block after the other, nginx a small file by one call, and of
//! a call that a frozen disk holds up there can be one at a time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Context;
use crate::lab::SlowDisk;
use crate::process::{self, Process};
use crate::query::Query;
use crate::report::Report;
use crate::servers::nginx::Nginx;
use crate::system::{Agent, Place, Server, WarmUp};

const READS_A_SECOND: u32 = 10;
/// What `dd` reads.
const BLOCKS: usize = 20;
const BLOCK_BYTES: usize = 4096;
/// What nginx serves, by one read each.
const PAGES: usize = 8;
const PAGE_BYTES: usize = 16_384;
/// What nginx stores: 4 s at `UPLOAD_RATE`.
const UPLOAD_BYTES: usize = 800_000;
const UPLOAD_RATE: &str = "200K";
const FREEZES: u64 = 2;
const FROZEN: Duration = Duration::from_millis(700);
/// A call that a frozen disk holds up begins within this of the freeze.
const HELD_US: u64 = 400_000;
/// Reads that may not have to wait: the first of a time slice, and now and then two of one.
const FAST: u64 = 3;
/// `minimal_duration` below.
const SHORTEST: Duration = Duration::from_millis(30);
/// What `dd` may take for itself.
const DD_OWN: Duration = Duration::from_millis(100);
/// Time in which rows that should not be there would come.
const QUIET: Duration = Duration::from_secs(3);
/// How long rows may take until all are visible.
const VISIBLE: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(60);
/// Every call of 30 ms, of a request or not: reads that wait for their turn take 100 ms.
const CONFIGURATION: &str = "inputs:
  ebpf: {file: {io_event: {collect_mode: 2, minimal_duration: 30ms}}}
";

/// Reads of `dd` and nginx, writes of nginx.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    let Some(disk) = SlowDisk::make(&context.folder, READS_A_SECOND, report) else {
        return Ok(());
    };
    let pages = prepare(&disk)?;
    let place = Place::below(&context.programs, &context.folder, "system")?;
    let _server = Server::alone(&place)?;
    let mut agent = Agent::start(&place, CONFIGURATION)?;
    let (warm_up, query) = (WarmUp::start()?, place.query());
    agent.process.wait_until(START, || warm_up.is_observed(&query))?;

    let told = read_by_dd(&disk)?;
    let nginx = Nginx::start_on(&context.folder, &disk)?;
    ask(&nginx, &pages)?;
    store(&nginx, &disk, &context.folder)?;
    report.equal("nginx answered", nginx.requests().len(), PAGES + 1);

    let facts = Facts { query: &query, disk: &disk, mount: disk.mount.display().to_string() };
    facts.check_reads_of_dd(told, report)?;
    facts.check_pages(nginx.port, report)?;
    facts.check_upload(nginx.port, report)?;
    facts.check_nothing_else(report)
}

/// Fills the disk; addresses of what nginx serves.
fn prepare(disk: &SlowDisk) -> Result<Vec<String>> {
    let folder = disk.mount.join("pages");
    for name in ["pages", "stored", "body"] {
        std::fs::create_dir_all(disk.mount.join(name))?;
    }
    std::fs::write(disk.mount.join("orders.db"), vec![b'o'; BLOCKS * BLOCK_BYTES])?;
    let names: Vec<String> = (0..PAGES).map(|number| format!("page-{number}")).collect();
    for name in &names {
        std::fs::write(folder.join(name), vec![b'p'; PAGE_BYTES])?;
    }
    process::run(Command::new("sync").arg("--file-system").arg(&disk.mount))?;
    for name in &names {
        // Out of the cache.
        let file = format!("if={}", folder.join(name).display());
        process::run(Command::new("dd").args([&file, "iflag=nocache", "count=0", "status=none"]))?;
    }
    Ok(names)
}

/// `dd` past the cache; the time that it tells.
fn read_by_dd(disk: &SlowDisk) -> Result<Duration> {
    let input = format!("if={}", disk.mount.join("orders.db").display());
    let mut command = disk.command("dd");
    command.args([&input, "of=/dev/null", &format!("bs={BLOCK_BYTES}"), "iflag=direct"]);
    let output = command.env("LC_ALL", "C").output().context("dd")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let seconds = said.rsplit(", ").nth(1).and_then(|word| word.strip_suffix(" s")?.parse().ok());
    Ok(Duration::from_secs_f64(seconds.with_context(|| format!("dd said {said}"))?))
}

fn ask(nginx: &Nginx, pages: &[String]) -> Result<()> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail"]);
    for page in pages {
        command.args(["--output", "/dev/null"]);
        command.arg(format!("http://{}/pages/{page}", nginx.address()));
    }
    process::run(&mut command).map(drop)
}

/// Gives nginx a file so slowly that the disk can be frozen in between.
fn store(nginx: &Nginx, disk: &SlowDisk, folder: &Path) -> Result<()> {
    let body: PathBuf = folder.join("upload");
    std::fs::write(&body, vec![b'u'; UPLOAD_BYTES])?;
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--limit-rate", UPLOAD_RATE]);
    command.args(["--header", "Expect:", "--upload-file"]).arg(&body);
    command.arg(format!("http://{}/stored/order", nginx.address()));
    let mut client = Process::start("curl", folder, &mut command)?;
    for _ in 0..FREEZES {
        std::thread::sleep(Duration::from_millis(800));
        disk.freeze(FROZEN)?;
    }
    let status = client.wait(START)?;
    anyhow::ensure!(status.success(), "curl ended with {status}: {}", client.output());
    Ok(())
}

struct Facts<'a> {
    query: &'a Query,
    disk: &'a SlowDisk,
    mount: String,
}

impl Facts<'_> {
    /// Each block's read that took long enough, and no other: what is not told is less than that.
    fn check_reads_of_dd(&self, told: Duration, report: &mut Report) -> Result<()> {
        let rows = format!(
            "FROM event.file_event WHERE process_kname = 'dd' AND file_name = 'orders.db' \
             AND file_dir = '{mount}/' AND mount_point = '{mount}' AND mount_source = '{device}' \
             AND event_type = 'read' AND syscall = 'read' AND bytes = {BLOCK_BYTES} \
             AND requested_bytes = {BLOCK_BYTES} AND error_code = 0 AND file_type = 1",
            mount = self.mount,
            device = self.disk.device
        );
        let least = BLOCKS as u64 - FAST;
        let count = format!("SELECT count() {rows}");
        let (_, took) = self.query.number_reaching(&count, least, VISIBLE);
        std::thread::sleep(QUIET);
        report.note(&format!("visible after {:.1} s", took.as_secs_f64()));
        let count = self.query.number(&count)?;
        let blocks = self.query.number(&format!(
            "SELECT uniqExact(offset) {rows} AND offset % {BLOCK_BYTES} = 0 AND offset < {}",
            BLOCKS * BLOCK_BYTES
        ))?;
        let holds = (least..=BLOCKS as u64).contains(&count) && blocks == count;
        let detail = format!("{count} rows, {blocks} of {BLOCKS} blocks");
        report.check("blocks that dd read", holds, &detail);
        let sum = self.query.number(&format!("SELECT sum(duration) {rows}"))?;
        let sum = Duration::from_micros(sum);
        let untold = SHORTEST * (BLOCKS as u32).saturating_sub(count as u32) + DD_OWN;
        let holds = sum <= told && told - sum <= untold;
        report.check("time of dd's reads", holds, &format!("{sum:?} of the {told:?} that dd says"));
        Ok(())
    }

    /// A read for each request that had to wait, with that request's trace id.
    fn check_pages(&self, port: u16, report: &mut Report) -> Result<()> {
        let sql = format!(
            "SELECT count(), uniqExact(f.file_name), uniqExact(f.syscall_trace_id), \
             countIf(r.request_resource = concat('/pages/', f.file_name) \
               AND f.process_id = r.process_id_1 AND f.bytes = {PAGE_BYTES} \
               AND f.duration <= r.response_duration \
               AND f.start_time >= r.start_time AND f.end_time <= r.end_time) \
             FROM event.file_event f JOIN flow_log.l7_flow_log r \
             ON f.syscall_trace_id = r.syscall_trace_id_request \
             WHERE r.observation_point = 's-p' AND r.server_port = {port} \
             AND f.file_dir = '{}/pages/' AND f.event_type = 'read'",
            self.mount
        );
        let found = self.query.rows(&sql)?.concat();
        let found: Vec<u64> =
            found.iter().filter_map(|n| n.to_string().replace('"', "").parse().ok()).collect();
        let least = PAGES as u64 - FAST;
        let holds = found.len() == 4
            && found.iter().all(|count| *count == found[0])
            && (least..=PAGES as u64).contains(&found[0]);
        report.check("reads of nginx and their requests", holds, &format!("{found:?} of {PAGES}"));
        Ok(())
    }

    /// A write for each time that the disk was frozen, with the upload's trace id.
    fn check_upload(&self, port: u16, report: &mut Report) -> Result<()> {
        let sql = format!(
            "SELECT r.request_type, r.request_resource, f.process_kname, f.event_type, \
             f.mount_point, count() \
             FROM event.file_event f JOIN flow_log.l7_flow_log r \
             ON f.syscall_trace_id = r.syscall_trace_id_request \
             WHERE r.observation_point = 's-p' AND r.server_port = {port} \
             AND f.file_dir = '{mount}/body/' AND f.duration BETWEEN {HELD_US} AND {} \
             AND f.bytes > 0 AND f.end_time <= r.end_time \
             GROUP BY 1, 2, 3, 4, 5",
            FROZEN.as_micros() * 2,
            mount = self.mount
        );
        let wanted = format!("PUT|/stored/order|nginx|write|{}|{FREEZES}", self.mount);
        report.equal("writes that the frozen disk held up", self.query.lines(&sql)?, vec![wanted]);
        Ok(())
    }

    /// No other process and no other file of that disk.
    fn check_nothing_else(&self, report: &mut Report) -> Result<()> {
        let sql = format!(
            "SELECT DISTINCT process_kname, event_type, file_dir FROM event.file_event \
             WHERE mount_source = '{}'",
            self.disk.device
        );
        let mount = &self.mount;
        let wanted = vec![
            format!("dd|read|{mount}/"),
            format!("nginx|read|{mount}/pages/"),
            format!("nginx|write|{mount}/body/"),
        ];
        report.equal("who had to wait for what", self.query.lines(&sql)?, wanted);
        Ok(())
    }
}
