//! Health checks as one row a minute: a load balancer that looks every second whether a port is open
//! would otherwise fill the flow log.
//!
//! In: rows of flows that ended by a normal reset of the client (close type 20). Out: their sums, by
//! client and server without the client's port, once the minute is over. Never: another metric than
//! without it, since metrics are taken before. Bounded: at the limit rows go on unmerged.

use std::collections::BTreeMap;

use schema::CloseType;
use schema::l4_flow_log::Row;

const US_A_MINUTE: i64 = 60_000_000;
/// Rows held at once.
const ROWS_MAX: usize = 16_384;

/// By minute first, so that those that are over stand in front.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    minute: i64,
    client: (u32, [u8; 16]),
    server: (u32, [u8; 16], u16),
    nic: u32,
    tunnel: (u32, u32, u16),
}

/// Rows of this minute.
#[derive(Debug, Default)]
pub struct HealthChecks {
    rows: BTreeMap<Key, Box<Row>>,
}

impl HealthChecks {
    /// Takes a row that is one of a health check; gives back any other.
    pub fn take(&mut self, mut row: Row) -> Option<Row> {
        if row.close_type != u16::from(CloseType::ClientNormalReset.id()) {
            return Some(row);
        }
        row.client_port = 0;
        let key = Key {
            minute: row.end_time.div_euclid(US_A_MINUTE),
            client: (row.ip4_0, row.ip6_0),
            server: (row.ip4_1, row.ip6_1, row.server_port),
            nic: row.capture_nic,
            tunnel: (row.tunnel_tx_id, row.tunnel_rx_id, row.vlan),
        };
        if let Some(merged) = self.rows.get_mut(&key) {
            join(merged, &row);
        } else if self.rows.len() < ROWS_MAX {
            self.rows.insert(key, Box::new(row));
        } else {
            return Some(row);
        }
        None
    }

    /// Gives out the rows of minutes that were over at `now_ns`.
    pub fn finish(&mut self, now_ns: u64, out: &mut dyn FnMut(Row)) {
        let minute = i64::try_from(now_ns / 1_000).unwrap_or(i64::MAX).div_euclid(US_A_MINUTE);
        while let Some(first) = self.rows.first_entry().filter(|first| first.key().minute < minute)
        {
            out(*first.remove());
        }
    }
}

/// Adds what another flow counted. What tells flows apart stays the first one's.
fn join(sum: &mut Row, row: &Row) {
    sum.time = sum.time.max(row.time);
    sum.start_time = sum.start_time.min(row.start_time);
    sum.end_time = sum.end_time.max(row.end_time);
    sum.duration = sum.duration.max(row.duration);
    sum.is_new_flow |= row.is_new_flow;
    sum.direction_score = sum.direction_score.max(row.direction_score);
    sum.tcp_flags_bit_0 |= row.tcp_flags_bit_0;
    sum.tcp_flags_bit_1 |= row.tcp_flags_bit_1;
    if (sum.process_id_0, sum.process_id_1) != (row.process_id_0, row.process_id_1) {
        // Each check may be a process of its own; the container is the same.
        sum.process_id_0 = same(sum.process_id_0, row.process_id_0);
        sum.process_id_1 = same(sum.process_id_1, row.process_id_1);
    }
    sum.socket_id_0 = same(sum.socket_id_0, row.socket_id_0);
    sum.socket_id_1 = same(sum.socket_id_1, row.socket_id_1);
    join_traffic(sum, row);
    join_latency(sum, row);
}

/// The number where both have it, else none.
fn same<T: PartialEq + Default>(a: T, b: T) -> T {
    if a == b { a } else { T::default() }
}

fn join_traffic(sum: &mut Row, row: &Row) {
    macro_rules! add { ($($field:ident)*) => { $(sum.$field += row.$field;)* } }
    add!(packet_tx packet_rx byte_tx byte_rx l3_byte_tx l3_byte_rx l4_byte_tx l4_byte_rx);
    add!(total_packet_tx total_packet_rx total_byte_tx total_byte_rx);
    add!(l7_request l7_response l7_parse_failed);
    add!(retrans_tx retrans_rx zero_win_tx zero_win_rx ooo_tx ooo_rx);
    add!(syn_count synack_count retrans_syn retrans_synack fin_count);
    add!(l7_client_error l7_server_error l7_server_timeout l7_error);
}

