//! The page `docs/perf.md`: a table of numbers, each with its target and how it was found.

use std::fmt::Write;

use crate::targets::{Measurement, Target};

/// The whole page.
pub fn page(targets: &[Target], measured: &[Measurement], machine: &str) -> String {
    let mut text = format!(
        "# Performance\n\nWritten by `make bench`. A number without its command is not kept; other \
         programs on the machine make numbers worse, never better.\n\n{machine}\n\
         | what | measured | target | held | how |\n|---|--:|--:|---|---|\n"
    );
    let mut open = String::new();
    for target in targets {
        let found: Vec<&Measurement> =
            measured.iter().filter(|measurement| measurement.id == target.id).collect();
        for measurement in &found {
            let held = match (target.limit().is_empty(), target.holds(measurement.value)) {
                (true, _) => "–",
                (false, true) => "yes",
                (false, false) => "**no**",
            };
            line(&mut text, target, &format!("{:.1}", measurement.value), held, &measurement.how);
        }
        if found.is_empty() {
            line(&mut text, target, "–", "not measured", "");
        }
        if found.is_empty() || found.iter().any(|measurement| !target.holds(measurement.value)) {
            let obstacle = target.obstacle.as_deref().unwrap_or("not looked into yet");
            push(&mut open, format_args!("- {}: {obstacle}.\n", target.what));
        }
    }
    if !open.is_empty() {
        push(&mut text, format_args!("\n## Not held, and what is in the way\n{open}"));
    }
    text
}

fn line(text: &mut String, target: &Target, value: &str, held: &str, how: &str) {
    let (what, unit, limit) = (&target.what, &target.unit, target.limit());
    push(text, format_args!("| {what} | {value} {unit} | {limit} | {held} | {how} |\n"));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: &str) -> Target {
        Target {
            id: id.to_owned(),
            what: format!("cost of {id}"),
            unit: "ns".to_owned(),
            at_most: Some(10.0),
            at_least: None,
            obstacle: Some("a slow thing".to_owned()),
        }
    }

    #[test]
    fn held_open_and_missing_targets_are_told_apart() {
        let told = Target { at_most: None, ..target("d") };
        let targets = [target("a"), target("b"), target("c"), told];
        let measured = [("a", 9.0), ("b", 11.0), ("d", 12.0)]
            .map(|(id, value)| Measurement::new(id, value, format!("`run {id}`")));
        let text = page(&targets, &measured, "a machine\n");
        assert!(text.contains("| cost of a | 9.0 ns | ≤ 10 ns | yes | `run a` |"));
        assert!(text.contains("| cost of b | 11.0 ns | ≤ 10 ns | **no** | `run b` |"));
        assert!(text.contains("| cost of c | – ns | ≤ 10 ns | not measured |"));
        assert!(text.contains("| cost of d | 12.0 ns |  | – | `run d` |"));
        assert!(text.contains("- cost of b: a slow thing."));
        assert!(!text.contains("- cost of a:"));
    }
}
