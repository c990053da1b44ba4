//! Exchanges as a client tells them, beside those that an agent saw of it.
//!
//! In: what was truly exchanged, and an agent's rows. Out: checks that each point of observation
//! has exactly those exchanges with those codes, and that each took as long as the client says.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::lab::{Rows, number};
use crate::report::Report;

/// The three rows of an exchange within a host: packets, the client's calls, the server's calls.
const POINTS: [&str; 3] = ["local", "c-p", "s-p"];
/// What a client's library may take for itself, and the scheduler between two processes: half of
/// all exchanges take less than this. unit µs
const MEDIAN_ALLOWANCE_US: u64 = 4_000;
/// Every one takes less than this, on a machine that also does other things. unit µs
const ALLOWANCE_US: u64 = 200_000;
/// Differences that are printed.
const SHOWN: usize = 6;

/// One exchange, or a message that nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Column `request_type`.
    pub kind: String,
    /// What was asked for, in the column that the load names.
    pub resource: String,
    /// Column `response_code`.
    pub code: Option<i64>,
    /// As the client measured it. unit µs
    pub us: Option<u64>,
    /// Nobody answers it.
    pub is_one_way: bool,
    /// The server asked.
    pub is_reversed: bool,
}

impl Exchange {
    /// One line of what a client tells.
    pub fn read(line: &Value) -> Result<Self> {
        let text = |name: &str| line[name].as_str().with_context(|| format!("no {name}: {line}"));
        Ok(Self {
            kind: text("type")?.to_owned(),
            resource: text("resource")?.to_owned(),
            code: line["code"].as_i64(),
            us: line["us"].as_u64(),
            is_one_way: line["way"] == "one",
            is_reversed: line["reversed"] == true,
        })
    }

    fn key(&self) -> String {
        key(&self.kind, &self.resource, self.code, self.is_one_way, self.is_reversed)
    }
}

fn key(kind: &str, resource: &str, code: Option<i64>, one_way: bool, reversed: bool) -> String {
    let code = code.map_or("-".to_owned(), |code| code.to_string());
    let way = if one_way { " one-way" } else { "" };
    let by = if reversed { " by the server" } else { "" };
    format!("{kind} {resource} {code}{way}{by}")
}

/// A load with its truth.
#[derive(Debug)]
pub struct Load<'a> {
    /// Port of the server.
    pub port: u16,
    /// Name of the protocol.
    pub protocol: &'a str,
    /// Column that has what was asked for: `request_resource` or `endpoint`.
    pub resource: &'a str,
    /// Names of the processes of client and server.
    pub processes: (&'a str, &'a str),
    /// Values of `request_type` of which the client's caller knows nothing: how a library begins.
    pub left_out: &'a [&'a str],
    /// Everything that was exchanged on this port.
    pub exchanges: &'a [Exchange],
}

impl<'a> Load<'a> {
    /// A load on a port, with what most have: the resource is what was asked for, and the client
    /// knows of everything. Protocol and processes are to be named.
    pub fn of(port: u16, exchanges: &'a [Exchange]) -> Self {
        let resource = "request_resource";
        Self { port, protocol: "", resource, processes: ("", ""), left_out: &[], exchanges }
    }

    /// Compares, at each point.
    pub fn check(&self, rows: &Rows, report: &mut Report) -> Result<()> {
        self.check_at(&POINTS, rows, report)
    }

    /// Compares, at these points alone.
    pub fn check_at(&self, points: &[&str], rows: &Rows, report: &mut Report) -> Result<()> {
        let of_port = |row: &Value| number(row, "server_port") == u64::from(self.port);
        let all: Vec<Value> = rows.table("l7_flow_log")?.into_iter().filter(of_port).collect();
        let is_left_out =
            |row: &Value| self.left_out.iter().any(|kind| row["request_type"] == *kind);
        for point in points {
            let mut found: Vec<&Value> =
                all.iter().filter(|row| row["observation_point"] == *point).collect();
            found.retain(|row| !is_left_out(row));
            found.sort_by_key(|row| number(row, "start_time"));
            self.check_exchanges(point, &found, report);
            self.check_times(point, &found, report);
        }
        self.check_names(&all, report);
        self.check_metrics(points, rows, &all, report)
    }

