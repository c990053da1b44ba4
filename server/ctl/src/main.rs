//! `deepflow-ctl`: the server from the command line.
//!
//! In: a verb. Out: its answer on stdout as a table, JSON or CSV; errors on stderr. Exit codes:
//! 0 done, 1 the server refused or failed it, 2 wrong use, 3 the server is not reached.

mod client;
mod print;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use client::{CallError, Server};

/// Address of the server unless given.
const SERVER: &str = "http://127.0.0.1:20416";

#[derive(Parser)]
#[command(name = "deepflow-ctl", version, about = "DeepFlow from the command line")]
struct Arguments {
    /// Address of the server; else the environment's DEEPFLOW_SERVER, else
    /// http://127.0.0.1:20416.
    #[arg(long, short = 's', global = true)]
    server: Option<String>,
    /// Form of the output.
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(subcommand)]
    verb: Verb,
}

/// Form of the output.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Aligned columns.
    Table,
    /// One JSON object a row, in an array.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a read-only ClickHouse statement.
    Query {
        /// The statement.
        sql: String,
        /// Database of names without one.
        #[arg(long)]
        db: Option<String>,
    },
    /// Tell how server, storage engine and agents are.
    Status,
    /// Agents.
    #[command(subcommand)]
    Agent(AgentVerb),
    /// How long rows are kept.
    #[command(subcommand)]
    Retention(RetentionVerb),
}

#[derive(Subcommand)]
enum AgentVerb {
    /// List agents.
    List,
}

#[derive(Subcommand)]
enum RetentionVerb {
    /// List tables with retention and size.
    List,
    /// Set the retention of a table.
    Set {
        /// `database.table`, as listed.
        table: String,
        /// Hours that rows are kept.
        hours: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(text) => {
            print::out(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("deepflow-ctl: {error}");
            match error {
                CallError::Refused(_) => ExitCode::from(1),
                CallError::Usage(_) => ExitCode::from(2),
                CallError::Unreached(_) => ExitCode::from(3),
            }
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, CallError> {
    let address = arguments.server.clone().or_else(|| std::env::var("DEEPFLOW_SERVER").ok());
    let server = Server::new(address.as_deref().unwrap_or(SERVER))?;
    let (columns, rows) = match &arguments.verb {
        Verb::Query { sql, db } => query(&server, sql, db.as_deref())?,
        Verb::Status => status(&server)?,
        Verb::Agent(AgentVerb::List) => {
            let answer = server.get("v1/agents")?;
            let columns = ["agent_id", "hostname", "state", "version", "kernel", "peer", "uuid"];
            objects(&answer["agents"], &columns)
        }
        Verb::Retention(verb) => {
            let answer = match verb {
                RetentionVerb::List => server.get("v1/retention")?,
                RetentionVerb::Set { table, hours } => {
                    server.put(&format!("v1/retention/{table}"), &json!({ "hours": hours }))?
                }
            };
            objects(&answer["retention"], &["table", "hours", "rows", "stored_bytes"])
        }
    };
    Ok(match arguments.output {
        Form::Table => print::table(&columns, &rows),
        Form::Json => print::json(&columns, &rows),
        Form::Csv => print::csv(&columns, &rows),
    })
}

type Rows = (Vec<String>, Vec<Vec<Value>>);

fn query(server: &Server, sql: &str, db: Option<&str>) -> Result<Rows, CallError> {
    let mut fields = vec![("sql", sql)];
    fields.extend(db.map(|db| ("db", db)));
    let mut answer = server.post_form("v1/query/", &fields)?;
    let result = answer["result"].take();
    if result["truncated"] == Value::Bool(true) {
        eprintln!("deepflow-ctl: more rows than the limit: the first {}", result["row_count"]);
    }
    let columns = texts(&result["columns"]);
    let rows = match &result["values"] {
        Value::Array(rows) => rows.iter().map(cells).collect(),
        _ => Vec::new(),
    };
    Ok((columns, rows))
}

fn status(server: &Server) -> Result<Rows, CallError> {
    let health = server.get("v1/health")?;
    let mut rows = Vec::new();
    let engine = &health["server"]["engine"];
    let mut add = |part: String, state: &Value, detail: String| {
        rows.push(vec![Value::String(part), state.clone(), Value::String(detail)]);
    };
    let version = health["server"]["version"].as_str().unwrap_or("").to_owned();
    add("server".to_owned(), &json!("running"), format!("version {version}"));
    let restarts = &engine["restarts"];
    let kind = engine["kind"].as_str().unwrap_or("");
    let detail = engine["detail"].as_str().unwrap_or("");
    add("engine".to_owned(), &engine["state"], format!("{kind}, restarts {restarts} {detail}"));
    for agent in health["agents"].as_array().into_iter().flatten() {
        let losses = agent["drops"].as_array().into_iter().flatten();
        let losses: Vec<String> = losses
            .filter(|drop| drop["count"] != json!(0))
            .map(|drop| format!("{} {}", drop["reason"].as_str().unwrap_or(""), drop["count"]))
            .collect();
        let problems = texts(&agent["problems"]);
        let mut detail = agent["hostname"].as_str().unwrap_or("").to_owned();
        if !losses.is_empty() {
            detail += &format!("; lost: {}", losses.join(", "));
        }
        if !problems.is_empty() {
            detail += &format!("; {}", problems.join("; "));
        }
        add(format!("agent {}", agent["agent_id"]), &agent["state"], detail);
    }
    Ok((["part", "state", "detail"].map(str::to_owned).to_vec(), rows))
}

fn objects(list: &Value, columns: &[&str]) -> Rows {
    let rows = list.as_array().into_iter().flatten();
    let rows = rows.map(|object| columns.iter().map(|name| object[*name].clone()).collect());
    (columns.iter().map(|name| (*name).to_owned()).collect(), rows.collect())
}

fn texts(list: &Value) -> Vec<String> {
    cells(list).iter().map(print::text).collect()
}

fn cells(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}
