//! Programs of Go: where they call crypto/tls, and how.
//!
//! In: an open file and what its symbol table says. Out: hooks, or why there are none. Never: a
//! hook in code that is not known to be that of a function by its begin, its instructions and its
//! end; a panic, whatever the file has in it. The design is in docs/adr/0014.

use std::collections::BTreeMap;
use std::fs::File;

mod build_info;
mod code;
mod image;
mod layout;
mod line_table;

use code::Convention;
use image::Image;

use super::library::{Functions, Hook, Span};

/// Programs at a function's entry and at its return.
type Programs = (Option<&'static str>, Option<&'static str>);

/// What a function is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Without it there is nothing to tell.
    Data,
    /// Where a program has it and it cannot be hooked, what is told would be wrong.
    Order,
    /// A goroutine's parent; without it all else is told.
    Parents,
}

/// A function that is hooked.
struct Function {
    name: &'static str,
    /// Where arguments are in registers, and where in the stack.
    in_registers: Programs,
    in_stack: Programs,
    need: Need,
}

const fn handshake(name: &'static str) -> Function {
    let (in_registers, in_stack) = ((Some("go_handshake"), None), (Some("go_shake_old"), None));
    Function { name, in_registers, in_stack, need: Need::Order }
}

/// Those that read and write stand last: when one is seen, all that it needs is there.
const FUNCTIONS: [Function; 5] = [
    Function {
        name: NAMES[0],
        in_registers: (None, Some("go_born")),
        in_stack: (None, Some("go_born_old")),
        need: Need::Parents,
    },
    handshake(NAMES[1]),
    handshake(NAMES[2]),
    Function {
        name: NAMES[3],
        in_registers: (Some("go_write"), Some("go_return")),
        in_stack: (Some("go_write_old"), Some("go_return_old")),
        need: Need::Data,
    },
    Function {
        name: NAMES[4],
        in_registers: (Some("go_read"), Some("go_return")),
        in_stack: (Some("go_read_old"), Some("go_return_old")),
        need: Need::Data,
    },
];
/// A longer function is none of these.
const FUNCTION_BYTES_MAX: u64 = 64 << 10;
/// Where the code of Go may begin in a section that also has code of C before it.
const TEXT_BEGINS: u64 = 4096;
const TEXT_ALIGNMENT: u64 = 16;

/// Names of the functions that are looked for.
pub const NAMES: [&str; 5] = [
    "runtime.newproc1",
    "crypto/tls.(*Conn).clientHandshake",
    "crypto/tls.(*Conn).serverHandshake",
    "crypto/tls.(*Conn).Write",
    "crypto/tls.(*Conn).Read",
];

/// A program, or a library, of Go that has crypto/tls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// As users know it: `Go 1.19.8`.
    pub name: String,
    /// What is to be hooked; nothing if there is a reason.
    pub hooks: Vec<Hook>,
    /// Why nothing can be hooked.
    pub reason: String,
    /// Where a goroutine has its number in its `runtime.g`, if that is known and threads lead to it.
    pub goid_at: Option<u32>,
}

/// Looks into a file; `None`: it is not of Go, or never uses TLS.
pub fn look(file: &File, found: &Functions) -> Option<Program> {
    let image = Image::read(file).ok().flatten()?;
    let version = build_info::version(&image);
    let name = format!("Go {}", version.as_deref().unwrap_or("of unknown version"));
    let (hooks, reason) = match hooks(&image, found, version.as_deref()) {
        Ok(hooks) if hooks.is_empty() => return None,
        Ok(hooks) => (hooks, String::new()),
        Err(reason) => (Vec::new(), reason),
    };
    let goid_at = version.as_deref().and_then(layout::goid_at).filter(|_| image.has_g());
    Some(Program { name, hooks, reason, goid_at })
}