    fn row_key(&self, row: &Value) -> String {
        let text = |name: &str| row[name].as_str().unwrap_or("");
        let code = row["response_code"].as_i64();
        let one_way = row["response_duration"].is_null() && row["resp_tcp_seq"].is_null();
        let reversed = number(row, "is_reversed") == 1;
        key(text("request_type"), text(self.resource), code, one_way, reversed)
    }

    fn check_exchanges(&self, point: &str, found: &[&Value], report: &mut Report) {
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        for exchange in self.exchanges {
            *balance.entry(exchange.key()).or_default() -= 1;
        }
        for row in found {
            let name = row["l7_protocol"].as_str().unwrap_or("");
            let other = if name == self.protocol { "" } else { name };
            *balance.entry(format!("{}{other}", self.row_key(row))).or_default() += 1;
        }
        balance.retain(|_, count| *count != 0);
        let differences: Vec<String> =
            balance.iter().take(SHOWN).map(|(key, count)| format!("{count:+} {key}")).collect();
        let detail = format!("{} rows of {} {differences:?}", found.len(), self.exchanges.len());
        let holds = balance.is_empty() && !found.is_empty();
        report.check(&format!("{} at {point}: every exchange once", self.protocol), holds, &detail);
    }

    /// Exchanges of one key are in the same order in both.
    fn check_times(&self, point: &str, found: &[&Value], report: &mut Report) {
        let mut measured: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
        for exchange in self.exchanges.iter().rev() {
            measured.entry(exchange.key()).or_default().push(exchange.us);
        }
        let mut less: Vec<i64> = Vec::new();
        for row in found {
            if let Some(Some(us)) = measured.get_mut(&self.row_key(row)).and_then(Vec::pop) {
                less.push(us as i64 - number(row, "response_duration") as i64);
            }
        }
        let wanted = self.exchanges.iter().filter(|exchange| exchange.us.is_some()).count();
        if wanted == 0 {
            return;
        }
        less.sort_unstable();
        let (least, median, most) = match less.as_slice() {
            [] => (-1, -1, -1),
            [least, ..] => (*least, less[less.len() / 2], less[less.len() - 1]),
        };
        let holds = less.len() == wanted
            && least >= 0
            && median <= MEDIAN_ALLOWANCE_US as i64
            && most <= ALLOWANCE_US as i64;
        let what = format!("{} at {point}: {wanted} times of the client", self.protocol);
        let detail = format!("{least} to {most} µs less, median {median}, {} of them", less.len());
        report.check(&what, holds, &detail);
    }

    fn check_names(&self, rows: &[Value], report: &mut Report) {
        let other = rows.iter().find(|row| {
            row["process_kname_0"] != self.processes.0 || row["process_kname_1"] != self.processes.1
        });
        let detail = match other {
            Some(row) => format!("{} and {}", row["process_kname_0"], row["process_kname_1"]),
            None => format!("{:?}", self.processes),
        };
        report.check(&format!("{}: both processes", self.protocol), other.is_none(), &detail);
    }

    /// Metrics sum to the rows: those of packets, of the client and of the server.
    fn check_metrics(
        &self,
        points: &[&str],
        rows: &Rows,
        all: &[Value],
        report: &mut Report,
    ) -> Result<()> {
        let documents = rows.table("application_map.1s")?;
        for point in points {
            let of_point = |row: &&Value| {
                number(row, "server_port") == u64::from(self.port)
                    && row["observation_point"] == *point
            };
            let sum = |name: &str| -> u64 {
                documents.iter().filter(of_point).map(|row| number(row, name)).sum()
            };
            let answered = all.iter().filter(of_point).filter(|row| row["type"] == "session");
            let errors = answered.clone().filter(|row| {
                row["response_status"] == "client_error" || row["response_status"] == "server_error"
            });
            report.equal(
                &format!("{} at {point}: responses and errors of the metrics", self.protocol),
                (sum("response"), sum("client_error") + sum("server_error"), sum("timeout")),
                (answered.count() as u64, errors.count() as u64, 0),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_client_is_read() {
        let line = serde_json::json!({"type": "PUBLISH", "resource": "a", "code": null, "us": 7,
            "way": "one", "reversed": true});
        let exchange = Exchange::read(&line).unwrap();
        assert_eq!(exchange.key(), "PUBLISH a - one-way by the server");
        assert_eq!(exchange.us, Some(7));
        assert!(Exchange::read(&serde_json::json!({"type": "GET"})).is_err());
    }
}
