//! Five protocols against real servers: every exchange once at each source, exactly.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Context;
use super::counts::Load;
use super::teardown::Traces;
use crate::clients;
use crate::http;
use crate::query::Query;
use crate::report::Report;
use crate::servers::bind::Bind;
use crate::servers::mariadb::MariaDb;
use crate::servers::nginx::Nginx;
use crate::servers::postgresql::PostgreSql;
use crate::servers::redis::Redis;
use crate::system::{Place, Server};

/// From the first answer to its row in the store.
const FRESH: Duration = Duration::from_secs(2);

/// HTTP: curl and wrk against nginx.
pub fn http(context: &Context, report: &mut Report) -> Result<()> {
    observed(context, report, http_load)
}

/// Redis: redis-benchmark with pipelining, and redis-cli with errors.
pub fn redis(context: &Context, report: &mut Report) -> Result<()> {
    observed(context, report, redis_load)
}

/// MySQL: the mysql client with errors, and sysbench with prepared statements.
pub fn mysql(context: &Context, report: &mut Report) -> Result<()> {
    observed(context, report, mysql_load)
}

/// PostgreSQL: psql with errors, and pgbench with the extended protocol.
pub fn postgresql(context: &Context, report: &mut Report) -> Result<()> {
    observed(context, report, postgresql_load)
}

/// DNS: dig with NXDOMAIN among its answers.
pub fn dns(context: &Context, report: &mut Report) -> Result<()> {
    observed(context, report, dns_load)
}

/// Puts one load on a system of its own, then ends it and looks for what it left behind.
fn observed(
    context: &Context,
    report: &mut Report,
    load: fn(&Context, &Query, &mut Report) -> Result<()>,
) -> Result<()> {
    let before = Traces::now();
    let place = Place::below(&context.programs, &context.folder, "system")?;
    let mut server = Server::all_in_one(&place)?;
    server.wait_for_agent()?;
    load(context, &place.query(), report)?;
    let status = server.process.interrupt()?;
    report.check("Ctrl-C ends it well", status.success(), &status.to_string());
    before.check(&place, report);
    Ok(())
}

fn http_load(context: &Context, query: &Query, report: &mut Report) -> Result<()> {
    let nginx = Nginx::start(&context.folder)?;
    http::get(&nginx.address(), "/ok?id=first")?;
    let begin = Instant::now();
    let first = "SELECT count() FROM flow_log.l7_flow_log WHERE request_resource LIKE '%id=first'";
    let (seen, took) = query.number_reaching(first, 1, Duration::from_secs(20));
    let fresh = seen > 0 && begin.elapsed() <= FRESH;
    report.check("first data visible within 2 s", fresh, &format!("{:.2} s", took.as_secs_f64()));

    clients::http::curl(&nginx.address(), 1000)?;
    clients::http::wrk(&nginx.address(), &context.folder, 1250)?;
    let answered = nginx.answered();
    let exchanges: u64 = answered.values().sum();
    report.equal("nginx answered", exchanges, 10_001);
    let load = Load {
        port: nginx.port,
        protocol: "HTTP",
        protocol_id: 20,
        only: "",
        exchanges,
        clients: &["curl", "e2e", "wrk"],
        server: "nginx",
    };
    load.check_log(query, report)?;
    let codes: BTreeMap<i64, u64> =
        answered.iter().map(|(code, n)| (i64::from(*code), *n)).collect();
    load.check_codes(query, report, &codes)?;
    load.check_errors(query, report, answered[&404] + answered[&503])?;
    load.check_metrics(query, report)
}

fn redis_load(context: &Context, query: &Query, report: &mut Report) -> Result<()> {
    let redis = Redis::start(&context.folder)?;
    clients::redis::pipelined(redis.port, 4500)?;
    clients::redis::with_errors(redis.port, 1000)?;
    let exchanges = redis.answered()?;
    // redis-benchmark asks CONFIG GET twice, redis-cli COMMAND DOCS once.
    report.equal("redis answered", exchanges, 10_003);
    let load = Load {
        port: redis.port,
        protocol: "Redis",
        protocol_id: 80,
        only: "",
        exchanges,
        clients: &["redis-benchmark", "redis-cli"],
        server: "redis-server",
    };
    load.check_log(query, report)?;
    load.check_errors(query, report, 250)?;
    load.check_metrics(query, report)
}

fn mysql_load(context: &Context, query: &Query, report: &mut Report) -> Result<()> {
    let mariadb = MariaDb::start(&context.folder)?;
    clients::mysql::text(mariadb.port, 500)?;
    let text = mariadb.commands()?;
    clients::mysql::prepared(mariadb.port, 500)?;
    let both = mariadb.commands()?;
    let count = |counts: &BTreeMap<String, u64>, word: &str| counts.get(word).copied().unwrap_or(0);
    let executed = count(&both, "Execute") - count(&text, "Execute");
    let exchanges = count(&both, "Query") + executed;
    report.equal("MariaDB executed prepared statements", executed, 500);
    report.equal("MariaDB was asked in text by mysql", count(&text, "Query"), 500);
    let load = Load {
        port: mariadb.port,
        protocol: "MySQL",
        protocol_id: 60,
        only: "request_type IN ('QUERY', 'STMT_EXECUTE')",
        exchanges,
        clients: &["mysql", "sysbench"],
        server: "mariadbd",
    };
    load.check_log(query, report)?;
    load.check_errors(query, report, 100)?;
    load.check_metrics(query, report)
}

fn postgresql_load(context: &Context, query: &Query, report: &mut Report) -> Result<()> {
    let database = PostgreSql::start(&context.folder)?;
    clients::postgresql::simple(database.port, 500)?;
    clients::postgresql::prepared(database.port, &context.folder, 250)?;
    let asked = database.statements();
    report.equal("PostgreSQL was asked", asked.simple + asked.executed, 1000);
    let load = Load {
        port: database.port,
        protocol: "PostgreSQL",
        protocol_id: 61,
        only: "",
        exchanges: asked.simple + asked.executed,
        clients: &["pgbench", "psql"],
        server: "postgres",
    };
    load.check_log(query, report)?;
    load.check_errors(query, report, asked.failed)?;
    load.check_metrics(query, report)
}

fn dns_load(context: &Context, query: &Query, report: &mut Report) -> Result<()> {
    let bind = Bind::start(&context.folder)?;
    clients::dns::udp(bind.address, &context.folder, 1000)?;
    report.equal("named was asked", bind.asked(), 1000);
    let load = Load {
        port: 53,
        protocol: "DNS",
        protocol_id: 120,
        only: "request_resource LIKE '%shop.test'",
        exchanges: bind.asked(),
        clients: &["dig"],
        server: "named",
    };
    load.check_log(query, report)?;
    load.check_codes(query, report, &BTreeMap::from([(0, 800), (3, 200)]))?;
    load.check_metrics(query, report)
}