fn hooks(image: &Image<'_>, found: &Functions, version: Option<&str>) -> Result<Vec<Hook>, String> {
    let spans = spans(image, found)?;
    let hook = |function: &Function| {
        let span = *spans.get(function.name)?;
        let code = image.code(span);
        let hook = code.and_then(|code| hook_of(function, span, &code, version));
        match function.need {
            Need::Parents => {
                hook.ok().filter(|_| version.is_some_and(layout::tells_births)).map(Ok)
            }
            _ => Some(hook.map_err(|why| format!("{} {why}", function.name))),
        }
    };
    FUNCTIONS.iter().filter_map(hook).collect()
}

fn hook_of(
    function: &Function,
    span: Span,
    code: &[u8],
    version: Option<&str>,
) -> Result<Hook, String> {
    let convention =
        code::convention(code, version).ok_or("does not begin as functions of Go do")?;
    let (entry, exit) = match convention {
        Convention::Registers => function.in_registers,
        Convention::Stack => function.in_stack,
    };
    let returns = exit.map(|_| code::returns(code)).transpose()?.unwrap_or_default();
    let returns = returns.into_iter().map(|at| span.offset + at as u64).collect();
    Ok(Hook { function: function.name, offset: span.offset, entry, exit, returns })
}

/// Where the functions are: by symbols, else by the table that every program of Go carries.
fn spans(image: &Image<'_>, found: &Functions) -> Result<BTreeMap<&'static str, Span>, String> {
    let by_symbol: BTreeMap<_, _> = NAMES
        .iter()
        .filter_map(|name| found.get(name).map(|span| (*name, *span)))
        .filter(|(_, span)| span.bytes > 0)
        .collect();
    if has_all(|name| by_symbol.contains_key(name)) {
        return Ok(by_symbol);
    }
    let bytes = image.line_table().ok_or("it has no table of functions (.gopclntab)")?;
    let table = line_table::Table::find(&bytes)?;
    let places = table.functions(&NAMES);
    if !has_all(|name| places.contains_key(name)) {
        return Ok(BTreeMap::new());
    }
    let at = |base: u64| -> Option<BTreeMap<&'static str, Span>> {
        let span = |(name, (begin, end)): (&&'static str, &(u64, u64))| {
            let bytes = end.checked_sub(*begin).filter(|bytes| *bytes <= FUNCTION_BYTES_MAX)?;
            let offset = image.offset_of(base.checked_add(*begin)?)?;
            Some((*name, Span { offset, bytes }))
        };
        let spans: BTreeMap<_, _> = places.iter().map(span).collect::<Option<_>>()?;
        let is_code = |span: &Span| {
            let begin = Span { bytes: span.bytes.min(code::BEGIN_BYTES), ..*span };
            image.code(begin).is_ok_and(|code| code::begins_function(&code))
        };
        let is_sure = |(name, span): (&&str, &Span)| *name == NAMES[0] || is_code(span);
        spans.iter().all(is_sure).then_some(spans)
    };
    let bases = match table.base() {
        line_table::Base::Absolute => vec![0],
        line_table::Base::Text(begin) => begin.into_iter().chain(text_begins(image)).collect(),
    };
    bases
        .into_iter()
        .find_map(at)
        .ok_or_else(|| "its functions are not where its table says".into())
}

/// Whether all functions are there without which nothing can be told.
fn has_all(has: impl Fn(&str) -> bool) -> bool {
    FUNCTIONS.iter().all(|function| function.need != Need::Data || has(function.name))
}

/// Where the code of Go may begin: the table's own word of it is left out from 1.26 on, and is 0 in
/// files that are linked to run anywhere.
fn text_begins(image: &Image<'_>) -> impl Iterator<Item = u64> {
    let (begin, bytes) = image.text();
    let places = (bytes / TEXT_ALIGNMENT).min(TEXT_BEGINS);
    (0..places).map(move |place| begin.saturating_add(place * TEXT_ALIGNMENT))
}
