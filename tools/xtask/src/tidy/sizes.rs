//! Sizes: files of at most 800 lines, functions of at most 70, in Rust, C and JavaScript.
//!
//! In: the tree. Out: what is too long, and how many long functions a comment
//! `// tidy: long — reason` allows. Generated and vendored files are not measured.

use super::Finding;
use super::tree::{Language, SourceFile, Tree};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
/// Written within the five lines above a function or inside of it.
const EXCEPTION: &str = "tidy: long —";

/// Breaches, and the number of functions that an exception comment covers.
pub fn check(tree: &Tree) -> (Vec<Finding>, usize) {
    let mut findings = Vec::new();
    let mut exceptions = 0;
    for file in &tree.files {
        if file.language == Language::Other || file.is_generated() || file.is_vendored() {
            continue;
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let message = format!("{lines} lines: split it by subject (at most {FILE_LINES_MAX})");
            findings.push(Finding::new(&file.path, 0, message));
        }
        for function in functions(file) {
            if function.lines() <= FUNCTION_LINES_MAX {
                continue;
            }
            if has_exception(file, &function) {
                exceptions += 1;
                continue;
            }
            let message = format!(
                "function of {} lines: split it (at most {FUNCTION_LINES_MAX})",
                function.lines()
            );
            findings.push(Finding::new(&file.path, function.first, message));
        }
    }
    (findings, exceptions)
}

/// A function with a body, by its lines counted from 1.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    first: usize,
    last: usize,
}

impl Function {
    fn lines(&self) -> usize {
        self.last - self.first + 1
    }
}

fn has_exception(file: &SourceFile, function: &Function) -> bool {
    let from = function.first.saturating_sub(6);
    file.text
        .lines()
        .take(function.last)
        .skip(from)
        .any(|line| line.split_once(EXCEPTION).is_some_and(|(_, reason)| !reason.trim().is_empty()))
}

fn functions(file: &SourceFile) -> Vec<Function> {
    let code = file.code.as_bytes();
    let mut found = Vec::new();
    for open in (0..code.len()).filter(|at| code[*at] == b'{') {
        let Some(start) = function_start(file.language, code, open) else { continue };
        let Some(close) = matching_brace(code, open) else { continue };
        found.push(Function { first: line_of(code, start), last: line_of(code, close) });
    }
    found
}

fn line_of(code: &[u8], at: usize) -> usize {
    1 + code[..at].iter().filter(|byte| **byte == b'\n').count()
}

fn matching_brace(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where the function begins whose body opens at `open`; `None` when it is another block.
fn function_start(language: Language, code: &[u8], open: usize) -> Option<usize> {
    let head_start = head_start(&code[..open]);
    let head = std::str::from_utf8(&code[head_start..open]).ok()?;
    let blank = head.len() - head.trim_start().len();
    let start = head_start + blank;
    match language {
        Language::Rust => rust_head(head).then_some(start),
        Language::C => c_head(head).then_some(start),
        Language::JavaScript => javascript_head(head).then_some(start),
        Language::Other => None,
    }
}

/// Just after the last `{`, `}` or `;` that is not within parentheses or brackets.
fn head_start(before: &[u8]) -> usize {
    let mut depth = 0usize;
    for (at, byte) in before.iter().enumerate().rev() {
        match byte {
            b')' | b']' => depth += 1,
            b'(' | b'[' => depth = depth.saturating_sub(1),
            b'{' | b'}' | b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    0
}

fn rust_head(head: &str) -> bool {
    let mut words =
        head.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    let before_parenthesis = head.split('(').next().unwrap_or("");
    words.any(|word| word == "fn") && before_parenthesis.split_whitespace().any(|w| w == "fn")
}

fn c_head(head: &str) -> bool {
    let head = head.trim();
    let is_control = ["if", "for", "while", "switch", "else", "do", "return"]
        .iter()
        .any(|word| first_word(head) == *word);
    head.ends_with(')') && !is_control && !head.contains('=') && head.contains(' ')
}

fn javascript_head(head: &str) -> bool {
    let head = head.trim();
    if head.ends_with("=>") {
        return true;
    }
    let is_control = ["if", "for", "while", "switch", "catch", "else", "with", "do"]
        .iter()
        .any(|word| first_word(head) == *word);
    head.ends_with(')') && !is_control
}

fn first_word(head: &str) -> &str {
    head.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(head: &str, line: &str, lines: usize) -> String {
        format!("{head} {{\n{}}}\n", format!("{line}\n").repeat(lines))
    }

    fn findings(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).0.len()
    }

    #[test]
    fn functions_are_measured_in_three_languages() {
        assert_eq!(findings("a.rs", &long("pub fn a(x: u8) -> u8", "x;", 69)), 1);
        assert_eq!(findings("a.rs", &long("pub fn a(x: u8) -> u8", "x;", 68)), 0);
        assert_eq!(findings("a.rs", &long("fn a(x: [u8; 3]) -> [u8; 2]", "x;", 69)), 1);
        assert_eq!(findings("a.js", &long("draw({ a, b }, c)", "x;", 69)), 1);
        assert_eq!(findings("a.c", &long("static int a(int x)", "x;", 69)), 1);
        assert_eq!(findings("a.c", &long("static int a(int x)", "x;", 68)), 0);
        assert_eq!(findings("a.js", &long("export function a(x)", "x;", 69)), 1);
        assert_eq!(findings("a.js", &long("const a = (x) =>", "x;", 69)), 1);
        assert_eq!(findings("a.js", &long("const a = (x) =>", "x;", 68)), 0);
    }

    #[test]
    fn other_blocks_are_no_functions() {
        assert_eq!(findings("a.rs", &long("impl A", "x;", 90)), 0);
        assert_eq!(findings("a.rs", &long("mod a", "x;", 90)), 0);
        assert_eq!(findings("a.c", &long("struct a", "int x;", 90)), 0);
        assert_eq!(findings("a.js", &long("class A", "x;", 90)), 0);
    }

    #[test]
    fn a_reason_allows_a_long_function() {
        let reasoned = format!("// tidy: long — one table\n{}", long("fn a()", "x;", 90));
        let (found, exceptions) = check(&Tree::of(&[("a.rs", &reasoned)]));
        assert_eq!((found.len(), exceptions), (0, 1));
        let bare = format!("// tidy: long —\n{}", long("fn a()", "x;", 90));
        assert_eq!(findings("a.rs", &bare), 1);
    }

    #[test]
    fn files_are_measured() {
        assert_eq!(findings("a.rs", &"//\n".repeat(801)), 1);
        assert_eq!(findings("a.rs", &"//\n".repeat(800)), 0);
        assert_eq!(findings("a.md", &"line\n".repeat(801)), 0);
    }
}
