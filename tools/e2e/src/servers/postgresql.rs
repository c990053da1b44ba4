//! PostgreSQL with a fresh data folder; its statement log is the truth about statements.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::program;
use crate::process::{Process, accepts, free_port, run};

/// A running PostgreSQL.
#[derive(Debug)]
pub struct PostgreSql {
    /// Where it listens.
    pub port: u16,
    log: PathBuf,
    process: Process,
}

/// Statements that it was asked over TCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statements {
    /// By the simple query protocol.
    pub simple: u64,
    /// Executions of prepared ones.
    pub executed: u64,
    /// Answered by an error.
    pub failed: u64,
}

impl PostgreSql {
    /// Initialises and starts it below `folder`. It refuses to run as root, so as root it runs as
    /// the user that Debian's package makes.
    pub fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("postgresql");
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&folder))?;
        }
        let port = free_port()?;
        let log = folder.join("postgresql.log");
        run(as_server_user("initdb")?
            .args(["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "-D"])
            .arg(&data))?;
        let mut command = as_server_user("postgres")?;
        command.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "shared_buffers=16MB",
            "log_statement=all",
            "log_min_messages=warning",
            "log_line_prefix=%h ",
            "autovacuum=off",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::start("postgresql", &folder, &mut command)?;
        process.wait_until(Duration::from_secs(30), || accepts(&format!("127.0.0.1:{port}")))?;
        let mut database = Self { port, log, process };
        database.wait_ready(&folder)?;
        Ok(database)
    }

    fn wait_ready(&mut self, folder: &Path) -> Result<()> {
        let (port, psql) = (self.port.to_string(), program("psql")?);
        let table = "CREATE TABLE goods (id INT PRIMARY KEY, name TEXT)";
        let folder = folder.to_owned();
        self.process.wait_until(Duration::from_secs(30), || {
            let mut command = Command::new(&psql);
            command.args(["-X", "-q", "-U", "postgres", "-p", &port, "-h"]).arg(&folder);
            run(command.args(["-c", table])).is_ok()
        })
    }

    /// What came over TCP so far.
    pub fn statements(&self) -> Statements {
        count_statements(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// Lines over TCP begin with the client's address, others with `[local]`.
fn count_statements(log: &str) -> Statements {
    let mut counts = Statements::default();
    for line in log.lines().filter_map(|line| line.strip_prefix("127.0.0.1 ")) {
        counts.simple += u64::from(line.starts_with("LOG:  statement: "));
        counts.executed += u64::from(line.starts_with("LOG:  execute "));
        counts.failed += u64::from(line.starts_with("ERROR:  "));
    }
    counts
}

fn as_server_user(name: &str) -> Result<Command> {
    let path = program(name)?;
    if !is_root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
    command.current_dir("/");
    Ok(command)
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let user = status.lines().find(|line| line.starts_with("Uid:"));
        user.and_then(|line| line.split_whitespace().nth(2)) == Some("0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_log_is_counted() {
        let log = "[local] LOG:  statement: CREATE TABLE goods\n\
                   127.0.0.1 LOG:  statement: SELECT 1\n\
                   127.0.0.1 LOG:  execute P_0: SELECT $1\n127.0.0.1 DETAIL:  parameters: $1 = '1'\n\
                   127.0.0.1 ERROR:  division by zero\n127.0.0.1 STATEMENT:  SELECT 1/0\n";
        let wanted = Statements { simple: 1, executed: 1, failed: 1 };
        assert_eq!(count_statements(log), wanted);
    }
}
