//! The result in words and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::capture::{Compared, Outcome};
use crate::judge::Finding;
use crate::packet::NoPacket;
use crate::quantity::Quantity;
use crate::rule::Rule;

/// Sums over all captures.
#[derive(Debug, Default)]
pub struct Report {
    by_origin: BTreeMap<String, Origin>,
    by_quantity: BTreeMap<Quantity, Count>,
    by_rule: BTreeMap<Rule, Uses>,
    /// Captures that were not compared, by reason.
    refused: BTreeMap<String, usize>,
    /// Frames that give no packet, by reason.
    none: BTreeMap<NoPacket, usize>,
    unexplained: Vec<String>,
}

/// Captures of one folder.
#[derive(Debug, Default)]
struct Origin {
    captures: usize,
    differing: usize,
    refused: usize,
    frames: usize,
    packets: usize,
    flows: usize,
}

/// Values of one quantity.
#[derive(Debug, Default)]
struct Count {
    equal: usize,
    by_rule: usize,
    unexplained: usize,
}

/// Where a rule held.
#[derive(Debug, Default)]
struct Uses {
    values: usize,
    captures: BTreeSet<String>,
    quantities: BTreeSet<Quantity>,
}

impl Report {
    /// Adds a capture.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Ok(compared) => self.add_compared(compared),
            Err((path, why)) => {
                *self.refused.entry(why.clone()).or_default() += 1;
                self.by_origin.entry(origin(path)).or_default().refused += 1;
            }
        }
    }

    /// Differences that no rule explains.
    pub fn unexplained(&self) -> &[String] {
        &self.unexplained
    }

    /// Captures that were compared.
    pub fn captures(&self) -> usize {
        self.by_origin.values().map(|origin| origin.captures).sum()
    }

    fn add_compared(&mut self, compared: &Compared) {
        let name = short(&compared.path);
        let mut differs = false;
        for (_, finding) in &compared.findings {
            if finding.agent == 0 && finding.tshark == 0 && finding.rules.is_empty() {
                continue; // nothing of the kind: no agreement to be counted
            }
            differs |= !finding.is_equal();
            self.add_finding(&name, finding);
        }
        for (why, frames) in &compared.none {
            *self.none.entry(why.clone()).or_default() += frames;
        }
        for text in &compared.unexplained {
            self.unexplained.push(format!("{name}: {text}"));
        }
        let origin = self.by_origin.entry(origin(&compared.path)).or_default();
        origin.captures += 1;
        origin.differing += usize::from(differs);
        origin.frames += compared.frames;
        origin.packets += compared.packets;
        origin.flows += compared.flows;
    }

    fn add_finding(&mut self, capture: &str, finding: &Finding) {
        let count = self.by_quantity.entry(finding.quantity).or_default();
        match (finding.is_equal(), finding.is_explained()) {
            (true, _) => count.equal += 1,
            (false, true) => count.by_rule += 1,
            (false, false) => count.unexplained += 1,
        }
        for rule in finding.rules.keys() {
            let uses = self.by_rule.entry(*rule).or_default();
            uses.values += 1;
            uses.captures.insert(capture.to_owned());
            uses.quantities.insert(finding.quantity);
        }
    }

    /// The tables, as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        self.write_origins(&mut out);
        self.write_quantities(&mut out);
        self.write_rules(&mut out);
        self.write_rest(&mut out);
        out
    }

    fn write_origins(&self, out: &mut String) {
        let _ = writeln!(out, "### Captures\n");
        let _ = writeln!(
            out,
            "| origin | compared | of these with a difference by rule | not compared | frames | \
             packets of flows | flows |\n|---|--:|--:|--:|--:|--:|--:|"
        );
        let mut sum = Origin::default();
        for (name, origin) in &self.by_origin {
            origin.write(out, name);
            sum.captures += origin.captures;
            sum.differing += origin.differing;
            sum.refused += origin.refused;
            sum.frames += origin.frames;
            sum.packets += origin.packets;
            sum.flows += origin.flows;
        }
        sum.write(out, "**all**");
    }

    fn write_quantities(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\n### Quantities\n\nValues of a flow and side that are not 0 on both sides.\n\n\
             | column | tshark | equal | differ by rule | unexplained |\n|---|---|--:|--:|--:|"
        );
        for (quantity, count) in &self.by_quantity {
            let [tx, rx] = quantity.columns();
            let columns = if rx.is_empty() { format!("`{tx}`") } else { format!("`{tx}`, `{rx}`") };
            let Count { equal, by_rule, unexplained } = count;
            let shown = quantity.of_tshark();
            let _ = writeln!(out, "| {columns} | {shown} | {equal} | {by_rule} | {unexplained} |");
        }
    }

    fn write_rules(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\n### Rules\n\n| rule | what differs, and why | columns | values | captures | for \
             example |\n|---|---|---|--:|--:|---|"
        );
        for rule in Rule::ALL {
            let Some(uses) = self.by_rule.get(&rule) else { continue };
            let columns: Vec<String> =
                uses.quantities.iter().map(|q| format!("`{}`", q.stem())).collect();
            let example = uses.captures.iter().min_by_key(|name| name.len());
            let _ = writeln!(
                out,
                "| {rule:?} | {} | {} | {} | {} | {} |",
                rule.text(),
                columns.join(", "),
                uses.values,
                uses.captures.len(),
                example.map_or(String::new(), |name| format!("`{name}`")),
            );
        }
    }

    fn write_rest(&self, out: &mut String) {
        let _ = writeln!(out, "\n### Not compared\n\n| what | why | number |\n|---|---|--:|");
        for (why, captures) in &self.refused {
            let _ = writeln!(out, "| capture | {why} | {captures} |");
        }
        for (why, frames) in &self.none {
            let text = match why {
                NoPacket::NotIp => "no IP in it: neither has a flow".to_owned(),
                NoPacket::Damaged => {
                    "ends or contradicts itself in an IP, TCP or UDP header".to_owned()
                }
                NoPacket::Layer(layer) => format!("`{layer}` before IP is not read"),
            };
            let _ = writeln!(out, "| frame | {text} | {frames} |");
        }
    }
}

impl Origin {
    fn write(&self, out: &mut String, name: &str) {
        let Self { captures, differing, refused, frames, packets, flows } = self;
        let _ = writeln!(
            out,
            "| {name} | {captures} | {differing} | {refused} | {frames} | {packets} | {flows} |"
        );
    }
}

/// The folder that a capture lies in.
fn origin(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Folder and file name.
fn short(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("{}/{}", origin(path), file.unwrap_or_default())
}
