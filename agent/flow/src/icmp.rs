//! ICMP: time between an echo request and its reply.

use wire::IcmpView;

/// Echo requests waiting at a time in one flow; a further one displaces the oldest.
const WAITING: usize = 8;

/// Response times above this are not responses.
const SRT_MAX_NS: u64 = 10 * crate::SECOND_NS;

/// State of an ICMP flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IcmpPerf {
    waiting: [Option<Echo>; WAITING],
    next: u8,
}

#[derive(Clone, Copy, Debug)]
struct Echo {
    key: (u16, u16),
    time_ns: u64,
}

impl IcmpPerf {
    /// Takes a message; how long after its request a reply comes. unit ns
    pub(crate) fn on_packet(&mut self, time_ns: u64, icmp: &IcmpView) -> Option<u64> {
        let key = (icmp.id, icmp.sequence);
        if icmp.is_echo_request() {
            let next = usize::from(self.next) % WAITING;
            self.waiting[next] = Some(Echo { key, time_ns });
            self.next = self.next.wrapping_add(1);
            return None;
        }
        if !icmp.is_echo_reply() {
            return None;
        }
        let is_asked = |echo: &&mut Option<Echo>| echo.is_some_and(|echo| echo.key == key);
        let echo = self.waiting.iter_mut().find(is_asked)?.take()?;
        let elapsed_ns = time_ns.saturating_sub(echo.time_ns);
        (1..=SRT_MAX_NS).contains(&elapsed_ns).then_some(elapsed_ns)
    }
}
