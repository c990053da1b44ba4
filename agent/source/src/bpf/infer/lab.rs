//! Things of our own whose facts are known, to be found again in the kernel's memory.
//!
//! In: nothing. Out: sockets on loopback with addresses that nobody else has, a thread with a name of
//! its own. Gone when dropped. Never: a packet that leaves the machine.

use std::io;
use std::net::{
    Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::super::sys;

/// A protocol number that no other socket here has (253: for experiments, RFC 3692).
pub const RAW_PROTOCOL: u8 = 253;
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 91, 82, 73);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 56, 47, 38);

/// The sockets.
pub struct Lab {
    pub client: TcpStream,
    pub server: TcpStream,
    pub listener: TcpListener,
    pub udp: UdpSocket,
    pub raw: OwnedFd,
    /// An IPv6 socket connected to the IPv4 addresses; none where there is no IPv6.
    pub mapped: Option<TcpStream>,
    _mapped_peer: Option<TcpStream>,
}

impl Lab {
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((SERVER, 0))?;
        let SocketAddr::V4(at) = listener.local_addr()? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let client = TcpStream::from(sys::connect_from(CLIENT, at)?);
        let server = listener.accept()?.0;
        let mapped = connect_mapped(&at).ok();
        let mapped_peer =
            mapped.as_ref().and_then(|_| listener.accept().ok()).map(|(peer, _)| peer);
        client.set_nodelay(true)?;
        Ok(Self {
            client,
            server,
            listener,
            udp: UdpSocket::bind((CLIENT, 0))?,
            raw: sys::socket(libc::AF_INET, libc::SOCK_RAW, RAW_PROTOCOL.into())?,
            mapped,
            _mapped_peer: mapped_peer,
        })
    }

    /// Every socket over IPv4: descriptor and number of its inode.
    pub fn sockets(&self) -> io::Result<Vec<(i32, u64)>> {
        let all: [BorrowedFd<'_>; 5] = [
            self.client.as_fd(),
            self.server.as_fd(),
            self.listener.as_fd(),
            self.udp.as_fd(),
            self.raw.as_fd(),
        ];
        all.into_iter().map(|fd| Ok((fd.as_raw_fd(), inode(fd)?))).collect()
    }
}

/// Number of the inode behind a descriptor.
fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let file = std::fs::File::from(fd.try_clone_to_owned()?);
    Ok(file.metadata()?.ino())
}

fn connect_mapped(to: &SocketAddrV4) -> io::Result<TcpStream> {
    let address: Ipv6Addr = to.ip().to_ipv6_mapped();
    TcpStream::connect(SocketAddrV6::new(address, to.port(), 0, 0))
}
