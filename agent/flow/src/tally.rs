//! What is counted of a flow, in parts: each is there only while there is something in it.
//!
//! Of a million flows few have losses, and most only open. So a flow holds the places of its parts
//! ([`Tally`]), and the parts lie together, apart from the flows ([`Parts`]).

use wire::TcpFlags;

use crate::counters::{Counters, Delay};
use crate::pool::Pool;

/// No part.
const NONE: u32 = u32::MAX;

/// How much, by sender: client 0, server 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Volume {
    pub(crate) bytes: [u64; 2],
    pub(crate) l3_bytes: [u64; 2],
    pub(crate) l4_bytes: [u64; 2],
    pub(crate) packets: [u32; 2],
    pub(crate) fin_count: u32,
    pub(crate) flags: [TcpFlags; 2],
}

/// How a connection was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opening {
    pub(crate) syn_count: u32,
    pub(crate) synack_count: u32,
    pub(crate) retrans_syn: u32,
    pub(crate) retrans_synack: u32,
    pub(crate) rtt: Delay,
    pub(crate) rtt_client: Delay,
    pub(crate) rtt_server: Delay,
}

/// How quickly was answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) srt: Delay,
    pub(crate) art: Delay,
    pub(crate) cit: Delay,
}

/// What went wrong on the way, by sender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    pub(crate) retrans: [u32; 2],
    pub(crate) zero_win: [u32; 2],
    pub(crate) ooo: [u32; 2],
}

/// The parts of all flows.
#[derive(Debug)]
pub(crate) struct Parts {
    volumes: Pool<Volume>,
    openings: Pool<Opening>,
    latencies: Pool<Latency>,
    losses: Pool<Losses>,
}

/// Where the parts of a flow's second or minute are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    volume: u32,
    opening: u32,
    latency: u32,
    losses: u32,
}

/// A flow's second, to be counted in.
#[derive(Debug)]
pub(crate) struct Count<'a> {
    parts: &'a mut Parts,
    tally: &'a mut Tally,
}

impl Default for Tally {
    fn default() -> Self {
        Self { volume: NONE, opening: NONE, latency: NONE, losses: NONE }
    }
}

impl Parts {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            volumes: Pool::new(),
            openings: Pool::new(),
            latencies: Pool::new(),
            losses: Pool::new(),
        }
    }

    /// Gives memory back that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.volumes.shrink();
        self.openings.shrink();
        self.latencies.shrink();
        self.losses.shrink();
    }
}

impl<'a> Count<'a> {
    /// Of this flow's tally.
    pub(crate) fn new(parts: &'a mut Parts, tally: &'a mut Tally) -> Self {
        Self { parts, tally }
    }

    /// How much.
    #[inline]
    pub(crate) fn volume(&mut self) -> &mut Volume {
        part(&mut self.parts.volumes, &mut self.tally.volume)
    }

    /// How it was opened.
    pub(crate) fn opening(&mut self) -> &mut Opening {
        part(&mut self.parts.openings, &mut self.tally.opening)
    }

    /// How quickly.
    #[inline]
    pub(crate) fn latency(&mut self) -> &mut Latency {
        part(&mut self.parts.latencies, &mut self.tally.latency)
    }

    /// What went wrong.
    pub(crate) fn losses(&mut self) -> &mut Losses {
        part(&mut self.parts.losses, &mut self.tally.losses)
    }
}

/// The part at a place, which is made where there is none.
#[inline]
fn part<'a, T: Default>(pool: &'a mut Pool<T>, place: &mut u32) -> &'a mut T {
    if *place == NONE {
        *place = pool.insert(T::default());
    }
    pool.get_mut(*place).expect("a part that a tally names")
}

