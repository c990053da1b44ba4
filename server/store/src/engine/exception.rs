//! The engine's errors, as ClickHouse's HTTP interface shows them.
//!
//! In: the text of an error. Out: its code, its HTTP status, and its text without repetitions.
//! Never: an error swallowed or reworded.

/// An error of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// ClickHouse's error code; 1002 (unknown exception) when the text has none.
    pub code: u32,
    /// Text, beginning with `Code: N. DB::Exception: `.
    pub message: String,
}

/// Codes that this front gives itself.
pub mod code {
    /// BAD_ARGUMENTS.
    pub const BAD_ARGUMENTS: u32 = 36;
    /// NOT_IMPLEMENTED.
    pub const NOT_IMPLEMENTED: u32 = 48;
    /// SYNTAX_ERROR.
    pub const SYNTAX_ERROR: u32 = 62;
    /// QUERY_IS_TOO_LARGE.
    pub const QUERY_IS_TOO_LARGE: u32 = 191;
    /// UNKNOWN_EXCEPTION.
    pub const UNKNOWN: u32 = 1002;
}

impl Exception {
    /// Makes an error of this front, worded as the engine words its own.
    pub fn new(code: u32, message: &str) -> Self {
        Self { code, message: format!("Code: {code}. DB::Exception: {message}") }
    }

    /// Reads an error text of the engine, which often nests the same prefix and the same suffix.
    pub fn parse(text: &str) -> Self {
        let Some(code) = code_of(text) else {
            return Self::new(code::UNKNOWN, text);
        };
        let prefix = format!("Code: {code}. DB::Exception: ");
        let mut rest = text;
        while let Some(inner) = rest.strip_prefix(prefix.as_str()) {
            rest = inner;
        }
        let rest = strip_repeated_suffix(rest);
        Self { code, message: format!("{prefix}{rest}") }
    }

    /// HTTP status that ClickHouse gives for the code.
    pub fn status(&self) -> u16 {
        match self.code {
            // Statements and data that cannot be read, wrong types and arguments.
            6 | 20 | 25 | 26 | 27 | 33 | 36 | 38 | 41 | 42 | 43 | 44 | 53 | 62 | 69 | 70 | 72
            | 117 | 130 | 131 | 190 | 386 | 456 | 457 => 400,
            // Unknown function, identifier, type, storage, table, aggregate, format, database,
            // setting.
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 81 | 115 => 404,
            159 => 408,
            191 => 413,
            48 => 501,
            // Readonly and access.
            164 | 291 | 497 => 403,
            _ => 500,
        }
    }
}

/// The number in `Code: N.` at the start of `text`.
pub fn code_of(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("Code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// `… (NAME) (version V). (NAME) (version V). (NAME)` → `… (NAME) (version V)`.
fn strip_repeated_suffix(text: &str) -> &str {
    let text = text.trim_end();
    let Some(name_at) = text.rfind(" (") else { return text };
    let name = &text[name_at..];
    let Some(first) = text.find(name) else { return text };
    if first == name_at {
        return text;
    }
    let rest = &text[first + name.len()..];
    match rest.find(')') {
        Some(end) if rest.starts_with(" (version ") => &text[..first + name.len() + end + 1],
        _ => &text[..first + name.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_prefixes_and_suffixes_are_shown_once() {
        let text = "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Nul. Maybe \
                    you meant: ['Null']. (UNKNOWN_FORMAT) (version 26.7.2.1). (UNKNOWN_FORMAT) \
                    (version 26.7.2.1). (UNKNOWN_FORMAT)";
        let got = Exception::parse(text);
        assert_eq!(
            got.message,
            "Code: 73. DB::Exception: Unknown format Nul. Maybe you meant: ['Null']. \
             (UNKNOWN_FORMAT) (version 26.7.2.1)"
        );
        assert_eq!((got.code, got.status()), (73, 404));
    }

    #[test]
    fn plain_text_is_an_unknown_exception() {
        let got = Exception::parse("disk on fire");
        assert_eq!((got.code, got.status()), (1002, 500));
        assert_eq!(got.message, "Code: 1002. DB::Exception: disk on fire");
    }
}
