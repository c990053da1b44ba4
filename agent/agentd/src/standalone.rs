//! `deepflow-agent standalone`: flow and request logs as JSON lines in a folder, no server.
//!
//! Files are named `<table>.log`; a full one is turned to `<table>.log.1`, whose predecessor goes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schema::{Batch, Table};

/// Writes batches into files.
pub struct Files {
    folder: PathBuf,
    limit_bytes: u64,
    requests: TableFile,
    flows: TableFile,
    lines: String,
}

struct TableFile {
    table: Table,
    file: File,
    bytes: u64,
}

impl Files {
    /// Opens the files of `folder`, which is made where it is missing. A file is turned at
    /// `limit_bytes`.
    pub fn open(folder: &Path, limit_bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            limit_bytes,
            requests: TableFile::open(folder, Table::L7FlowLog)?,
            flows: TableFile::open(folder, Table::L4FlowLog)?,
            lines: String::new(),
        })
    }

    /// Writes a batch; tables other than the two logs are left out.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        let file = match batch.table {
            Table::L7FlowLog => &mut self.requests,
            Table::L4FlowLog => &mut self.flows,
            _ => return Ok(()),
        };
        self.lines.clear();
        schema::json::write_lines(batch, &mut self.lines);
        if file.bytes > 0 && file.bytes + self.lines.len() as u64 > self.limit_bytes {
            let path = path(&self.folder, batch.table);
            std::fs::rename(&path, path.with_extension("log.1"))?;
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
        let mut files = Files::open(folder.path(), 2_000).expect("open");
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
    }
}