impl Tally {
    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.volume == NONE
    }

    /// What was counted, as the world sees it.
    pub(crate) fn counters(&self, parts: &Parts) -> Counters {
        let volume = parts.volumes.get(self.volume).copied().unwrap_or_default();
        let opening = parts.openings.get(self.opening).copied().unwrap_or_default();
        let latency = parts.latencies.get(self.latency).copied().unwrap_or_default();
        let losses = parts.losses.get(self.losses).copied().unwrap_or_default();
        Counters {
            packet_tx: volume.packets[0].into(),
            packet_rx: volume.packets[1].into(),
            byte_tx: volume.bytes[0],
            byte_rx: volume.bytes[1],
            l3_byte_tx: volume.l3_bytes[0],
            l3_byte_rx: volume.l3_bytes[1],
            l4_byte_tx: volume.l4_bytes[0],
            l4_byte_rx: volume.l4_bytes[1],
            tcp_flags_tx: volume.flags[0].0,
            tcp_flags_rx: volume.flags[1].0,
            syn_count: opening.syn_count,
            synack_count: opening.synack_count,
            retrans_syn: opening.retrans_syn,
            retrans_synack: opening.retrans_synack,
            fin_count: volume.fin_count,
            retrans_tx: losses.retrans[0],
            retrans_rx: losses.retrans[1],
            zero_win_tx: losses.zero_win[0],
            zero_win_rx: losses.zero_win[1],
            ooo_tx: losses.ooo[0],
            ooo_rx: losses.ooo[1],
            rtt: opening.rtt,
            rtt_client: opening.rtt_client,
            rtt_server: opening.rtt_server,
            srt: latency.srt,
            art: latency.art,
            cit: latency.cit,
        }
    }

    /// Moves everything to `sum`, which has what was counted before.
    pub(crate) fn move_to(&mut self, sum: &mut Self, parts: &mut Parts) {
        let later = std::mem::take(self);
        join(&mut parts.volumes, later.volume, &mut sum.volume, Volume::join);
        join(&mut parts.openings, later.opening, &mut sum.opening, Opening::join);
        join(&mut parts.latencies, later.latency, &mut sum.latency, Latency::join);
        join(&mut parts.losses, later.losses, &mut sum.losses, Losses::join);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, parts: &mut Parts) {
        let gone = std::mem::take(self);
        release(&mut parts.volumes, gone.volume);
        release(&mut parts.openings, gone.opening);
        release(&mut parts.latencies, gone.latency);
        release(&mut parts.losses, gone.losses);
    }

    /// Exchanges client and server. Latencies keep their names: they were measured for the sides
    /// as they were then.
    pub(crate) fn reverse(&self, parts: &mut Parts) {
        if let Some(volume) = parts.volumes.get_mut(self.volume) {
            volume.bytes.swap(0, 1);
            volume.l3_bytes.swap(0, 1);
            volume.l4_bytes.swap(0, 1);
            volume.packets.swap(0, 1);
            volume.flags.swap(0, 1);
        }
        if let Some(losses) = parts.losses.get_mut(self.losses) {
            losses.retrans.swap(0, 1);
            losses.zero_win.swap(0, 1);
            losses.ooo.swap(0, 1);
        }
    }
}

fn join<T: Default>(pool: &mut Pool<T>, later: u32, sum: &mut u32, add: fn(&mut T, &T)) {
    if later == NONE {
        return;
    }
    if *sum == NONE {
        *sum = later;
        return;
    }
    let later = pool.remove(later);
    add(pool.get_mut(*sum).expect("a part that a tally names"), &later);
}

fn release<T: Default>(pool: &mut Pool<T>, place: u32) {
    if place != NONE {
        pool.remove(place);
    }
}

impl Volume {
    fn join(&mut self, later: &Self) {
        for sender in 0..2 {
            self.bytes[sender] += later.bytes[sender];
            self.l3_bytes[sender] += later.l3_bytes[sender];
            self.l4_bytes[sender] += later.l4_bytes[sender];
            self.packets[sender] = self.packets[sender].saturating_add(later.packets[sender]);
            self.flags[sender] = self.flags[sender] | later.flags[sender];
        }
        self.fin_count += later.fin_count;
    }
}

impl Opening {
    fn join(&mut self, later: &Self) {
        self.syn_count += later.syn_count;
        self.synack_count += later.synack_count;
        self.retrans_syn += later.retrans_syn;
        self.retrans_synack += later.retrans_synack;
        self.rtt.merge(&later.rtt);
        self.rtt_client.merge(&later.rtt_client);
        self.rtt_server.merge(&later.rtt_server);
    }
}

impl Latency {
    fn join(&mut self, later: &Self) {
        self.srt.merge(&later.srt);
        self.art.merge(&later.art);
        self.cit.merge(&later.cit);
    }
}

impl Losses {
    fn join(&mut self, later: &Self) {
        for sender in 0..2 {
            self.retrans[sender] += later.retrans[sender];
            self.zero_win[sender] += later.zero_win[sender];
            self.ooo[sender] += later.ooo[sender];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_moved_joined_and_given_back() {
        let mut parts = Parts::new();
        let (mut second, mut minute) = (Tally::default(), Tally::default());
        for round in 1..=3 {
            let mut count = Count::new(&mut parts, &mut second);
            count.volume().packets[1] += round;
            if round == 2 {
                count.losses().ooo[0] += 1;
            }
            second.move_to(&mut minute, &mut parts);
            assert!(second.is_empty());
            assert_eq!(parts.volumes.len(), 1);
        }
        minute.reverse(&mut parts);
        let counters = minute.counters(&parts);
        assert_eq!((counters.packet_tx, counters.packet_rx, counters.ooo_rx), (6, 0, 1));
        minute.clear(&mut parts);
        assert!(minute.is_empty());
        assert_eq!((parts.volumes.len(), parts.losses.len()), (0, 0));
        assert_eq!(minute.counters(&parts), Counters::default());
    }
}
