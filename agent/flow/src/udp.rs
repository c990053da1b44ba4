//! UDP: time between a client's last datagram and the server's first after it.

use crate::info::Direction;

/// Response times above this are not responses.
const ART_MAX_NS: u64 = 30 * crate::SECOND_NS;

/// State of a UDP flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UdpPerf {
    /// Last datagram of each side that was not answered.
    asked_ns: [Option<u64>; 2],
}

impl UdpPerf {
    /// Takes a datagram; how long the other side has waited for it, if it did. unit ns
    pub(crate) fn on_packet(&mut self, time_ns: u64, direction: Direction) -> Option<u64> {
        let sender = direction.sender();
        let asked_ns = self.asked_ns[1 - sender].take();
        self.asked_ns[sender] = Some(time_ns);
        let elapsed_ns = time_ns.saturating_sub(asked_ns?);
        (1..=ART_MAX_NS).contains(&elapsed_ns).then_some(elapsed_ns)
    }

    /// Exchanges client and server.
    pub(crate) fn reverse(&mut self) {
        self.asked_ns.swap(0, 1);
    }
}
