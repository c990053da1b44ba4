//! Servers that need little more than a port: memcached, mosquitto, nats-server, slapd.
//!
//! In: a namespace of the laboratory, which has the port for itself. Out: a running server that
//! ends with its handle.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::program;
use crate::lab::Namespace;
use crate::process::Process;

/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// memcached, which refuses to be root without being told so.
pub fn memcached(space: &Namespace, folder: &Path, port: u16) -> Result<Process> {
    let mut command = space.command(program("memcached")?);
    command.args(["-u", "root", "-l", "127.0.0.1", "-m", "64", "-p", &port.to_string()]);
    start(space, folder, "memcached", port, &mut command)
}

/// mosquitto without persistence, for anybody.
pub fn mosquitto(space: &Namespace, folder: &Path, port: u16) -> Result<Process> {
    let configuration = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n\
         log_dest stdout\nset_tcp_nodelay true\n"
    );
    std::fs::write(&configuration, text)?;
    let mut command = space.command(program("mosquitto")?);
    command.arg("-c").arg(&configuration);
    start(space, folder, "mosquitto", port, &mut command)
}

/// nats-server.
pub fn nats(space: &Namespace, folder: &Path, port: u16) -> Result<Process> {
    let mut command = space.command(program("nats-server")?);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
    start(space, folder, "nats-server", port, &mut command)
}

/// Password of slapd's administrator.
pub const PASSWORD: &str = "shop-secret";

/// slapd with an empty directory below `dc=shop,dc=test`.
pub fn slapd(space: &Namespace, folder: &Path, port: u16) -> Result<Process> {
    let (configuration, data) = (folder.join("slapd.conf"), folder.join("slapd"));
    std::fs::create_dir_all(&data)?;
    let text = format!(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         pidfile {data}/pid\ndatabase mdb\nsuffix dc=shop,dc=test\nrootdn cn=admin,dc=shop,dc=test\n\
         rootpw {PASSWORD}\ndirectory {data}\nmaxsize 67108864\ndbnosync\n",
        data = data.display()
    );
    std::fs::write(&configuration, text)?;
    let mut command = space.command(program("slapd")?);
    command.args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"]).arg(&configuration);
    start(space, folder, "slapd", port, &mut command)
}

/// Starts a server and waits until its port is open.
pub fn start(
    space: &Namespace,
    folder: &Path,
    name: &str,
    port: u16,
    command: &mut Command,
) -> Result<Process> {
    let mut process = Process::start(name, folder, command)?;
    process.wait_until(START_TIMEOUT, || space.listens(port))?;
    Ok(process)
}
