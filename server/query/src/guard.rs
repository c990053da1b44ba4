//! Which statements are let through.
//!
//! In: the text of a statement. Out: the text without its final semicolon, or the reason why it is
//! refused. Pure. Never the only barrier: the engine runs what passes with `readonly = 1`.

mod lexer;
#[cfg(test)]
mod tests;

use lexer::{Lexer, Token};

/// Why a statement is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing there.
    #[error("the statement is empty")]
    Empty,
    /// Not one of the statements that only read.
    #[error(
        "{0:?} statements are not allowed here: use SELECT, WITH, SHOW, DESCRIBE, EXISTS or EXPLAIN"
    )]
    Verb(String),
    /// More than one.
    #[error("one statement at a time: there is text behind the semicolon")]
    Several,
    /// `INTO OUTFILE`.
    #[error("INTO is not allowed: answers are not written to files")]
    Into,
    /// `FORMAT x`.
    #[error("FORMAT is not allowed: answers have one form")]
    Format,
    /// A function that reaches outside of the store.
    #[error("function {0:?} is not allowed: it reaches outside of the store")]
    Function(String),
    /// A quoted text or a comment without an end.
    #[error("a quoted text or a comment has no end")]
    Unclosed,
    /// Longer than the limit.
    #[error("the statement is longer than {STATEMENT_BYTES_MAX} bytes")]
    TooLong,
}

/// Bytes of a statement; a longer one is refused.
pub const STATEMENT_BYTES_MAX: usize = 256 << 10;

const VERBS: [&str; 7] = ["select", "with", "show", "describe", "desc", "exists", "explain"];

/// Functions and table functions that read or write outside of the store, or run programs.
const OUTSIDE: [&str; 32] = [
    "file",
    "filecluster",
    "url",
    "urlcluster",
    "remote",
    "remotesecure",
    "cluster",
    "clusterallreplicas",
    "hdfs",
    "hdfscluster",
    "mysql",
    "postgresql",
    "mongodb",
    "redis",
    "sqlite",
    "jdbc",
    "odbc",
    "executable",
    "executablepool",
    "input",
    "python",
    "arrowflight",
    "ytsaurus",
    "gcs",
    "cosn",
    "oss",
    "prometheusquery",
    "prometheusqueryrange",
    "timeseriesdata",
    "catboostevaluate",
    "arrowstream",
    "kafka",
];

/// Beginnings of further names of that kind: object stores and lake formats come in many forms.
const OUTSIDE_BEGINNINGS: [&str; 7] =
    ["s3", "azure", "iceberg", "deltalake", "hudi", "paimon", "hive"];

/// Lets a statement through, or says why not.
pub fn check(sql: &str) -> Result<&str, Refusal> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let tokens: Vec<(usize, Token<'_>)> = Lexer::new(sql).collect();
    if tokens.iter().any(|(_, token)| matches!(token, Token::Unclosed)) {
        return Err(Refusal::Unclosed);
    }
    let statement = one_statement(sql, &tokens)?;
    let tokens: Vec<&Token<'_>> =
        tokens.iter().filter(|(at, _)| *at < statement.len()).map(|(_, token)| token).collect();
    check_verb(&tokens)?;
    for (at, token) in tokens.iter().enumerate() {
        let following = |n: usize| tokens.get(at + n).copied();
        match token {
            Token::Word(word) | Token::Quoted(word) if following(1) == Some(&Token::Open) => {
                check_function(word)?;
            }
            Token::Word(word) if is(word, "into") => return Err(Refusal::Into),
            Token::Word(word) if is(word, "format") && is_format_clause(&following) => {
                return Err(Refusal::Format);
            }
            _ => {}
        }
    }
    Ok(statement)
}

/// Cuts the final semicolons off.
fn one_statement<'a>(sql: &'a str, tokens: &[(usize, Token<'_>)]) -> Result<&'a str, Refusal> {
    let Some(end) = tokens.iter().position(|(_, token)| *token == Token::Semicolon) else {
        return Ok(sql);
    };
    if tokens[end..].iter().any(|(_, token)| *token != Token::Semicolon) {
        return Err(Refusal::Several);
    }
    Ok(&sql[..tokens[end].0])
}

fn check_verb(tokens: &[&Token<'_>]) -> Result<(), Refusal> {
    let first = tokens.iter().find(|token| ***token != Token::Open).ok_or(Refusal::Empty)?;
    match first {
        Token::Word(word) if VERBS.iter().any(|verb| is(word, verb)) => Ok(()),
        Token::Word(word) | Token::Quoted(word) => Err(Refusal::Verb((*word).to_owned())),
        _ => Err(Refusal::Verb(String::new())),
    }
}

fn check_function(name: &str) -> Result<(), Refusal> {
    let lower = name.to_ascii_lowercase();
    // A quoted name with escapes in it is nobody's honest function.
    let is_outside = OUTSIDE.contains(&lower.as_str())
        || OUTSIDE_BEGINNINGS.iter().any(|beginning| lower.starts_with(beginning))
        || lower.contains('\\');
    if is_outside { Err(Refusal::Function(name.to_owned())) } else { Ok(()) }
}

/// `FORMAT name` at the end, or before SETTINGS; a column of that name stands elsewhere.
fn is_format_clause<'a>(following: &impl Fn(usize) -> Option<&'a Token<'a>>) -> bool {
    let is_name = matches!(following(1), Some(Token::Word(_) | Token::Quoted(_)));
    let is_end = match following(2) {
        None | Some(Token::Close) => true,
        Some(Token::Word(word)) => is(word, "settings"),
        Some(_) => false,
    };
    is_name && is_end
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}
