//! dig in batches: names that are there, names that are not, several types, UDP and TCP.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::run_together;

/// `queries` over UDP, every fifth of which is answered with NXDOMAIN.
pub fn udp(address: &str, folder: &Path, queries: u32) -> Result<()> {
    let mut lines = String::new();
    for number in 0..queries {
        lines.push_str(&match number % 5 {
            0 => format!("nothing-{number}.shop.test A\n"),
            1 => "www.shop.test AAAA\n".to_owned(),
            2 => "text.shop.test TXT\n".to_owned(),
            3 => format!("h{number}.host.shop.test A\n"),
            _ => "www.shop.test A\n".to_owned(),
        });
    }
    let batch = folder.join("names.txt");
    std::fs::write(&batch, lines)?;
    let mut command = Command::new("dig");
    command.arg(format!("@{address}")).args(["+tries=1", "+time=5", "-f"]).arg(&batch);
    run_together(vec![command])
}
