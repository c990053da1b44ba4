//! Reads the parameters of ClickHouse's HTTP interface.
//!
//! In: the query string of a URL, or the fields of a multipart body. Out: the statement, its
//! database, format, parameters and settings. Never: a setting name that could end a statement.

use super::exception::{Exception, code};

/// What a request asks for, without the body of the statement or of the data.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Text of `query=`.
    pub query: String,
    /// `database=`.
    pub database: Option<String>,
    /// `default_format=`.
    pub default_format: Option<String>,
    /// `query_id=`, given back in the answer.
    pub query_id: Option<String>,
    /// `param_x=` as (`x`, value).
    pub parameters: Vec<(String, String)>,
    /// Everything else, as settings of the session.
    pub settings: Vec<(String, String)>,
}

/// Names that ClickHouse's HTTP interface takes and that mean nothing here: this front has one
/// user, no sessions and no compression.
const IGNORED: [&str; 10] = [
    "user",
    "password",
    "quota_key",
    "session_id",
    "session_timeout",
    "session_check",
    "decompress",
    "role",
    "client_protocol_version",
    "wait_end_of_query",
];

impl Request {
    /// Reads a URL's query string.
    pub fn parse(query_string: &str) -> Result<Self, Exception> {
        let mut request = Self::default();
        for (name, value) in form_urlencoded::parse(query_string.as_bytes()) {
            request.add(&name, value.into_owned())?;
        }
        Ok(request)
    }

    /// Adds the fields of a `multipart/form-data` body.
    pub fn add_multipart(&mut self, boundary: &str, body: &[u8]) -> Result<(), Exception> {
        let unreadable = || Exception::new(code::BAD_ARGUMENTS, "multipart body is not readable");
        let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
        for part in text.split(&format!("--{boundary}")).skip(1) {
            if part.starts_with("--") {
                return Ok(());
            }
            let (head, value) = part.split_once("\r\n\r\n").ok_or_else(unreadable)?;
            let name = head.split_once("name=\"").ok_or_else(unreadable)?.1;
            let name = name.split_once('"').ok_or_else(unreadable)?.0;
            let value = value.strip_suffix("\r\n").ok_or_else(unreadable)?;
            self.add(name, value.to_owned())?;
        }
        Err(unreadable())
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), Exception> {
        match name {
            "query" => self.query.push_str(&value),
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "query_id" => self.query_id = Some(value),
            "compress" if value == "0" => {}
            "compress" => {
                let message = "compressed answers are not supported by this engine";
                return Err(Exception::new(code::NOT_IMPLEMENTED, message));
            }
            name if IGNORED.contains(&name) => {}
            name => {
                if let Some(parameter) = name.strip_prefix("param_") {
                    self.parameters.push((parameter.to_owned(), value));
                } else if is_identifier(name) {
                    self.settings.push((name.to_owned(), value));
                } else {
                    let message = format!("setting name {name:?} is not a name");
                    return Err(Exception::new(code::BAD_ARGUMENTS, &message));
                }
            }
        }
        Ok(())
    }

    /// The statements that bring a fresh session into the state asked for. `read_only` is for
    /// requests by GET. The setting `readonly` comes last: it forbids all further settings.
    pub fn preparation(&self, read_only: bool) -> Vec<String> {
        let mut statements = Vec::new();
        if let Some(database) = &self.database {
            statements.push(format!("USE {}", quote_identifier(database)));
        }
        let is_readonly = |name: &str| name == "readonly";
        let assignments: Vec<String> = self
            .settings
            .iter()
            .filter(|(name, _)| !is_readonly(name))
            .map(|(name, value)| format!("{name} = {}", quote_text(value)))
            .collect();
        if !assignments.is_empty() {
            statements.push(format!("SET {}", assignments.join(", ")));
        }
        let readonly = self.settings.iter().rfind(|(name, _)| is_readonly(name));
        match readonly {
            Some((_, value)) if value != "0" => {
                statements.push(format!("SET readonly = {}", quote_text(value)));
            }
            _ if read_only => statements.push("SET readonly = 2".to_owned()),
            _ => {}
        }
        statements
    }
}

/// `text` as a quoted ClickHouse string.
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `name` as a quoted ClickHouse identifier.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_parameters() {
        let got = Request::parse(
            "query=SELECT+1&database=a%60b&param_x=5&max_threads=2&readonly=1&user=u&query_id=q",
        )
        .expect("readable");
        assert_eq!(got.query, "SELECT 1");
        assert_eq!(got.parameters, [("x".to_owned(), "5".to_owned())]);
        assert_eq!(
            got.preparation(false),
            ["USE `a\\`b`", "SET max_threads = '2'", "SET readonly = '1'"]
        );
        assert_eq!(got.query_id.as_deref(), Some("q"));
    }

    #[test]
    fn a_setting_cannot_smuggle_a_statement() {
        let error = Request::parse("a%3D1%2Cb=2").expect_err("not a name");
        assert_eq!(error.code, code::BAD_ARGUMENTS);
        let got = Request::parse("log_comment=it%27s+%5C").expect("readable");
        assert_eq!(got.preparation(false), ["SET log_comment = 'it\\'s \\\\'"]);
    }

    #[test]
    fn get_is_read_only_and_readonly_zero_does_not_undo_it() {
        let got = Request::parse("readonly=0").expect("readable");
        assert_eq!(got.preparation(true), ["SET readonly = 2"]);
    }

    #[test]
    fn multipart_fields() {
        let mut got = Request::default();
        let body = b"--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {a:UInt8}\
            \r\n--B\r\nContent-Disposition: form-data; name=\"param_a\"\r\n\r\n7\r\n--B--\r\n";
        got.add_multipart("B", body).expect("readable");
        assert_eq!(got.query, "SELECT {a:UInt8}");
        assert_eq!(got.parameters, [("a".to_owned(), "7".to_owned())]);
        assert!(Request::default().add_multipart("B", b"--B\r\nx").is_err());
    }
}
