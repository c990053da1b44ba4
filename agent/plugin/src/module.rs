//! A plug-in as it was loaded: checked, compiled, named.
//!
//! In: the bytes of a module, limits. Out: a module that instances are made of, or what is wrong
//! with it and what to do. Never: a module accepted that could not be run.

use std::sync::Arc;

use l7::Plugin;
use wasmi::{CompilationMode, Config, Engine};

use crate::instance::{Exports, Instance};

/// Version of the interface in docs/plugins.md.
pub const ABI_VERSION: i32 = 1;

/// Longest module. unit byte
const MODULE_BYTES: usize = 8 << 20;

/// Deepest nesting of calls inside of a plug-in.
const RECURSION: usize = 512;

/// Longest name of a protocol. unit byte
const NAME_BYTES: usize = 32;

/// What one call of a plug-in may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of one call.
    pub fuel: u64,
    /// Memory of an instance. unit byte
    pub memory_bytes: usize,
    /// Bytes of a message that are shown. unit byte
    pub payload_bytes: usize,
    /// Faults after which it is switched off; calls that went well make up for them.
    pub faults: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 1_000_000, memory_bytes: 4 << 20, payload_bytes: 16 << 10, faults: 8 }
    }
}

/// Why a module is not a plug-in.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Longer than any plug-in should be.
    #[error("{bytes} bytes are more than the {MODULE_BYTES} of a plug-in: build it for release")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No WebAssembly, or of a kind that is not run here.
    #[error(
        "not a WebAssembly module that can be run here ({reason}): build it for \
         wasm32-unknown-unknown"
    )]
    Malformed {
        /// What the engine says.
        reason: String,
    },
    /// It imports what there is not.
    #[error("cannot be linked ({reason}): import only the functions of docs/plugins.md")]
    Link {
        /// What the engine says.
        reason: String,
    },
    /// An export is missing or has another type.
    #[error("has no export {name} of the right type: see docs/plugins.md")]
    Export {
        /// Name of the export.
        name: &'static str,
    },
    /// Made for another version of the interface.
    #[error(
        "is made for version {found} of the plug-in interface, this agent has {ABI_VERSION}: build \
         it against docs/plugins.md of this version"
    )]
    Version {
        /// Its version.
        found: i32,
    },
    /// The name is empty, too long or not text.
    #[error(
        "its name must be 1 to {NAME_BYTES} letters, digits or _ . - in memory: see deepflow_name \
         in docs/plugins.md"
    )]
    Name,
    /// A call that every plug-in must pass failed.
    #[error("failed when it was started ({reason})")]
    Start {
        /// How.
        reason: String,
    },
}

/// A plug-in that can be run. Clones share it.
#[derive(Clone)]
pub struct Module {
    shared: Arc<Loaded>,
}

struct Loaded {
    name: String,
    bytes: Vec<u8>,
    engine: Engine,
    module: wasmi::Module,
    limits: Limits,
}

impl Module {
    /// Checks and compiles a module, and starts it once for its version and its name.
    pub fn load(bytes: Vec<u8>, limits: Limits) -> Result<Self, LoadError> {
        if bytes.len() > MODULE_BYTES {
            return Err(LoadError::TooLong { bytes: bytes.len() });
        }
        let mut config = Config::default();
        config.consume_fuel(true).compilation_mode(CompilationMode::Eager);
        config.set_max_recursion_depth(RECURSION).ignore_custom_sections(true);
        config.wasm_multi_memory(false).wasm_memory64(false);
        let engine = Engine::new(&config);
        let module = wasmi::Module::new(&engine, &bytes)
            .map_err(|error| LoadError::Malformed { reason: error.to_string() })?;
        let mut loaded = Loaded { name: String::new(), bytes, engine, module, limits };
        let mut exports = Exports::of(&loaded.engine, &loaded.module, limits)?;
        match exports.version()? {
            ABI_VERSION => {}
            found => return Err(LoadError::Version { found }),
        }
        loaded.name = exports.name()?.filter(|name| is_name(name)).ok_or(LoadError::Name)?;
        Ok(Self { shared: Arc::new(loaded) })
    }

    /// What it calls its protocol.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Box<dyn Plugin> {
        Box::new(Instance::new(self.clone()))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    pub(crate) fn start(&self) -> Result<Exports, LoadError> {
        Exports::of(&self.shared.engine, &self.shared.module, self.shared.limits)
    }
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.shared.limits == other.shared.limits && self.shared.bytes == other.shared.bytes
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Module").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(is_plain)
}
