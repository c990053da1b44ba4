//! What rows must say.
//!
//! In: rows of the agent, and what a case expects. Out: the first difference in words.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// One row that must be there, for each of its two ends.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Column → value.
    pub columns: Vec<(&'static str, Value)>,
    /// How many rows of each end.
    pub rows: usize,
}

/// The two ends of a connection as they must be told.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Name of the client's process.
    pub client: String,
    /// Name of the server's process.
    pub server: String,
    /// Port of the client.
    pub client_port: u16,
    /// Port of the server.
    pub server_port: u16,
    /// Address of the client.
    pub client_ip: String,
    /// Address of the server.
    pub server_ip: String,
    /// Whether each end also knows the other's name. Not on the loopback of another network
    /// namespace, whose addresses many have.
    pub know_each_other: bool,
}

/// System calls of a client, of a server.
const SIDES: [&str; 2] = ["c-p", "s-p"];

/// Whether the rows of this connection are those that are expected, and no others.
pub fn compare(rows: &[Value], ends: &Ends, expected: &[Expected]) -> Result<()> {
    for side in SIDES {
        let of_side: Vec<&Value> = rows.iter().filter(|row| is_of(row, ends, side)).collect();
        for wanted in expected {
            let found =
                of_side.iter().filter(|row| wanted.columns.iter().all(|(k, v)| row[*k] == *v));
            let found: Vec<_> = found.collect();
            ensure!(
                found.len() == wanted.rows,
                "{side}: {} of {} rows with {:?}; there are {}",
                found.len(),
                wanted.rows,
                wanted.columns,
                brief(&of_side, wanted)
            );
            for row in found {
                check_ends(row, ends, side)?;
            }
        }
        let wanted: usize = expected.iter().map(|wanted| wanted.rows).sum();
        ensure!(of_side.len() == wanted, "{side}: {} rows, not {wanted}", of_side.len());
    }
    Ok(())
}

fn is_of(row: &Value, ends: &Ends, side: &str) -> bool {
    row["observation_point"] == side
        && row["client_port"] == ends.client_port
        && row["server_port"] == ends.server_port
}

fn check_ends(row: &Value, ends: &Ends, side: &str) -> Result<()> {
    let family = if ends.client_ip.contains(':') { "ip6" } else { "ip4" };
    let mut wanted =
        vec![(format!("{family}_0"), &ends.client_ip), (format!("{family}_1"), &ends.server_ip)];
    for (of, column, name) in
        [("c-p", "process_kname_0", &ends.client), ("s-p", "process_kname_1", &ends.server)]
    {
        if of == side || ends.know_each_other {
            wanted.push((column.to_owned(), name));
        }
    }
    for (column, wanted) in wanted {
        if row[&column] != wanted.as_str() {
            bail!("{side}: {column} is {}, not {wanted:?}", row[&column]);
        }
    }
    Ok(())
}

/// The columns in question of a few rows.
fn brief(rows: &[&Value], wanted: &Expected) -> String {
    let line = |row: &&Value| {
        let values: Vec<String> =
            wanted.columns.iter().map(|(column, _)| format!("{column}={}", row[*column])).collect();
        values.join(" ")
    };
    let shown: Vec<String> = rows.iter().take(4).map(line).collect();
    format!("{} rows: {}", rows.len(), shown.join("; "))
}
