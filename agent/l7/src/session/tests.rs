//! Pairing by order and by id, with losses.

use schema::RecordType;

use super::*;

/// Drives a pairing: `q<id>`/`p<id>` by id, `q`/`p` by order, `h`/`e` a quiet request and its end
/// in silence, `!` a loss; one µs each, `_` 300 ms.
fn run(script: &str) -> String {
    run_with(&Config::live(), script)
}

fn run_with(config: &Config, script: &str) -> String {
    let (mut table, mut output) = (SessionTable::default(), Output::default());
    let mut drops = DropCounts::default();
    let mut time_ns = 1_000_000_000;
    for word in script.split_whitespace() {
        time_ns += if word == "_" { 300_000_000 } else { 1000 };
        let mut pairing = Pairing {
            table: &mut table,
            output: &mut output,
            config,
            drops: &mut drops,
            sessions_elsewhere: 0,
            protocol: L7Protocol::Redis,
            is_tls: false,
            has_room: true,
            server_port: 0,
            mark: Mark { time_ns, ..Mark::default() },
            captured_bytes: 0,
            pass_over: 0,
            handover: false,
            successor: None,
        };
        let key = word[1..].parse().map_or(Key::Order, Key::Id);
        match &word[..1] {
            "q" => {
                let record = pairing.record();
                pairing.request(key, record, 0);
            }
            "p" => {
                pairing.expected_tag();
                let response = pairing.answer(ResponseStatus::Ok);
                pairing.response(key, response);
            }
            "h" => {
                let record = pairing.record();
                pairing.quiet_request(key, record, 0);
            }
            "e" => {
                assert!(pairing.is_quiet_expected());
                pairing.end_quiet();
            }
            "!" => pairing.doubt(),
            "f" => pairing.flush(time_ns),
            _ => {}
        }
    }
    let at = |ns: u64| (ns % 100_000_000) / 1000;
    let shown = output.records.iter().map(|record| match record.kind {
        RecordType::Session => format!("{}-{}", at(record.start_ns), at(record.end_ns)),
        RecordType::Request => format!("{}-", at(record.start_ns)),
        RecordType::Response => format!("-{}", at(record.end_ns)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn by_order() {
    assert_eq!(run("q p q p"), "1-2 3-4");
    assert_eq!(run("q q q p p p"), "1-4 2-5 3-6");
    assert_eq!(run("p q p f"), "-1 2-3");
    assert_eq!(run("q p p f"), "1-2 -3");
    assert_eq!(run("q q p f"), "1-3 2-");
}

#[test]
fn by_id() {
    assert_eq!(run("q7 q8 p8 p7"), "2-3 1-4");
    assert_eq!(run("q7 q7 p7"), "1- 2-3");
    assert_eq!(run("p9 q9"), "2-2");
    assert_eq!(run("q7 p8 f"), "-2 1-");
    // The response to another request with the same id, which was not seen.
    assert_eq!(run("p9 _ q9 f"), "-1 2-");
}

#[test]
fn the_oldest_goes_at_a_bound() {
    let mut config = Config::live();
    config.limits.conversation_sessions = 3;
    assert_eq!(run_with(&config, "q1 q2 q3 p1 q1 q4 q5 q6 p1 f"), "1-4 2- 3- 5- -9 6- 7- 8-");
    let many: String = (0..300).map(|id| format!("q{id} p{id} ")).collect();
    assert_eq!(run_with(&config, &many).split(' ').filter(|one| one.ends_with('-')).count(), 0);
}

#[test]
fn after_a_loss() {
    // The response to 1 was lost: what comes answers the last request before it.
    assert_eq!(run("q ! q p q p"), "1- 3-4 5-6");
    // The head of the response was seen, its body not.
    assert_eq!(run("q p ! q p"), "1-2 4-5");
    // A client that pipelines: nobody can tell until it was quiet.
    assert_eq!(run("q q p p q q ! p f"), "1-3 2-4 -8 5- 6-");
    assert_eq!(run("q q p p q q ! p _ q p"), "1-3 2-4 -8 5- 6- 9-10");
}

#[test]
fn quiet_requests_end_in_silence_or_not() {
    assert_eq!(run("h q e p"), "1-1 2-4");
    assert_eq!(run("h q p p"), "1-3 2-4");
    assert_eq!(run("h h q f"), "1-1 2-2 3-");
    assert_eq!(run("h7 h8 h7 p7 f"), "1-1 3-4 2-2");
}
