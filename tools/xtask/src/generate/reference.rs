//! `docs/schema.md`: every table, column, enumeration, drop reason and metric for readers.

use std::fmt::Write;

use super::NOTICE;
use super::facts::Facts;
use super::sql::clickhouse_type;

/// The page.
pub fn page(facts: &Facts) -> String {
    let mut out = format!(
        "<!-- {NOTICE} -->\n# Schema\n\nWhat is stored, and what the numbers mean. \
        Columns that nothing fills yet are marked *unset*.\n"
    );
    for table in &facts.tables {
        let names: Vec<String> =
            table.precisions.iter().map(|p| format!("`{}.{}`", table.name, p.name)).collect();
        let names =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        let _ = write!(
            out,
            "\n## `{}.{}`{names}\n\n{}\n\n| column | type | filled by | meaning |\n|---|---|---|---|\n",
            table.database, table.name, table.doc
        );
        for column in &table.columns {
            let origin = if column.origin == "unset" { "*unset*" } else { &column.origin };
            let _ = writeln!(
                out,
                "| `{}` | {} | {origin} | {} |",
                column.name,
                clickhouse_type(&column.kind),
                column.doc
            );
        }
    }
    out += &enumerations(facts);
    out += &losses_and_metrics(facts);
    out += &configuration(facts);
    out
}

fn enumerations(facts: &Facts) -> String {
    let mut out = String::new();
    out += "\n## Enumerations\n";
    for each in &facts.enums {
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\n| id | name | meaning |\n|--:|---|---|\n",
            each.name, each.doc
        );
        for value in &each.values {
            let _ = writeln!(out, "| {} | {} | {} |", value.id, value.name, value.doc);
        }
    }
    let _ = write!(
        out,
        "\n### Observation points\n\n{}\n\n| name | meaning |\n|---|---|\n",
        facts.points.doc
    );
    for value in &facts.points.values {
        let _ = writeln!(out, "| {} | {} |", value.name, value.doc);
    }
    out += "\n### Application protocols\n\n| id | name | read by this version | on by default | meaning |\n|--:|---|---|---|---|\n";
    for p in &facts.protocols {
        let yes = |b: bool| if b { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            p.id,
            p.name,
            yes(p.parser.is_some()),
            yes(p.default && p.parser.is_some()),
            p.doc
        );
    }
    out
}

fn losses_and_metrics(facts: &Facts) -> String {
    let mut out = String::new();
    out += "\n## Losses\n\n`observed = stored + Σ dropped{reason}`.\n\n| id | reason | unit | stage | meaning |\n|--:|---|---|---|---|\n";
    for d in &facts.drops {
        let _ = writeln!(out, "| {} | `{}` | {} | {} | {} |", d.id, d.name, d.unit, d.stage, d.doc);
    }
    out += "\n## Metrics of agent and server\n\n| metric | kind | unit | meaning |\n|---|---|---|---|\n";
    for m in &facts.metrics {
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", m.name, m.kind, m.unit, m.doc);
    }
    out
}

fn configuration(facts: &Facts) -> String {
    let mut out = String::new();
    out += "\n## Configuration keys of the agent\n\nKeys that this version does not act on are accepted with a warning.\n\n| key | default | acted on | a change needs a restart |\n|---|---|---|---|\n";
    for key in &facts.keys {
        let yes = |b: bool| if b { "yes" } else { "" };
        let default = key.default.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | `{default}` | {} | {} |",
            key.path,
            yes(key.used),
            yes(key.restart)
        );
    }
    out
}
