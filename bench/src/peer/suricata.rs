//! Suricata as a reader of captures.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What it has to be told: one thread, one kind of record, nothing else.
const CONFIG: &str = "%YAML 1.1\n---\nvars: {address-groups: {HOME_NET: any, EXTERNAL_NET: any}}\n\
    stats: {enabled: no}\nrule-files: []\ndefault-log-dir: .\n\
    logging: {default-log-level: error, outputs: [{console: {enabled: yes}}]}\n\
    flow: {memcap: 4gb, hash-size: 1048576, prealloc: 100000}\n\
    stream: {memcap: 4gb, reassembly: {memcap: 4gb}}\n";
/// Application protocols that it reads unless it is told not to.
const PROTOCOLS: &str = "bittorrent-dht dcerpc dhcp dnp3 enip ftp http http2 ike imap krb5 modbus \
    mqtt nfs ntp pgsql pop3 quic rdp rfb sip smb smtp snmp ssh telnet tftp tls";
/// File of its records.
pub(super) const RECORDS: &str = "eve.json";

/// A Suricata, and the loader that it needs where it is of another release of Debian.
pub(super) struct Suricata {
    program: PathBuf,
    loader: Option<(PathBuf, PathBuf)>,
}

impl Suricata {
    /// The one of this machine.
    pub fn find() -> Option<Self> {
        let name = std::env::var_os("SURICATA").unwrap_or_else(|| "suricata".into());
        let answers = Command::new(&name).arg("-V").output().is_ok_and(|o| o.status.success());
        if answers {
            return Some(Self { program: name.into(), loader: None });
        }
        let root = Path::new("/opt/suricata/usr");
        let libraries = root.join("lib/x86_64-linux-gnu");
        let loader = libraries.join("ld-linux-x86-64.so.2");
        let program = root.join("bin/suricata");
        let is_here = program.is_file() && loader.is_file();
        is_here.then_some(Self { program, loader: Some((loader, libraries)) })
    }

    /// Reads a capture in `folder` and writes [`RECORDS`] there, of the kinds `records`; of the
    /// application protocols it reads `protocol` alone.
    pub fn command(
        &self,
        folder: &Path,
        capture: &Path,
        (records, protocol): (&str, Option<&str>),
    ) -> std::io::Result<Command> {
        std::fs::write(folder.join("suricata.yaml"), config(records, protocol))?;
        let mut command = match &self.loader {
            None => Command::new(&self.program),
            Some((loader, libraries)) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(&self.program);
                command
            }
        };
        command.args(["--runmode", "single", "-k", "none", "-c", "suricata.yaml", "-l", "."]);
        command.arg("-r").arg(capture).current_dir(folder).stdout(Stdio::null());
        Ok(command)
    }
}

fn config(records: &str, protocol: Option<&str>) -> String {
    let enabled = |name: &str| if protocol == Some(name) { "yes" } else { "no" };
    let one = |name: &str| format!("    {name}: {{enabled: {}}}\n", enabled(name));
    let protocols: String = PROTOCOLS.split_whitespace().map(one).collect();
    let dns = enabled("dns");
    format!(
        "{CONFIG}outputs:\n  - eve-log: {{enabled: yes, filetype: regular, filename: {RECORDS}, \
         types: [{records}]}}\napp-layer:\n  protocols:\n{protocols}    \
         dns: {{tcp: {{enabled: {dns}}}, udp: {{enabled: {dns}}}}}\n"
    )
}
