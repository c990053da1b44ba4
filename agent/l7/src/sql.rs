//! What a SQL text is about: its verb and table, and trace context in its comments.
//!
//! In: the text of a statement, perhaps cut off. Out: `SELECT orders` and the like for statements
//! on a table, nothing for others. Never: an understanding of SQL beyond its words.

use schema::Text;

use crate::bytes;
use crate::config::TraceConfig;
use crate::trace::TraceContext;

/// Bytes of a statement that are looked at for its verb and table.
const LOOK_BYTES: usize = 4096;

/// `verb table` of a statement; empty when it is on no table.
pub(crate) fn endpoint(statement: &[u8]) -> Text {
    let mut words = Words { rest: &statement[..statement.len().min(LOOK_BYTES)], depth: 0 };
    let Some(verb) = words.by_ref().find_map(|word| main_verb(&word)) else {
        return Text::default();
    };
    let table = match verb {
        "SELECT" | "DELETE" => words.table_after_from(),
        "INSERT" | "REPLACE" => words.table_after(&["INTO"], &INSERT_WORDS),
        "UPDATE" => words.table_after(&[], &INSERT_WORDS),
        _ => words.table_after(&["TABLE"], &TABLE_WORDS),
    };
    match table {
        Some(table) if !table.is_empty() => {
            let mut endpoint = Text::from(verb);
            endpoint.push(' ');
            endpoint.push_str(&bytes::text(&table, 256));
            endpoint
        }
        _ => Text::default(),
    }
}

/// Takes trace context from the comments of a statement: `/* traceparent='00-…' */`,
/// `-- traceparent: 00-…`.
pub(crate) fn trace(config: &TraceConfig, statement: &[u8], context: &mut TraceContext) {
    let mut rest = statement;
    while let Some(at) = memchr::memchr3(b'/', b'-', b'#', rest) {
        rest = &rest[at..];
        let (comment, after) = if let Some(body) = rest.strip_prefix(b"/*") {
            let end = memchr::memmem::find(body, b"*/").unwrap_or(body.len());
            (&body[..end], &body[end..])
        } else if let Some(body) = rest.strip_prefix(b"--").or(rest.strip_prefix(b"#")) {
            let end = bytes::find(body, b'\n').unwrap_or(body.len());
            (&body[..end], &body[end..])
        } else {
            rest = &rest[1..];
            continue;
        };
        rest = after;
        trace_pairs(config, comment, context);
    }
}

/// Takes trace context from the text of a comment: `name='value',name: value`.
pub(crate) fn trace_pairs(config: &TraceConfig, comment: &[u8], context: &mut TraceContext) {
    for pair in comment.split(|byte| *byte == b',') {
        let Some(at) = pair.iter().position(|byte| matches!(byte, b'=' | b':')) else {
            continue;
        };
        context.header(config, unquoted(&pair[..at]), unquoted(&pair[at + 1..]));
    }
}

/// A name or value without what stands around it.
fn unquoted(text: &[u8]) -> &[u8] {
    let is_around = |byte: &u8| matches!(byte, b'\'' | b'"' | b' ' | b'\t' | b'\r');
    let start = text.iter().position(|byte| !is_around(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_around(byte)).map_or(start, |at| at + 1);
    &text[start..end]
}

const INSERT_WORDS: [&str; 7] =
    ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO", "ONLY", "OVERWRITE"];
const TABLE_WORDS: [&str; 7] = ["TABLE", "IF", "NOT", "EXISTS", "TEMPORARY", "TEMP", "UNLOGGED"];
const VERBS: [&str; 9] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "TRUNCATE"];

/// The verb of a statement when `word` is it. Words before it (`WITH name AS`, `EXPLAIN`) are
/// passed over; of those, what stands in parentheses is no verb of the statement.
fn main_verb(word: &Word<'_>) -> Option<&'static str> {
    if word.quoted || word.depth > 0 {
        return None;
    }
    VERBS.into_iter().find(|verb| word.text.eq_ignore_ascii_case(verb.as_bytes()))
}

/// A name or keyword, or one sign.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    text: &'a [u8],
    quoted: bool,
    /// Parentheses around it.
    depth: u32,
}

impl Word<'_> {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    fn is_name(&self) -> bool {
        self.quoted || self.text.first().is_some_and(|byte| is_name_byte(*byte))
    }
}

/// Words of a statement without comments and strings.
struct Words<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let first = *self.rest.first()?;
            match first {
                b' ' | b'\t' | b'\r' | b'\n' => self.pass(1),
                b'/' if self.rest.starts_with(b"/*") => {
                    let end = memchr::memmem::find(&self.rest[2..], b"*/")?;
                    self.pass(end + 4);
                }
                b'-' if self.rest.starts_with(b"--") => self.pass_line(),
                b'#' => self.pass_line(),
                b'\'' => self.pass_string()?,
                b'`' | b'"' | b'[' => {
                    let close = if first == b'[' { b']' } else { first };
                    let end = bytes::find(&self.rest[1..], close)?;
                    let text = &self.rest[1..1 + end];
                    self.pass(end + 2);
                    return Some(Word { text, quoted: true, depth: self.depth });
                }
                b'(' => {
                    self.depth += 1;
                    return Some(self.sign());
                }
                b')' => {
                    self.depth = self.depth.saturating_sub(1);
                    return Some(self.sign());
                }
                byte if is_name_byte(byte) => {
                    let end = self.rest.iter().position(|byte| !is_name_byte(*byte));
                    let text = &self.rest[..end.unwrap_or(self.rest.len())];
                    self.pass(text.len());
                    return Some(Word { text, quoted: false, depth: self.depth });
                }
                _ => return Some(self.sign()),
            }
        }
    }
}

