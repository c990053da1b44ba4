//! Requests of clients, and the records they make.

use schema::{L7Protocol, Text};

use crate::bytes::{self, Reader};
use crate::mongodb::bson::{self, Document, Element};
use crate::mongodb::text::{Hide, Writer};
use crate::mongodb::wire::{self, Message, Section};
use crate::session::{Key, Pairing};
use crate::sql;
use crate::trace::TraceContext;

/// Commands about credentials, of which no argument is shown (command monitoring specification,
/// "Security").
const SECRET_COMMANDS: [&[u8]; 9] = [
    b"authenticate",
    b"saslStart",
    b"saslContinue",
    b"getnonce",
    b"createUser",
    b"updateUser",
    b"copydbgetnonce",
    b"copydbsaslstart",
    b"copydb",
];

/// What a request is about.
#[derive(Debug, Default)]
struct Request<'a> {
    /// Name of the command, or of what an old opcode does.
    command: &'a [u8],
    database: &'a [u8],
    /// Empty: the command is on none.
    collection: &'a [u8],
    /// The command itself, or the query.
    document: Option<Document<'a>>,
    /// Nobody answers it.
    one_way: bool,
}

/// A message of a client.
pub(crate) fn request(message: &Message<'_>, out: &mut Pairing<'_>) {
    let Some(name) = wire::name_of(message.opcode) else { return };
    let request = read(message).unwrap_or_default();
    let limit = out.config.limits.text_bytes;
    let mut record = out.record();
    record.request_type = Text::const_new(name);
    record.request_id = Some(u64::from(message.request_id));
    record.request_bytes = Some(message.bytes as i64);
    record.endpoint = endpoint(&request);
    let hide = if SECRET_COMMANDS.contains(&request.command) {
        Hide::Secrets
    } else if out.config.redacted.contains(L7Protocol::Mongodb) {
        Hide::Values
    } else {
        Hide::Credentials
    };
    record.request_resource = text(message, &request, hide, limit);
    if let Some(comment) = request.document.and_then(|document| document.find(b"comment")) {
        let mut context = TraceContext::default();
        trace(&comment, &mut context, out);
        context.fill(&out.config.trace, &mut record);
    }
    match request.one_way {
        true => out.one_way(record),
        false => out.request(Key::Id(u64::from(message.request_id)), record, 0),
    }
}

fn read<'a>(message: &Message<'a>) -> Option<Request<'a>> {
    let mut request = Request { one_way: message.is_more_to_come(), ..Request::default() };
    let mut reader = Reader::new(message.body);
    match message.opcode {
        wire::MSG => {
            request.document = message.sections().find_map(|section| match section {
                Section::Body(document) => Some(document),
                Section::Sequence { .. } => None,
            });
            request.read_command();
            return Some(request);
        }
        wire::COMMAND => {
            request.database = reader.until_nul()?;
            let _command = reader.until_nul()?;
            reader.take_up_to(Document::read(reader.rest())?.bytes);
            request.document = Document::read(reader.rest());
            request.read_command();
            return Some(request);
        }
        wire::KILL_CURSORS => {
            request.command = b"killCursors";
            request.one_way = true;
            return Some(request);
        }
        _ => {}
    }
    let _flags = reader.u32_le()?;
    let namespace = reader.until_nul()?;
    let dot = bytes::find(namespace, b'.').unwrap_or(namespace.len());
    request.database = &namespace[..dot];
    request.collection = namespace.get(dot + 1..).unwrap_or(&[]);
    request.one_way = !matches!(message.opcode, wire::QUERY | wire::GET_MORE);
    let (command, passed): (&[u8], usize) = match message.opcode {
        wire::QUERY => (b"query", 8),
        wire::INSERT => (b"insert", 0),
        wire::UPDATE => (b"update", 4),
        wire::DELETE => (b"delete", 4),
        _ => (b"getMore", 0),
    };
    request.command = command;
    reader.take(passed)?;
    if message.opcode != wire::GET_MORE {
        request.document = Document::read(reader.rest());
    }
    if message.opcode == wire::QUERY && request.collection == b"$cmd" {
        request.collection = b"";
        // Read preferences stand beside the command then.
        let inner = request.document.and_then(|document| {
            let first = document.elements().next()?;
            matches!(first.name, b"$query" | b"query").then(|| first.document()).flatten()
        });
        request.document = inner.or(request.document);
        request.read_command();
    }
    Some(request)
}

impl<'a> Request<'a> {
    /// The first element is the command, and in most of them names the collection.
    fn read_command(&mut self) {
        let Some(document) = self.document else { return };
        let mut elements = document.elements();
        let Some(first) = elements.next() else { return };
        self.command = first.name;
        self.collection = first.text().unwrap_or_default();
        // The command that is explained is the one that counts.
        if let Some(inner) = first.document().and_then(|inner| inner.elements().next())
            && first.name == b"explain"
        {
            self.collection = inner.text().unwrap_or_default();
        }
        for element in elements {
            match element.name {
                b"$db" => self.database = element.text().unwrap_or_default(),
                b"collection" if first.name == b"getMore" => {
                    self.collection = element.text().unwrap_or_default();
                }
                _ => {}
            }
        }
    }
}

/// `find db.collection`, or the command alone where it is on no collection.
fn endpoint(request: &Request<'_>) -> Text {
    const NAME_BYTES: usize = 256;
    let mut endpoint = bytes::text(request.command, NAME_BYTES);
    if request.collection.is_empty() {
        return endpoint;
    }
    endpoint.push(' ');
    if !request.database.is_empty() {
        endpoint.push_str(&bytes::text(request.database, NAME_BYTES));
        endpoint.push('.');
    }
    endpoint.push_str(&bytes::text(request.collection, NAME_BYTES));
    endpoint
}

fn text(message: &Message<'_>, request: &Request<'_>, hide: Hide, limit: usize) -> Text {
    let mut writer = Writer::new(limit, hide);
    if let Some(document) = request.document {
        let sections = match message.opcode {
            wire::MSG => Some(message.sections()),
            _ => None,
        };
        let sequences = sections.into_iter().flatten().filter_map(|section| match section {
            Section::Sequence { name, documents } => Some((name, documents)),
            Section::Body(_) => None,
        });
        writer.command(document, sequences);
    }
    if message.opcode == wire::UPDATE
        && let Some(change) = after_first_document(message)
    {
        writer.push(", ");
        writer.document(change);
    }
    writer.finish()
}

/// The second document of an OP_UPDATE: what is changed.
fn after_first_document<'a>(message: &Message<'a>) -> Option<Document<'a>> {
    let mut reader = Reader::new(message.body);
    reader.take(4)?;
    reader.until_nul()?;
    reader.take(4)?;
    reader.take(Document::read(reader.rest())?.bytes)?;
    Document::read(reader.rest())
}

/// Trace context in the comment of a command: `traceparent='00-…'`, or a document of headers.
fn trace(comment: &Element<'_>, context: &mut TraceContext, out: &Pairing<'_>) {
    let config = &out.config.trace;
    match comment.kind {
        bson::STRING => sql::trace_pairs(config, comment.text().unwrap_or_default(), context),
        bson::DOCUMENT => {
            let elements = comment.document().into_iter().flat_map(Document::elements);
            for element in elements.take(64) {
                if let Some(value) = element.text() {
                    context.header(config, element.name, value);
                }
            }
        }
        _ => {}
    }
}
