//! The test's own tools, without the system: every server serves, every client asks exactly as
//! often as it says, and every truth counts it. A count that is wrong here would be wrong anywhere.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Context;
use crate::clients;
use crate::report::Report;
use crate::servers::{bind::Bind, mariadb::MariaDb, nginx::Nginx, postgresql, redis::Redis};

/// All servers with a small load each.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    let folder = context.folder.as_path();
    let nginx = Nginx::start(folder)?;
    clients::http::curl(&nginx.address(), 20)?;
    clients::http::wrk(&nginx.address(), folder, 25)?;
    let wanted = BTreeMap::from([(200, 120), (201, 20), (302, 20), (404, 20), (503, 20)]);
    report.equal("nginx answered", nginx.answered(), wanted);

    let redis = Redis::start(folder)?;
    clients::redis::pipelined(redis.port, 200)?;
    clients::redis::with_errors(redis.port, 40)?;
    // redis-benchmark asks CONFIG GET twice, redis-cli COMMAND DOCS once.
    report.equal("redis answered", redis.answered()?, 443);

    let mariadb = MariaDb::start(folder)?;
    clients::mysql::text(mariadb.port, 50)?;
    let text = mariadb.commands()?;
    report.equal("MariaDB was asked in text", text.get("Query"), Some(&50));
    clients::mysql::prepared(mariadb.port, 50)?;
    let both = mariadb.commands()?;
    // Text EXECUTE is logged as a query and as an execution.
    report.equal("MariaDB executed prepared statements", both.get("Execute"), Some(&60));

    let postgres = postgresql::PostgreSql::start(folder)?;
    clients::postgresql::simple(postgres.port, 40)?;
    clients::postgresql::prepared(postgres.port, folder, 25)?;
    let wanted = postgresql::Statements { simple: 40, executed: 50, failed: 10 };
    report.equal("PostgreSQL was asked", postgres.statements(), wanted);

    let bind = Bind::start(folder)?;
    clients::dns::udp(bind.address, folder, 50)?;
    report.equal("named was asked", bind.asked(), 50);
    Ok(())
}