impl Words<'_> {
    fn pass(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or(&[]);
    }

    fn pass_line(&mut self) {
        let end = bytes::find(self.rest, b'\n').unwrap_or(self.rest.len());
        self.pass(end);
    }

    fn pass_string(&mut self) -> Option<()> {
        let mut at = 1;
        loop {
            match self.rest.get(at)? {
                b'\\' => at += 2,
                b'\'' => break,
                _ => at += 1,
            }
        }
        self.pass(at + 1);
        Some(())
    }

    /// The table after the statement's own `FROM`, else after the first in a subquery.
    fn table_after_from(&mut self) -> Option<Vec<u8>> {
        let mut inner = None;
        while let Some(word) = self.next() {
            if !word.is("FROM") || word.depth > 0 && inner.is_some() {
                continue;
            }
            let mut name = self.next();
            while name.is_some_and(|name| name.is("ONLY") || name.is("LATERAL")) {
                name = self.next();
            }
            let Some(name) = name.filter(Word::is_name) else { continue };
            let table = self.whole_name(name);
            if word.depth == 0 {
                return Some(table);
            }
            inner = Some(table);
        }
        inner
    }

    /// The name after `passed` words, of which all `required` must be there.
    fn table_after(&mut self, required: &[&str], passed: &[&str]) -> Option<Vec<u8>> {
        let mut missing = required.len();
        loop {
            let word = self.next()?;
            if let Some(known) = passed.iter().find(|known| word.is(known)) {
                missing -= usize::from(required.contains(known)).min(missing);
                continue;
            }
            // INTO may be left out, TABLE may not.
            if !word.is_name() || missing > 0 && required != ["INTO"] {
                return None;
            }
            return Some(self.whole_name(word));
        }
    }

    /// `schema.table` from its first part.
    fn whole_name(&mut self, first: Word<'_>) -> Vec<u8> {
        let mut name = first.text.to_vec();
        while self.rest.first() == Some(&b'.') {
            self.pass(1);
            match self.next() {
                Some(word) if word.is_name() => {
                    name.push(b'.');
                    name.extend_from_slice(word.text);
                }
                _ => break,
            }
        }
        name
    }
}

impl<'a> Words<'a> {
    fn sign(&mut self) -> Word<'a> {
        let text = &self.rest[..1];
        self.rest = &self.rest[1..];
        Word { text, quoted: false, depth: self.depth }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn check(statement: &str, expected: &str) {
        assert_eq!(endpoint(statement.as_bytes()), expected, "{statement}");
    }

    #[test]
    fn verb_and_table() {
        check("SELECT * FROM `az_controller` WHERE a = 1", "SELECT az_controller");
        check("select a, (select max(b) from t2) from db.t1 join t3", "SELECT db.t1");
        check("SELECT 'from x' FROM \"public\".\"orders\"", "SELECT public.orders");
        check("SELECT * FROM (SELECT * FROM inner_t) x", "SELECT inner_t");
        check("/* c */ insert ignore into tmp (id) values (1)", "INSERT tmp");
        check("INSERT INTO `controller` (`a`) VALUES (?)", "INSERT controller");
        check("update low_priority t set a=1", "UPDATE t");
        check("DELETE FROM test WHERE id=1;", "DELETE test");
        check("replace into r values (1)", "REPLACE r");
        check("create table `test_table_2`( `id` int)", "CREATE test_table_2");
        check("CREATE TABLE IF NOT EXISTS s.t (a int)", "CREATE s.t");
        check("drop table t", "DROP t");
        check("WITH a AS (SELECT 1 FROM b) SELECT * FROM a", "SELECT a");
        check("EXPLAIN SELECT * FROM e", "SELECT e");
        check("create database yuanchao2", "");
        check("SELECT DATABASE()", "");
        check("show tables", "");
        check("set @@SQL_SELECT_LIMIT=60001", "");
        check("select 'unfinished", "");
        check("", "");
    }

    #[test]
    fn trace_in_comments() {
        let config = TraceConfig::default();
        for statement in [
            "SELECT 1 /*app='x',traceparent='00-4bf9-00f0-01'*/",
            "/* traceparent: 00-4bf9-00f0-01 */ SELECT 1",
            "SELECT 1 -- traceparent=00-4bf9-00f0-01\n + 1",
        ] {
            let mut context = TraceContext::default();
            trace(&config, statement.as_bytes(), &mut context);
            let mut record = Record::new(schema::L7Protocol::Mysql);
            context.fill(&config, &mut record);
            assert_eq!((&*record.trace_id, &*record.span_id), ("4bf9", "00f0"), "{statement}");
        }
    }
}
