//! The packet that a flow is made of: the innermost one that the agent's rules reach, found in
//! tshark's list of layers.
//!
//! In: a frame. Out: addresses, ports, transport fields and tshark's own judgement of the segment.
//! Never: the agent's code; the rules of `docs/flow-check.md` are written down here once more.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::tshark::{Frame, nanos};

/// Tunnels opened one inside the other.
const MAX_TIERS: usize = 2;

/// A packet as tshark sees it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Number of its frame, from 1.
    pub frame: u64,
    /// Interface of the capture.
    pub interface: u64,
    /// When. unit ns since the Unix epoch
    pub time_ns: u64,
    /// The whole frame on the wire. unit byte
    pub bytes: u64,
    /// Sender's address and port.
    pub src: (IpAddr, u16),
    /// Receiver's address and port.
    pub dst: (IpAddr, u16),
    /// IP protocol.
    pub protocol: u8,
    /// Id of the outermost overlay network; 0 outside of one.
    pub network: u64,
    /// Set in a fragment: identification, and whether it is the first.
    pub fragment: Option<(u64, bool)>,
    /// Payload of TCP or UDP. unit byte
    pub payload_bytes: u64,
    /// Fields of TCP.
    pub tcp: Option<Tcp>,
}

/// Fields of a TCP segment, and what tshark says of it.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    /// tshark's number of the connection.
    pub stream: u64,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u16,
    /// `tcp.len`. unit byte
    pub payload_bytes: u64,
    /// Window as sent.
    pub window: u64,
    /// `tcp.analysis.retransmission` or one of its special kinds.
    pub retransmission: bool,
    /// Its options were not captured to their end: tshark says nothing of its analysis.
    pub is_cut: bool,
    /// `tcp.analysis.spurious_retransmission`.
    pub spurious: bool,
    /// `tcp.analysis.out_of_order`.
    pub out_of_order: bool,
    /// `tcp.analysis.keep_alive`.
    pub keep_alive: bool,
    /// `tcp.analysis.zero_window_probe`.
    pub zero_window_probe: bool,
    /// `tcp.analysis.zero_window`.
    pub zero_window: bool,
    /// `tcp.analysis.reused_ports`.
    pub reused_ports: bool,
    /// `tcp.analysis.initial_rtt`. unit ns
    pub initial_rtt_ns: Option<u64>,
    /// `tcp.analysis.ack_rtt`. unit ns
    pub ack_rtt_ns: Option<u64>,
    /// `tcp.analysis.acks_frame`.
    pub acks_frame: Option<u64>,
}

impl Tcp {
    /// Finish.
    pub const FIN: u16 = 0x01;
    /// Synchronise.
    pub const SYN: u16 = 0x02;
    /// Reset.
    pub const RST: u16 = 0x04;
    /// Acknowledge.
    pub const ACK: u16 = 0x10;

    /// Whether all of these flags are set and none of those.
    pub fn is(&self, set: u16, clear: u16) -> bool {
        self.flags & set == set && self.flags & clear == 0
    }
}

/// Why a frame gives no packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoPacket {
    /// No IP in it.
    NotIp,
    /// A layer stands before IP that the agent does not read.
    Layer(String),
    /// The frame ends, or contradicts itself, inside a header.
    Damaged,
}

/// Layers that may stand before IP.
const LINK_LAYERS: [&str; 15] = [
    "eth",
    "ethertype",
    "vlan",
    "ieee8021ad",
    "sll",
    "null",
    "raw",
    "llc",
    "ppp",
    "pppoes",
    "chdlc",
    "pwethheuristic",
    "pwethcw",
    "pwethnocw",
    "loop",
];

/// Extension headers: layer, number, field of the protocol that follows, field of the length.
const EXTENSIONS: [(&str, u8, &str, &str); 5] = [
    ("ipv6.hopopts", 0, "ipv6.hopopts.nxt", "ipv6.hopopts.len_oct"),
    ("ipv6.dstopts", 60, "ipv6.dstopts.nxt", "ipv6.dstopts.len_oct"),
    ("ipv6.routing", 43, "ipv6.routing.nxt", "ipv6.routing.len_oct"),
    ("ipv6.fraghdr", 44, "ipv6.fraghdr.nxt", ""),
    ("ah", 51, "ah.next_header", "ah.length"),
];

/// Finds the packet.
pub fn read(frame: &Frame) -> Result<Packet, NoPacket> {
    let protocols = frame.at("frame.protocols", 0).unwrap_or("");
    let mut walk = Walk {
        frame,
        layers: protocols.split(':').collect(),
        at: 0,
        seen: HashMap::new(),
        offset: Some(0),
        tiers: 0,
        network: None,
    };
    walk.reach_network()?;
    walk.innermost()
}

