//! The quantities that are compared.

/// A value for each side of a conversation, the lesser address first; of a quantity that belongs
/// to no side only the first counts.
pub type Sides = [i64; 2];

/// A quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// Packets.
    Packets,
    /// Frames' bytes on the wire.
    Bytes,
    /// Payload of TCP and UDP. unit byte
    PayloadBytes,
    /// SYNs.
    Syn,
    /// SYN-ACKs.
    SynAck,
    /// FINs.
    Fin,
    /// SYNs sent again.
    RetransSyn,
    /// SYN-ACKs sent again.
    RetransSynAck,
    /// Segments whose data was seen before.
    Retransmissions,
    /// Segments that fill a hole.
    OutOfOrder,
    /// Segments with a window of 0.
    ZeroWindow,
    /// From the SYN to the handshake's ACK. unit µs
    Rtt,
    /// From the SYN-ACK to the handshake's ACK. unit µs
    RttClient,
    /// From the SYN to the SYN-ACK. unit µs
    RttServer,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 14] = [
        Self::Packets,
        Self::Bytes,
        Self::PayloadBytes,
        Self::Syn,
        Self::SynAck,
        Self::Fin,
        Self::RetransSyn,
        Self::RetransSynAck,
        Self::Retransmissions,
        Self::OutOfOrder,
        Self::ZeroWindow,
        Self::Rtt,
        Self::RttClient,
        Self::RttServer,
    ];

    /// Columns of `l4_flow_log`: from the client, from the server; a quantity without sides has
    /// one.
    pub fn columns(self) -> [&'static str; 2] {
        match self {
            Self::Packets => ["packet_tx", "packet_rx"],
            Self::Bytes => ["byte_tx", "byte_rx"],
            Self::PayloadBytes => ["l4_byte_tx", "l4_byte_rx"],
            Self::Syn => ["syn_count", ""],
            Self::SynAck => ["synack_count", ""],
            Self::Fin => ["fin_count", ""],
            Self::RetransSyn => ["retrans_syn", ""],
            Self::RetransSynAck => ["retrans_synack", ""],
            Self::Retransmissions => ["retrans_tx", "retrans_rx"],
            Self::OutOfOrder => ["ooo_tx", "ooo_rx"],
            Self::ZeroWindow => ["zero_win_tx", "zero_win_rx"],
            Self::Rtt => ["rtt", ""],
            Self::RttClient => ["rtt_client", ""],
            Self::RttServer => ["rtt_server", ""],
        }
    }

    /// The columns' name without the side.
    pub fn stem(self) -> &'static str {
        self.columns()[0].trim_end_matches("_tx")
    }

    /// What tshark has for it.
    pub fn of_tshark(self) -> &'static str {
        match self {
            Self::Packets => "frames of the conversation",
            Self::Bytes => "`frame.len`",
            Self::PayloadBytes => "`tcp.len`, `udp.length` − 8",
            Self::Syn | Self::SynAck | Self::Fin => "`tcp.flags`",
            Self::RetransSyn | Self::RetransSynAck => {
                "`tcp.analysis.retransmission` of `tcp.flags`"
            }
            Self::Retransmissions => {
                "`tcp.analysis.retransmission`, `fast_`, `spurious_retransmission`"
            }
            Self::OutOfOrder => "`tcp.analysis.out_of_order`",
            Self::ZeroWindow => "`tcp.analysis.zero_window`",
            Self::Rtt => "`tcp.analysis.initial_rtt`",
            Self::RttClient | Self::RttServer => "`tcp.analysis.ack_rtt` of the handshake",
        }
    }

    /// Whether each side has its own.
    pub fn is_sided(self) -> bool {
        !self.columns()[1].is_empty()
    }

    /// Whether it is a time; of several the greatest counts.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Rtt | Self::RttClient | Self::RttServer)
    }
}
