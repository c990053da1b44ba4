//! Rows as JSON objects, one a line: what `replay` and `standalone` print.
//!
//! In: the agent's columns of a batch. Out: text with the columns' names as keys. Absent values
//! are `null`, never 0; times are integers in µs since the epoch, addresses are text.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::column::{Column, ColumnDef, ColumnType, Json, Origin};
use crate::row::Batch;

/// Appends one line for each row of `batch` to `out`.
pub fn write_lines(batch: &Batch, out: &mut String) {
    let defs: Vec<&ColumnDef> =
        batch.table.columns().iter().filter(|def| def.origin == Origin::Agent).collect();
    // Each key once, with all that stands around it.
    let keys: Vec<String> = defs.iter().map(|def| format!(",\"{}\":", def.name)).collect();
    let family = defs.iter().position(|def| def.name == "is_ipv4");
    for row in 0..batch.rows {
        let is_ipv4 = family.is_none_or(|at| number(&batch.columns[at], row) == Some(1));
        out.push('{');
        let mut first = true;
        for ((def, key), column) in defs.iter().zip(&keys).zip(&batch.columns) {
            if matches!(def.json, Json::Hidden) {
                continue;
            }
            let from = usize::from(std::mem::take(&mut first));
            out.push_str(key.get(from..).unwrap_or(key));
            value(def, column, row, is_ipv4, out);
        }
        out.push_str("}\n");
    }
}

fn value(def: &ColumnDef, column: &Column, row: usize, is_ipv4: bool, out: &mut String) {
    match (def.kind, def.json) {
        (ColumnType::Ip4, _) if is_ipv4 => dotted(ip4(column, row), out),
        (ColumnType::Ip6, _) if !is_ipv4 => address(ip6(column, row), out),
        (ColumnType::Ip4 | ColumnType::Ip6, _) => out.push_str("null"),
        (ColumnType::Seconds, _) => {
            integer(number(column, row).unwrap_or(0) * 1_000_000, out);
        }
        (_, Json::Name(name)) => {
            text(name(number(column, row).and_then(|id| u8::try_from(id).ok()).unwrap_or(0)), out);
        }
        (_, Json::ZeroIsNull) if number(column, row) == Some(0) => out.push_str("null"),
        _ => plain(column, row, out),
    }
}

fn address(shown: impl std::fmt::Display, out: &mut String) {
    let _ = write!(out, "\"{shown}\"");
}

/// An IPv4 address, without the formatting machinery: there are two in each row.
fn dotted(ip: Ipv4Addr, out: &mut String) {
    let mut separator = '"';
    for octet in ip.octets() {
        out.push(separator);
        integer(octet.into(), out);
        separator = '.';
    }
    out.push('"');
}

/// An integer: nearly every value of a row is one. Those of 128 bits are several times as slow.
fn integer(number: i128, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    out.push_str(match u64::try_from(number) {
        Ok(number) => buffer.format(number),
        Err(_) => buffer.format(number),
    });
}

fn ip4(column: &Column, row: usize) -> Ipv4Addr {
    Ipv4Addr::from(number(column, row).unwrap_or(0) as u32)
}

fn ip6(column: &Column, row: usize) -> Ipv6Addr {
    match column {
        Column::Ip6(values) => Ipv6Addr::from(values.get(row).copied().unwrap_or_default()),
        _ => Ipv6Addr::UNSPECIFIED,
    }
}

/// The integer of a row; `None` for other types.
fn number(column: &Column, row: usize) -> Option<i128> {
    match column {
        Column::U8(v) => v.get(row).map(|&n| n.into()),
        Column::U16(v) => v.get(row).map(|&n| n.into()),
        Column::U32(v) => v.get(row).map(|&n| n.into()),
        Column::U64(v) => v.get(row).map(|&n| n.into()),
        Column::I8(v) => v.get(row).map(|&n| n.into()),
        Column::I32(v) => v.get(row).map(|&n| n.into()),
        Column::I64(v) => v.get(row).map(|&n| n.into()),
        _ => None,
    }
}

fn plain(column: &Column, row: usize, out: &mut String) {
    match column {
        Column::Text(texts) => match texts.text_of(row) {
            "" => out.push_str("null"),
            shown => text(shown, out),
        },
        Column::F64(v) => match v.get(row).filter(|n| n.is_finite()) {
            Some(n) => _ = write!(out, "{n}"),
            None => out.push_str("null"),
        },
        Column::Opt { present, values } => match present.get(row) {
            Some(true) => plain(values, row, out),
            _ => out.push_str("null"),
        },
        Column::List { ends, values } => list(ends, values, row, out),
        Column::Ip6(_) => address(ip6(column, row), out),
        _ => integer(number(column, row).unwrap_or(0), out),
    }
}

fn list(ends: &[u32], values: &Column, row: usize, out: &mut String) {
    let start = if row == 0 { 0 } else { ends.get(row - 1).copied().unwrap_or(0) };
    let end = ends.get(row).copied().unwrap_or(0);
    out.push('[');
    for (nth, at) in (start as usize..end as usize).enumerate() {
        if nth > 0 {
            out.push(',');
        }
        match values {
            Column::Text(texts) => text(texts.text_of(at), out),
            other => plain(other, at, out),
        }
    }
    out.push(']');
}

/// A JSON string, RFC 8259 §7.
fn text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        // What is escaped is ASCII, so that a character begins there and after it.
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        match from.as_bytes()[0] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => _ = write!(out, "\\u{byte:04x}"),
        }
        rest = &from[1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use crate::{Batch, Table, l7_flow_log::Row};

    fn lines(row: Row) -> String {
        let mut out = String::new();
        super::write_lines(&Batch::new(Table::L7FlowLog, &[row]), &mut out);
        out
    }

    #[test]
    fn absent_values_are_null_and_enumerations_are_names() {
        let row = Row {
            is_ipv4: 1,
            ip4_0: 0x7f00_0001,
            l7_protocol: 60,
            r#type: 2,
            response_status: 3,
            request_resource: "a\"b\u{1}\\ü\n".into(),
            time: 7,
            ..Row::default()
        };
        let line = lines(row);
        assert!(
            line.contains("\"ip4_0\":\"127.0.0.1\",\"ip4_1\":\"0.0.0.0\",\"ip6_0\":null"),
            "{line}"
        );
        assert!(line.contains("\"l7_protocol\":\"MySQL\""), "{line}");
        assert!(line.contains("\"type\":\"session\""), "{line}");
        assert!(line.contains("\"response_status\":\"server_error\""), "{line}");
        assert!(line.contains("\"request_resource\":\"a\\\"b\\u0001\\\\ü\\n\""), "{line}");
        assert!(line.contains("\"request_id\":null"), "{line}");
        assert!(line.contains("\"response_duration\":null"), "{line}");
        assert!(line.starts_with("{\"time\":7000000,"), "{line}");
        assert!(!line.contains("agent_id"), "columns of the server are not shown: {line}");
    }
}
