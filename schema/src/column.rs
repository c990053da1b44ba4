//! Columns: what a batch of rows is made of, on the wire and in the store.
//!
//! In: rows of a generated table struct. Out: typed vectors that the block codec packs and the
//! server writes to ClickHouse as they are. Never: knowledge of a particular table.

/// The type of a column's values, as declared in `schema/tables/*.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 8-bit integer.
    I8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// IEEE 754 double.
    F64,
    /// UTF-8 text.
    Text,
    /// UTF-8 text of few distinct values (`LowCardinality(String)` in the store).
    LowCard,
    /// IPv4 address as a host-order number.
    Ip4,
    /// IPv6 address, 16 bytes in network order.
    Ip6,
    /// Seconds since the Unix epoch.
    Seconds,
    /// Microseconds since the Unix epoch (`DateTime64(6)` in the store).
    Micros,
    /// Optional unsigned 8-bit integer.
    OptU8,
    /// Optional unsigned 64-bit integer.
    OptU64,
    /// Optional signed 32-bit integer.
    OptI32,
    /// Optional signed 64-bit integer.
    OptI64,
    /// List of texts of few distinct values.
    ListLowCard,
    /// List of texts.
    ListText,
    /// List of doubles.
    ListF64,
}

/// Who fills a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The agent, so that it is on the wire.
    Agent,
    /// The server, when it takes the row in.
    Server,
    /// Nobody yet: the column is there with its default, for the names' sake.
    Unset,
}

/// How a value is shown by `deepflow-agent replay` and `standalone`.
#[derive(Clone, Copy, Debug)]
pub enum Json {
    /// As its own type; text that is empty and addresses of the other family are `null`.
    Plain,
    /// A number of which 0 means "not observed", shown as `null`.
    ZeroIsNull,
    /// An enumeration shown by its name.
    Name(fn(u8) -> &'static str),
    /// Not shown.
    Hidden,
}

/// One column of a table: its generated description.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef {
    /// Number of the column on the wire; never reused within a table.
    pub id: u16,
    /// Name in the store, in JSON and in queries.
    pub name: &'static str,
    /// Type of its values.
    pub kind: ColumnType,
    /// Who fills it.
    pub origin: Origin,
    /// How it is shown.
    pub json: Json,
}

/// Texts laid end to end. `ends[i]` is the end of text `i` in `bytes`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextColumn {
    /// End offset of each text; one entry a row.
    pub ends: Vec<u32>,
    /// All texts, UTF-8, without separators.
    pub bytes: Vec<u8>,
}

impl TextColumn {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len() as u32);
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of text `row`; empty when out of range.
    pub fn bytes_of(&self, row: usize) -> &[u8] {
        let Some(&end) = self.ends.get(row) else { return &[] };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Text `row`; empty when out of range or not UTF-8.
    pub fn text_of(&self, row: usize) -> &str {
        std::str::from_utf8(self.bytes_of(row)).unwrap_or("")
    }
}

/// The values of one column, one entry a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// For `U8`.
    U8(Vec<u8>),
    /// For `U16`.
    U16(Vec<u16>),
    /// For `U32`, `Ip4`, `Seconds`.
    U32(Vec<u32>),
    /// For `U64`.
    U64(Vec<u64>),
    /// For `I8`.
    I8(Vec<i8>),
    /// For `I32`.
    I32(Vec<i32>),
    /// For `I64`, `Micros`.
    I64(Vec<i64>),
    /// For `F64`.
    F64(Vec<f64>),
    /// For `Text`, `LowCard`.
    Text(TextColumn),
    /// For `Ip6`.
    Ip6(Vec<[u8; 16]>),
    /// For `Opt*`: `present[i]` says whether `values[i]` counts; absent values hold a default.
    Opt {
        /// One flag a row.
        present: Vec<bool>,
        /// One value a row.
        values: Box<Column>,
    },
    /// For `List*`: list `i` is `values[ends[i-1]..ends[i]]`.
    List {
        /// End of each list in `values`; one entry a row.
        ends: Vec<u32>,
        /// All lists' elements end to end.
        values: Box<Column>,
    },
}

impl Column {
    /// An empty column for values of `kind`.
    pub fn new(kind: ColumnType) -> Self {
        let opt = |values| Self::Opt { present: Vec::new(), values: Box::new(values) };
        let list = |values| Self::List { ends: Vec::new(), values: Box::new(values) };
        match kind {
            ColumnType::U8 => Self::U8(Vec::new()),
            ColumnType::U16 => Self::U16(Vec::new()),
            ColumnType::U32 | ColumnType::Ip4 | ColumnType::Seconds => Self::U32(Vec::new()),
            ColumnType::U64 => Self::U64(Vec::new()),
            ColumnType::I8 => Self::I8(Vec::new()),
            ColumnType::I32 => Self::I32(Vec::new()),
            ColumnType::I64 | ColumnType::Micros => Self::I64(Vec::new()),
            ColumnType::F64 => Self::F64(Vec::new()),
            ColumnType::Text | ColumnType::LowCard => Self::Text(TextColumn::default()),
            ColumnType::Ip6 => Self::Ip6(Vec::new()),
            ColumnType::OptU8 => opt(Self::U8(Vec::new())),
            ColumnType::OptU64 => opt(Self::U64(Vec::new())),
            ColumnType::OptI32 => opt(Self::I32(Vec::new())),
            ColumnType::OptI64 => opt(Self::I64(Vec::new())),
            ColumnType::ListLowCard | ColumnType::ListText => {
                list(Self::Text(TextColumn::default()))
            }
            ColumnType::ListF64 => list(Self::F64(Vec::new())),
        }
    }

    /// A column of `rows` default values (0, empty, absent).
    pub fn defaults(kind: ColumnType, rows: usize) -> Self {
        let mut column = Self::new(kind);
        column.fill_defaults(rows);
        column
    }

    fn fill_defaults(&mut self, rows: usize) {
        match self {
            Self::U8(v) => v.resize(rows, 0),
            Self::U16(v) => v.resize(rows, 0),
            Self::U32(v) => v.resize(rows, 0),
            Self::U64(v) => v.resize(rows, 0),
            Self::I8(v) => v.resize(rows, 0),
            Self::I32(v) => v.resize(rows, 0),
            Self::I64(v) => v.resize(rows, 0),
            Self::F64(v) => v.resize(rows, 0.0),
            Self::Text(v) => v.ends.resize(rows, v.bytes.len() as u32),
            Self::Ip6(v) => v.resize(rows, [0; 16]),
            Self::Opt { present, values } => {
                present.resize(rows, false);
                values.fill_defaults(rows);
            }
            Self::List { ends, .. } => ends.resize(rows, 0),
        }
    }

    /// Takes all rows out, and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::U8(v) => v.clear(),
            Self::U16(v) => v.clear(),
            Self::U32(v) => v.clear(),
            Self::U64(v) => v.clear(),
            Self::I8(v) => v.clear(),
            Self::I32(v) => v.clear(),
            Self::I64(v) => v.clear(),
            Self::F64(v) => v.clear(),
            Self::Text(v) => {
                v.ends.clear();
                v.bytes.clear();
            }
            Self::Ip6(v) => v.clear(),
            Self::Opt { present, values } => {
                present.clear();
                values.clear();
            }
            Self::List { ends, values } => {
                ends.clear();
                values.clear();
            }
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Ip6(v) => v.len(),
            Self::Opt { present, .. } => present.len(),
            Self::List { ends, .. } => ends.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
