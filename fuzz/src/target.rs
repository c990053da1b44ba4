//! The list of targets: one for each stage, and one for each protocol that `l7` has registered.

use schema::L7Protocol;

use crate::{capture, conversation, flows, seeds, server};

/// Something to fuzz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Frames of every link type, with tunnels.
    Wire,
    /// Packets, ticks and calls of a flow table, and its minutes.
    Flow,
    /// Capture files.
    Capture,
    /// Records of the BPF ring.
    Event,
    /// Messages and blocks of columns, as a server reads them.
    Server,
    /// A conversation that may speak any protocol, or this one.
    Conversation(Option<L7Protocol>),
}

impl Target {
    /// Every target.
    pub fn all() -> Vec<Self> {
        let target = |name: &str, kind| Self { name: name.to_owned(), kind };
        let mut all = vec![
            target("wire", Kind::Wire),
            target("flow", Kind::Flow),
            target("capture", Kind::Capture),
            target("event", Kind::Event),
            target("server", Kind::Server),
            target("l7", Kind::Conversation(None)),
        ];
        all.extend(l7::PARSED_PROTOCOLS.iter().map(|protocol| Self {
            name: format!("l7-{}", protocol.name().to_lowercase()),
            kind: Kind::Conversation(Some(*protocol)),
        }));
        all
    }

    /// The target of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|target| target.name == name)
    }

    /// Its name: `wire`, `l7-mysql`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it on an input.
    ///
    /// # Panics
    /// When a property does not hold.
    pub fn run(&self, data: &[u8]) {
        match self.kind {
            Kind::Wire => wire::fuzz(data),
            Kind::Flow => flows::run(data),
            Kind::Capture => capture::run(data),
            Kind::Event => capture::run_event(data),
            Kind::Server => server::run(data),
            Kind::Conversation(protocol) => conversation::run(protocol, data),
        }
    }

    /// Inputs to begin with, made from what the tree holds for its tests.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Wire => seeds::frames(),
            Kind::Flow => seeds::flows(),
            Kind::Capture => seeds::captures(),
            Kind::Event => seeds::events(),
            Kind::Server => seeds::messages(),
            Kind::Conversation(protocol) => {
                let seeds = seeds::conversations(protocol);
                // A protocol without cases in `testdata/` (ICMP echo) begins with a short input.
                if seeds.is_empty() { vec![vec![0; 16]] } else { seeds }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_protocol_has_a_target() {
        let all = Target::all();
        for protocol in l7::PARSED_PROTOCOLS {
            let kind = Kind::Conversation(Some(*protocol));
            assert_eq!(all.iter().filter(|target| target.kind == kind).count(), 1);
        }
        let mut names: Vec<&str> = all.iter().map(Target::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len(), "names are unique");
    }
}
