//! The system calls under test, as plain functions on descriptors.

use std::mem;
use std::net::SocketAddr;

/// How a message is given to or taken from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    Plain,
    Flags,
    Vector,
    Message,
    Messages,
}

/// Sends all of `data` with one call; vectors are cut into pieces of `piece` bytes.
pub fn send(call: Call, fd: i32, data: &[u8], to: Option<SocketAddr>, piece: usize) -> isize {
    let mut name = to.map(raw_address);
    let (name_at, name_bytes) = name.as_mut().map_or((std::ptr::null_mut(), 0), |(raw, bytes)| {
        ((&raw mut *raw).cast::<libc::c_void>(), *bytes)
    });
    let mut pieces: Vec<libc::iovec> = data
        .chunks(piece)
        .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() })
        .collect();
    let mut header = message(&mut pieces, name_at, name_bytes);
    let count = i32::try_from(pieces.len()).expect("few");
    // SAFETY: all pointers are to locals that live through the calls, with their true lengths.
    unsafe {
        match call {
            Call::Plain => libc::write(fd, data.as_ptr().cast(), data.len()),
            Call::Flags => {
                libc::sendto(fd, data.as_ptr().cast(), data.len(), 0, name_at.cast(), name_bytes)
            }
            Call::Vector => libc::writev(fd, pieces.as_ptr(), count),
            Call::Message => libc::sendmsg(fd, &raw const header, 0),
            Call::Messages => {
                let mut one = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
                let sent = libc::sendmmsg(fd, &raw mut one, 1, 0);
                header = one.msg_hdr;
                let _ = header;
                if sent == 1 { one.msg_len as isize } else { -1 }
            }
        }
    }
}

/// Receives at most `room` bytes with one call into buffers of `piece` bytes.
pub fn receive(call: Call, fd: i32, room: usize, flags: i32, piece: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0u8; room];
    // SAFETY: an all-zero sockaddr_storage is a valid value.
    let mut from: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut from_bytes = u32::try_from(mem::size_of_val(&from)).expect("small");
    let from_at = (&raw mut from).cast::<libc::c_void>();
    let mut pieces: Vec<libc::iovec> = buffer
        .chunks_mut(piece)
        .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
        .collect();
    let mut header = message(&mut pieces, from_at, from_bytes);
    let count = i32::try_from(pieces.len()).expect("few");
    // SAFETY: all pointers are to locals that live through the calls, with their true lengths.
    let received = unsafe {
        match call {
            Call::Plain => libc::read(fd, buffer.as_mut_ptr().cast(), room),
            Call::Flags => libc::recvfrom(
                fd,
                buffer.as_mut_ptr().cast(),
                room,
                flags,
                from_at.cast(),
                &raw mut from_bytes,
            ),
            Call::Vector => libc::readv(fd, pieces.as_ptr(), count),
            Call::Message => libc::recvmsg(fd, &raw mut header, flags),
            Call::Messages => {
                let mut one = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
                let got = libc::recvmmsg(fd, &raw mut one, 1, flags, std::ptr::null_mut());
                if got == 1 { one.msg_len as isize } else { -1 }
            }
        }
    };
    buffer.truncate(usize::try_from(received).ok()?);
    Some(buffer)
}

/// Sends several datagrams with one sendmmsg.
pub fn send_many(fd: i32, messages: &[(&[u8], SocketAddr)]) -> i32 {
    let mut names: Vec<_> = messages.iter().map(|(_, to)| raw_address(*to)).collect();
    let mut pieces: Vec<[libc::iovec; 1]> = messages
        .iter()
        .map(|(data, _)| {
            [libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() }]
        })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = names
        .iter_mut()
        .zip(&mut pieces)
        .map(|((raw, bytes), iov)| libc::mmsghdr {
            msg_hdr: message(iov, (&raw mut *raw).cast(), *bytes),
            msg_len: 0,
        })
        .collect();
    let count = u32::try_from(headers.len()).expect("few");
    // SAFETY: the headers point to locals that live through the call.
    unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, 0) }
}

/// Receives several datagrams of up to 64 bytes with one recvmmsg; gives how many.
pub fn receive_many(fd: i32, count: usize) -> i32 {
    let mut buffers = vec![[0u8; 64]; count];
    // SAFETY: an all-zero sockaddr_storage is a valid value.
    let mut names: Vec<libc::sockaddr_storage> = vec![unsafe { mem::zeroed() }; count];
    let mut pieces: Vec<[libc::iovec; 1]> = buffers
        .iter_mut()
        .map(|part| [libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() }])
        .collect();
    let mut headers: Vec<libc::mmsghdr> = names
        .iter_mut()
        .zip(&mut pieces)
        .map(|(name, iov)| libc::mmsghdr {
            msg_hdr: message(iov, (&raw mut *name).cast(), 128),
            msg_len: 0,
        })
        .collect();
    let count = u32::try_from(headers.len()).expect("few");
    // SAFETY: the headers point to locals that live through the call.
    unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), count, 0, std::ptr::null_mut()) }
}

fn message(pieces: &mut [libc::iovec], name: *mut libc::c_void, name_bytes: u32) -> libc::msghdr {
    // SAFETY: an all-zero msghdr is a valid value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len() as _;
    header.msg_name = name;
    header.msg_namelen = name_bytes;
    header
}

fn raw_address(address: SocketAddr) -> (libc::sockaddr_storage, u32) {
    // SAFETY: an all-zero sockaddr_storage is a valid value.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let at = &raw mut storage;
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: the storage is large and aligned enough for every sockaddr.
            let raw = unsafe { &mut *at.cast::<libc::sockaddr_in>() };
            raw.sin_family = libc::AF_INET as u16;
            raw.sin_port = v4.port().to_be();
            raw.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            (storage, 16)
        }
        SocketAddr::V6(v6) => {
            // SAFETY: the storage is large and aligned enough for every sockaddr.
            let raw = unsafe { &mut *at.cast::<libc::sockaddr_in6>() };
            raw.sin6_family = libc::AF_INET6 as u16;
            raw.sin6_port = v6.port().to_be();
            raw.sin6_addr.s6_addr = v6.ip().octets();
            (storage, 28)
        }
    }
}
