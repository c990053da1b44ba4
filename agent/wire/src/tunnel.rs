//! Tunnels: which are opened, and what an opened one says of itself.

mod gre;
mod mpls;
mod udp;

use std::net::{IpAddr, Ipv4Addr};

use crate::cursor::Cursor;
use crate::ip::{Ip, protocol};
use crate::link::{Link, eth_type};

pub(crate) use mpls::open as open_mpls;

/// Tunnels opened one inside the other; a further one stays closed and makes an ordinary flow.
pub const MAX_TUNNEL_TIERS: u8 = 2;

/// Kinds of tunnel, with the numbers of `schema/enums.toml` (`TunnelType`) and of
/// `inputs.cbpf.preprocess.tunnel_decap_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TunnelKind {
    /// VXLAN (RFC 7348).
    Vxlan = 1,
    /// IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, RFC 4213, RFC 2473).
    Ipip = 2,
    /// IP in GRE (RFC 2784, RFC 2890).
    Gre = 3,
    /// Geneve (RFC 8926).
    Geneve = 4,
    /// NSH in VXLAN-GPE (RFC 8300).
    VxlanNsh = 5,
    /// ERSPAN types I to III, or Ethernet in GRE (NVGRE, RFC 7637).
    ErspanOrTeb = 6,
    /// MPLS (RFC 3032).
    Mpls = 7,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Vxlan,
        Self::Ipip,
        Self::Gre,
        Self::Geneve,
        Self::VxlanNsh,
        Self::ErspanOrTeb,
        Self::Mpls,
    ];

    /// Its number.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The kind of this number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// Whether the tunnel's id names a network and so is the same in both directions; keys of GRE,
    /// session ids of ERSPAN and labels of MPLS belong to one direction.
    pub fn id_names_network(self) -> bool {
        matches!(self, Self::Vxlan | Self::Geneve | Self::VxlanNsh)
    }
}

/// Headers that mirroring puts before a packet, by the names of
/// `inputs.cbpf.preprocess.tunnel_trim_protocols`. They are taken off as if they had never been
/// there: no tunnel is told, and the frame is as long as what was mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TrimKind {
    /// ERSPAN types I to III.
    Erspan = 0,
    /// VXLAN.
    Vxlan = 1,
    /// Ethernet in GRE.
    Teb = 2,
}

impl TrimKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Erspan, Self::Vxlan, Self::Teb];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erspan => "ERSPAN",
            Self::Vxlan => "VXLAN",
            Self::Teb => "TEB",
        }
    }

    /// The kind of this name, in letters of any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// Which tunnels to open, and which headers of mirroring to take off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecapConfig {
    kinds: u8,
    trims: u8,
}

impl DecapConfig {
    /// Opens every kind; takes nothing off.
    pub fn all() -> Self {
        TunnelKind::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// Opens none.
    pub fn none() -> Self {
        Self { kinds: 0, trims: 0 }
    }

    /// Opens this kind too.
    pub fn with(self, kind: TunnelKind) -> Self {
        Self { kinds: self.kinds | 1 << kind.id(), ..self }
    }

    /// Takes this header off too, where it is the outermost one.
    pub fn trimming(self, kind: TrimKind) -> Self {
        Self { trims: self.trims | 1 << kind as u8, ..self }
    }

    /// Opens the kinds of these numbers; the first unknown number is the error.
    pub fn from_ids(ids: &[u8]) -> Result<Self, u8> {
        ids.iter().try_fold(Self::none(), |config, &id| {
            TunnelKind::from_id(id).map(|kind| config.with(kind)).ok_or(id)
        })
    }

    /// Whether this kind is opened.
    pub fn contains(&self, kind: TunnelKind) -> bool {
        self.kinds & 1 << kind.id() != 0
    }

    /// Whether this header is taken off.
    pub fn trims(&self, kind: TrimKind) -> bool {
        self.trims & 1 << kind as u8 != 0
    }

    /// Whether every tunnel stays closed.
    pub fn is_empty(&self) -> bool {
        self.kinds == 0 && self.trims == 0
    }

    /// What is left to do below a tunnel: nothing more is taken off.
    pub(crate) fn inside(self) -> Self {
        Self { trims: 0, ..self }
    }

    /// Whether a tunnel of `kind` is looked into, for its own sake or to take it off.
    fn wants(&self, kind: TunnelKind, trim: Option<TrimKind>) -> bool {
        self.contains(kind) || trim.is_some_and(|trim| self.trims(trim))
    }
}

impl Default for DecapConfig {
    /// VXLAN and IPIP, as `inputs.cbpf.preprocess.tunnel_decap_protocols` has it.
    fn default() -> Self {
        Self::none().with(TunnelKind::Vxlan).with(TunnelKind::Ipip)
    }
}

/// The outermost tunnel of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Its kind.
    pub kind: TunnelKind,
    /// VNI, GRE key, NVGRE subnet, ERSPAN session, NSH path or bottom MPLS label; 0 where it has
    /// none.
    pub id: u32,
    /// Outer source address; 0.0.0.0 for MPLS.
    pub src: IpAddr,
    /// Outer destination address; 0.0.0.0 for MPLS.
    pub dst: IpAddr,
    /// Outer source MAC address.
    pub src_mac: [u8; 6],
    /// Outer destination MAC address.
    pub dst_mac: [u8; 6],
}

