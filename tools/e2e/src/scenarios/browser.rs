//! A browser clicks through the pages of the real system, which observes real requests.
//!
//! In: node, Chromium, the pages' own browser test. Out: its checks; screenshots in the build
//! folder.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Context;
use crate::clients;
use crate::process::run;
use crate::report::Report;
use crate::servers::{bind::Bind, nginx::Nginx, postgresql::PostgreSql, redis::Redis};
use crate::system::{Place, Server};

/// Starts the system, puts small loads on four servers, then lets the browser look.
pub fn run_browser(context: &Context, report: &mut Report) -> Result<()> {
    let place = Place::below(&context.programs, &context.folder, "system")?;
    let mut server = Server::all_in_one(&place)?;
    server.wait_for_agent()?;
    let nginx = Nginx::start(&context.folder)?;
    let redis = Redis::start(&context.folder)?;
    let database = PostgreSql::start(&context.folder)?;
    let bind = Bind::start(&context.folder)?;
    clients::http::curl(&nginx.address(), 100)?;
    clients::redis::with_errors(redis.port, 100)?;
    clients::postgresql::simple(database.port, 100)?;
    clients::dns::udp(bind.address, &context.folder, 100)?;

    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let pages = checkout.context("no checkout around this program")?.join("server/ui");
    let screenshots = context.programs.join("../screenshots");
    let url = format!("http://{}/", place.http_address());
    let outcome = run(Command::new("node")
        .arg("tests/browser.mjs")
        .arg(&url)
        .arg(&screenshots)
        .current_dir(pages));
    let detail = match &outcome {
        Ok(said) => said.lines().last().unwrap_or("").to_owned(),
        Err(error) => format!("{error:#}"),
    };
    report.check("the pages work in a browser", outcome.is_ok(), &detail);
    report.note(&format!("screenshots in {}", screenshots.display()));
    Ok(())
}
