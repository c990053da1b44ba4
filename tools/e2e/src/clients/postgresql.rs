//! psql with simple queries and errors, and pgbench with the extended protocol.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{run_to_end, run_together};

/// `statements` simple queries on one connection, every fourth one an error.
pub fn simple(port: u16, statements: u32) -> Result<()> {
    let mut input = String::new();
    for number in 0..statements {
        input.push_str(&match number % 4 {
            0 => format!("INSERT INTO goods VALUES ({number}, 'thing {number}');\n"),
            1 => format!("SELECT name FROM goods WHERE id = {};\n", number - 1),
            2 => format!("SELECT {number} / 0;\n"),
            _ => "UPDATE goods SET name = 'other' WHERE id < 10;\n".to_owned(),
        });
    }
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-U", "postgres", "-h", "127.0.0.1", "-p", &port.to_string()]);
    command.args(["postgres"]).env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
    run_to_end(&mut command, &input).map(drop)
}

/// `each` executions of one prepared statement on each of two connections.
pub fn prepared(port: u16, folder: &Path, each: u32) -> Result<()> {
    let script = folder.join("prepared.sql");
    std::fs::write(&script, "\\set id random(1, 400)\nSELECT name FROM goods WHERE id = :id;\n")?;
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", "prepared", "-c", "2", "-t", &each.to_string(), "-f"]).arg(&script);
    command.args(["-U", "postgres", "-h", "127.0.0.1", "-p", &port.to_string(), "postgres"]);
    command.env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
    run_together(vec![command])
}
