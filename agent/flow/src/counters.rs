//! What was counted of a flow in a second or a minute.

/// Samples of one latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Sum of the samples. unit ns
    pub sum_ns: u64,
    /// Number of samples; 0 = not observed.
    pub count: u32,
    /// Greatest sample. unit µs
    pub max_us: u32,
}

impl Delay {
    /// Takes a sample.
    pub(crate) fn add(&mut self, sample_ns: u64) {
        self.sum_ns = self.sum_ns.saturating_add(sample_ns);
        self.count += 1;
        self.max_us = self.max_us.max(u32::try_from(sample_ns / 1000).unwrap_or(u32::MAX));
    }

    /// Adds the samples of `later`.
    pub fn merge(&mut self, later: &Self) {
        self.sum_ns = self.sum_ns.saturating_add(later.sum_ns);
        self.count += later.count;
        self.max_us = self.max_us.max(later.max_us);
    }

    /// Sum of the samples. unit µs
    pub fn sum_us(&self) -> u64 {
        self.sum_ns / 1000
    }
}

/// Everything counted of a flow in a period, named as the columns of `l4_flow_log` and `network`.
/// `tx` is from the client, `rx` from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "schema/tables/l4_flow_log.toml documents the columns")]
pub struct Counters {
    pub packet_tx: u64,
    pub packet_rx: u64,
    pub byte_tx: u64,
    pub byte_rx: u64,
    pub l3_byte_tx: u64,
    pub l3_byte_rx: u64,
    pub l4_byte_tx: u64,
    pub l4_byte_rx: u64,
    pub tcp_flags_tx: u8,
    pub tcp_flags_rx: u8,
    pub syn_count: u32,
    pub synack_count: u32,
    pub retrans_syn: u32,
    pub retrans_synack: u32,
    pub fin_count: u32,
    pub retrans_tx: u32,
    pub retrans_rx: u32,
    pub zero_win_tx: u32,
    pub zero_win_rx: u32,
    pub ooo_tx: u32,
    pub ooo_rx: u32,
    pub rtt: Delay,
    pub rtt_client: Delay,
    pub rtt_server: Delay,
    pub srt: Delay,
    pub art: Delay,
    pub cit: Delay,
}

impl Counters {
    /// Adds what was counted in another period.
    pub fn merge(&mut self, other: &Self) {
        self.packet_tx += other.packet_tx;
        self.packet_rx += other.packet_rx;
        self.byte_tx += other.byte_tx;
        self.byte_rx += other.byte_rx;
        self.l3_byte_tx += other.l3_byte_tx;
        self.l3_byte_rx += other.l3_byte_rx;
        self.l4_byte_tx += other.l4_byte_tx;
        self.l4_byte_rx += other.l4_byte_rx;
        self.tcp_flags_tx |= other.tcp_flags_tx;
        self.tcp_flags_rx |= other.tcp_flags_rx;
        self.syn_count += other.syn_count;
        self.synack_count += other.synack_count;
        self.retrans_syn += other.retrans_syn;
        self.retrans_synack += other.retrans_synack;
        self.fin_count += other.fin_count;
        self.retrans_tx += other.retrans_tx;
        self.retrans_rx += other.retrans_rx;
        self.zero_win_tx += other.zero_win_tx;
        self.zero_win_rx += other.zero_win_rx;
        self.ooo_tx += other.ooo_tx;
        self.ooo_rx += other.ooo_rx;
        self.rtt.merge(&other.rtt);
        self.rtt_client.merge(&other.rtt_client);
        self.rtt_server.merge(&other.rtt_server);
        self.srt.merge(&other.srt);
        self.art.merge(&other.art);
        self.cit.merge(&other.cit);
    }

    /// Packets both ways.
    pub fn packets(&self) -> u64 {
        self.packet_tx + self.packet_rx
    }
}
