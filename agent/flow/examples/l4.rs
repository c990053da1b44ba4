//! Flow logs of a capture as JSON lines, for judging the quantities without the whole agent:
//! `l4 replay FILE --table l4_flow_log`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use flow::{FlowConfig, FlowReport, FlowTable, Kept};
use source::replay::Capture;
use wire::{DecapConfig, LinkType};

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(2) else {
        eprintln!("usage: l4 replay FILE");
        return ExitCode::FAILURE;
    };
    let mut kept = Kept::default();
    let outcome = replay(Path::new(&file), &mut kept);
    let mut out = std::io::stdout().lock();
    for report in &kept.reports {
        if writeln!(out, "{}", json(report)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::from(2)
        }
    }
}

fn replay(file: &Path, kept: &mut Kept) -> Result<(), source::replay::ReplayError> {
    let mut table = FlowTable::new(FlowConfig::default());
    let mut now_ns = 0;
    let mut capture = Capture::open(file, LinkType::PCAP)?;
    let outcome = loop {
        let frame = match capture.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        now_ns = frame.time_ns.max(now_ns);
        let Some(link) = LinkType::from_pcap(frame.link_type) else { continue };
        let decap = DecapConfig::all();
        if let Ok(packet) = wire::parse(link, frame.bytes, frame.wire_bytes, &decap) {
            table.on_packet(frame.time_ns, frame.interface, &packet, kept);
        }
    };
    table.flush(now_ns, kept);
    outcome
}

fn json(report: &FlowReport) -> String {
    let FlowReport { info, counters, .. } = report;
    let fields = [
        ("protocol", u64::from(info.protocol)),
        ("client_port", u64::from(info.client.port)),
        ("server_port", u64::from(info.server.port)),
        ("direction_score", u64::from(info.direction_score)),
        ("start_time", report.start_ns / 1000),
        ("end_time", report.end_ns / 1000),
        ("duration", report.duration_us()),
        ("close_type", u64::from(report.close_type.id())),
        ("status", u64::from(report.status().id())),
        ("packet_tx", counters.packet_tx),
        ("packet_rx", counters.packet_rx),
        ("byte_tx", counters.byte_tx),
        ("byte_rx", counters.byte_rx),
        ("syn_count", u64::from(counters.syn_count)),
        ("synack_count", u64::from(counters.synack_count)),
        ("fin_count", u64::from(counters.fin_count)),
        ("retrans_tx", u64::from(counters.retrans_tx)),
        ("retrans_rx", u64::from(counters.retrans_rx)),
        ("retrans_syn", u64::from(counters.retrans_syn)),
        ("retrans_synack", u64::from(counters.retrans_synack)),
        ("ooo_tx", u64::from(counters.ooo_tx)),
        ("ooo_rx", u64::from(counters.ooo_rx)),
        ("zero_win_tx", u64::from(counters.zero_win_tx)),
        ("zero_win_rx", u64::from(counters.zero_win_rx)),
        ("rtt", u64::from(counters.rtt.max_us)),
        ("rtt_client", u64::from(counters.rtt_client.max_us)),
        ("rtt_server", u64::from(counters.rtt_server.max_us)),
        ("srt_sum", counters.srt.sum_us()),
        ("srt_count", u64::from(counters.srt.count)),
        ("art_sum", counters.art.sum_us()),
        ("art_count", u64::from(counters.art.count)),
        ("cit_sum", counters.cit.sum_us()),
        ("cit_count", u64::from(counters.cit.count)),
    ];
    let ends = format!("\"client\":\"{}\",\"server\":\"{}\"", info.client.ip, info.server.ip);
    let fields = fields.map(|(name, value)| format!("\"{name}\":{value}")).join(",");
    format!("{{{ends},{fields}}}")
}
