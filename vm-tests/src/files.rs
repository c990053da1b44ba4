//! What rows of calls on files must say.
//!
//! In: rows of the agent, the two ends of the case. Out: the first difference in words.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::agent::Rows;
use crate::conversations;
use crate::rows::Ends;

/// Name of the case.
pub const NAME: &str = "file-io";
/// Name of the process that works on files.
pub const SERVER: &str = "file-srv";
/// Where they are.
pub const FOLDER: &str = "/tmp/shop/orders";

/// Whether the files of both requests are told, with what belongs to which request, and no others.
pub fn compare(rows: &Rows, ends: &Ends) -> Result<()> {
    let own: Vec<&Value> =
        rows.files.iter().filter(|row| row["process_kname"] == ends.server.as_str()).collect();
    let exchanges = conversations::find("http")?;
    for (number, (exchange, path)) in exchanges.iter().zip(["/hello", "/missing"]).enumerate() {
        let request = rows.requests.iter().find(|row| {
            row["observation_point"] == "s-p"
                && row["server_port"] == ends.server_port
                && row["request_resource"] == path
        });
        let request = request.with_context(|| format!("no request for {path}"))?;
        let trace = &request["syscall_trace_id_request"];
        ensure!(trace.as_u64().is_some_and(|id| id > 0), "{path}: trace id {trace}");
        let bytes = exchange.response.len();
        for (syscall, kind, bytes, offset) in [
            ("write", "write", bytes, 0),
            ("fdatasync", "sync", 0, 0),
            ("pread64", "read", bytes - 4, 4),
        ] {
            let requested_bytes = if bytes > 0 { json!(bytes) } else { Value::Null };
            let wanted = [
                ("file_name", json!(format!("answer-{number}.db"))),
                ("file_dir", json!(format!("{FOLDER}/"))),
                ("file_type", json!("virtual")),
                ("mount_point", json!("/tmp")),
                ("mount_source", json!("tmp")),
                ("syscall", json!(syscall)),
                ("event_type", json!(kind)),
                ("bytes", json!(bytes)),
                ("requested_bytes", requested_bytes),
                ("offset", json!(offset)),
                ("error_code", Value::Null),
                ("syscall_trace_id", trace.clone()),
                ("process_id", request["process_id_1"].clone()),
            ];
            let is_it = |row: &&&Value| wanted.iter().all(|(column, value)| row[*column] == *value);
            let found = own.iter().filter(is_it).count();
            ensure!(found == 1, "{found} rows with {wanted:?} among {own:?}");
        }
    }
    ensure!(own.len() == 6, "{} rows of files, not 6: {own:?}", own.len());
    Ok(())
}
