//! What the agent says of a capture: the rows of `replay --table l4_flow_log`, added up by flow.
//!
//! In: the agent's program and a capture file. Out: flows with their quantities by side, in the
//! order in which they began.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::quantity::{Quantity, Sides};

/// An address and port.
pub type Place = (IpAddr, u16);

/// What tells conversations apart: both ends, the lesser first, and the IP protocol.
pub type Key = (Place, Place, u8);

/// The key of a packet or flow between two places, and the side that the first one is.
pub fn key(a: Place, b: Place, protocol: u8) -> (Key, usize) {
    if a <= b { ((a, b, protocol), 0) } else { ((b, a, protocol), 1) }
}

/// A flow of the agent.
#[derive(Debug)]
pub struct Flow {
    /// Its id.
    pub id: u64,
    /// Ends and protocol.
    pub key: Key,
    /// Interface.
    pub nic: u64,
    /// Id of the overlay network; 0 outside of one.
    pub network: u64,
    /// First packet. unit µs since the Unix epoch
    pub start_us: u64,
    /// Side of the client.
    pub client: usize,
    /// Quantities by side.
    pub sums: HashMap<Quantity, Sides>,
}

/// What came out of a replay.
#[derive(Debug)]
pub struct Replay {
    /// The flows.
    pub flows: Vec<Flow>,
    /// What the agent said when it could not read the capture to its end.
    pub damage: Option<String>,
}

/// Replays a capture.
pub fn replay(agent: &Path, capture: &Path) -> Result<Replay> {
    let output = Command::new(agent)
        .arg("replay")
        .arg(capture)
        .args(["--table", "l4_flow_log"])
        .output()
        .with_context(|| format!("failed to start {}", agent.display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let damage = match output.status.code() {
        Some(0) => None,
        Some(2) => Some(stderr),
        _ => bail!("{} ended with {}: {stderr}", agent.display(), output.status),
    };
    let mut flows: HashMap<u64, Flow> = HashMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let row: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        add(&mut flows, &row).with_context(|| format!("cannot read the row {line}"))?;
    }
    let mut flows: Vec<Flow> = flows.into_values().collect();
    // The counter in the lower half of an id grows from flow to flow.
    flows.sort_unstable_by_key(|flow| flow.id as u32);
    Ok(Replay { flows, damage })
}

fn add(flows: &mut HashMap<u64, Flow>, row: &Value) -> Result<()> {
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    let place = |side: u8, port: &str| -> Result<Place> {
        let name = if number("is_ipv4") == 1 { "ip4" } else { "ip6" };
        let text = row[format!("{name}_{side}")].as_str().unwrap_or("::");
        Ok((text.parse()?, u16::try_from(number(port))?))
    };
    let protocol = u8::try_from(number("protocol"))?;
    let (client, server) = (place(0, "client_port")?, place(1, "server_port")?);
    let (key, side) = key(client, server, protocol);
    let names_network = matches!(number("tunnel_type"), 1 | 4 | 5);
    let network = number("tunnel_tx_id").max(number("tunnel_rx_id"));
    let flow = flows.entry(number("flow_id")).or_insert_with(|| Flow {
        id: number("flow_id"),
        key,
        nic: number("capture_nic"),
        network: if names_network { network } else { 0 },
        start_us: u64::MAX,
        client: side,
        sums: HashMap::new(),
    });
    flow.client = side;
    flow.start_us = flow.start_us.min(number("start_time"));
    for quantity in Quantity::ALL {
        let [tx, rx] = quantity.columns();
        let sides = flow.sums.entry(quantity).or_default();
        for (column, side) in [(tx, side), (rx, 1 - side)] {
            let value = number(column) as i64;
            let sum = &mut sides[if quantity.is_sided() { side } else { 0 }];
            *sum = if quantity.is_time() { value.max(*sum) } else { *sum + value };
        }
    }
    Ok(())
}
