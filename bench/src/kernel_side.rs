//! What the hooks add to system calls and to calls of TLS libraries, and whether a flood of events is
//! accounted for: runs examples of crate `source`.
//!
//! In: what they print. Out: the worst case with payload, without, and left out; the cost of a hook in
//! a library; events a second, and those that nobody counted.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::targets::Measurement;

const SYSCALL_COST: &str = "syscall_cost";
const TLS_COST: &str = "tls_cost";
const EVENT_FLOOD: &str = "event_flood";

/// One line of the example's table.
#[derive(Debug, PartialEq)]
struct Case<'a> {
    name: &'a str,
    unhooked_ns: f64,
    left_out_ns: f64,
    traced_ns: f64,
}

/// Runs the examples.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let text = run(programs, SYSCALL_COST)?;
    let cases: Vec<Case<'_>> = text.lines().filter_map(case).collect();
    ensure!(!cases.is_empty(), "{SYSCALL_COST} printed no table");
    let mut found = worst_cases(&cases);
    let text = run(programs, TLS_COST)?;
    found.push(uprobe(&text).context("tls_cost printed no table")?);
    let text = run(programs, EVENT_FLOOD)?;
    found.extend(flood(&text).context("event_flood printed no numbers")?);
    Ok(found)
}

fn run(programs: &Path, name: &str) -> Result<String> {
    let program = programs.join("examples").join(name);
    let output = Command::new(&program).output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(text)
}

fn command(name: &str) -> String {
    format!("`target/release/examples/{name}`")
}

/// A call that moves nothing has two hooks, `name   unhooked  hooked  added`.
fn uprobe(text: &str) -> Option<Measurement> {
    let line = text.lines().find_map(|line| line.strip_prefix("nothing moved"))?;
    let added_ns: f64 = line.split_whitespace().last()?.parse().ok()?;
    let how = format!("{}: half of what entry and return add", command(TLS_COST));
    Some(Measurement::new("uprobe_ns", added_ns / 2.0, how))
}

/// `made N seen N lost N rate N`.
fn flood(text: &str) -> Option<[Measurement; 2]> {
    let line = text.lines().find(|line| line.starts_with("made "))?;
    let number = |name: &str| -> Option<f64> {
        line.split_whitespace().skip_while(|word| *word != name).nth(1)?.parse().ok()
    };
    let (made, seen, lost) = (number("made")?, number("seen")?, number("lost")?);
    let how =
        format!("{}: {made} calls, {seen} seen, {lost} counted as lost", command(EVENT_FLOOD));
    Some([
        Measurement::new("flood_events", number("rate")?, how.clone()),
        Measurement::new("flood_counted_percent", ((seen + lost) / made * 100.0).min(100.0), how),
    ])
}

fn worst_cases(cases: &[Case<'_>]) -> Vec<Measurement> {
    // A name such as "write + read" is two calls.
    let calls = |case: &Case<'_>| 1.0 + case.name.matches(" + ").count() as f64;
    let traced = |case: &Case<'_>| (case.traced_ns - case.unhooked_ns) / calls(case);
    let left_out = |case: &Case<'_>| (case.left_out_ns - case.unhooked_ns) / calls(case);
    let is_large = |case: &Case<'_>| case.name.contains(" 16000 B");
    let is_payload = |case: &&Case<'_>| case.name.ends_with(" B, TCP") && !is_large(case);
    let is_bare = |case: &&Case<'_>| !case.name.contains("TCP") && !case.name.contains("UDP");
    let mut found = Vec::new();
    let mut add = |id, cases: Vec<&Case<'_>>, value: &dyn Fn(&Case<'_>) -> f64| {
        if let Some(worst) = cases.into_iter().max_by(|a, b| value(a).total_cmp(&value(b))) {
            let how = format!("{}, worst case: {}", command(SYSCALL_COST), worst.name);
            found.push(Measurement::new(id, value(worst), how));
        }
    };
    add("syscall_payload_ns", cases.iter().filter(is_payload).collect(), &traced);
    add("syscall_payload_ns", cases.iter().filter(|case| is_large(case)).collect(), &traced);
    add("syscall_bare_ns", cases.iter().filter(is_bare).collect(), &traced);
    add("syscall_left_out_ns", cases.iter().collect(), &left_out);
    found
}

/// `name   unhooked  left-out  traced  added`, where the name may have spaces.
fn case(line: &str) -> Option<Case<'_>> {
    let mut rest = line.trim_end();
    let mut numbers = [0.0; 4];
    for number in numbers.iter_mut().rev() {
        let (before, last) = rest.rsplit_once(char::is_whitespace)?;
        *number = last.parse().ok()?;
        rest = before.trim_end();
    }
    let [unhooked_ns, left_out_ns, traced_ns, _] = numbers;
    Some(Case { name: rest.trim(), unhooked_ns, left_out_ns, traced_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let found = flood("made 1000 seen 600 lost 390 rate 5000\n").expect("a line");
        assert_eq!(found.map(|m| m.value), [5000.0, 99.0]);
        assert!(flood("made 1000 seen 600").is_none());
        let text = "ns a call   unhooked  hooked  added\nnothing moved    2   6002   6000\n";
        assert_eq!(uprobe(text).expect("a line").value.to_bits(), 3000.0f64.to_bits());
    }

    #[test]
    fn the_worst_cases_are_taken() {
        let text = "ns a call   unhooked  left out    traced     added\n\
                    write 100 B, TCP        500     510     700     200\n\
                    read 1000 B, TCP        400     430     690     290\n\
                    read 16000 B, TCP       800     820    1800    1000\n\
                    write + read 1 B, pipe  300     310     380      80\n\
                    read 1 B, /dev/zero     100     105     160      60\n";
        let cases: Vec<_> = text.lines().filter_map(case).collect();
        assert_eq!(cases.len(), 5);
        let values: Vec<_> = worst_cases(&cases).iter().map(|m| (m.id, m.value)).collect();
        assert_eq!(
            values,
            [
                ("syscall_payload_ns", 290.0),
                ("syscall_payload_ns", 1000.0),
                ("syscall_bare_ns", 60.0),
                ("syscall_left_out_ns", 30.0)
            ]
        );
    }
}