/// A walk through the layers of a frame.
#[derive(Clone)]
struct Walk<'a> {
    frame: &'a Frame,
    layers: Vec<&'a str>,
    at: usize,
    /// How many layers of each kind were passed: the index of the next one's fields.
    seen: HashMap<&'a str, usize>,
    /// Bytes of the layers passed, as far as that can be told.
    offset: Option<u64>,
    /// Tunnels opened.
    tiers: usize,
    /// Outermost tunnel's network.
    network: Option<u64>,
}

/// An IP header.
struct Ip {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    fragment: Option<(u64, bool)>,
    /// After options, by the header's own lengths; `None` where they leave it open.
    payload_bytes: Option<u64>,
}

impl<'a> Walk<'a> {
    fn here(&self) -> &'a str {
        self.layers.get(self.at).copied().unwrap_or("")
    }

    fn ahead(&self, by: usize) -> &'a str {
        self.layers.get(self.at + by).copied().unwrap_or("")
    }

    /// Steps over a layer; the index of its fields.
    fn pass(&mut self) -> usize {
        let seen = self.seen.entry(self.here()).or_default();
        *seen += 1;
        let at = *seen - 1;
        self.offset = self.offset.zip(self.size(self.here(), at)).map(|(sum, size)| sum + size);
        self.at += 1;
        at
    }

    /// Bytes of a layer's header, where they are the same for all or told by a field.
    fn size(&self, layer: &str, at: usize) -> Option<u64> {
        let field = |name| self.frame.number(name, at);
        match layer {
            "eth" => Some(14),
            "ethertype" | "raw" => Some(0),
            "vlan" | "ieee8021ad" | "null" | "loop" | "chdlc" => Some(4),
            "sll" if self.frame.has("sll.ifindex") => Some(20),
            "sll" => Some(16),
            "llc" | "udp" | "vxlan" | "ipv6.fraghdr" => Some(8),
            "pppoes" => Some(6),
            "mpls" => Some(4 * self.frame.all("mpls.label").len() as u64),
            "ip" => field("ip.hdr_len"),
            "ipv6" => Some(40),
            // In words, without the first two.
            "ah" => field("ah.length").map(|words| (words + 2) * 4),
            layer => field(EXTENSIONS.iter().find(|(name, ..)| *name == layer)?.3),
        }
    }

    /// Goes on to the next IP or MPLS header.
    fn reach_network(&mut self) -> Result<(), NoPacket> {
        loop {
            match self.here() {
                "ip" | "ipv6" => return Ok(()),
                "mpls" if self.tiers < MAX_TIERS => return Ok(()),
                layer if LINK_LAYERS.contains(&layer) => {
                    self.pass();
                }
                layer => {
                    let rest = &self.layers[self.at.min(self.layers.len())..];
                    let holds_ip = rest.iter().any(|layer| matches!(*layer, "ip" | "ipv6"));
                    return Err(match holds_ip {
                        true => NoPacket::Layer(layer.to_owned()),
                        false => NoPacket::NotIp,
                    });
                }
            }
        }
    }

    fn innermost(&mut self) -> Result<Packet, NoPacket> {
        if self.here() == "mpls" {
            self.enter(None);
            while self.here() == "mpls" {
                self.pass();
            }
            self.reach_network()?;
            return self.innermost();
        }
        let ip = self.ip()?;
        let may_open = self.tiers < MAX_TIERS && ip.fragment.is_none();
        let mut inside = self.clone();
        if may_open && inside.open(&ip) {
            match inside.reach_network().and_then(|()| inside.innermost()) {
                // What is damaged in a tunnel counts as the tunnel's.
                Err(NoPacket::Damaged) => {}
                found => return found,
            }
        }
        self.packet(&ip)
    }

    fn enter(&mut self, network: Option<u64>) {
        if self.tiers == 0 {
            self.network = network;
        }
        self.tiers += 1;
    }

    fn ip(&mut self) -> Result<Ip, NoPacket> {
        let is_v4 = self.here() == "ip";
        let at = self.pass();
        let mut ip = if is_v4 { self.v4(at) } else { self.v6(at) }.ok_or(NoPacket::Damaged)?;
        while let Some((layer, _, next, _)) =
            EXTENSIONS.iter().find(|(layer, ..)| *layer == self.here())
        {
            let at = self.pass();
            ip.protocol = self.byte(next, at).ok_or(NoPacket::Damaged)?;
            let length = self.size(layer, at).ok_or(NoPacket::Damaged)?;
            ip.payload_bytes = ip.payload_bytes.map(|bytes| bytes.saturating_sub(length));
            if *layer == "ipv6.fraghdr" {
                ip.fragment = self.v6_fragment(at);
            }
        }
        let is_later_fragment = matches!(ip.fragment, Some((_, false)));
        let wants_more = EXTENSIONS.iter().any(|(_, number, ..)| *number == ip.protocol);
        let lacks_extension = !is_v4 && wants_more && self.here().is_empty() && !is_later_fragment;
        let captured = self.frame.number("frame.cap_len", 0);
        let is_cut = self.offset.zip(captured).is_some_and(|(end, captured)| end > captured);
        if lacks_extension || is_cut { Err(NoPacket::Damaged) } else { Ok(ip) }
    }

    fn byte(&self, field: &str, at: usize) -> Option<u8> {
        u8::try_from(self.frame.number(field, at)?).ok()
    }

    fn v4(&self, at: usize) -> Option<Ip> {
        let offset = self.frame.number("ip.frag_offset", at)?;
        let more = self.frame.number("ip.flags.mf", at)? != 0;
        let total = self.frame.number("ip.len", at)?;
        Some(Ip {
            src: self.frame.at("ip.src", at)?.parse().ok()?,
            dst: self.frame.at("ip.dst", at)?.parse().ok()?,
            protocol: self.byte("ip.proto", at)?,
            fragment: (offset > 0 || more)
                .then_some((self.frame.number("ip.id", at)?, offset == 0)),
            payload_bytes: total.checked_sub(self.frame.number("ip.hdr_len", at)?),
        })
    }

    fn v6(&self, at: usize) -> Option<Ip> {
        let length = self.frame.number("ipv6.plen", at)?;
        Some(Ip {
            src: self.frame.at("ipv6.src", at)?.parse().ok()?,
            dst: self.frame.at("ipv6.dst", at)?.parse().ok()?,
            protocol: self.byte("ipv6.nxt", at)?,
            fragment: None,
            payload_bytes: (length > 0).then_some(length),
        })
    }

    fn v6_fragment(&self, at: usize) -> Option<(u64, bool)> {
        let offset = self.frame.number("ipv6.fraghdr.offset", at)?;
        let more = self.frame.number("ipv6.fraghdr.more", at)? != 0;
        let id = self.frame.number("ipv6.fraghdr.ident", at)?;
        (offset > 0 || more).then_some((id, offset == 0))
    }

    /// Enters the tunnel that an IP header carries, if it is one; the walk is then at its content.
    fn open(&mut self, ip: &Ip) -> bool {
        match (ip.protocol, self.here(), self.ahead(1)) {
            (4, "ip", _) | (41, "ipv6", _) => self.enter(None),
            (47, "gre", "ip" | "ipv6" | "eth" | "mpls") => {
                self.pass();
                self.enter(None);
            }
            (47, "gre", "erspan") => {
                self.pass();
                self.pass();
                self.enter(None);
            }
            (17, "udp", "vxlan") => return self.open_vxlan(),
            // VXLAN-GPE gives no layer of its own.
            (17, "udp", "nsh" | "eth" | "ip" | "ipv6" | "mpls") => return self.open_gpe(),
            (17, "udp", "geneve") => return self.open_geneve(),
            _ => return false,
        }
        true
    }

    fn datagram_port(&self) -> Option<u64> {
        self.frame.number("udp.dstport", self.seen.get("udp").copied().unwrap_or(0))
    }

    fn open_vxlan(&mut self) -> bool {
        let at = self.seen.get("vxlan").copied().unwrap_or(0);
        let has_id = self.frame.number("vxlan.flags", at).is_some_and(|flags| flags & 0x0800 != 0);
        let is_ours = matches!(self.datagram_port(), Some(4789 | 8472));
        if !has_id || !is_ours || !matches!(self.ahead(2), "eth" | "ip" | "ipv6" | "mpls") {
            return false;
        }
        self.pass();
        self.pass();
        self.enter(self.frame.number("vxlan.vni", at));
        true
    }

    fn open_gpe(&mut self) -> bool {
        if self.datagram_port() != Some(4790) {
            return false;
        }
        self.pass();
        let network = if self.here() == "nsh" {
            let at = self.pass();
            self.frame.number("nsh.spi", at)
        } else {
            self.frame.number("vxlan.vni", 0)
        };
        self.enter(network);
        true
    }

    fn open_geneve(&mut self) -> bool {
        let at = self.seen.get("geneve").copied().unwrap_or(0);
        let is_ours = self.datagram_port() == Some(6081);
        if !is_ours || !matches!(self.ahead(2), "eth" | "ip" | "ipv6" | "mpls") {
            return false;
        }
        self.pass();
        self.pass();
        self.enter(self.frame.number("geneve.vni", at));
        true
    }

    fn packet(&mut self, ip: &Ip) -> Result<Packet, NoPacket> {
        let frame = self.frame;
        let general = |field| frame.number(field, 0).unwrap_or(0);
        let mut packet = Packet {
            frame: general("frame.number"),
            interface: frame.interface(),
            // A simple packet block of pcapng has no time.
            time_ns: frame.at("frame.time_epoch", 0).and_then(nanos).unwrap_or(0),
            bytes: general("frame.len"),
            src: (ip.src, 0),
            dst: (ip.dst, 0),
            protocol: ip.protocol,
            network: self.network.unwrap_or(0),
            fragment: ip.fragment,
            payload_bytes: 0,
            tcp: None,
        };
        if matches!(ip.fragment, Some((_, false))) {
            return Ok(packet);
        }
        match ip.protocol {
            6 => self.tcp(ip, &mut packet).ok_or(NoPacket::Damaged)?,
            17 => self.udp(ip, &mut packet).ok_or(NoPacket::Damaged)?,
            _ => {}
        }
        Ok(packet)
    }

    fn udp(&mut self, ip: &Ip, packet: &mut Packet) -> Option<()> {
        let at = self.seen.get("udp").copied().unwrap_or(0);
        let port = |field| u16::try_from(self.frame.number(field, at)?).ok();
        packet.src.1 = port("udp.srcport")?;
        packet.dst.1 = port("udp.dstport")?;
        self.frame.at("udp.checksum", at)?;
        let length = self.frame.number("udp.length", at)?;
        let inside = ip.payload_bytes.unwrap_or(length);
        packet.payload_bytes = match length {
            0 => ip.payload_bytes.or_else(|| self.rest_of_frame())?.checked_sub(8)?,
            length => length.min(inside).checked_sub(8)?,
        };
        Some(())
    }

    /// IP payload of a jumbogram (RFC 2675), which goes to the end of the frame.
    fn rest_of_frame(&self) -> Option<u64> {
        self.frame.number("frame.len", 0)?.checked_sub(self.offset?)
    }

    fn tcp(&mut self, ip: &Ip, packet: &mut Packet) -> Option<()> {
        let frame = self.frame;
        let port = |field| u16::try_from(frame.number(field, 0)?).ok();
        packet.src.1 = port("tcp.srcport")?;
        packet.dst.1 = port("tcp.dstport")?;
        let header = frame.number("tcp.hdr_len", 0)?;
        frame.at("tcp.urgent_pointer", 0)?;
        if header < 20 {
            return None;
        }
        let seen = frame.number("tcp.len", 0);
        packet.payload_bytes = match ip.payload_bytes {
            Some(bytes) => bytes.checked_sub(header)?,
            None => seen?,
        };
        let word = |field| u32::try_from(frame.number(field, 0)?).ok();
        let flag = |field| frame.has(&format!("tcp.analysis.{field}"));
        let time = |field| frame.at(field, 0).and_then(nanos);
        packet.tcp = Some(Tcp {
            stream: frame.number("tcp.stream", 0)?,
            seq: word("tcp.seq_raw")?,
            ack: word("tcp.ack_raw")?,
            flags: u16::try_from(frame.number("tcp.flags", 0)?).ok()?,
            window: frame.number("tcp.window_size_value", 0)?,
            payload_bytes: seen.unwrap_or(0),
            retransmission: flag("retransmission")
                || flag("fast_retransmission")
                || flag("spurious_retransmission"),
            is_cut: header > 20 + frame.at("tcp.options", 0).map_or(0, str::len) as u64 / 2,
            spurious: flag("spurious_retransmission"),
            out_of_order: flag("out_of_order"),
            keep_alive: flag("keep_alive"),
            zero_window_probe: flag("zero_window_probe"),
            zero_window: flag("zero_window"),
            reused_ports: flag("reused_ports"),
            initial_rtt_ns: time("tcp.analysis.initial_rtt"),
            ack_rtt_ns: time("tcp.analysis.ack_rtt"),
            acks_frame: frame.number("tcp.analysis.acks_frame", 0),
        });
        Some(())
    }
}
