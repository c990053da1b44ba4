//! Takes comments and the inside of strings out of Rust, C and JavaScript, line by line the same.
//!
//! In: source text. Out: text of the same lines in which only code is left, so that a rule can
//! search it without being fooled by a word in a sentence. It does not check that the code is
//! well formed: at an unclosed string it blanks the rest of the file.

use super::tree::Language;

/// `text` with comments and string contents replaced by spaces.
pub fn blank(text: &str, language: Language) -> String {
    if language == Language::Other {
        return text.to_owned();
    }
    let mut blanker = Blanker { bytes: text.as_bytes(), at: 0, out: Vec::new(), language };
    blanker.run();
    String::from_utf8_lossy(&blanker.out).into_owned()
}

struct Blanker<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
    language: Language,
}

impl Blanker<'_> {
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            match rest[0] {
                b'/' if rest.starts_with(b"//") => self.hide_while(|byte| byte != b'\n'),
                b'/' if rest.starts_with(b"/*") => self.block_comment(),
                b'/' if self.language == Language::JavaScript && self.regex_may_start() => {
                    self.quoted(b'/', true);
                }
                b'"' => self.quoted(b'"', false),
                b'\'' if self.language == Language::Rust => self.char_or_lifetime(),
                b'\'' => self.quoted(b'\'', false),
                b'`' if self.language == Language::JavaScript => self.template(),
                b'r' | b'b' | b'c' if self.raw_string_hashes().is_some() => self.raw_string(),
                _ => self.keep(1),
            }
        }
    }

    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.out.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
    }

    fn hide(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        for &byte in &self.bytes[self.at..end] {
            self.out.push(if byte == b'\n' { b'\n' } else { b' ' });
        }
        self.at = end;
    }

    fn hide_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && wanted(self.bytes[self.at]) {
            self.hide(1);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"/*") && (depth == 0 || self.language == Language::Rust) {
                depth += 1;
                self.hide(2);
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                self.hide(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.hide(1);
            }
        }
    }

    /// A string that ends at `end`; a regular expression ends outside of brackets only.
    fn quoted(&mut self, end: u8, regex: bool) {
        let mut bracket = false;
        self.keep(1);
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'\\' => self.hide(2),
                b'[' if regex => {
                    bracket = true;
                    self.hide(1);
                }
                b']' if regex => {
                    bracket = false;
                    self.hide(1);
                }
                byte if byte == end && !bracket => return self.keep(1),
                _ => self.hide(1),
            }
        }
    }

    /// A JavaScript template with its `${…}` parts: all of it is hidden.
    fn template(&mut self) {
        self.keep(1);
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            match rest[0] {
                b'\\' => self.hide(2),
                b'`' if depth == 0 => return self.keep(1),
                b'`' => {
                    let before = self.out.len();
                    self.template();
                    for byte in &mut self.out[before..] {
                        if *byte == b'`' {
                            *byte = b' ';
                        }
                    }
                }
                b'$' if rest.starts_with(b"${") => {
                    depth += 1;
                    self.hide(2);
                }
                b'{' if depth > 0 => {
                    depth += 1;
                    self.hide(1);
                }
                b'}' if depth > 0 => {
                    depth -= 1;
                    self.hide(1);
                }
                _ => self.hide(1),
            }
        }
    }

    fn char_or_lifetime(&mut self) {
        let rest = &self.bytes[self.at..];
        let is_char = match rest.get(1) {
            Some(b'\\') => true,
            Some(first) if first.is_ascii() => rest.get(2) == Some(&b'\''),
            Some(_) => true,
            None => false,
        };
        if is_char { self.quoted(b'\'', false) } else { self.keep(1) }
    }

    /// The number of `#` when a raw string (`r"`, `r#"`, `br"` …) starts here.
    fn raw_string_hashes(&self) -> Option<usize> {
        if self.language != Language::Rust || self.previous_is_word() {
            return None;
        }
        let rest = &self.bytes[self.at..];
        let prefix = if rest[0] == b'r' {
            1
        } else if rest.get(1) == Some(&b'r') {
            2
        } else {
            return None;
        };
        let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
        (rest.get(prefix + hashes) == Some(&b'"')).then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_string_hashes().unwrap_or(0);
        let mut end = vec![b'"'];
        end.resize(1 + hashes, b'#');
        while self.bytes[self.at] != b'"' {
            self.keep(1);
        }
        self.keep(1);
        while self.at < self.bytes.len() {
            if self.bytes[self.at..].starts_with(&end) {
                return self.keep(end.len());
            }
            self.hide(1);
        }
    }

    fn previous_is_word(&self) -> bool {
        self.out.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }

    /// A `/` begins a regular expression where no value can have ended just before.
    fn regex_may_start(&self) -> bool {
        let before = self.out.trim_ascii_end();
        match before.last() {
            None => true,
            Some(byte) if b"(,=:[!&|?{};+-*%<>~^".contains(byte) => true,
            Some(_) => before.ends_with(b"return") || before.ends_with(b"typeof"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, text: &str, hidden: &[&str], kept: &[&str]) {
        let code = blank(text, language);
        assert_eq!(code.lines().count(), text.lines().count());
        for word in hidden {
            assert!(!code.contains(word), "{word} is still in {code:?}");
        }
        for word in kept {
            assert!(code.contains(word), "{word} is not in {code:?}");
        }
    }

    #[test]
    fn rust_keeps_code_only() {
        let text = "fn a<'x>() { // one\n let b = \"two { \\\" \"; /* three /* four */ } */ '}' }";
        check(Language::Rust, text, &["one", "two", "three", "four"], &["fn a<'x>() {", "let b"]);
        let raw = "let s = r#\"} \" five\"#; let c = b'{'; let after = 1;";
        check(Language::Rust, raw, &["five", "}", "{"], &["after"]);
        check(Language::Rust, "let c = 'é'; done", &["é"], &["done"]);
    }

    #[test]
    fn javascript_keeps_code_only() {
        let text = "const a = `x ${b ? `{` : '}'} y`; const r = /[/}]\\//g; const q = a / b;";
        check(Language::JavaScript, text, &["x", "{", "}"], &["const r", "const q = a / b;"]);
    }

    #[test]
    fn c_keeps_code_only() {
        let text = "int a; /* { */ char c = '{'; // }\n\"}\" int b;";
        check(Language::C, text, &["{", "}"], &["int a;", "int b;"]);
    }
}
