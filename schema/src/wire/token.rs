//! The enrolment token: what an operator hands from the server to an agent.
//!
//! ```text
//! token := "deepflow1." secret "." sha256      secret: 64, sha256: 64 lower-case hex digits
//! ```

use std::fmt;
use std::str::FromStr;

use super::WireError;

const PREFIX: &str = "deepflow1";
const HEX_DIGITS: usize = 64;

/// Lets an agent enrol, and lets it recognise the server at first contact.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Known to the server and to those who may enrol agents; 64 hex digits.
    pub secret: String,
    /// SHA-256 of the authority's certificate (DER).
    pub authority_sha256: [u8; 32],
}

impl fmt::Display for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}.{}.", self.secret)?;
        self.authority_sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Does not show the secret.
impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentToken(…)")
    }
}

impl FromStr for EnrolmentToken {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let error = || WireError::OutOfRange("enrolment token");
        let mut parts = text.trim().split('.');
        let (Some(PREFIX), Some(secret), Some(digest), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(error());
        };
        let is_hex =
            |part: &str| part.len() == HEX_DIGITS && part.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex(secret) || !is_hex(digest) {
            return Err(error());
        }
        let mut authority_sha256 = [0; 32];
        for (i, byte) in authority_sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digest[2 * i..2 * i + 2], 16).map_err(|_| error())?;
        }
        Ok(Self { secret: secret.to_owned(), authority_sha256 })
    }
}
