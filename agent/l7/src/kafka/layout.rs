//! Walks the body of a Kafka message of any version, by a table of its fields.
//!
//! In: the fields of a message (`data`, `group`, `admin`, `cluster`, `share`), its version, and its
//! bytes, maybe only the first of them. Out: what a record shows of it (`Found`), and whether
//! the bytes fit the table. Never: more steps than there are bytes.
//!
//! ```text
//! text    := len: i16 (-1: null) bytes          | flexible: len + 1: uvarint (0: null) bytes
//! blob    := len: i32 (-1: null) bytes          | flexible: len + 1: uvarint (0: null) bytes
//! array   := count: i32 (-1: null) element*     | flexible: count + 1: uvarint element*
//! struct  := field*                             | flexible: field* tagged
//! tagged  := count: uvarint count*(tag: uvarint len: uvarint bytes)
//! ```
//! kafka.apache.org/protocol, "Protocol Primitive Types"; KIP-482 for flexible versions.

use crate::bytes::Reader;

/// One field of a message, or some that only some versions have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// So many bytes of no interest.
    Bytes(usize),
    /// A text of no interest.
    Text,
    /// Bytes with a length, of no interest.
    Blob,
    /// An array of numbers of so many bytes each.
    Numbers(usize),
    /// An array of texts of no interest.
    Texts,
    /// An array of structs.
    Array(&'static [Field]),
    /// A struct.
    Struct(&'static [Field]),
    /// A struct that may be null.
    Optional(&'static [Field]),
    /// Fields of these versions only.
    Versions(i16, i16, &'static [Field]),

    /// Name of a topic.
    Topic,
    /// Names of topics.
    Topics,
    /// Id of a topic: a UUID.
    TopicId,
    /// Number of a partition.
    Partition,
    /// Numbers of partitions.
    Partitions,
    /// Offset in a partition.
    Offset,
    /// Name of a consumer group.
    Group,
    /// Names of consumer groups.
    Groups,
    /// Transactional id.
    Transaction,
    /// Transactional ids.
    Transactions,
    /// Kind of the keys of FindCoordinator: 0 group, 1 transaction, 2 share partition.
    KeyKind,
    /// Error code.
    Error,
    /// Error text, behind its code.
    Message,
    /// Acknowledgements that a producer wants; 0: no response.
    Acks,
    /// Records: batches or message sets.
    Records,
}

/// Fields of this version and later ones.
pub(super) const fn since(version: i16, fields: &'static [Field]) -> Field {
    Field::Versions(version, i16::MAX, fields)
}

/// Fields of this version and earlier ones.
pub(super) const fn until(version: i16, fields: &'static [Field]) -> Field {
    Field::Versions(0, version, fields)
}

/// Fields of these versions.
pub(super) const fn only(first: i16, last: i16, fields: &'static [Field]) -> Field {
    Field::Versions(first, last, fields)
}

/// The bodies of an API's request and response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub request: &'static [Field],
    pub response: &'static [Field],
}

/// What a message says. Of things that come more than once, the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found<'a> {
    pub topic: Option<&'a [u8]>,
    pub topic_id: Option<[u8; 16]>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub group: Option<&'a [u8]>,
    pub transaction: Option<&'a [u8]>,
    pub key_kind: u8,
    /// The first that is an error, or else 0.
    pub error: Option<i16>,
    /// Belongs to `error`.
    pub message: Option<&'a [u8]>,
    pub acks: Option<i16>,
    /// The first that are not empty, as far as they were captured.
    pub records: Option<&'a [u8]>,
    /// Topics of which both id and name are said.
    pub named: Vec<([u8; 16], &'a [u8])>,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of the message.
    Exact,
    /// Where the captured bytes end.
    Short,
    /// The bytes do not fit the table.
    Wrong,
}

/// Names of topics that one message may teach.
const NAMED_MAX: usize = 1024;

/// Walks the body of a message of `body_bytes`, of which `body` was captured.
pub(crate) fn walk<'a>(
    fields: &[Field],
    version: i16,
    is_flexible: bool,
    body: &'a [u8],
    body_bytes: usize,
) -> (Found<'a>, End) {
    let mut walk = Walk {
        reader: Reader::new(body),
        left: body_bytes,
        version,
        is_flexible,
        found: Found::default(),
        name: None,
        id: None,
    };
    let end = match walk.structure(fields) {
        Ok(()) if walk.left == 0 => End::Exact,
        Ok(()) => End::Wrong,
        Err(end) => end,
    };
    (walk.found, end)
}

/// A walk under way. An `Err` says why it stopped.
struct Walk<'a> {
    reader: Reader<'a>,
    /// Bytes of the message from here on, captured or not.
    left: usize,
    version: i16,
    is_flexible: bool,
    found: Found<'a>,
    /// Name and id of a topic in the struct being read.
    name: Option<&'a [u8]>,
    id: Option<[u8; 16]>,
}

