//! Who is behind an address: processes, their sockets, and the host itself.
//!
//! In: `/proc`, `/sys`, and the connections that BPF saw. Out: owners of connections
//! ([`SocketTable`]), facts of processes ([`process`]) and of the host ([`host`]). Never: on the
//! packet path; look-ups are made when a record is finished.

pub mod connections;
pub mod host;
mod places;
pub mod process;
mod sockets;

pub use places::{Netns, Places};
pub use sockets::{Connection, Owner, SocketTable};
