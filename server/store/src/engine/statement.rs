//! Reads just enough of a statement to run it: is it an INSERT whose data follow it?
//!
//! In: the bytes of a statement, perhaps with data behind it. Out: the statement's text, its
//! format and where its data begin. Never: a judgement whether the statement is right.

/// An `INSERT … FORMAT x` taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct InsertParts {
    /// The statement without its FORMAT clause.
    pub sql: String,
    /// Format of the data.
    pub format: String,
    /// Offset of the first byte of data; the length of the input when there is none.
    pub data_offset: usize,
}

/// Takes an insert apart; `None` when `bytes` is another statement, or an insert of VALUES or of
/// a SELECT.
pub fn split_insert(bytes: &[u8]) -> Option<InsertParts> {
    let mut words = Words { bytes, at: 0, depth: 0 };
    let (start, first) = words.next()?;
    if !first.eq_ignore_ascii_case(b"insert") {
        return None;
    }
    while let Some((at, word)) = words.next() {
        if word.eq_ignore_ascii_case(b"values")
            || word.eq_ignore_ascii_case(b"select")
            || word.eq_ignore_ascii_case(b"with")
        {
            return None;
        }
        if !word.eq_ignore_ascii_case(b"format") {
            continue;
        }
        let (_, format) = words.next()?;
        if format.eq_ignore_ascii_case(b"values") {
            return None;
        }
        let sql = std::str::from_utf8(&bytes[start..at]).ok()?.trim_end().to_owned();
        let format = std::str::from_utf8(format).ok()?.to_owned();
        return Some(InsertParts { sql, format, data_offset: skip_line_end(bytes, words.at) });
    }
    None
}

/// Data begin behind the blanks and at most one line end that follow the format's name.
fn skip_line_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | 0x0c)) {
        at += 1;
    }
    if bytes.get(at) == Some(&b'\r') {
        at += 1;
    }
    if bytes.get(at) == Some(&b'\n') {
        at += 1;
    }
    at
}

/// Bare words outside of brackets; quoted texts and comments are stepped over.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        loop {
            let start = self.at;
            match *self.bytes.get(self.at)? {
                quote @ (b'\'' | b'`' | b'"') => self.skip_quoted(quote),
                b'-' if self.bytes[self.at..].starts_with(b"--") => self.skip_past(b"\n"),
                b'/' if self.bytes[self.at..].starts_with(b"/*") => self.skip_past(b"*/"),
                b'(' => {
                    self.depth += 1;
                    self.at += 1;
                }
                b')' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                byte if is_word(byte) => {
                    let rest = &self.bytes[start..];
                    let length = rest.iter().position(|b| !is_word(*b)).unwrap_or(rest.len());
                    self.at += length;
                    if self.depth == 0 {
                        return Some((start, &rest[..length]));
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if byte == b'\\' {
                self.at += 1;
            } else if byte == quote {
                return;
            }
        }
    }

    fn skip_past(&mut self, end: &[u8]) {
        let rest = &self.bytes[self.at..];
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at += found.map_or(rest.len(), |at| at + end.len());
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sql: &str, format: &str, data_offset: usize) -> Option<InsertParts> {
        Some(InsertParts { sql: sql.into(), format: format.into(), data_offset })
    }

    #[test]
    fn insert_with_data_behind() {
        let input = b"INSERT INTO t (a) FORMAT Native\n\n\x01";
        assert_eq!(split_insert(input), parts("INSERT INTO t (a)", "Native", 32));
        assert_eq!(input[32..], *b"\n\x01", "one line end belongs to the statement");
    }

    #[test]
    fn names_and_texts_are_not_taken_for_words() {
        let input = b"/* format x */ insert into `format`.`select` (`values`, \"with\") \
                      settings a = 'FORMAT b' format RowBinary";
        let got = split_insert(input).expect("an insert");
        assert_eq!(got.format, "RowBinary");
        assert_eq!(got.data_offset, input.len());
        assert!(got.sql.ends_with("'FORMAT b'"));
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(split_insert(b"SELECT 1 FORMAT Native"), None);
        assert_eq!(split_insert(b"INSERT INTO t VALUES (1)"), None);
        assert_eq!(split_insert(b"INSERT INTO t FORMAT Values (1)"), None);
        assert_eq!(split_insert(b"INSERT INTO t SELECT 1 FORMAT Null"), None);
        assert_eq!(split_insert(b"INSERT INTO t"), None);
        assert_eq!(split_insert(b"insert into t 'unclosed"), None);
        assert_eq!(split_insert(b""), None);
    }
}
