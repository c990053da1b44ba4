//! Questions to the store, by the same way as any user: `POST /v1/query/`.
//!
//! In: SQL. Out: rows of JSON values, or the server's error. It keeps nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::http;

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Query {
    /// `host:port` of the server's HTTP.
    pub address: String,
}

impl Query {
    /// The rows of a SELECT.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<Value>>> {
        let fields = [("db", "flow_log"), ("sql", sql)];
        let response = http::post_form(&self.address, "/v1/query/", &fields)?;
        let body: Value = serde_json::from_str(&response.body)
            .with_context(|| format!("not JSON, status {}: {}", response.status, response.body))?;
        ensure!(response.status == 200, "{sql}: status {}: {}", response.status, response.body);
        let rows = body["result"]["values"].as_array();
        let rows = rows.with_context(|| format!("{sql}: no rows in {}", response.body))?;
        Ok(rows.iter().map(|row| row.as_array().cloned().unwrap_or_default()).collect())
    }

    /// The single number of a SELECT that gives one.
    pub fn number(&self, sql: &str) -> Result<u64> {
        let rows = self.rows(sql)?;
        let [row] = rows.as_slice() else { bail!("{sql}: {} rows, not one", rows.len()) };
        let [value] = row.as_slice() else { bail!("{sql}: {} columns, not one", row.len()) };
        as_number(value).with_context(|| format!("{sql}: {value} is no whole number"))
    }

    /// Rows as texts, joined by `|`, sorted.
    pub fn lines(&self, sql: &str) -> Result<Vec<String>> {
        let mut lines: Vec<String> = self
            .rows(sql)?
            .iter()
            .map(|row| row.iter().map(as_text).collect::<Vec<_>>().join("|"))
            .collect();
        lines.sort();
        Ok(lines)
    }

    /// Asks until the number reaches `wanted` or the limit is over; the last answer and the time.
    pub fn number_reaching(&self, sql: &str, wanted: u64, limit: Duration) -> (u64, Duration) {
        let begin = Instant::now();
        loop {
            let found = self.number(sql).unwrap_or(0);
            if found >= wanted || begin.elapsed() >= limit {
                return (found, begin.elapsed());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whole numbers come as numbers, or as texts where they do not fit a double.
fn as_number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0);
            number.as_u64().or(float.map(|float| float as u64))
        }
        _ => None,
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_each_form() {
        assert_eq!(as_number(&Value::from(7)), Some(7));
        assert_eq!(as_number(&Value::from(7.0)), Some(7));
        assert_eq!(as_number(&Value::from("18446744073709551615")), Some(u64::MAX));
        assert_eq!(as_number(&Value::from(7.5)), None);
        assert_eq!(as_number(&Value::Null), None);
    }
}