impl<'a> Walk<'a> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), End> {
        (self.name, self.id) = (None, None);
        self.fields(fields)?;
        if self.is_flexible { self.pass_tagged() } else { Ok(()) }
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), End> {
        for field in fields {
            match *field {
                Field::Versions(first, last, fields) => {
                    if (first..=last).contains(&self.version) {
                        self.fields(fields)?;
                    }
                }
                Field::Bytes(count) => self.pass(count)?,
                Field::Text => drop(self.text()?),
                Field::Blob => drop(self.blob()?),
                Field::Numbers(size) => {
                    let count = self.count()?;
                    self.pass(count.saturating_mul(size))?;
                }
                Field::Texts => drop(self.texts()?),
                Field::Array(fields) => {
                    for _ in 0..self.count()? {
                        self.structure(fields)?;
                    }
                }
                Field::Struct(fields) => self.structure(fields)?,
                Field::Optional(fields) => {
                    if self.number::<1>()? != [0xff] {
                        self.structure(fields)?;
                    }
                }
                role => self.role(role)?,
            }
        }
        Ok(())
    }

    /// Reads a field that a record shows.
    fn role(&mut self, role: Field) -> Result<(), End> {
        match role {
            Field::Topic => {
                self.name = self.text()?;
                self.found.topic = self.found.topic.or(self.name);
                self.learn();
            }
            Field::TopicId => {
                self.id = Some(self.number::<16>()?).filter(|id| *id != [0; 16]);
                self.found.topic_id = self.found.topic_id.or(self.id);
                self.learn();
            }
            Field::Topics => {
                let first = self.texts()?;
                self.found.topic = self.found.topic.or(first);
            }
            Field::Partition => {
                let partition = i32::from_be_bytes(self.number()?);
                self.found.partition.get_or_insert(partition);
            }
            Field::Partitions => {
                let count = self.count()?;
                if count > 0 {
                    let partition = i32::from_be_bytes(self.number()?);
                    self.found.partition.get_or_insert(partition);
                    self.pass((count - 1).saturating_mul(4))?;
                }
            }
            Field::Offset => {
                let offset = i64::from_be_bytes(self.number()?);
                self.found.offset.get_or_insert(offset);
            }
            Field::Group | Field::Groups => {
                let is_one = matches!(role, Field::Group);
                let group = if is_one { self.text()? } else { self.texts()? };
                self.found.group = self.found.group.or(group);
            }
            Field::Transaction | Field::Transactions => {
                let is_one = matches!(role, Field::Transaction);
                let id = if is_one { self.text()? } else { self.texts()? };
                self.found.transaction = self.found.transaction.or(id);
            }
            Field::KeyKind => [self.found.key_kind] = self.number()?,
            Field::Error => {
                let code = i16::from_be_bytes(self.number()?);
                if self.found.error.is_none_or(|known| known == 0) {
                    self.found.error = Some(code);
                }
            }
            Field::Message => {
                let text = self.text()?.filter(|text| !text.is_empty());
                if self.found.error.is_some_and(|code| code != 0) {
                    self.found.message = self.found.message.or(text);
                }
            }
            Field::Acks => self.found.acks = Some(i16::from_be_bytes(self.number()?)),
            Field::Records => {
                let records = self.blob()?;
                self.found.records = self.found.records.or(records.filter(|all| !all.is_empty()));
            }
            _ => {}
        }
        Ok(())
    }

    fn learn(&mut self) {
        if let (Some(id), Some(name)) = (self.id, self.name)
            && self.found.named.len() < NAMED_MAX
        {
            self.found.named.push((id, name));
        }
    }

    fn pass(&mut self, count: usize) -> Result<(), End> {
        self.take(count).map(drop)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], End> {
        self.left = self.left.checked_sub(count).ok_or(End::Wrong)?;
        self.reader.take(count).ok_or(End::Short)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], End> {
        self.left = self.left.checked_sub(N).ok_or(End::Wrong)?;
        self.reader.array().ok_or(End::Short)
    }

    /// A variable-length number: seven bits a byte, the lowest first.
    fn uvarint(&mut self) -> Result<usize, End> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.number()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| End::Wrong);
            }
        }
        Err(End::Wrong)
    }

    /// A length that may be null.
    fn length(&mut self, is_short: bool) -> Result<Option<usize>, End> {
        let length = if self.is_flexible {
            return Ok(self.uvarint()?.checked_sub(1));
        } else if is_short {
            i32::from(i16::from_be_bytes(self.number()?))
        } else {
            i32::from_be_bytes(self.number()?)
        };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| End::Wrong),
        }
    }

    fn text(&mut self) -> Result<Option<&'a [u8]>, End> {
        match self.length(true)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes with a length; of those that were not all captured, what there is, to be found
    /// short by the field behind them.
    fn blob(&mut self) -> Result<Option<&'a [u8]>, End> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        self.left = self.left.checked_sub(length).ok_or(End::Wrong)?;
        Ok(Some(self.reader.take_up_to(length)))
    }

    /// Passes an array of texts and returns the first.
    fn texts(&mut self) -> Result<Option<&'a [u8]>, End> {
        let mut first = None;
        for _ in 0..self.count()? {
            let text = self.text()?;
            first = first.or(text);
        }
        Ok(first)
    }

    /// Elements of an array; each has at least one byte.
    fn count(&mut self) -> Result<usize, End> {
        let count = self.length(false)?.unwrap_or(0);
        if count > self.left { Err(End::Wrong) } else { Ok(count) }
    }

    fn pass_tagged(&mut self) -> Result<(), End> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let length = self.uvarint()?;
            self.pass(length)?;
        }
        Ok(())
    }
}
