//! The mysql client with statements and errors, and sysbench with binary prepared statements.

use std::process::Command;

use anyhow::Result;

use super::{run_to_end, run_together};
use crate::process::run;

/// `statements` text statements on one connection: inserts, selects, PREPARE and EXECUTE as text,
/// and every fifth one an error.
pub fn text(port: u16, statements: u32) -> Result<()> {
    let mut input = String::new();
    for number in 0..statements {
        input.push_str(&match number % 5 {
            0 => format!("INSERT INTO goods VALUES ({number}, 'thing {number}');\n"),
            1 => format!("SELECT name FROM goods WHERE id = {};\n", number - 1),
            2 => "PREPARE p FROM 'SELECT COUNT(*) FROM goods WHERE id < ?';\n".to_owned(),
            3 => "EXECUTE p USING 7;\n".to_owned(),
            _ => format!("SELECT * FROM nothing_{number};\n"),
        });
    }
    let mut command = Command::new("mysql");
    command.args(["--no-defaults", "--force", "--batch", "--skip-ssl", "--user=root"]);
    command.args(["--host=127.0.0.1", &format!("--port={port}"), "shop"]);
    run_to_end(&mut command, &input).map(drop)
}

/// `events` executions of prepared point selects over two connections.
pub fn prepared(port: u16, events: u32) -> Result<()> {
    run(sysbench(port).arg("prepare"))?;
    let mut command = sysbench(port);
    command.args([&format!("--events={events}"), "--time=0", "--threads=2", "run"]);
    run_together(vec![command])
}

fn sysbench(port: u16) -> Command {
    let mut command = Command::new("sysbench");
    command.args(["oltp_point_select", "--db-driver=mysql", "--mysql-host=127.0.0.1"]);
    command.args(["--mysql-user=root", "--mysql-db=shop", "--mysql-ssl=off", "--tables=1"]);
    command.args(["--table-size=100", &format!("--mysql-port={port}")]);
    command
}
