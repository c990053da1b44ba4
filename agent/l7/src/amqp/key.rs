//! Ids under which requests of AMQP 0-9-1 wait.
//!
//! ```text
//! id := kind: 4 bits  channel: 16 bits  rest: 44 bits
//! rest := class: 8  method: 8  number: 28    requests that want a reply, in order of a method
//!       | delivery tag                       publications and deliveries
//! ```

use std::ops::RangeInclusive;

use crate::segment::Direction;

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A request of the client.
    Client = 1,
    /// A request of the server.
    Server = 2,
    /// A publication, for its confirmation.
    Publish = 3,
    /// A delivery, for its acknowledgement.
    Deliver = 4,
    /// The client's protocol header.
    Header = 5,
}

const CHANNEL_SHIFT: u32 = 44;
const REST: u64 = (1 << CHANNEL_SHIFT) - 1;
const NUMBER_BITS: u32 = 28;
const METHOD_BITS: u64 = 0xffff << NUMBER_BITS;

impl Waiter {
    /// Those that wait on channels.
    pub const ALL: [Self; 4] = [Self::Client, Self::Server, Self::Publish, Self::Deliver];

    /// Requests of this end.
    pub fn of(direction: Direction) -> Self {
        match direction {
            Direction::ClientToServer => Self::Client,
            Direction::ServerToClient => Self::Server,
        }
    }

    /// Every id of a channel.
    pub fn on_channel(self, channel: u16) -> RangeInclusive<u64> {
        let base = self.base(channel);
        base..=base | REST
    }

    /// Every id on all channels.
    pub fn everywhere(self) -> RangeInclusive<u64> {
        self.base(0)..=self.base(u16::MAX) | REST
    }

    /// Every id of one method on a channel.
    pub fn on_method(self, channel: u16, class: u16, number: u16) -> RangeInclusive<u64> {
        let base = self.base(channel) | method_bits(class, number);
        base..=base | ((1 << NUMBER_BITS) - 1)
    }

    /// The id of a delivery tag.
    pub fn tag(self, channel: u16, tag: u64) -> u64 {
        self.base(channel) | tag & REST
    }

    /// Ids of all delivery tags up to one; 0 = of all.
    pub fn up_to(self, channel: u16, tag: u64) -> RangeInclusive<u64> {
        let last = if tag == 0 { REST } else { tag & REST };
        self.base(channel)..=self.base(channel) | last
    }

    fn base(self, channel: u16) -> u64 {
        (self as u64) << 60 | u64::from(channel) << CHANNEL_SHIFT
    }
}

/// Whether a request with this id is of a method.
pub(crate) fn is_of_method(id: u64, class: u16, number: u16) -> bool {
    id & METHOD_BITS == method_bits(class, number)
}

fn method_bits(class: u16, number: u16) -> u64 {
    (u64::from(class & 0xff) << 8 | u64::from(number & 0xff)) << NUMBER_BITS
}