/// A tunnel just opened: the cursor is at what it carries.
pub(crate) struct Opened {
    found: Found,
    addresses: Option<(IpAddr, IpAddr)>,
}

/// What a tunnel's own header says.
pub(crate) struct Found {
    kind: TunnelKind,
    /// See [`Tunnel::id`].
    id: u32,
    /// The header of mirroring that it may be.
    trim: Option<TrimKind>,
    /// What follows.
    inner: Inner,
}

/// What a tunnel carries.
#[derive(Clone, Copy)]
pub(crate) enum Inner {
    /// An Ethernet frame.
    Ethernet,
    /// A packet of this EtherType.
    Network(u16),
}

impl Opened {
    /// What follows.
    pub(crate) fn inner(&self) -> Inner {
        self.found.inner
    }

    /// Where the header is taken off as if it had never been there: what is left to do below it.
    /// Each kind is taken off once: a second one belongs to what was mirrored.
    pub(crate) fn trimmed(&self, decap: &DecapConfig) -> Option<DecapConfig> {
        let trim = self.found.trim.filter(|trim| decap.trims(*trim))?;
        Some(DecapConfig { trims: decap.trims & !(1 << trim as u8), ..*decap })
    }

    /// Its id, when that names a network.
    pub(crate) fn network_id(&self) -> Option<u32> {
        self.found.kind.id_names_network().then_some(self.found.id)
    }

    /// The description for the packet; `link` is the outer link layer.
    pub(crate) fn describe(&self, link: &Link) -> Tunnel {
        let none = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let (src, dst) = self.addresses.unwrap_or((none, none));
        Tunnel {
            kind: self.found.kind,
            id: self.found.id,
            src,
            dst,
            src_mac: link.src_mac,
            dst_mac: link.dst_mac,
        }
    }
}

/// Opens the tunnel that `ip` carries, when it is one of those configured and its header is sound.
/// The cursor moves only then.
pub(crate) fn open(cursor: &mut Cursor<'_>, ip: &Ip, decap: &DecapConfig) -> Option<Opened> {
    // A fragment of an outer packet holds an incomplete inner one.
    if ip.fragment.is_some() {
        return None;
    }
    let mut ahead = *cursor;
    let ipip = |inner| {
        let found = Found { kind: TunnelKind::Ipip, id: 0, trim: None, inner };
        decap.contains(TunnelKind::Ipip).then_some(found)
    };
    let found = match ip.protocol {
        protocol::UDP => udp::open(&mut ahead, decap).ok()?,
        protocol::IPIP => ipip(Inner::Network(eth_type::IPV4)),
        protocol::IPV6 => ipip(Inner::Network(eth_type::IPV6)),
        protocol::GRE => gre::open(&mut ahead, decap).ok()?,
        _ => None,
    }?;
    *cursor = ahead;
    Some(Opened { found, addresses: Some((ip.src, ip.dst)) })
}
