//! The peer's captures of TCP quantities and close types, every quantity after every packet; skipped
//! where they are absent. The rules in `src` say where and why a result would differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow::{FlowConfig, FlowReport, FlowTable, Kept};
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

/// Reports of a capture's first packets.
fn replay_first(file: &Path, packets: usize) -> Vec<FlowReport> {
    let mut table = FlowTable::new(FlowConfig::default());
    let mut kept = Kept::default();
    let mut now_ns = 0;
    let mut capture = Capture::open(file, LinkType::PCAP).expect("a capture");
    for _ in 0..packets {
        let Some(frame) = capture.next().expect("a sound capture") else { break };
        now_ns = frame.time_ns;
        let link = LinkType::from_pcap(frame.link_type).expect("a known link type");
        if let Ok(packet) = wire::parse(link, frame.bytes, frame.wire_bytes, &DecapConfig::all()) {
            table.on_packet(now_ns, frame.interface, &packet, &mut kept);
        }
    }
    table.flush(now_ns, &mut kept);
    assert_eq!(table.stats().held, 0, "every flow has ended");
    kept.reports
}

fn replay(file: &Path) -> Vec<FlowReport> {
    replay_first(file, usize::MAX)
}

/// Values after `name: ` in the peer's debug text: count, sum and greatest of a TimeStats in µs, or
/// the one plain number or time.
fn expected(text: &str, name: &str) -> Vec<u64> {
    let (_, rest) = text.split_once(&format!(" {name}: ")).expect("a quantity of the peer");
    let (from, until) = match rest.strip_prefix("TimeStats {") {
        Some(stats) => (stats, "updated"),
        None => (rest, "\n"),
    };
    let (fields, _) = from.split_once(until).expect("an end");
    let numbers = fields.split(',').map(|field| field.rsplit(' ').next().unwrap_or(field));
    numbers.filter(|number| !number.is_empty()).map(micros).collect()
}

fn micros(text: &str) -> u64 {
    for (unit, factor) in [("ns", 1e-3), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<f64>) {
            return (number * factor).round() as u64;
        }
    }
    text.parse().expect("a number")
}

/// What we have for each of the peer's quantities. Its `_0` is the client, `_1` the server; we keep
/// srt and art of the server only, as its own flow log does.
fn quantities(reports: &[FlowReport]) -> Vec<(&'static str, Vec<u64>)> {
    let mut sum = flow::Counters::default();
    reports.iter().for_each(|report| sum.merge(&report.counters));
    let delay =
        |delay: &flow::Delay| vec![u64::from(delay.count), delay.sum_us(), u64::from(delay.max_us)];
    let number = |number: u32| vec![u64::from(number)];
    vec![
        ("rtt_full", vec![sum.rtt.sum_us()]),
        ("rtt_0", delay(&sum.rtt_client)),
        ("rtt_1", delay(&sum.rtt_server)),
        ("srt_1", delay(&sum.srt)),
        ("art_1", delay(&sum.art)),
        ("cit", delay(&sum.cit)),
        ("retrans_0", number(sum.retrans_tx)),
        ("retrans_1", number(sum.retrans_rx)),
        ("retrans_sum", number(sum.retrans_tx + sum.retrans_rx)),
        ("retrans_syn", number(sum.retrans_syn)),
        ("retrans_synack", number(sum.retrans_synack)),
        ("zero_win_count_0", number(sum.zero_win_tx)),
        ("zero_win_count_1", number(sum.zero_win_rx)),
        ("syn", number(sum.syn_count)),
        ("synack", number(sum.synack_count)),
        ("ooo_0", number(sum.ooo_tx)),
        ("ooo_1", number(sum.ooo_rx)),
        ("fin_count", number(sum.fin_count)),
    ]
}

/// Captures that begin in the middle with a packet of the server: the peer's test takes the first
/// sender for the client, we go by the ports.
const FIRST_IS_SERVER: [&str; 1] = ["xiangdao-retrans"];

/// The peer's name of a quantity as we have it: its sides may be exchanged.
fn peer_name(name: &str, is_exchanged: bool) -> String {
    match (is_exchanged, name.strip_suffix("_0"), name.strip_suffix("_1")) {
        (true, Some(stem), _) => format!("{stem}_1"),
        (true, _, Some(stem)) => format!("{stem}_0"),
        _ => name.to_owned(),
    }
}

#[test]
fn every_quantity_after_every_packet() {
    let Some(root) = peer_captures() else { return };
    let mut judged = 0;
    for entry in std::fs::read_dir(root.join("l4")).expect("the folder l4") {
        let result = entry.expect("an entry").path();
        if result.extension().is_none_or(|extension| extension != "result") {
            continue;
        }
        let text = std::fs::read_to_string(&result).expect("a result");
        let stem = result.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let is_exchanged = FIRST_IS_SERVER.contains(&stem);
        for (at, block) in text.split("PerfData {").skip(1).enumerate() {
            let reports = replay_first(&result.with_extension("pcap"), at + 1);
            for (name, got) in quantities(&reports) {
                let want = expected(block, &peer_name(name, is_exchanged));
                assert_eq!(got, want, "{name} after packet {} of {stem}", at + 1);
                judged += 1;
            }
        }
    }
    assert!(judged >= 18 * 50, "only {judged} quantities found");
}

/// The peer prints the state of a UDP flow: requests and answers as it paired them.
#[test]
fn answers_of_datagrams() {
    let Some(root) = peer_captures() else { return };
    for stem in ["udp_1_packet", "udp_continuous_packet"] {
        let file = root.join("l4").join(stem);
        let text = std::fs::read_to_string(file.with_extension("result")).expect("a result");
        for (at, block) in text.split("UdpPerf {").skip(1).enumerate() {
            let reports = replay_first(&file.with_extension("pcap"), at + 1);
            let got = quantities(&reports).into_iter().find(|(name, _)| *name == "art_1");
            let field = |name: &str| {
                let (_, rest) = block.split_once(&format!(" {name}: ")).expect("a field");
                micros(rest.split(',').next().expect("a value"))
            };
            let want = vec![field("art_count"), field("art_sum"), field("art_max")];
            assert_eq!(got.map(|(_, art)| art), Some(want), "packet {} of {stem}", at + 1);
        }
    }
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
