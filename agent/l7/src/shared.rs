//! What all conversations of one pipeline thread share: settings, budgets, counters, and what is
//! known of servers.
//!
//! In: claims of memory and results of inference. Out: whether they are granted, counters of
//! what was let go. Never: shared between threads, an order that depends on hashing.

use std::collections::HashMap;

use schema::{Drop, L7Protocol};

use crate::config::Config;
use crate::plugin::{Plugin, PluginHandle};

/// One per pipeline thread, lent to every call of a conversation.
#[derive(Debug)]
pub struct Shared {
    config: Config,
    plugins: Vec<PluginHandle>,
    servers: Servers,
    drops: DropCounts,
    buffered_bytes: usize,
    sessions: usize,
}

impl Shared {
    /// With nothing known yet.
    pub fn new(config: Config) -> Self {
        Self {
            servers: Servers::new(config.inference.servers),
            config,
            plugins: Vec::new(),
            drops: DropCounts::default(),
            buffered_bytes: 0,
            sessions: 0,
        }
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes new settings. They hold for what comes after; protocols found so far stay.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Takes readers of the user's own protocols. They are asked before those of this crate.
    pub fn set_plugins(&mut self, plugins: Vec<Box<dyn Plugin>>) {
        self.plugins = plugins.into_iter().map(PluginHandle::new).collect();
    }

    /// What plug-ins have to say since the last call.
    pub fn take_plugin_lines(&self) -> Vec<String> {
        self.plugins
            .iter()
            .flat_map(|plugin| {
                plugin.with(|plugin| {
                    let lines = plugin.take_lines();
                    let named = |line| format!("{}: {line}", plugin.name());
                    lines.into_iter().map(named).collect::<Vec<_>>()
                })
            })
            .collect()
    }

    pub(crate) fn plugins(&self) -> &[PluginHandle] {
        &self.plugins
    }

    /// Bytes held by all conversations together. unit byte
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Sessions that wait in all conversations together.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// What was let go since the last call, by reason; zero counts are left out.
    pub fn take_drops(&mut self) -> impl Iterator<Item = (Drop, u64)> + use<> {
        let drops = std::mem::take(&mut self.drops);
        let faults: u64 =
            self.plugins.iter().map(|plugin| plugin.with(|plugin| plugin.take_faults())).sum();
        [
            (Drop::PluginFault, faults),
            (Drop::ReassemblyGap, drops.gap_bytes),
            (Drop::ReassemblyFull, drops.full_bytes),
            (Drop::SessionTableFull, drops.sessions),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    pub(crate) fn drops(&mut self) -> &mut DropCounts {
        &mut self.drops
    }

    /// The settings beside the counters, for a protocol that needs both.
    pub(crate) fn split(&mut self) -> (&Config, &mut DropCounts) {
        (&self.config, &mut self.drops)
    }

    /// Accounts for a conversation that held `before` bytes and now holds `after`.
    pub(crate) fn rebalance_bytes(&mut self, before: usize, after: usize) {
        self.buffered_bytes = (self.buffered_bytes + after).saturating_sub(before);
    }

    /// Accounts for a conversation in which `before` sessions waited and now `after` do.
    pub(crate) fn rebalance_sessions(&mut self, before: usize, after: usize) {
        self.sessions = (self.sessions + after).saturating_sub(before);
    }

    pub(crate) fn over_budget(&self) -> bool {
        self.buffered_bytes > self.config.limits.buffered_bytes
    }

    pub(crate) fn protocol_of(&self, server_key: u64) -> Option<L7Protocol> {
        self.servers.find(server_key).and_then(|server| server.protocol)
    }

    /// Whether inference has failed so often with this server that it is left alone now.
    pub(crate) fn is_given_up(&self, server_key: u64, now_ns: u64) -> bool {
        let inference = &self.config.inference;
        self.servers.find(server_key).is_some_and(|server| {
            server.protocol.is_none()
                && server.failures >= inference.failures
                && now_ns < server.failed_ns.saturating_add(inference.ttl_ns)
        })
    }

    pub(crate) fn learn(&mut self, server_key: u64, protocol: L7Protocol) {
        let server = self.servers.entry(server_key);
        server.protocol = Some(protocol);
        server.failures = 0;
    }

    pub(crate) fn count_failure(&mut self, server_key: u64, now_ns: u64) {
        let ttl_ns = self.config.inference.ttl_ns;
        let server = self.servers.entry(server_key);
        if now_ns >= server.failed_ns.saturating_add(ttl_ns) {
            server.failures = 0;
        }
        server.failures = server.failures.saturating_add(1);
        server.failed_ns = now_ns;
    }
}

/// Counts of what was let go, as in `schema/drops.toml`.
#[derive(Debug, Default)]
pub(crate) struct DropCounts {
    /// Bytes of a stream that were never seen, or could not be followed.
    pub gap_bytes: u64,
    /// Bytes let go at a memory bound.
    pub full_bytes: u64,
    /// Sessions let go at a bound.
    pub sessions: u64,
}

/// What inference found out about a server endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    protocol: Option<L7Protocol>,
    failures: u32,
    failed_ns: u64,
}

/// Servers by key: two generations, so that the least recently used go without any iteration.
#[derive(Debug)]
struct Servers {
    young: HashMap<u64, Server>,
    old: HashMap<u64, Server>,
    generation_entries: usize,
}

impl Servers {
    fn new(entries: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_entries: entries.div_ceil(2).max(1),
        }
    }

    fn find(&self, key: u64) -> Option<&Server> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    fn entry(&mut self, key: u64) -> &mut Server {
        if !self.young.contains_key(&key) {
            let known = self.old.remove(&key).unwrap_or_default();
            if self.young.len() >= self.generation_entries {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(key, known);
        }
        self.young.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_bounded_and_recent_ones_stay() {
        let mut servers = Servers::new(4);
        for key in 0..100 {
            servers.entry(7).failures += 1;
            servers.entry(key).failed_ns = key;
        }
        assert!(servers.young.len() + servers.old.len() <= 4);
        assert_eq!(servers.find(7).map(|server| server.failures), Some(100));
        assert!(servers.find(1).is_none());
    }

    #[test]
    fn failures_give_a_server_up_for_a_while() {
        let mut shared = Shared::new(Config::live());
        for _ in 0..128 {
            assert!(!shared.is_given_up(1, 1_000));
            shared.count_failure(1, 1_000);
        }
        assert!(shared.is_given_up(1, 2_000));
        assert!(!shared.is_given_up(1, 61_000_000_000));
    }
}
