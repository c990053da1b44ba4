//! MariaDB with a fresh data folder; its general log is the truth about commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::program;
use crate::process::{Process, accepts, free_port, run};

/// A running MariaDB.
#[derive(Debug)]
pub struct MariaDb {
    /// Where it listens.
    pub port: u16,
    socket: PathBuf,
    general_log: PathBuf,
    _process: Process,
}

impl MariaDb {
    /// Initialises and starts it below `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("mariadb");
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        let port = free_port()?;
        let (socket, general_log) = (folder.join("mariadb.sock"), folder.join("general.log"));
        run(Command::new(program("mariadb-install-db")?)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--user=root"])
            .args(["--skip-test-db", "--innodb-log-file-size=8M", "--innodb-flush-method=nosync"])
            .arg(format!("--datadir={}", data.display())))?;
        let mut command = Command::new(program("mariadbd")?);
        command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"]);
        command.args(["--skip-name-resolve", "--skip-log-bin", "--innodb-log-file-size=8M"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]);
        command.args([
            "--performance-schema=off",
            "--general-log=1",
            "--innodb-flush-method=nosync",
        ]);
        command.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
        command.arg(format!("--socket={}", socket.display()));
        command.arg(format!("--general-log-file={}", general_log.display()));
        command.arg(format!("--pid-file={}", folder.join("mariadb.pid").display()));
        let mut process = Process::start("mariadb", &folder, &mut command)?;
        process.wait_until(Duration::from_secs(60), || accepts(&format!("127.0.0.1:{port}")))?;
        let database = Self { port, socket, general_log, _process: process };
        database.administer("CREATE DATABASE shop; CREATE TABLE shop.goods (id INT PRIMARY KEY, name VARCHAR(40)) ENGINE=InnoDB")?;
        Ok(database)
    }

    /// Runs statements over the Unix socket, which neither source observes.
    pub fn administer(&self, sql: &str) -> Result<String> {
        run(Command::new(program("mysql")?)
            .args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "-e", sql])
            .arg(format!("--socket={}", self.socket.display())))
    }

    /// Commands that came over TCP, by the word of the general log (`Query`, `Prepare`,
    /// `Execute`, `Connect`, `Quit` …).
    pub fn commands(&self) -> Result<BTreeMap<String, u64>> {
        let text = std::fs::read(&self.general_log).context("read the general log")?;
        Ok(count_tcp_commands(&String::from_utf8_lossy(&text)))
    }
}

/// Lines are `[time]\t<connection> <command>\t<argument>`; a statement may go on in further lines.
fn count_tcp_commands(log: &str) -> BTreeMap<String, u64> {
    let mut over_socket: BTreeMap<u64, bool> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        let Some((connection, command, argument)) = log_fields(line) else { continue };
        if command == "Connect" {
            over_socket.insert(connection, argument.contains("using Socket"));
        }
        if over_socket.get(&connection) == Some(&false) {
            *counts.entry(command.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn log_fields(line: &str) -> Option<(u64, &str, &str)> {
    let mut columns = line.split('\t').skip_while(|column| !column.trim().contains(' '));
    // With a time: "211122 16:00:00\t     5 Query\tSELECT 1"; without: "\t\t     5 Query\tSELECT 1".
    loop {
        let head = columns.next()?;
        let mut words = head.split_whitespace();
        let connection = words.next()?.parse().ok();
        let command = words.next()?;
        if let (Some(connection), None, false) = (connection, words.next(), command.contains(':')) {
            return Some((connection, command, columns.next().unwrap_or("")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_general_log_is_counted_by_connection() {
        let log = "211122 16:00:00\t     3 Connect\troot@localhost on  using Socket\n\
                   \t\t     3 Query\tCREATE DATABASE shop\n\
                   211122 16:00:01\t     4 Connect\troot@127.0.0.1 on shop using TCP/IP\n\
                   \t\t     4 Query\tSELECT 1\n\t\t     4 Prepare\tSELECT ?\n\
                   \t\t     4 Execute\tSELECT 7\n\t\t     4 Quit\t\n";
        let counts = count_tcp_commands(log);
        assert_eq!(counts.get("Query"), Some(&1));
        assert_eq!(counts.get("Execute"), Some(&1));
        assert_eq!(counts.get("Connect"), Some(&1));
        assert_eq!(counts.len(), 5);
    }
}
