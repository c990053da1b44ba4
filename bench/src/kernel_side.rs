//! What the hooks add to system calls: runs the example `syscall_cost` of crate `source`.
//!
//! In: its table of nanoseconds a call. Out: the worst case with payload, without, and left out.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::targets::Measurement;

const COMMAND: &str = "`target/release/examples/syscall_cost`";

/// One line of the example's table.
#[derive(Debug, PartialEq)]
struct Case<'a> {
    name: &'a str,
    unhooked_ns: f64,
    left_out_ns: f64,
    traced_ns: f64,
}

/// Runs the example and takes the worst of its cases.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let program = programs.join("examples/syscall_cost");
    let output = Command::new(&program).output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let cases: Vec<Case<'_>> = text.lines().filter_map(case).collect();
    ensure!(!cases.is_empty(), "the example printed no table");
    Ok(worst_cases(&cases))
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
            let how = format!("{COMMAND}, worst case: {}", worst.name);
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
