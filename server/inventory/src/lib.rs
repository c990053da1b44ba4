//! What the server knows about agents, hosts and processes.
//!
//! In: what agents say about themselves, and the ends of conversations that their rows name. Out:
//! ids that are never used twice, tags of rows, lists for the control interface, names for the
//! store's dictionaries. Never: a name guessed for an id, or an id that is given before it is on
//! disk.

mod core;
mod processes;
pub mod repository;
mod sqlite;
mod sync;

pub use crate::core::{AgentHealth, AgentView, Inventory};
pub use repository::{InventoryError, Repository};
pub use sqlite::SqliteRepository;
pub use sync::Synchroniser;
