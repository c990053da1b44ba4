//! The peer's captures of TCP quantities and close types, as `score_l4.py` judges them; skipped
//! where they are absent. The rules in `src` say where and why a result would differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow::minute::Aggregator;
use flow::{FlowConfig, FlowReport, FlowTable};
use source::replay::Capture;
use wire::{DecapConfig, LinkType};

fn peer_captures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peer-captures");
    #[expect(clippy::disallowed_methods, reason = "a test finds its data by the environment")]
    let given = std::env::var_os("DEEPFLOW_PEER_CAPTURES");
    let path = given.map_or(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no peer captures at {}", path.display());
    None
}

fn replay(file: &Path) -> Vec<FlowReport> {
    let mut table = FlowTable::new(FlowConfig::default());
    let (mut minutes, mut ticks, mut reports) = (Aggregator::new(), Vec::new(), Vec::new());
    let mut now_ns = 0;
    let mut capture = Capture::open(file, LinkType::PCAP).expect("a capture");
    while let Some(frame) = capture.next().expect("a sound capture") {
        now_ns = frame.time_ns;
        let link = LinkType::from_pcap(frame.link_type).expect("a known link type");
        if let Ok(packet) = wire::parse(link, frame.bytes, frame.wire_bytes, &DecapConfig::all()) {
            table.on_packet(now_ns, frame.interface, &packet, &mut ticks);
        }
    }
    table.flush(now_ns, &mut ticks);
    ticks.iter().for_each(|tick| minutes.on_tick(tick, &mut reports));
    minutes.flush(&mut reports);
    assert_eq!(table.stats().held, 0, "every flow has ended");
    reports
}

/// Sum of a TimeStats line in µs, or a plain number, after `name: ` in the peer's debug text.
fn expected(text: &str, name: &str) -> u64 {
    let Some((_, rest)) = text.split_once(&format!(" {name}: ")) else { return 0 };
    let value = match rest.strip_prefix("TimeStats {") {
        Some(stats) => stats.split_once("sum: ").map_or("", |(_, sum)| sum),
        None => rest,
    };
    let value = &value[..value.find([',', '\n']).unwrap_or(value.len())];
    for (unit, factor) in [("ns", 1e-3), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(Ok(number)) = value.strip_suffix(unit).map(str::parse::<f64>) {
            return (number * factor).round() as u64;
        }
    }
    value.parse().unwrap_or(0)
}

#[test]
fn quantities_after_the_last_packet() {
    let Some(root) = peer_captures() else { return };
    let mut judged = 0;
    for entry in std::fs::read_dir(root.join("l4")).expect("the folder l4") {
        let result = entry.expect("an entry").path();
        if result.extension().is_none_or(|extension| extension != "result") {
            continue;
        }
        let text = std::fs::read_to_string(&result).expect("a result");
        let Some((_, last)) = text.rsplit_once("PerfData {") else { continue };
        let reports = replay(&result.with_extension("pcap"));
        let sum = |count: fn(&flow::Counters) -> u64| -> u64 {
            reports.iter().map(|report| count(&report.counters)).sum()
        };
        let quantities: [(&str, u64, u64); 9] = [
            ("rtt", sum(|c| c.rtt.sum_us()), expected(last, "rtt_full")),
            ("rtt_client", sum(|c| c.rtt_client.sum_us()), expected(last, "rtt_0")),
            ("rtt_server", sum(|c| c.rtt_server.sum_us()), expected(last, "rtt_1")),
            ("syn", sum(|c| c.syn_count.into()), expected(last, "syn")),
            ("synack", sum(|c| c.synack_count.into()), expected(last, "synack")),
            ("fin", sum(|c| c.fin_count.into()), expected(last, "fin_count")),
            ("cit", sum(|c| c.cit.sum_us()), expected(last, "cit")),
            (
                "retrans",
                sum(|c| u64::from(c.retrans_tx) + u64::from(c.retrans_rx)),
                expected(last, "retrans_sum"),
            ),
            ("retrans_syn", sum(|c| c.retrans_syn.into()), expected(last, "retrans_syn")),
        ];
        for (name, got, want) in quantities {
            assert_eq!(got, want, "{name} of {}", result.display());
            judged += 1;
        }
    }
    assert!(judged >= 54, "only {judged} quantities found");
}

#[test]
fn close_types() {
    let Some(root) = peer_captures() else { return };
    let text = std::fs::read_to_string(root.join("l4/close_types.json")).expect("close types");
    let pairs = text.split(['{', '}', ',']).filter_map(|pair| {
        let (stem, number) = pair.split_once(':')?;
        Some((stem.trim().trim_matches('"').to_owned(), number.trim().parse::<u8>().ok()?))
    });
    let expected: BTreeMap<String, u8> = pairs.collect();
    assert!(expected.len() >= 7);
    for (stem, close_type) in expected {
        let reports = replay(&root.join("l4").join(format!("{stem}.pcap")));
        let got: Vec<u8> = reports.iter().map(|report| report.close_type.id()).collect();
        assert_eq!(got, [close_type], "{stem}");
    }
}

#[test]
fn two_replays_are_equal() {
    let Some(root) = peer_captures() else { return };
    let mut captures = 0;
    for folder in std::fs::read_dir(&root).expect("the folder").flatten() {
        let Ok(files) = std::fs::read_dir(folder.path()) else { continue };
        for file in files.flatten().map(|file| file.path()) {
            if file.extension().is_some_and(|extension| extension == "pcap") {
                assert_eq!(replay(&file), replay(&file), "{}", file.display());
                captures += 1;
            }
        }
    }
    assert!(captures > 50, "only {captures} captures found");
}
