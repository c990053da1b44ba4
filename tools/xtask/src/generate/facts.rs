//! Reads and checks `schema/*.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::fnv;

/// All facts.
pub struct Facts {
    pub enums: Vec<Enum>,
    pub points: Points,
    pub protocols: Vec<Protocol>,
    pub drops: Vec<Drop>,
    pub metrics: Vec<Metric>,
    pub keys: Vec<Key>,
    pub tables: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enum {
    pub name: String,
    pub doc: String,
    pub values: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    pub id: u8,
    pub name: String,
    pub label: Option<String>,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    pub doc: String,
    pub values: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub name: String,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    pub id: u8,
    pub name: String,
    pub parser: Option<String>,
    #[serde(default)]
    pub default: bool,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drop {
    pub id: u16,
    pub name: String,
    pub unit: String,
    pub stage: String,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    pub kind: String,
    pub unit: String,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub path: String,
    pub default: String,
    #[serde(default)]
    pub restart: bool,
    #[serde(default)]
    pub used: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    pub name: String,
    pub ttl_hours: u32,
    pub partition: String,
}

/// One table, its columns spelled out.
pub struct Table {
    pub name: String,
    pub database: String,
    pub doc: String,
    /// Empty for a table of one precision only.
    pub precisions: Vec<Precision>,
    pub single: Precision,
    pub order_by: Vec<String>,
    pub columns: Vec<Column>,
}

#[derive(Clone)]
pub struct Column {
    pub id: u16,
    pub name: String,
    pub kind: String,
    pub origin: String,
    pub json: String,
    pub enumeration: Option<String>,
    pub doc: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    name: String,
    database: String,
    doc: String,
    ttl_hours: Option<u32>,
    partition: Option<String>,
    #[serde(default)]
    precisions: Vec<Precision>,
    order_by: Vec<String>,
    universal_tags: String,
    columns: Vec<RawColumn>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    origin: Option<String>,
    json: Option<String>,
    #[serde(rename = "enum")]
    enumeration: Option<String>,
    #[serde(default)]
    sides: bool,
    names: Option<Vec<String>>,
    #[serde(default)]
    tags: bool,
    #[serde(default)]
    doc: String,
}

#[derive(Deserialize)]
struct Enums {
    #[serde(rename = "enum")]
    values: Vec<Enum>,
    points: Points,
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(
        alias = "protocol",
        alias = "drop",
        alias = "metric",
        alias = "key",
        alias = "columns"
    )]
    rows: Vec<T>,
}

impl Facts {
    /// Reads the folder `schema`.
    pub fn read(folder: &Path) -> Result<Self> {
        let enums: Enums = parse(&folder.join("enums.toml"))?;
        let tags: List<RawColumn> = parse(&folder.join("tags.toml"))?;
        let mut paths: Vec<_> = std::fs::read_dir(folder.join("tables"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.sort();
        let tables = paths
            .iter()
            .map(|path| {
                spell_out(parse(path)?, &tags.rows).with_context(|| path.display().to_string())
            })
            .collect::<Result<Vec<_>>>()?;
        let facts = Self {
            enums: enums.values,
            points: enums.points,
            protocols: parse::<List<Protocol>>(&folder.join("protocols.toml"))?.rows,
            drops: parse::<List<Drop>>(&folder.join("drops.toml"))?.rows,
            metrics: parse::<List<Metric>>(&folder.join("metrics.toml"))?.rows,
            keys: parse::<List<Key>>(&folder.join("config.toml"))?.rows,
            tables,
        };
        facts.check()?;
        Ok(facts)
    }

    fn check(&self) -> Result<()> {
        unique("protocol id", self.protocols.iter().map(|p| p.id.to_string()))?;
        unique("drop id", self.drops.iter().map(|d| d.id.to_string()))?;
        unique("drop name", self.drops.iter().map(|d| d.name.clone()))?;
        unique("metric", self.metrics.iter().map(|m| m.name.clone()))?;
        unique("key", self.keys.iter().map(|k| k.path.clone()))?;
        for each in &self.enums {
            unique(&each.name, each.values.iter().map(|v| v.id.to_string()))?;
        }
        for table in &self.tables {
            unique(&table.name, table.columns.iter().map(|c| c.name.clone()))?;
            unique(&table.name, table.columns.iter().map(|c| c.id.to_string()))?;
            for key in &table.order_by {
                ensure!(
                    table.columns.iter().any(|c| &c.name == key),
                    "{}: no column {key}",
                    table.name
                );
            }
        }
        Ok(())
    }
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

fn unique(what: &str, values: impl Iterator<Item = String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for value in values {
        ensure!(seen.insert(value.clone()), "{what}: {value} twice");
    }
    Ok(())
}

fn spell_out(raw: RawTable, tags: &[RawColumn]) -> Result<Table> {
    let single = Precision {
        name: String::new(),
        ttl_hours: raw.ttl_hours.unwrap_or_default(),
        partition: raw.partition.unwrap_or_default(),
    };
    ensure!(!raw.precisions.is_empty() || single.ttl_hours > 0, "ttl_hours or precisions");
    let mut columns = Vec::new();
    for column in raw.columns {
        if column.tags {
            for tag in tags {
                let mut tag = tag.clone();
                tag.sides = raw.universal_tags == "sides";
                tag.origin = tag.origin.or(Some("unset".into()));
                expand(tag, &mut columns);
            }
        } else {
            expand(column, &mut columns);
        }
    }
    Ok(Table {
        name: raw.name,
        database: raw.database,
        doc: raw.doc,
        precisions: raw.precisions,
        single,
        order_by: raw.order_by,
        columns,
    })
}

fn expand(raw: RawColumn, out: &mut Vec<Column>) {
    let json = match (&raw.enumeration, raw.json) {
        (Some(_), None) => "name".to_owned(),
        (_, json) => json.unwrap_or_else(|| "plain".into()),
    };
    let origin = raw.origin.unwrap_or_else(|| "agent".into());
    let names: Vec<(String, String)> = match (raw.names, raw.sides) {
        (Some(names), _) => names.into_iter().map(|name| (name, raw.doc.clone())).collect(),
        (None, true) => ["client", "server"]
            .iter()
            .enumerate()
            .map(|(side, who)| {
                let doc = raw.doc.trim_end_matches('.');
                (format!("{}_{side}", raw.name), format!("{doc}: the {who}'s."))
            })
            .collect(),
        (None, false) => vec![(raw.name, raw.doc)],
    };
    for (name, doc) in names {
        out.push(Column {
            id: wire_id(&name),
            name,
            kind: raw.kind.clone(),
            origin: origin.clone(),
            json: json.clone(),
            enumeration: raw.enumeration.clone(),
            doc,
        });
    }
}

/// A column's number on the wire: FNV-1a of its name modulo a prime, so that it never depends on
/// the order of columns. Two columns of a table with one number are refused: rename the newer.
fn wire_id(name: &str) -> u16 {
    (fnv::hash(name, &fnv::BITS_64) % 65_521) as u16
}
