//! Which functions of which TLS library are hooked by which program.
//!
//! In: functions that a file has. Out: the library that it is, and its hooks. What the functions
//! take and give is in the manuals: SSL_read(3), SSL_write(3), SSL_do_handshake(3),
//! gnutls_record_recv(3), gnutls_record_send(3).

use std::collections::BTreeMap;

use super::go;

/// Where a function is in its file. unit byte
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub offset: u64,
    /// Its length as the symbol says; 0: not said.
    pub bytes: u64,
}

/// Functions of a file.
pub type Functions = BTreeMap<&'static str, Span>;

/// A program at the entry of a function, and whether the return is hooked, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The function.
    pub function: &'static str,
    /// Where it is in the file. unit byte
    pub offset: u64,
    /// Program at its entry.
    pub entry: Option<&'static str>,
    /// Program at its return.
    pub exit: Option<&'static str>,
    /// Where in the file the function returns, if its returns are hooked by its instructions; empty
    /// if by the kernel, which then writes into the stack.
    pub returns: Vec<u64>,
}

const RETURN: Option<&str> = Some("tls_return");

/// OpenSSL since 1.0.2, and BoringSSL and LibreSSL, which have the same interface. A function that
/// calls another of the list for the same session is told once (bpf/tls/session.bpf.h).
const OPENSSL: &[(&str, &str, Option<&str>)] = &[
    ("SSL_read", "tls_read", RETURN),
    ("SSL_write", "tls_write", RETURN),
    ("SSL_read_ex", "tls_read_ex", RETURN),
    ("SSL_write_ex", "tls_write_ex", RETURN),
    ("SSL_do_handshake", "tls_handshake", RETURN),
    ("SSL_connect", "tls_handshake", RETURN),
    ("SSL_accept", "tls_handshake", RETURN),
    ("SSL_free", "tls_forget", None),
    ("SSL_clear", "tls_forget", None),
    ("SSL_set_bio", "tls_forget", None),
];

const GNUTLS: &[(&str, &str, Option<&str>)] = &[
    ("gnutls_record_recv", "tls_read", RETURN),
    ("gnutls_record_send", "tls_write", RETURN),
    ("gnutls_record_send2", "tls_write", RETURN),
    ("gnutls_handshake", "tls_handshake", RETURN),
    ("gnutls_deinit", "tls_forget", None),
    ("gnutls_transport_set_ptr", "tls_forget", None),
    ("gnutls_transport_set_ptr2", "tls_forget", None),
    ("gnutls_transport_set_int2", "tls_forget", None),
];

/// A library whose functions are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// OpenSSL and those that took its interface over.
    OpenSsl,
    /// GnuTLS.
    GnuTls,
}

/// Names of all functions that are looked for.
pub fn names() -> Vec<&'static str> {
    let libraries = [OPENSSL, GNUTLS].concat().into_iter().map(|(function, ..)| function);
    libraries.chain(go::NAMES).collect()
}

impl Library {
    /// The library that has these functions: at least one that reads and one that writes.
    pub fn of(found: &Functions) -> Option<Self> {
        let has = |name| found.contains_key(name);
        if has("SSL_read") && has("SSL_write") {
            return Some(Self::OpenSsl);
        }
        (has("gnutls_record_recv") && has("gnutls_record_send")).then_some(Self::GnuTls)
    }

    /// What users know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "OpenSSL",
            Self::GnuTls => "GnuTLS",
        }
    }

    /// What is to be hooked of these functions. Calls that read or write stand last: when one is
    /// seen, all that it needs is there.
    pub fn hooks(self, found: &Functions) -> Vec<Hook> {
        let table = match self {
            Self::OpenSsl => OPENSSL,
            Self::GnuTls => GNUTLS,
        };
        let hook =
            |&(function, entry, exit): &(&'static str, &'static str, Option<&'static str>)| {
                let offset = found.get(function)?.offset;
                let entry = Some(entry);
                Some(Hook { function, offset, entry, exit, returns: Vec::new() })
            };
        table.iter().rev().filter_map(hook).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&'static str]) -> Functions {
        let span = |n: usize| Span { offset: n as u64 * 16, bytes: 16 };
        names.iter().enumerate().map(|(n, name)| (*name, span(n))).collect()
    }

    #[test]
    fn a_library_is_known_by_what_reads_and_writes() {
        let old = found(&["SSL_read", "SSL_write", "SSL_free", "SSL_connect"]);
        assert_eq!(Library::of(&old), Some(Library::OpenSsl));
        let gnutls = found(&["gnutls_record_recv", "gnutls_record_send"]);
        assert_eq!(Library::of(&gnutls), Some(Library::GnuTls));
        assert_eq!(Library::of(&found(&["SSL_read", "SSL_free"])), None);
        assert_eq!(Library::of(&found(&[])), None);
    }

    #[test]
    fn only_what_is_there_is_hooked_and_data_last() {
        let hooks = Library::OpenSsl.hooks(&found(&["SSL_read", "SSL_write", "SSL_free"]));
        let names: Vec<_> = hooks.iter().map(|hook| hook.function).collect();
        assert_eq!(names, ["SSL_free", "SSL_write", "SSL_read"]);
        assert_eq!((hooks[0].exit, hooks[1].exit), (None, Some("tls_return")));
    }
}
