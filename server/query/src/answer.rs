//! The JSON shape of answers, which is DeepFlow's.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// `SUCCESS`.
    #[serde(rename = "OPT_STATUS")]
    pub status: &'static str,
    /// Empty.
    #[serde(rename = "DESCRIPTION")]
    pub description: String,
    /// Rows and columns.
    pub result: Table,
    /// `null`: there is no debugging information.
    pub debug: Option<()>,
}

/// Rows and columns.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Names of columns.
    pub columns: Vec<String>,
    /// Rows, each an array, as the engine wrote them.
    pub values: Vec<Box<RawValue>>,
    /// Types of columns.
    pub schemas: Vec<Schema>,
    /// Rows in `values`.
    pub row_count: usize,
    /// Whether there were more.
    pub truncated: bool,
}

/// Type of a column.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// Name of the column.
    pub name: String,
    /// `Int`, `Float`, `String`, `Time`, `Array` or `Other`.
    pub value_type: &'static str,
    /// ClickHouse's type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `FAILED`.
    #[serde(rename = "OPT_STATUS")]
    pub status: &'static str,
    /// What went wrong.
    #[serde(rename = "DESCRIPTION")]
    pub description: String,
    /// ClickHouse's number; 0 when the statement did not reach it.
    #[serde(rename = "ERROR_CODE")]
    pub code: u32,
    /// `null`.
    pub result: Option<()>,
    /// `null`.
    pub debug: Option<()>,
}

impl Failure {
    /// A failure with its text.
    pub fn new(code: u32, description: String) -> Self {
        Self { status: "FAILED", description, code, result: None, debug: None }
    }
}

/// What the engine writes in its format JSONCompact.
#[derive(Deserialize)]
struct JsonCompact {
    meta: Vec<Meta>,
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Answer {
    /// Reads the engine's answer and keeps at most `rows_max` rows.
    pub fn parse(bytes: &[u8], rows_max: usize) -> Result<Self, serde_json::Error> {
        let JsonCompact { meta, mut data } = serde_json::from_slice(bytes)?;
        let truncated = data.len() > rows_max;
        data.truncate(rows_max);
        let columns = meta.iter().map(|column| column.name.clone()).collect();
        let schemas = meta.into_iter().map(schema).collect();
        let row_count = data.len();
        let result = Table { columns, values: data, schemas, row_count, truncated };
        Ok(Self { status: "SUCCESS", description: String::new(), result, debug: None })
    }
}

fn schema(meta: Meta) -> Schema {
    Schema { value_type: value_type(&meta.kind), name: meta.name, kind: meta.kind }
}

fn value_type(kind: &str) -> &'static str {
    let wrapped = ["Nullable(", "LowCardinality("].iter().find_map(|w| kind.strip_prefix(w));
    if let Some(inner) = wrapped {
        return value_type(inner);
    }
    let is = |beginnings: &[&str]| beginnings.iter().any(|b| kind.starts_with(b));
    if is(&["UInt", "Int", "Bool", "Enum"]) {
        "Int"
    } else if is(&["Float", "Decimal", "BFloat"]) {
        "Float"
    } else if is(&["String", "FixedString", "IPv4", "IPv6", "UUID"]) {
        "String"
    } else if is(&["Date"]) {
        "Time"
    } else if is(&["Array"]) {
        "Array"
    } else {
        "Other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_as_written_and_cut_at_the_limit() {
        let bytes = br#"{"meta":[{"name":"a","type":"LowCardinality(Nullable(String))"},
            {"name":"b","type":"DateTime64(6, 'UTC')"}],
            "data":[["x","2026-11-22 16:00:12.123456"],["y",null],["z",null]],"rows":3}"#;
        let answer = Answer::parse(bytes, 2).expect("readable");
        let json = serde_json::to_value(&answer).expect("writable");
        assert_eq!(
            json,
            serde_json::json!({
                "OPT_STATUS": "SUCCESS", "DESCRIPTION": "", "debug": null,
                "result": {
                    "columns": ["a", "b"],
                    "values": [["x", "2026-11-22 16:00:12.123456"], ["y", null]],
                    "schemas": [
                        {"name": "a", "value_type": "String",
                         "type": "LowCardinality(Nullable(String))"},
                        {"name": "b", "value_type": "Time", "type": "DateTime64(6, 'UTC')"}],
                    "row_count": 2, "truncated": true}
            })
        );
    }
}
