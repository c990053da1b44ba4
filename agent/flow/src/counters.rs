//! What is counted of a flow in a second, and how seconds add up to a minute.

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
        self.sum_ns += sample_ns;
        self.count += 1;
        self.max_us = self.max_us.max((sample_ns / 1000) as u32);
    }

    /// Adds the samples of `later`.
    pub fn merge(&mut self, later: &Self) {
        self.sum_ns += later.sum_ns;
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
    /// Adds what was counted in a later period.
    pub fn merge(&mut self, later: &Self) {
        self.packet_tx += later.packet_tx;
        self.packet_rx += later.packet_rx;
        self.byte_tx += later.byte_tx;
        self.byte_rx += later.byte_rx;
        self.l3_byte_tx += later.l3_byte_tx;
        self.l3_byte_rx += later.l3_byte_rx;
        self.l4_byte_tx += later.l4_byte_tx;
        self.l4_byte_rx += later.l4_byte_rx;
        self.tcp_flags_tx |= later.tcp_flags_tx;
        self.tcp_flags_rx |= later.tcp_flags_rx;
        self.syn_count += later.syn_count;
        self.synack_count += later.synack_count;
        self.retrans_syn += later.retrans_syn;
        self.retrans_synack += later.retrans_synack;
        self.fin_count += later.fin_count;
        self.retrans_tx += later.retrans_tx;
        self.retrans_rx += later.retrans_rx;
        self.zero_win_tx += later.zero_win_tx;
        self.zero_win_rx += later.zero_win_rx;
        self.ooo_tx += later.ooo_tx;
        self.ooo_rx += later.ooo_rx;
        self.rtt.merge(&later.rtt);
        self.rtt_client.merge(&later.rtt_client);
        self.rtt_server.merge(&later.rtt_server);
        self.srt.merge(&later.srt);
        self.art.merge(&later.art);
        self.cit.merge(&later.cit);
    }

    /// The same, seen with client and server exchanged. Latencies keep their names: they were
    /// measured for the sides as they were then.
    pub(crate) fn reversed(&self) -> Self {
        Self {
            packet_tx: self.packet_rx,
            packet_rx: self.packet_tx,
            byte_tx: self.byte_rx,
            byte_rx: self.byte_tx,
            l3_byte_tx: self.l3_byte_rx,
            l3_byte_rx: self.l3_byte_tx,
            l4_byte_tx: self.l4_byte_rx,
            l4_byte_rx: self.l4_byte_tx,
            tcp_flags_tx: self.tcp_flags_rx,
            tcp_flags_rx: self.tcp_flags_tx,
            retrans_tx: self.retrans_rx,
            retrans_rx: self.retrans_tx,
            zero_win_tx: self.zero_win_rx,
            zero_win_rx: self.zero_win_tx,
            ooo_tx: self.ooo_rx,
            ooo_rx: self.ooo_tx,
            ..*self
        }
    }

    /// Packets both ways.
    pub fn packets(&self) -> u64 {
        self.packet_tx + self.packet_rx
    }
}
