//! Reads generated DDL: its statements, and the definitions of a table's columns.
//!
//! In: text of a `.sql` file. Out: pieces of it. Never: SQL that the generator does not write.

/// One `CREATE TABLE` of a script.
#[derive(Debug, PartialEq, Eq)]
pub struct TableDdl<'a> {
    /// `` database.`table` `` as written.
    pub name: &'a str,
    /// (column name, definition from the name on), in order.
    pub columns: Vec<(&'a str, &'a str)>,
}

/// Splits a script at its semicolons; comments are left out, quoted texts stay whole.
pub fn statements(script: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        if quote.is_none() && rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        match (quote, c) {
            (None, ';') => {
                push_statement(&mut all, &mut current);
                rest = &rest[1..];
                continue;
            }
            (None, '\'' | '`' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        current.push(c);
        rest = &rest[c.len_utf8()..];
    }
    push_statement(&mut all, &mut current);
    all
}

fn push_statement(all: &mut Vec<String>, current: &mut String) {
    let statement = current.trim();
    if !statement.is_empty() {
        all.push(statement.to_owned());
    }
    current.clear();
}

/// Reads a generated `CREATE TABLE`, which has one column a line; `None` for other statements.
pub fn table(statement: &str) -> Option<TableDdl<'_>> {
    let rest = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ")?;
    let (name, rest) = rest.split_once("\n(\n")?;
    let (body, _) = rest.split_once("\n)\n")?;
    let columns = body.lines().map(column).collect::<Option<Vec<_>>>()?;
    Some(TableDdl { name: name.trim(), columns })
}

fn column(line: &str) -> Option<(&str, &str)> {
    let definition = line.trim().trim_end_matches(',');
    let name = definition.strip_prefix('`')?.split_once('`')?.0;
    Some((name, definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "-- a; comment\nCREATE DATABASE IF NOT EXISTS d;\n\n\
        CREATE TABLE IF NOT EXISTS d.`t.1s`\n(\n    `a` UInt8 CODEC(T64) COMMENT 'it''s; x',\n    \
        `b` String\n)\nENGINE = MergeTree;\n";

    #[test]
    fn statements_are_split_outside_of_texts_and_comments() {
        let got = statements(SCRIPT);
        assert_eq!(got.len(), 2);
        assert_eq!(got[0], "CREATE DATABASE IF NOT EXISTS d");
        assert!(got[1].ends_with("ENGINE = MergeTree"));
    }

    #[test]
    fn columns_are_read() {
        let script = statements(SCRIPT);
        let got = table(&script[1]).expect("a table");
        assert_eq!(got.name, "d.`t.1s`");
        assert_eq!(
            got.columns,
            [("a", "`a` UInt8 CODEC(T64) COMMENT 'it''s; x'"), ("b", "`b` String")]
        );
        assert_eq!(table(&script[0]), None);
    }
}
