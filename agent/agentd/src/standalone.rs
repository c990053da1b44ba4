//! `deepflow-agent standalone`: what is seen as JSON lines in a folder, no server.
//!
//! In: batches. Out: a file `<table>.log` for each table that is wanted: flow and request logs,
//! calls on files, and what the agent tells of itself; metrics when they are asked for. A full one is turned to
//! `<table>.log.1`, whose predecessor goes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schema::{Batch, Table};

/// Tables that are always written.
const LOGS: [Table; 4] =
    [Table::L7FlowLog, Table::L4FlowLog, Table::FileEvent, Table::DeepflowCollector];

/// Writes batches into files.
pub struct Files {
    folder: PathBuf,
    limit_bytes: u64,
    metrics: bool,
    files: BTreeMap<Table, TableFile>,
    lines: String,
}

struct TableFile {
    table: Table,
    file: File,
    bytes: u64,
}

impl Files {
    /// Opens the files of `folder`, which is made where it is missing. A file is turned at
    /// `limit_bytes`. `metrics`: those are written, too.
    pub fn open(folder: &Path, limit_bytes: u64, metrics: bool) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
        let open = |table| Ok((table, TableFile::open(folder, table)?));
        Ok(Self {
            folder: folder.to_owned(),
            limit_bytes,
            metrics,
            files: LOGS.into_iter().map(open).collect::<Result<_>>()?,
            lines: String::new(),
        })
    }

    /// Writes a batch, if its table is wanted.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        if !self.files.contains_key(&batch.table) {
            if !self.metrics {
                return Ok(());
            }
            self.files.insert(batch.table, TableFile::open(&self.folder, batch.table)?);
        }
        let Some(file) = self.files.get_mut(&batch.table) else { return Ok(()) };
        self.lines.clear();
        schema::json::write_lines(batch, &mut self.lines);
        if file.bytes > 0 && file.bytes + self.lines.len() as u64 > self.limit_bytes {
            let path = path(&self.folder, batch.table);
            let mut old = path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&path, old)?;
            *file = TableFile::open(&self.folder, batch.table)?;
        }
        file.file.write_all(self.lines.as_bytes()).context("write records")?;
        file.bytes += self.lines.len() as u64;
        Ok(())
    }
}

impl TableFile {
    fn open(folder: &Path, table: Table) -> Result<Self> {
        let path = path(folder, table);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file.metadata()?.len();
        Ok(Self { table, file, bytes })
    }
}

impl std::fmt::Debug for TableFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.table.name(), self.bytes)
    }
}

fn path(folder: &Path, table: Table) -> PathBuf {
    folder.join(format!("{}.log", table.name()))
}

#[cfg(test)]
mod tests {
    use schema::l7_flow_log::Row;

    use super::*;

    #[test]
    fn a_full_file_is_turned_and_other_tables_are_left_out() {
        let folder = tempfile::tempdir().expect("folder");
        let mut files = Files::open(folder.path(), 2_000, false).expect("open");
        let batch = || Batch::new(Table::L7FlowLog, &[Row { is_ipv4: 1, ..Row::default() }]);
        for _ in 0..3 {
            files.write(&batch()).expect("write");
        }
        files.write(&Batch { table: Table::Network1s, ..batch() }).expect("left out");
        let lines = |name: &str| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
            text.lines().count()
        };
        let (now, before) = (lines("l7_flow_log.log"), lines("l7_flow_log.log.1"));
        assert!(now >= 1 && before >= 1 && now + before <= 3, "{now} and {before}");
        assert_eq!(lines("l4_flow_log.log"), 0);
        assert!(!folder.path().join("network.1s.log").exists());
    }

    #[test]
    fn metrics_are_written_when_asked_for() {
        let folder = tempfile::tempdir().expect("folder");
        let mut files = Files::open(folder.path(), 1_000_000, true).expect("open");
        files
            .write(&Batch::new(Table::Network1s, &[schema::network::Row::default()]))
            .expect("row");
        let text = std::fs::read_to_string(folder.path().join("network.1s.log")).expect("a file");
        assert_eq!(text.lines().count(), 1);
    }
}
