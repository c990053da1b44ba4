//! Recognises SMTP by its first lines.
//!
//! Three digits and a text are the replies of many protocols (FTP, NNTP), and some of the verbs
//! are theirs too: only what names mail is certain.

use crate::bytes;
use crate::protocol::Probe;
use crate::segment::Direction;
use crate::smtp::{command, reply};

/// Longest first line. unit byte
const LINE_BYTES_MAX: usize = 1024;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    match direction {
        Direction::ClientToServer => commands(first, cut),
        Direction::ServerToClient => replies(first, cut),
    }
}

fn commands(first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    let mut best = short;
    let mut rest = first;
    while let Some(end) = bytes::find(rest, b'\n') {
        let line = command::without_end(&rest[..end]);
        rest = &rest[end + 1..];
        match line_of_client(line) {
            Probe::Certain => return Probe::Certain,
            Probe::Possible => best = Probe::Possible,
            Probe::Short => {}
            Probe::No if best == Probe::Possible => return best,
            Probe::No => return Probe::No,
        }
    }
    match () {
        () if rest.is_empty() => best,
        () if has_path(rest) => Probe::Certain,
        () if rest.len() > LINE_BYTES_MAX || !rest.iter().all(is_text) => Probe::No,
        () if best == Probe::Possible => best,
        () => match may_be_command(rest) {
            true => short,
            false => Probe::No,
        },
    }
}

fn line_of_client(line: &[u8]) -> Probe {
    if line.len() > LINE_BYTES_MAX || !line.iter().all(is_text) {
        return Probe::No;
    }
    let (verb, arguments) = command::split(line);
    match command::known(verb) {
        Some(b"EHLO" | b"LHLO" | b"HELO") if bytes::is_name(arguments) => Probe::Certain,
        Some(b"MAIL" | b"RCPT") if has_path(line) => Probe::Certain,
        Some(b"DATA" | b"RSET" | b"STARTTLS") if arguments.is_empty() => Probe::Possible,
        Some(b"VRFY" | b"EXPN" | b"ETRN" | b"BDAT") if !arguments.is_empty() => Probe::Possible,
        Some(b"QUIT" | b"NOOP" | b"HELP" | b"AUTH") => Probe::Short,
        _ => Probe::No,
    }
}

/// `MAIL FROM:<` or `RCPT TO:<`.
fn has_path(line: &[u8]) -> bool {
    let starts =
        |start: &[u8]| line.len() >= start.len() && line[..start.len()].eq_ignore_ascii_case(start);
    starts(b"MAIL FROM:<") || starts(b"RCPT TO:<")
}

/// Whether a line without its end may become a command.
fn may_be_command(line: &[u8]) -> bool {
    let (verb, _) = command::split(line);
    command::known(verb).is_some() || line.len() == verb.len() && command::starts_known(verb)
}

fn replies(first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    let Some(end) = bytes::find(first, b'\n') else {
        let may_be = match first.get(..4) {
            Some(start) => reply::read(start, 4).is_some() && first.len() <= LINE_BYTES_MAX,
            None => first.iter().all(u8::is_ascii_digit),
        };
        return if may_be && first.iter().all(is_text) { short } else { Probe::No };
    };
    let line = command::without_end(&first[..end]);
    if line.len() > LINE_BYTES_MAX || !line.iter().all(is_text) {
        return Probe::No;
    }
    let Some(line) = reply::read(line, end as u64) else { return Probe::No };
    match line.code() {
        220 if names_mail(line.text()) => Probe::Certain,
        211 | 214 | 220 | 221 | 235 | 250..=252 | 334 | 354 | 421 | 430..=459 => Probe::Possible,
        500..=504 | 521 | 523..=538 | 550..=556 => Probe::Possible,
        _ => Probe::No,
    }
}

/// Whether a greeting says what is spoken.
fn names_mail(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_alphanumeric()).any(|word| {
        [&b"SMTP"[..], b"ESMTP", b"LMTP"].iter().any(|name| word.eq_ignore_ascii_case(name))
    })
}

fn is_text(byte: &u8) -> bool {
    *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t' | b'\r')
}
