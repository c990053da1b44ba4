//! Plug-ins of a pipeline: instances of its own, and what they have to say.
//!
//! In: modules. Out: what conversations share, with a reader of each module; lines of the log.
//! Never: an instance in two threads.

use l7::Shared;

/// What conversations of one thread share, with readers of the user's own protocols.
pub(super) fn shared(config: l7::Config, modules: &[plugin::Module]) -> Shared {
    let mut shared = Shared::new(config);
    shared.set_plugins(modules.iter().map(plugin::Module::reader).collect());
    shared
}

/// Writes what plug-ins said, and what became of their faults, to the log.
pub(super) fn tell(shared: &Shared) {
    for line in shared.take_plugin_lines() {
        tracing::warn!("plug-in {line}");
    }
}
