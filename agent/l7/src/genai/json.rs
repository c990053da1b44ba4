//! Walks JSON texts (RFC 8259) as they come and tells the values whose place is asked for.
//!
//! In: bytes in any pieces, one text or several after one another; a table of places. Out: the
//! scalars at those places, cut to a few bytes. Never: a text held, or validated beyond what
//! walking it needs.

/// A place in a text: names from the outside in, joined by dots. Arrays add nothing.
pub(crate) type Places<F> = [(&'static str, F)];

/// A scalar, or that its name was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The name; its value follows.
    Name,
    /// A string, perhaps cut.
    Text(&'a [u8]),
    /// A number, `true` or `false`. `null` is no value.
    Word(&'a [u8]),
}

/// Where it stands in a text.
#[derive(Debug)]
pub(crate) struct Walk<F: 'static> {
    places: &'static Places<F>,
    levels: Vec<Level>,
    /// Names of the current place.
    path: Vec<u8>,
    /// What is asked for at the current place.
    wanted: Option<F>,
    state: State,
    scalar: Vec<u8>,
    /// Texts that ended.
    ended: u64,
}

/// An object or array that is open.
#[derive(Clone, Copy, Debug)]
struct Level {
    is_array: bool,
    /// The next string is a name.
    expects_name: bool,
    /// Length of the path outside of it.
    path_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Name,
    NameEscape,
    Text,
    TextEscape,
    Word,
    /// Nothing that follows makes sense.
    Lost,
}

/// Deepest nesting that is followed.
const LEVELS: usize = 128;

/// Longest place that is followed; those asked for are shorter. unit byte
const PATH_BYTES: usize = 80;

/// Longest scalar that is told; the rest is cut off. unit byte
const SCALAR_BYTES: usize = 128;

impl<F: Copy> Walk<F> {
    /// Before a text.
    pub fn new(places: &'static Places<F>) -> Self {
        Self {
            places,
            levels: Vec::new(),
            path: Vec::new(),
            wanted: None,
            state: State::Between,
            scalar: Vec::new(),
            ended: 0,
        }
    }

    /// Forgets where it stands: another text begins.
    pub fn restart(&mut self) {
        self.levels.clear();
        self.path.clear();
        self.wanted = None;
        self.state = State::Between;
    }

    /// What follows is not where a text begins.
    pub fn lose(&mut self) {
        self.restart();
        self.state = State::Lost;
    }

    /// Whether nothing more is found before a restart.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Objects and arrays that ended and stood in no other.
    pub fn ended_texts(&self) -> u64 {
        self.ended
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.levels.capacity() * size_of::<Level>() + self.path.capacity() + self.scalar.capacity()
    }

    /// Takes the next bytes; `tell` gets what is found. How many were used: not all of them
    /// where it was lost.
    pub fn take(&mut self, bytes: &[u8], tell: &mut impl FnMut(F, Value<'_>)) -> usize {
        let mut at = 0;
        while let Some(first) = bytes.get(at).copied() {
            at += match self.state {
                State::Lost => return at,
                State::Between => self.between(first),
                State::Text => self.text(&bytes[at..], tell),
                State::Name => self.name(first, tell),
                State::NameEscape => {
                    self.state = State::Name;
                    self.push_path(first);
                    1
                }
                State::TextEscape => {
                    self.state = State::Text;
                    self.push_scalar(&[first]);
                    1
                }
                State::Word => self.word(first, tell),
            };
        }
        at
    }

    fn between(&mut self, byte: u8) -> usize {
        let level = self.levels.last_mut();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b':' if level.is_some() => {}
            b',' => match level {
                Some(level) => level.expects_name = !level.is_array,
                None => self.state = State::Lost,
            },
            b'{' | b'[' => self.open(byte == b'['),
            b'}' | b']' => self.close(),
            b'"' => match level.filter(|level| level.expects_name) {
                Some(level) => {
                    level.expects_name = false;
                    let outside = level.path_bytes;
                    self.path.truncate(outside);
                    if outside > 0 {
                        self.push_path(b'.');
                    }
                    self.state = State::Name;
                }
                None => {
                    self.scalar.clear();
                    self.state = State::Text;
                }
            },
            b'0'..=b'9' | b'-' | b'a'..=b'z' => {
                self.scalar.clear();
                self.push_scalar(&[byte]);
                self.state = State::Word;
            }
            _ => self.state = State::Lost,
        }
        1
    }

    fn open(&mut self, is_array: bool) {
        if self.levels.len() >= LEVELS {
            self.state = State::Lost;
            return;
        }
        let path_bytes = self.path.len();
        self.levels.push(Level { is_array, expects_name: !is_array, path_bytes });
        if !is_array {
            self.wanted = None;
        }
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else {
            self.state = State::Lost;
            return;
        };
        self.path.truncate(level.path_bytes);
        self.wanted = None;
        if self.levels.is_empty() {
            self.path.clear();
            self.ended += 1;
        }
    }

    fn name(&mut self, byte: u8, tell: &mut impl FnMut(F, Value<'_>)) -> usize {
        match byte {
            b'\\' => self.state = State::NameEscape,
            b'"' => {
                self.state = State::Between;
                let is_it = |place: &&(&str, F)| place.0.as_bytes() == self.path;
                self.wanted = self.places.iter().find(is_it).map(|(_, field)| *field);
                if let Some(field) = self.wanted {
                    tell(field, Value::Name);
                }
            }
            byte => self.push_path(byte),
        }
        1
    }

    fn text(&mut self, bytes: &[u8], tell: &mut impl FnMut(F, Value<'_>)) -> usize {
        let Some(end) = memchr::memchr2(b'"', b'\\', bytes) else {
            self.push_scalar(bytes);
            return bytes.len();
        };
        self.push_scalar(&bytes[..end]);
        if bytes[end] == b'\\' {
            self.state = State::TextEscape;
        } else {
            self.state = State::Between;
            if let Some(field) = self.wanted {
                tell(field, Value::Text(&self.scalar));
            }
        }
        end + 1
    }

    fn word(&mut self, byte: u8, tell: &mut impl FnMut(F, Value<'_>)) -> usize {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-') {
            self.push_scalar(&[byte]);
            return 1;
        }
        self.state = State::Between;
        if let Some(field) = self.wanted.filter(|_| self.scalar != b"null") {
            tell(field, Value::Word(&self.scalar));
        }
        0
    }

    fn push_path(&mut self, byte: u8) {
        if self.path.len() < PATH_BYTES {
            self.path.push(byte);
        }
    }

    fn push_scalar(&mut self, bytes: &[u8]) {
        if self.wanted.is_some() {
            let room = SCALAR_BYTES.saturating_sub(self.scalar.len());
            self.scalar.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: &Places<u8> = &[("a", 1), ("b.c", 2), ("d.e", 3)];

    fn walk(text: &[u8], size: usize) -> (String, u64, bool) {
        let mut walk = Walk::new(PLACES);
        let mut found = String::new();
        for piece in text.chunks(size) {
            walk.take(piece, &mut |field, value| match value {
                Value::Name => found += &format!("{field} "),
                Value::Text(text) => {
                    found += &format!("{field}=\"{}\" ", String::from_utf8_lossy(text))
                }
                Value::Word(word) => found += &format!("{field}:{} ", word.escape_ascii()),
            });
        }
        assert!(walk.held_bytes() < 4096);
        (found, walk.ended_texts(), walk.is_lost())
    }

    fn check(text: &str, found: &str) {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(walk(text.as_bytes(), size).0.trim_end(), found, "{text} by {size}");
        }
    }

    #[test]
    fn places_are_found_wherever_the_text_is_cut() {
        check(r#"{"a": "x", "b": {"c": 12.5e3 , "x": {"c": 1}}, "c": 3}"#, r#"1 1="x" 2 2:12.5e3"#);
        check(r#"{"d":[{"e":true},{"f":"e","e":"y"}],"a":null}"#, r#"3 3:true 3 3="y" 1"#);
        check(r#"[{"a":1},{"a":2}]"#, "1 1:1 1 1:2");
        check(r#"{"x":{"a":1},"x.a":1,"\"a":2,"a":"p\"q\/r"}"#, r#"1 1="p"q/r""#);
        check("{\"a\":1}\n{\"a\":2}\n", "1 1:1 1 1:2");
        check(r#"{"a":["p","q"]}"#, r#"1 1="p" 1="q""#);
        check(r#"{"a":{"a":7},"b":{"c":8}}"#, "1 2 2:8");
    }

    #[test]
    fn texts_are_counted_and_nonsense_is_lost() {
        assert_eq!(walk(b"{} [[]] {\"a\":{}}", 4).1, 3);
        for text in ["<html>", "}", "[DONE]", ",", &"[".repeat(200)] {
            let (_, _, lost) = walk(text.as_bytes(), 3);
            assert!(lost, "{text}");
        }
    }

    #[test]
    fn long_scalars_and_names_are_cut() {
        let text = format!(r#"{{"a":"{}","{}":1}}"#, "z".repeat(100_000), "n".repeat(100_000));
        assert_eq!(walk(text.as_bytes(), 999).0.len(), "1 1=\"\" ".len() + SCALAR_BYTES);
    }
}
