//! Live capture under load: `capture_rate INTERFACE [SECONDS]` prints once a second what was
//! seen and dropped and what it cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use source::packet::{AfPacket, PacketConfig, PacketError};

fn main() -> Result<(), PacketError> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "lo".to_owned());
    let seconds: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let interfaces = Arc::new(move |nic: &str| nic == name);
    let mut capture = AfPacket::open(PacketConfig { interfaces, ..PacketConfig::default() })?;
    let mut before = capture.stats()?;
    for _ in 0..seconds {
        let (end, cpu_ns) = (Instant::now() + Duration::from_secs(1), cpu_ns());
        let mut bytes = 0;
        while Instant::now() < end {
            capture.poll(Duration::from_millis(100), |frame| {
                bytes += u64::from(frame.wire_bytes);
            })?;
        }
        let (now, spent_ns) = (capture.stats()?, self::cpu_ns() - cpu_ns);
        let frames = now.frames - before.frames;
        println!(
            "{frames} frames, {bytes} bytes, {} dropped, {} ms of CPU, {} ns a frame",
            now.kernel_drops - before.kernel_drops,
            spent_ns / 1_000_000,
            spent_ns / frames.max(1),
        );
        before = now;
    }
    Ok(())
}

/// Time that this process has had on a processor. unit ns
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}
