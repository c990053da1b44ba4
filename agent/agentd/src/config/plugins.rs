//! Plug-ins that the configuration names: read, checked and compiled at start.
//!
//! In: `plugins.*` and their limits in `agent.*`. Out: modules, or which file is wrong and what to
//! do about it. Never: a plug-in left out in silence.

use anyhow::{Context, Result, bail, ensure};
use plugin::{Limits, Module};

use super::Settings;

/// The plug-ins, in the order in which they are asked.
pub fn load(s: &Settings) -> Result<Vec<Module>> {
    let key = "plugins.so_plugins";
    if !s.values(key)?.is_empty() {
        bail!(
            "{key}: libraries are not loaded, since a fault in one would end the agent; build the \
             plug-in as WebAssembly (docs/plugins.md) and name its file in plugins.wasm_plugins"
        );
    }
    let key = "plugins.wasm_plugins";
    let files = s.list(key)?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let limits = limits(s)?;
    let mut modules: Vec<Module> = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).with_context(|| {
            format!("{key}: cannot read {file}; name files of this host, with their whole path")
        })?;
        let module = Module::load(bytes, limits).with_context(|| format!("{key}: {file}"))?;
        if modules.iter().any(|other| other.name() == module.name()) {
            bail!("{key}: {file}: another plug-in is named {:?} too; rename one", module.name());
        }
        modules.push(module);
    }
    Ok(modules)
}

/// Most memory of a plug-in: what 32-bit addresses reach in an agent of modest size. unit byte
const MEMORY_BYTES: u64 = 256 << 20;

/// Most of a message that is shown: what is held of a direction. unit byte
const PAYLOAD_BYTES: u64 = 256 << 10;

fn limits(s: &Settings) -> Result<Limits> {
    let within = |path: &str, least: u64, most: u64| {
        let count = s.count(path)?;
        ensure!((least..=most).contains(&count), "{path}: {count} is not in {least} to {most}");
        anyhow::Ok(count)
    };
    Ok(Limits {
        fuel: within("agent.plugin_fuel", 10_000, 10_000_000_000)?,
        memory_bytes: within("agent.plugin_memory_bytes", 65_536, MEMORY_BYTES)? as usize,
        payload_bytes: within("agent.plugin_payload_bytes", 256, PAYLOAD_BYTES)? as usize,
        ..Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(yaml: &str) -> String {
        let settings = Settings::parse(yaml).expect("known keys");
        format!("{:#}", load(&settings).expect_err("wrong"))
    }

    #[test]
    fn what_is_wrong_names_the_file_and_what_to_do() {
        let text = error("plugins: {wasm_plugins: [/nowhere/x.wasm]}");
        assert!(text.contains("cannot read /nowhere/x.wasm; name files"), "{text}");
        let text = error("plugins: {so_plugins: [x]}");
        assert!(text.contains("build the plug-in as WebAssembly"), "{text}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("broken.wasm");
        std::fs::write(&file, b"\0asm\x01\0\0\0garbage").expect("a file");
        let text = error(&format!("plugins: {{wasm_plugins: [{}]}}", file.display()));
        assert!(text.contains("broken.wasm: not a WebAssembly module"), "{text}");
        assert!(text.contains("wasm32-unknown-unknown"), "{text}");
        let yaml = format!(
            "plugins: {{wasm_plugins: [{}]}}\nagent: {{plugin_memory_bytes: 1}}",
            file.display()
        );
        let text = error(&yaml);
        assert!(text.starts_with("agent.plugin_memory_bytes: 1 is not in"), "{text}");
    }
}
