//! A guest has no source of chance: programs that ask for it would wait for minutes.
//!
//! In: what `/dev/urandom` has. Out: a kernel that takes its pool for filled (random(4)); secrets of
//! a test need not be any. Never: another device.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;

const WORDS: usize = 16;
/// `_IOW('R', 3, int[2])`, uapi/linux/random.h of the kernel.
const RNDADDENTROPY: u32 = 0x4008_5203;

/// struct rand_pool_info.
#[repr(C)]
struct Pool {
    entropy_bits: i32,
    buffer_bytes: i32,
    buffer: [u32; WORDS],
}

/// Fills the pool.
pub fn fill() -> io::Result<()> {
    let mut bytes = [0; WORDS * 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut pool = Pool {
        entropy_bits: (WORDS * 32) as i32,
        buffer_bytes: (WORDS * 4) as i32,
        buffer: [0; WORDS],
    };
    for (to, from) in pool.buffer.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *to = u32::from_ne_bytes(*from);
    }
    let device = File::options().write(true).open("/dev/random")?;
    // SAFETY: `pool` lives through the call, which reads it by the lengths in it.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY as _, &raw const pool) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
