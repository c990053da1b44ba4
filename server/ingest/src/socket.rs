//! The UDP socket and the connection ids, watched for datagrams that are not ours.
//!
//! QUIC drops them without a word; an operator who sees nothing arrive wants to know.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, UdpPoller};
use quinn_proto::{HashedConnectionIdGenerator, InvalidCid};

use crate::stats::{Counters, Refusal};

const QUIC_VERSION_1: [u8; 4] = [0, 0, 0, 1];
const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;

/// A socket that counts datagrams without a QUIC 1 header.
pub(crate) struct WatchedSocket {
    pub inner: Arc<dyn AsyncUdpSocket>,
    pub counters: Arc<Counters>,
}

impl fmt::Debug for WatchedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncUdpSocket for WatchedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let result = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &result {
            for (buf, meta) in bufs.iter().zip(meta.iter()).take(*count) {
                let received = &buf[..meta.len.min(buf.len())];
                for datagram in received.chunks(meta.stride.max(1)) {
                    if !has_quic_header(datagram) {
                        self.counters.refused(Refusal::GarbageDatagram);
                    }
                }
            }
        }
        result
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

fn has_quic_header(datagram: &[u8]) -> bool {
    match datagram {
        [first, rest @ ..] if first & LONG_HEADER != 0 => {
            first & FIXED_BIT != 0 && rest.starts_with(&QUIC_VERSION_1)
        }
        [first, rest @ ..] => first & FIXED_BIT != 0 && rest.len() >= 8,
        [] => false,
    }
}

/// Connection ids that can be told from made-up ones; counts the latter.
pub(crate) struct WatchedConnectionIds {
    pub inner: HashedConnectionIdGenerator,
    pub counters: Arc<Counters>,
}

impl ConnectionIdGenerator for WatchedConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.inner.generate_cid()
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        let result = self.inner.validate(cid);
        if result.is_err() {
            self.counters.refused(Refusal::GarbageDatagram);
        }
        result
    }

    fn cid_len(&self) -> usize {
        self.inner.cid_len()
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        self.inner.cid_lifetime()
    }
}
