//! Types of ZeroMQ sockets, as far as they tell who asks whom.

/// The type of a peer's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Req,
    Rep,
    Dealer,
    Router,
    Pub,
    Sub,
    Xpub,
    Xsub,
    /// One that only sends or receives messages by itself.
    Other,
}

impl Socket {
    /// By its name in version 3.
    pub fn named(name: &[u8]) -> Self {
        match name {
            b"REQ" => Self::Req,
            b"REP" => Self::Rep,
            b"DEALER" => Self::Dealer,
            b"ROUTER" => Self::Router,
            b"PUB" => Self::Pub,
            b"SUB" => Self::Sub,
            b"XPUB" => Self::Xpub,
            b"XSUB" => Self::Xsub,
            _ => Self::Other,
        }
    }

    /// By its number in version 2.
    pub fn numbered(number: u8) -> Self {
        match number {
            1 => Self::Pub,
            2 => Self::Sub,
            3 => Self::Req,
            4 => Self::Rep,
            5 => Self::Dealer,
            6 => Self::Router,
            9 => Self::Xpub,
            10 => Self::Xsub,
            _ => Self::Other,
        }
    }

    /// Whether what this socket sends to `peer` is answered in order.
    pub fn asks(self, peer: Option<Self>) -> bool {
        self == Self::Req || self == Self::Dealer && peer == Some(Self::Rep)
    }

    /// Whether this socket sends subscriptions.
    pub fn subscribes(self) -> bool {
        matches!(self, Self::Sub | Self::Xsub)
    }

    /// Whether messages of this socket begin with a topic.
    pub fn publishes(self) -> bool {
        matches!(self, Self::Pub | Self::Xpub)
    }
}
