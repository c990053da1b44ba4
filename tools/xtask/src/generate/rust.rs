//! Rust and C from the facts: enumerations, protocols, drops, metrics and the list of tables.

use std::fmt::Write;

use anyhow::Result;

use super::NOTICE;
use super::facts::Facts;
use super::table_rust;

/// Generated files of `schema/src`, unformatted.
pub fn files(facts: &Facts) -> Result<Vec<(String, String)>> {
    let mut out = vec![
        ("generated.rs".to_owned(), root_module()),
        ("generated/enums.rs".to_owned(), enums(facts)),
        ("generated/protocols.rs".to_owned(), protocols(facts)),
        ("generated/drops.rs".to_owned(), drops(facts)),
        ("generated/metrics.rs".to_owned(), metrics(facts)),
        ("generated/config_keys.rs".to_owned(), config_keys(facts)),
        ("generated/tables.rs".to_owned(), table_rust::list(facts)),
    ];
    for table in &facts.tables {
        let name = format!("generated/tables/{}.rs", table.name);
        out.push((name, table_rust::table(table)?));
    }
    Ok(out)
}

/// Upper-camel-case identifier of a name: `server_error` → `ServerError`, `MySQL` → `Mysql`.
pub fn camel(name: &str) -> String {
    name.split(['_', '-', '.', ' '])
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
            first.chain(letters.map(|c| c.to_ascii_lowercase())).collect::<String>()
        })
        .collect()
}

/// `bpf/abi/drops.h`.
pub fn drops_header(facts: &Facts) -> String {
    let mut out = format!(
        "/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */\n/* {NOTICE} */\n#pragma once\n\n\
         /* Reasons for which kernel code loses data: index of the per-CPU counters. */\nenum df_drop {{\n"
    );
    for drop in facts.drops.iter().filter(|drop| drop.stage == "bpf") {
        let name = drop.name.to_uppercase();
        let _ = writeln!(out, "\tDF_DROP_{name} = {}, /* {} */", drop.id, drop.doc);
    }
    let end = facts.drops.iter().filter(|d| d.stage == "bpf").map(|d| d.id).max().unwrap_or(0) + 1;
    let _ = writeln!(out, "\tDF_DROP_END = {end},\n}};");
    out
}

fn root_module() -> String {
    format!(
        "//! {NOTICE}\n\npub mod config_keys;\npub mod drops;\npub mod enums;\npub mod metrics;\npub mod protocols;\npub mod tables;\n"
    )
}

/// One Rust enumeration with `id`, `from_id`, `name`, `ALL`.
struct Shape<'a> {
    name: &'a str,
    doc: &'a str,
    repr: &'a str,
    /// Identifier, number, shown name, doc.
    values: Vec<(String, u16, &'a str, &'a str)>,
}

fn enumeration(shape: &Shape<'_>) -> String {
    let Shape { name, doc, repr, values } = shape;
    let mut out = format!(
        "/// {doc}\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr({repr})]\npub enum {name} {{\n"
    );
    for (variant, id, _, doc) in values {
        let _ = writeln!(out, "/// {doc}\n{variant} = {id},");
    }
    let _ = writeln!(
        out,
        "}}\n\nimpl {name} {{\n/// Every value, by number.\npub const ALL: &'static [Self] = &["
    );
    for (variant, ..) in values {
        let _ = write!(out, "Self::{variant},");
    }
    let _ = writeln!(
        out,
        "];\n\n/// The number that is stored.\npub const fn id(self) -> {repr} {{ self as {repr} }}\n\n\
         /// The value of a stored number.\npub const fn from_id(id: {repr}) -> Option<Self> {{ match id {{"
    );
    for (variant, id, ..) in values {
        let _ = writeln!(out, "{id} => Some(Self::{variant}),");
    }
    out.push_str("_ => None } }\n\n/// The name that is shown.\npub const fn name(self) -> &'static str { match self {");
    for (variant, _, shown, _) in values {
        let _ = writeln!(out, "Self::{variant} => {shown:?},");
    }
    out.push_str("} }\n}\n\n");
    out
}

