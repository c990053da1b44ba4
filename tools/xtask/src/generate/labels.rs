//! `server/ui/generated/labels.js`: names and descriptions for the UI.

use std::fmt::Write;

use super::NOTICE;
use super::facts::Facts;

/// The ES module.
pub fn module(facts: &Facts) -> String {
    let mut out = format!("// {NOTICE}\n\n");
    out += "/** Enumerations: number → { name, doc }. */\nexport const ENUMS = {\n";
    for each in &facts.enums {
        let _ = writeln!(out, "  {}: {{", each.name);
        for value in &each.values {
            let shown = value.label.clone().unwrap_or_else(|| value.name.replace('_', " "));
            let _ =
                writeln!(out, "    {}: {{ name: {:?}, doc: {:?} }},", value.id, shown, value.doc);
        }
        out += "  },\n";
    }
    out += "};\n\n/** Observation points in the order of a path from client to server. */\nexport const POINTS = [\n";
    for value in &facts.points.values {
        let _ = writeln!(out, "  {{ name: {:?}, doc: {:?} }},", value.name, value.doc);
    }
    out += "];\n\n/** Application protocols: number → name. */\nexport const PROTOCOLS = {\n";
    for p in &facts.protocols {
        let _ = writeln!(out, "  {}: {:?},", p.id, p.name);
    }
    out += "};\n\n/** Reasons of loss. */\nexport const DROPS = {\n";
    for d in &facts.drops {
        let _ = writeln!(
            out,
            "  {}: {{ id: {}, unit: {:?}, stage: {:?}, doc: {:?} }},",
            d.name, d.id, d.unit, d.stage, d.doc
        );
    }
    out += "};\n\n/** Metrics of agent and server. */\nexport const METRICS = {\n";
    for m in &facts.metrics {
        let _ = writeln!(
            out,
            "  {}: {{ kind: {:?}, unit: {:?}, doc: {:?} }},",
            m.name, m.kind, m.unit, m.doc
        );
    }
    out += "};\n\n/** Tables: columns with their description, in the store's order. */\nexport const TABLES = {\n";
    for table in &facts.tables {
        let _ = writeln!(out, "  {}: {{ database: {:?}, columns: [", table.name, table.database);
        for c in table.columns.iter().filter(|c| c.origin != "unset") {
            let _ = writeln!(
                out,
                "    {{ name: {:?}, type: {:?}, doc: {:?} }},",
                c.name, c.kind, c.doc
            );
        }
        out += "  ] },\n";
    }
    out + "};\n"
}
