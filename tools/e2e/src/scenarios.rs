//! What is tested, by name. A scenario starts what it needs, asks, and compares.

pub mod bad_input;
pub mod browser;
pub mod capture_speed;
pub mod counts;
pub mod failures;
pub mod files;
pub mod netem;
pub mod owners;
pub mod protocols;
pub mod real_servers;
pub mod replay;
pub mod selfcheck;
pub mod sendfile;
pub mod share;
pub mod teardown;
pub mod tls;
pub mod tls_gnutls;
pub mod tls_go;

use std::path::PathBuf;

use anyhow::Result;

use crate::report::Report;

/// What every scenario is given.
#[derive(Debug)]
pub struct Context {
    /// Folder of the programs under test.
    pub programs: PathBuf,
    /// Folder for everything that the scenario writes.
    pub folder: PathBuf,
    /// Whether the long forms are wanted (a network cut of 60 s).
    pub long: bool,
}

/// A scenario by its name.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&Context, &mut Report) -> Result<()>,
}

/// What `all` runs, in this order.
pub const ALL: &[Scenario] = &[
    Scenario { name: "selfcheck", run: selfcheck::run },
    Scenario { name: "replay", run: replay::run },
    Scenario { name: "http", run: protocols::http },
    Scenario { name: "redis", run: protocols::redis },
    Scenario { name: "mysql", run: protocols::mysql },
    Scenario { name: "postgresql", run: protocols::postgresql },
    Scenario { name: "dns", run: protocols::dns },
    Scenario { name: "files", run: files::run },
    Scenario { name: "http1", run: real_servers::http1 },
    Scenario { name: "sendfile", run: sendfile::run },
    Scenario { name: "http2", run: real_servers::http2 },
    Scenario { name: "fastcgi", run: real_servers::fastcgi },
    Scenario { name: "grpc", run: real_servers::grpc },
    Scenario { name: "memcached", run: real_servers::memcached },
    Scenario { name: "mqtt", run: real_servers::mqtt },
    Scenario { name: "amqp", run: real_servers::amqp },
    Scenario { name: "amqp1", run: real_servers::amqp1 },
    Scenario { name: "nats", run: real_servers::nats },
    Scenario { name: "zmtp", run: real_servers::zmtp },
    Scenario { name: "tls", run: tls::run },
    Scenario { name: "tls-gnutls", run: tls_gnutls::run },
    Scenario { name: "tls-go", run: tls_go::run },
    Scenario { name: "ldap", run: real_servers::ldap },
    Scenario { name: "smtp", run: real_servers::smtp },
    Scenario { name: "thrift", run: real_servers::thrift },
    Scenario { name: "share", run: share::run },
    Scenario { name: "server-killed", run: failures::server_killed },
    Scenario { name: "engine-killed", run: failures::engine_killed },
    Scenario { name: "agent-killed", run: failures::agent_killed },
    Scenario { name: "spool-full", run: failures::spool_full },
    Scenario { name: "network-cut", run: failures::network_cut },
    Scenario { name: "browser", run: browser::run_browser },
    Scenario { name: "owners", run: owners::run },
    Scenario { name: "bad-input", run: bad_input::run },
];

/// Scenarios that measure times and rates, so that other load on the machine changes what they
/// find: run by name on a quiet machine, not with `all`.
pub const MEASURING: &[Scenario] = &[
    Scenario { name: "netem", run: netem::run },
    Scenario { name: "capture-speed", run: capture_speed::run },
];
