//! Rust of the tables: row structs, column descriptions and the list of tables.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::NOTICE;
use super::facts::{Column, Facts, Table};
use super::fnv;
use super::rust::camel;

/// `generated/tables.rs`: the enumeration of tables and precisions.
pub fn list(facts: &Facts) -> String {
    let mut out = format!("//! {NOTICE}\n\n");
    for table in &facts.tables {
        let _ = writeln!(out, "pub mod {};", table.name);
    }
    let mut rows = Vec::new();
    for table in &facts.tables {
        let names: Vec<String> = if table.precisions.is_empty() {
            vec![table.name.clone()]
        } else {
            table.precisions.iter().map(|p| format!("{}.{}", table.name, p.name)).collect()
        };
        rows.extend(names.into_iter().map(|name| (camel(&name), table_id(&name), name, table)));
    }
    out += "\nuse crate::column::ColumnDef;\n\n/// A table of the store, with its precision.\n\
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(u16)]\npub enum Table {\n";
    for (variant, id, name, table) in &rows {
        let _ = writeln!(out, "/// `{}.{name}`: {}\n{variant} = {id},", table.database, table.doc);
    }
    out += "}\n\nimpl Table {\n/// Every table.\npub const ALL: &'static [Self] = &[";
    for (variant, ..) in &rows {
        let _ = write!(out, "Self::{variant},");
    }
    out += "];\n\n/// Number of the table on the wire.\npub const fn id(self) -> u16 { self as u16 }\n\n\
            /// The table of a number.\npub const fn from_id(id: u16) -> Option<Self> { match id {";
    for (variant, id, ..) in &rows {
        let _ = writeln!(out, "{id} => Some(Self::{variant}),");
    }
    out += "_ => None } }\n\n";
    let methods: [(&str, &str, &str, Value); 3] = [
        ("name", "&'static str", "Name in its database.", |row| format!("{:?}", row.2)),
        ("database", "&'static str", "Database.", |row| format!("{:?}", row.3.database)),
        ("columns", "&'static [ColumnDef]", "Every column, in the store's order.", |row| {
            format!("{}::COLUMNS", row.3.name)
        }),
    ];
    for (method, kind, doc, value) in methods {
        let _ = writeln!(out, "/// {doc}\npub const fn {method}(self) -> {kind} {{ match self {{");
        for row in &rows {
            let _ = writeln!(out, "Self::{} => {},", row.0, value(row));
        }
        out += "} }\n\n";
    }
    out + "}\n"
}

type Row<'a> = (String, u16, String, &'a Table);
type Value = fn(&Row<'_>) -> String;

/// `generated/tables/NAME.rs`: the row struct and its columns.
pub fn table(table: &Table) -> Result<String> {
    let mut out = format!(
        "//! {NOTICE}\n\nuse crate::column::{{ColumnDef, ColumnType, Json, Origin}};\nuse crate::row;\n\n"
    );
    let _ = writeln!(
        out,
        "/// {} The columns that the agent fills.\n#[derive(Clone, Debug, Default, PartialEq)]\npub struct Row {{",
        table.doc
    );
    let agent: Vec<&Column> = table.columns.iter().filter(|c| c.origin == "agent").collect();
    for column in &agent {
        let _ = writeln!(
            out,
            "/// {}\npub {}: {},",
            column.doc,
            field(&column.name),
            field_type(&column.kind)?
        );
    }
    out += "}\n\n/// Every column, in the store's order.\npub static COLUMNS: &[ColumnDef] = &[\n";
    for column in &table.columns {
        let json = match (column.json.as_str(), &column.enumeration) {
            ("plain", _) => "Json::Plain".to_owned(),
            ("zero_is_null", _) => "Json::ZeroIsNull".to_owned(),
            ("hidden", _) => "Json::Hidden".to_owned(),
            ("name", Some(name)) => format!(
                "Json::Name(|id| match crate::{name}::from_id(id) {{ Some(value) => value.name(), None => \"\" }})"
            ),
            (other, _) => bail!("{}: json = {other:?}", column.name),
        };
        let origin = camel(&column.origin);
        let _ = writeln!(
            out,
            "ColumnDef {{ id: {}, name: {:?}, kind: ColumnType::{}, origin: Origin::{origin}, json: {json} }},",
            column.id,
            column.name,
            camel(&column.kind)
        );
    }
    out += "];\n\nimpl row::Row for Row {\nconst COLUMNS: &'static [ColumnDef] = COLUMNS;\n\n// tidy: long — one line a column\nfn append(rows: &[Self], columns: &mut row::Appender<'_>) {\n";
    for column in &agent {
        let name = field(&column.name);
        let _ = writeln!(out, "{};", gather(&column.kind, &name)?);
    }
    out += "}\n}\n";
    Ok(out)
}

/// A table's number on the wire: FNV-1a of its name, 15 bits.
fn table_id(name: &str) -> u16 {
    let hash = fnv::hash(name, &fnv::BITS_32) as u32;
    ((hash >> 16) as u16 ^ hash as u16) & 0x7fff
}

fn field(name: &str) -> String {
    if name == "type" { "r#type".to_owned() } else { name.to_owned() }
}

fn field_type(kind: &str) -> Result<&'static str> {
    Ok(match kind {
        "u8" => "u8",
        "u16" => "u16",
        "u32" | "ip4" | "seconds" => "u32",
        "u64" => "u64",
        "i8" => "i8",
        "i32" => "i32",
        "i64" | "micros" => "i64",
        "f64" => "f64",
        "text" | "low_card" => "crate::Text",
        "ip6" => "[u8; 16]",
        "opt_u8" => "Option<u8>",
        "opt_u64" => "Option<u64>",
        "opt_i32" => "Option<i32>",
        "opt_i64" => "Option<i64>",
        "list_low_card" | "list_text" => "Vec<crate::Text>",
        "list_f64" => "Vec<f64>",
        other => bail!("column type {other:?}"),
    })
}

/// The line that appends a field of some rows: the methods of `row::Appender` go by the kinds' names.
fn gather(kind: &str, name: &str) -> Result<String> {
    let (method, value) = match kind {
        "u8" | "u16" | "u32" | "u64" | "i8" | "i32" | "i64" | "f64" | "ip6" | "opt_u8"
        | "opt_u64" | "opt_i32" | "opt_i64" => (kind, String::new()),
        "ip4" | "seconds" => ("u32", String::new()),
        "micros" => ("i64", String::new()),
        "text" | "low_card" => ("text", ".as_str()".to_owned()),
        "list_low_card" | "list_text" => ("list_text", ".as_slice()".to_owned()),
        "list_f64" => (kind, ".as_slice()".to_owned()),
        other => bail!("column type {other:?}"),
    };
    Ok(format!("columns.{method}(rows.iter().map(|row| row.{name}{value}))"))
}