fn join_latency(sum: &mut Row, row: &Row) {
    macro_rules! most { ($($field:ident)*) => { $(sum.$field = sum.$field.max(row.$field);)* } }
    macro_rules! add { ($($field:ident)*) => { $(sum.$field += row.$field;)* } }
    most!(rtt rtt_client rtt_server tls_rtt srt_max art_max rrt_max cit_max);
    add!(srt_sum srt_count art_sum art_count rrt_sum rrt_count cit_sum cit_count);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: u64 = 60_000_000_000;

    fn row(second: i64, client_port: u16, close: CloseType) -> Row {
        Row {
            close_type: close.id().into(),
            end_time: second * 1_000_000,
            start_time: second * 1_000_000 - 5_000,
            client_port,
            server_port: 80,
            ip4_0: 1,
            ip4_1: 2,
            packet_tx: 3,
            packet_rx: 1,
            syn_count: 1,
            is_new_flow: 1,
            rtt: u32::from(client_port),
            socket_id_1: 9,
            process_id_0: client_port.into(),
            ..Row::default()
        }
    }

    fn finish(checks: &mut HealthChecks, now_ns: u64) -> Vec<Row> {
        let mut out = Vec::new();
        checks.finish(now_ns, &mut |row| out.push(row));
        out
    }

    #[test]
    fn checks_of_a_minute_become_one_row() {
        let mut checks = HealthChecks::default();
        for port in 1000..1010 {
            let second = 120 + i64::from(port - 1000);
            assert_eq!(checks.take(row(second, port, CloseType::ClientNormalReset)), None);
        }
        let other = row(125, 7, CloseType::Finish);
        assert_eq!(checks.take(other.clone()), Some(other), "other ends are not touched");
        assert!(finish(&mut checks, 3 * MINUTE_NS - 1).is_empty(), "the minute is not over");
        let merged = finish(&mut checks, 3 * MINUTE_NS);
        let [merged] = merged.as_slice() else { panic!("{merged:?}") };
        assert_eq!((merged.client_port, merged.server_port), (0, 80));
        assert_eq!((merged.packet_tx, merged.packet_rx, merged.syn_count), (30, 10, 10));
        assert_eq!((merged.start_time, merged.end_time), (119_995_000, 129_000_000));
        assert_eq!((merged.rtt, merged.process_id_0, merged.socket_id_1), (1009, 0, 9));
    }

    #[test]
    fn minutes_servers_and_interfaces_are_apart() {
        let mut checks = HealthChecks::default();
        let one = row(125, 1000, CloseType::ClientNormalReset);
        let others = [
            Row { end_time: 185_000_000, ..one.clone() },
            Row { server_port: 81, ..one.clone() },
            Row { ip4_1: 3, ..one.clone() },
            Row { ip4_0: 3, ..one.clone() },
            Row { capture_nic: 7, ..one.clone() },
        ];
        for row in others.into_iter().chain([one]) {
            assert_eq!(checks.take(row), None);
        }
        assert_eq!(finish(&mut checks, 3 * MINUTE_NS).len(), 5);
        assert_eq!(finish(&mut checks, u64::MAX).len(), 1);
    }

    #[test]
    fn at_the_limit_rows_go_on() {
        let mut checks = HealthChecks::default();
        for ip4_0 in 0..ROWS_MAX as u32 {
            let row = Row { ip4_0, ..row(125, 1000, CloseType::ClientNormalReset) };
            assert_eq!(checks.take(row), None);
        }
        let over = Row { ip4_0: u32::MAX, ..row(125, 1000, CloseType::ClientNormalReset) };
        assert!(checks.take(over).is_some());
    }
}