fn enums(facts: &Facts) -> String {
    let mut out = format!("//! {NOTICE}\n\n");
    for each in &facts.enums {
        let values = each
            .values
            .iter()
            .map(|v| (camel(&v.name), u16::from(v.id), v.name.as_str(), v.doc.as_str()))
            .collect();
        out += &enumeration(&Shape { name: &each.name, doc: &each.doc, repr: "u8", values });
    }
    let values = facts
        .points
        .values
        .iter()
        .enumerate()
        .map(|(i, v)| (camel(&v.name), i as u16, v.name.as_str(), v.doc.as_str()))
        .collect();
    let doc = &facts.points.doc;
    out + &enumeration(&Shape { name: "ObservationPoint", doc, repr: "u8", values })
}

fn protocols(facts: &Facts) -> String {
    let values = facts
        .protocols
        .iter()
        .map(|p| (camel(&p.name), u16::from(p.id), p.name.as_str(), p.doc.as_str()))
        .collect();
    let doc = "Application protocol: column `l7_protocol`.";
    let mut out = format!("//! {NOTICE}\n\n");
    out += &enumeration(&Shape { name: "L7Protocol", doc, repr: "u8", values });
    out += "impl L7Protocol {\n/// Whether it is read without configuration.\npub const fn default_enabled(self) -> bool { matches!(self, ";
    let names: Vec<String> = facts
        .protocols
        .iter()
        .filter(|p| p.default)
        .map(|p| format!("Self::{}", camel(&p.name)))
        .collect();
    out += &names.join("|");
    out += ") }\n\n/// Whether this version has a parser for it.\npub const fn has_parser(self) -> bool { matches!(self, ";
    let names: Vec<String> = facts
        .protocols
        .iter()
        .filter(|p| p.parser.is_some())
        .map(|p| format!("Self::{}", camel(&p.name)))
        .collect();
    out + &names.join("|") + ") }\n}\n"
}

fn drops(facts: &Facts) -> String {
    let values = facts
        .drops
        .iter()
        .map(|d| (camel(&d.name), d.id, d.name.as_str(), d.doc.as_str()))
        .collect();
    let doc = "Why data were lost. What one count stands for: `unit`.";
    let mut out = format!("//! {NOTICE}\n\n");
    out += &enumeration(&Shape { name: "Drop", doc, repr: "u16", values });
    for (method, what) in [("unit", "What one count stands for."), ("stage", "Where it happens.")] {
        let _ = write!(
            out,
            "impl Drop {{ /// {what}\npub const fn {method}(self) -> &'static str {{ match self {{"
        );
        for drop in &facts.drops {
            let value = if method == "unit" { &drop.unit } else { &drop.stage };
            let _ = write!(out, "Self::{} => {value:?},", camel(&drop.name));
        }
        out.push_str("} } }\n");
    }
    out
}

fn metrics(facts: &Facts) -> String {
    let mut out = format!(
        "//! {NOTICE}\n\n/// Description of a metric of agent or server.\n#[derive(Clone, Copy, Debug)]\npub struct Metric {{\n\
         /// Name, ending in its unit.\npub name: &'static str,\n/// `counter` or `gauge`.\npub kind: &'static str,\n\
         /// Unit.\npub unit: &'static str,\n/// One sentence.\npub doc: &'static str }}\n\n"
    );
    for metric in &facts.metrics {
        let constant = metric.name.to_uppercase();
        let _ = writeln!(
            out,
            "/// {}\npub const {constant}: Metric = Metric {{ name: {:?}, kind: {:?}, unit: {:?}, doc: {:?} }};",
            metric.doc, metric.name, metric.kind, metric.unit, metric.doc
        );
    }
    let names: Vec<String> = facts.metrics.iter().map(|m| m.name.to_uppercase()).collect();
    let _ = writeln!(out, "/// Every metric.\npub const ALL: &[Metric] = &[{}];", names.join(","));
    out
}

fn config_keys(facts: &Facts) -> String {
    let mut out = format!(
        "//! {NOTICE}\n\n/// A key of the agent's configuration.\n#[derive(Clone, Copy, Debug)]\npub struct Key {{\n\
         /// Names from the top, joined by dots.\npub path: &'static str,\n/// Default, as written in YAML.\npub default: &'static str,\n\
         /// A change takes effect at the agent's next start.\npub restart: bool,\n/// This version acts on it.\npub used: bool }}\n\n\
         /// Every key, DeepFlow's names.\npub const KEYS: &[Key] = &[\n"
    );
    for key in &facts.keys {
        let _ = writeln!(
            out,
            "Key {{ path: {:?}, default: {:?}, restart: {}, used: {} }},",
            key.path, key.default, key.restart, key.used
        );
    }
    out + "];\n"
}
