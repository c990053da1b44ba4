//! Cuts ClickHouse SQL into the tokens that the guard looks at.
//!
//! In: text. Out: words, quoted names, brackets, semicolons, with their places. Texts, numbers and
//! operators are stepped over or shown as `Other`; comments are not shown.

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bare word.
    Word(&'a str),
    /// Name in backquotes or double quotes, without them, escapes as written.
    Quoted(&'a str),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;`
    Semicolon,
    /// Anything else.
    Other,
    /// Quoted text or comment without an end.
    Unclosed,
}

/// Iterates over (place, token).
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Over the whole of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes behind the next `end`; false when there is none.
    fn skip_past(&mut self, end: &str) -> bool {
        match self.rest().find(end) {
            Some(found) => {
                self.at += found + end.len();
                true
            }
            None => {
                self.at = self.text.len();
                false
            }
        }
    }

    /// Reads what is quoted by `quote`, which stands here; backslash escapes, doubling too.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        while at < bytes.len() {
            if bytes[at] == b'\\' {
                at += 2;
            } else if bytes[at] != quote {
                at += 1;
            } else if bytes.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                self.at = at + 1;
                return self.text.get(start..at);
            }
        }
        self.at = bytes.len();
        None
    }

    /// `$tag$ … $tag$`, if one begins here; `Some(false)` when it has no end.
    fn heredoc(&mut self) -> Option<bool> {
        let rest = self.rest();
        let tag_end = rest[1..].find('$')? + 2;
        let tag = &rest[..tag_end];
        if !tag[1..tag_end - 1].bytes().all(is_word) {
            return None;
        }
        self.at += tag_end;
        Some(self.skip_past(tag))
    }

    /// Steps over blanks and comments; false when a comment has no end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("--") || trimmed.starts_with("#!") || trimmed.starts_with("# ") {
                // The end of the text ends it too.
                self.skip_past("\n");
            } else if trimmed.starts_with("/*") {
                self.at += 2;
                if !self.skip_past("*/") {
                    return false;
                }
            } else {
                return true;
            }
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.skip_blanks() {
            return Some((self.at, Token::Unclosed));
        }
        let start = self.at;
        let first = *self.text.as_bytes().get(start)?;
        let single = match first {
            b'(' => Some(Token::Open),
            b')' => Some(Token::Close),
            b';' => Some(Token::Semicolon),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Some((start, token));
        }
        let token = match first {
            b'\'' => self.quoted(b'\'').map_or(Token::Unclosed, |_| Token::Other),
            b'`' | b'"' => self.quoted(first).map_or(Token::Unclosed, Token::Quoted),
            b'$' => match self.heredoc() {
                Some(true) => Token::Other,
                Some(false) => Token::Unclosed,
                None => {
                    self.at += 1;
                    Token::Other
                }
            },
            byte if is_word(byte) => {
                let rest = self.rest();
                let length = rest.bytes().position(|b| !is_word(b)).unwrap_or(rest.len());
                self.at += length;
                Token::Word(&rest[..length])
            }
            _ => {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
                Token::Other
            }
        };
        Some((start, token))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
