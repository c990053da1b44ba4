//! curl with a list of transfers, each of which it times.
//!
//! In: transfers. Out: what curl says of each: its status, and the time from when it was connected
//! until the first byte of the answer (curl's "pretransfer" is a moment after it has sent).

use std::path::Path;

use anyhow::{Result, ensure};

use crate::exchanges::Exchange;
use crate::lab::{self, Namespace};
use crate::process;

/// One transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Path with its query.
    pub path: String,
    /// Further lines of curl's configuration.
    pub options: Vec<String>,
}

impl Transfer {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self { path: path.to_owned(), options: Vec::new() }
    }

    /// A PUT of a file; `chunked`: without telling its length.
    pub fn put(path: &str, file: &Path, chunked: bool) -> Self {
        let mut options = vec![
            format!("upload-file = {:?}", file.display().to_string()),
            "header = \"Expect:\"".to_owned(),
        ];
        options.extend(chunked.then(|| "header = \"Transfer-Encoding: chunked\"".to_owned()));
        Self { path: path.to_owned(), options }
    }
}

/// Runs one curl over all transfers, one after the other.
pub fn curl(
    space: &Namespace,
    folder: &Path,
    origin: &str,
    words: &[&str],
    transfers: &[Transfer],
) -> Result<Vec<Exchange>> {
    let mut text = String::new();
    let told = "{\\\"type\\\":\\\"%{method}\\\",\\\"resource\\\":\\\"PATH\\\",\
                \\\"code\\\":%{http_code},\\\"before\\\":%{time_connect},\
                \\\"first\\\":%{time_starttransfer},\\\"total\\\":%{time_total}}\\n";
    for transfer in transfers {
        let path = &transfer.path;
        text.push_str(&format!("url = \"{origin}{path}\"\noutput = \"/dev/null\"\n"));
        text.push_str(&format!("write-out = \"{}\"\n", told.replace("PATH", path)));
        for option in &transfer.options {
            text.push_str(&format!("{option}\n"));
        }
        for word in words {
            text.push_str(&format!("{word}\n"));
        }
        text.push_str("next\n");
    }
    let configuration = folder.join("transfers.curl");
    std::fs::write(&configuration, text.trim_end_matches("next\n"))?;
    let mut command = space.command("curl");
    command.args(["--silent", "--show-error", "--config"]).arg(&configuration);
    let lines = lab::lines(&process::run(&mut command)?)?;
    ensure!(lines.len() == transfers.len(), "curl told of {} transfers", lines.len());
    lines
        .into_iter()
        .map(|mut line| {
            let seconds = |name: &str| line[name].as_f64().unwrap_or(0.0);
            // Of what it sends, curl takes the first byte as the answer's, too.
            let end = if line["type"] == "PUT" { "total" } else { "first" };
            // Both times are cut to whole microseconds.
            let us = (seconds(end) - seconds("before")) * 1e6 + 1.5;
            line["us"] = (us as u64).into();
            Exchange::read(&line)
        })
        .collect()
}
