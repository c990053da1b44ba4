//! Exact counts: what the store holds of a load whose truth is known.
//!
//! In: the server's port, how many exchanges there were, who the client and the server are. Out:
//! checks that each source saw each of them once, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::query::Query;
use crate::report::Report;

/// How long rows may take until all are visible.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time in which rows that should not be there would come.
const QUIET: Duration = Duration::from_secs(3);
/// `signal_source | observation_point` of the three rows of a local exchange.
const POINTS: [&str; 3] = ["0|local", "3|c-p", "3|s-p"];
/// `signal_source | role` of the three documents of a local exchange.
const ROLES: [&str; 3] = ["0|1", "3|0", "3|1"];

/// A load with its truth.
#[derive(Debug)]
pub struct Load<'a> {
    /// Port of the server.
    pub port: u16,
    /// Name of the protocol, as in `schema/protocols.toml`.
    pub protocol: &'a str,
    /// Number of the protocol.
    pub protocol_id: u8,
    /// Further condition in SQL on the rows that are counted.
    pub only: &'a str,
    /// Exchanges that truly happened.
    pub exchanges: u64,
    /// Names of client processes, sorted.
    pub clients: &'a [&'a str],
    /// Name of the server's process.
    pub server: &'a str,
}

impl Load<'_> {
    /// Condition that selects this load in the request log.
    pub fn condition(&self) -> String {
        let only = if self.only.is_empty() { "1" } else { self.only };
        format!("server_port = {} AND ({only})", self.port)
    }

    /// Waits for the rows, then checks the request log.
    pub fn check_log(&self, query: &Query, report: &mut Report) -> Result<()> {
        let condition = self.condition();
        let all = format!("SELECT count() FROM flow_log.l7_flow_log WHERE {condition}");
        let (_, took) = query.number_reaching(&all, self.exchanges * 3, VISIBLE_TIMEOUT);
        std::thread::sleep(QUIET);
        report.note(&format!("visible {:.1} s after the last answer", took.as_secs_f64()));

        let sessions = query.lines(&format!(
            "SELECT signal_source, observation_point, count() FROM flow_log.l7_flow_log \
             WHERE {condition} AND type = 2 AND l7_protocol = {} GROUP BY 1, 2",
            self.protocol_id
        ))?;
        report.equal(
            &format!("{} sessions of each source", self.protocol),
            sessions,
            POINTS.iter().map(|point| format!("{point}|{}", self.exchanges)).collect(),
        );
        let others = query.lines(&format!(
            "SELECT signal_source, observation_point, l7_protocol, type, count() \
             FROM flow_log.l7_flow_log \
             WHERE {condition} AND (type != 2 OR l7_protocol != {}) GROUP BY 1, 2, 3, 4",
            self.protocol_id
        ))?;
        report.equal("nothing but sessions", others, Vec::new());
        let unknown = query.number(&format!("{all} AND response_status IN (2, 5, 6)"))?;
        report.equal("timeouts, unknown, not readable", unknown, 0);
        self.check_processes(query, report)
    }

    fn check_processes(&self, query: &Query, report: &mut Report) -> Result<()> {
        let found = query.lines(&format!(
            "SELECT DISTINCT process_kname_0, process_kname_1 FROM flow_log.l7_flow_log WHERE {}",
            self.condition()
        ))?;
        let wanted: Vec<_> =
            self.clients.iter().map(|client| format!("{client}|{}", self.server)).collect();
        report.equal("process names of both ends", found, wanted);
        let unnamed = query.number(&format!(
            "SELECT countIf(process_id_0 = 0 OR process_id_1 = 0) FROM flow_log.l7_flow_log \
             WHERE {}",
            self.condition()
        ))?;
        report.equal("rows without a process id", unnamed, 0);
        Ok(())
    }

    /// Checks response codes: code → count, the same at each observation point.
    pub fn check_codes(
        &self,
        query: &Query,
        report: &mut Report,
        wanted: &BTreeMap<i64, u64>,
    ) -> Result<()> {
        let found = query.lines(&format!(
            "SELECT signal_source, observation_point, toInt64(ifNull(response_code, -1)), count() \
             FROM flow_log.l7_flow_log WHERE {} GROUP BY 1, 2, 3",
            self.condition()
        ))?;
        let mut lines: Vec<String> = POINTS
            .iter()
            .flat_map(|point| wanted.iter().map(move |(code, n)| format!("{point}|{code}|{n}")))
            .collect();
        lines.sort();
        report.equal("response codes", found, lines);
        Ok(())
    }

    /// Checks how many rows blame the client and the server, at each observation point.
    pub fn check_errors(&self, query: &Query, report: &mut Report, errors: u64) -> Result<()> {
        let found = query.lines(&format!(
            "SELECT signal_source, observation_point, countIf(response_status IN (3, 4)) \
             FROM flow_log.l7_flow_log WHERE {} GROUP BY 1, 2",
            self.condition()
        ))?;
        let wanted = POINTS.iter().map(|point| format!("{point}|{errors}")).collect();
        report.equal("rows with an error", found, wanted);
        Ok(())
    }

    /// Checks that the metrics sum to the request log: requests, responses, errors, timeouts.
    pub fn check_metrics(&self, query: &Query, report: &mut Report) -> Result<()> {
        let port = self.port;
        let log = "SELECT signal_source, multiIf(observation_point = 'c-p', 0, 1), count(), \
                   countIf(response_status = 4), countIf(response_status = 3)";
        let log = query.lines(&format!(
            "{log} FROM flow_log.l7_flow_log WHERE server_port = {port} AND type = 2 GROUP BY 1, 2"
        ))?;
        let sum = format!(
            "SELECT sum(response) FROM flow_metrics.`application.1s` WHERE server_port = {port}"
        );
        query.number_reaching(&sum, self.exchanges * 3, VISIBLE_TIMEOUT);
        for table in ["application.1s", "application_map.1s"] {
            let role = if table == "application.1s" {
                "toUInt8(role)"
            } else {
                "multiIf(observation_point = 'c-p', 0, 1)"
            };
            let documents = query.lines(&format!(
                "SELECT signal_source, {role}, sum(response), sum(client_error), \
                 sum(server_error) FROM flow_metrics.`{table}` \
                 WHERE server_port = {port} GROUP BY 1, 2"
            ))?;
            report.equal(&format!("{table} sums to the request log"), documents, log.clone());
        }
        let odd = query.lines(&format!(
            "SELECT signal_source, toUInt8(role), sum(timeout), \
             toInt64(sum(request)) - toInt64(sum(response)) \
             FROM flow_metrics.`application.1s` WHERE server_port = {port} GROUP BY 1, 2"
        ))?;
        let wanted = ROLES.iter().map(|role| format!("{role}|0|0")).collect();
        report.equal("no timeouts, and a response for each request", odd, wanted);
        Ok(())
    }
}
