//! Rows as text.

use std::io::Write;

use serde_json::{Map, Value};

/// Writes to stdout; a reader that went away (`| head`) is no error.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A value as a cell.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

/// Aligned columns under their names; control characters are escaped.
pub fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let shown = |value: &Value| -> String {
        let text = text(value);
        let escape =
            |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
        text.chars().map(escape).collect()
    };
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let mut widths: Vec<usize> = columns.iter().map(|name| name.chars().count()).collect();
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut out = line(columns);
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    out += &line(&rules);
    cells.iter().for_each(|row| out += &line(row));
    out
}

/// An array of objects, one a line.
pub fn json(columns: &[String], rows: &[Vec<Value>]) -> String {
    let object = |row: &Vec<Value>| {
        let fields = columns.iter().cloned().zip(row.iter().cloned());
        Value::Object(fields.collect::<Map<_, _>>()).to_string()
    };
    let lines: Vec<String> = rows.iter().map(object).collect();
    format!("[{}]\n", lines.join(",\n "))
}

/// RFC 4180, with `\n` as the line's end; NULL is an empty cell.
pub fn csv(columns: &[String], rows: &[Vec<Value>]) -> String {
    let quoted = |text: String| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let cell = |value: &Value| if value.is_null() { String::new() } else { quoted(text(value)) };
    let header: Vec<String> = columns.iter().cloned().map(quoted).collect();
    let mut out = format!("{}\n", header.join(","));
    for row in rows {
        out += &format!("{}\n", row.iter().map(cell).collect::<Vec<_>>().join(","));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> (Vec<String>, Vec<Vec<Value>>) {
        let columns = vec!["name".to_owned(), "n".to_owned()];
        (columns, vec![vec![json!("a\nb,\"c\""), json!(1)], vec![json!(null), json!([1, "x"])]])
    }

    #[test]
    fn as_a_table() {
        let (columns, rows) = sample();
        let got = table(&columns, &rows);
        let lines: Vec<&str> = got.lines().collect();
        assert_eq!(lines[2], "a\\nb,\"c\"  1", "control characters do not break lines");
        assert_eq!((lines[0], lines[3]), ("name      n", "NULL      [1,\"x\"]"));
    }

    #[test]
    fn as_csv() {
        let (columns, rows) = sample();
        assert_eq!(csv(&columns, &rows), "name,n\n\"a\nb,\"\"c\"\"\",1\n,\"[1,\"\"x\"\"]\"\n");
    }

    #[test]
    fn as_json() {
        let (columns, rows) = sample();
        let parsed: Value = serde_json::from_str(&json(&columns, &rows)).expect("JSON");
        assert_eq!(parsed[1], json!({"name": null, "n": [1, "x"]}));
    }
}
