//! The server's columns: from the agent's columns to all columns that the store gets.
//!
//! In: the agent's columns of some rows, who sent them, the tags of the ends they name. Out: the
//! same rows with every column whose origin is agent or server, in the store's order.

use std::collections::HashMap;
use std::net::IpAddr;

use schema::{Column, ColumnDef, Origin, Table, Text};

use crate::enrich::{EndKey, EndTags};

/// What makes ends distinct: address, process id, process name.
type EndName = (IpAddr, u32, Vec<u8>);

/// Rows that share an end share its key.
pub(crate) struct Ends {
    /// Distinct keys, in order of first appearance.
    pub keys: Vec<EndKey>,
    /// For each side of the table the key of each row.
    sides: Vec<(&'static str, Vec<u32>)>,
}

/// Columns of a table that the store gets, in its order.
pub(crate) fn stored_defs(table: Table) -> Vec<ColumnDef> {
    table.columns().iter().filter(|def| def.origin != Origin::Unset).copied().collect()
}

/// Finds the ends that rows name: `_0` client, `_1` server, or the one end of a table without
/// sides.
pub(crate) fn ends(table: Table, columns: &[Column], rows: usize) -> Ends {
    let mut ends = Ends { keys: Vec::new(), sides: Vec::new() };
    let mut index: HashMap<EndName, u32> = HashMap::new();
    let find = |name: &str| agent_column(table, columns, name);
    let time = find("time");
    for side in ["", "_0", "_1"] {
        let Some(ip4) = find(&format!("ip4{side}")) else { continue };
        let ip6 = find(&format!("ip6{side}"));
        let is_ipv4 = find("is_ipv4");
        let process_id = find(&format!("process_id{side}"));
        let name = find(&format!("process_kname{side}"));
        let mut keys = Vec::with_capacity(rows);
        let mut last: Option<(EndName, u32)> = None;
        for row in 0..rows {
            let ip = address(ip4, ip6, is_ipv4, row);
            let process_id = number(process_id, row) as u32;
            let name = text(name, row);
            if let Some((key, place)) = &last
                && key.0 == ip
                && key.1 == process_id
                && key.2 == name
            {
                keys.push(*place);
                continue;
            }
            let key = (ip, process_id, name.to_vec());
            let place = *index.entry(key.clone()).or_insert_with(|| {
                ends.keys.push(EndKey {
                    ip,
                    process_id,
                    process_name: Text::from_utf8_lossy(name),
                    time_s: number(time, row) as u32,
                });
                ends.keys.len() as u32 - 1
            });
            keys.push(place);
            last = Some((key, place));
        }
        ends.sides.push((side, keys));
    }
    ends
}

/// What the rows of a batch get from the server.
pub(crate) struct Stamp<'a> {
    pub agent_id: u16,
    pub server_id: u16,
    /// Number of the first row, counted over all rows ever taken in.
    pub first_row: u64,
    pub ends: &'a Ends,
    /// One for each of `ends.keys`.
    pub tags: &'a [EndTags],
}

/// All columns of `stored_defs(table)`.
pub(crate) fn complete(
    table: Table,
    columns: Vec<Column>,
    rows: usize,
    stamp: &Stamp,
) -> Vec<Column> {
    let row_ids = row_ids(agent_column(table, &columns, "time"), rows, stamp);
    let traces = agent_column(table, &columns, "trace_id");
    let trace_indices = (0..rows).map(|row| trace_id_index(text(traces, row))).collect();
    let mut trace_indices = Some(Column::U64(trace_indices));
    let mut row_ids = Some(Column::U64(row_ids));
    let mut agents = columns.into_iter();
    let mut complete = Vec::new();
    for def in table.columns() {
        let column = match def.origin {
            Origin::Unset => continue,
            Origin::Agent => agents.next(),
            Origin::Server => match def.name {
                "agent_id" => Some(Column::U16(vec![stamp.agent_id; rows])),
                "_id" => row_ids.take(),
                "trace_id_index" => trace_indices.take(),
                name => tag_column(name, stamp),
            },
        };
        complete.push(column.unwrap_or_else(|| Column::defaults(def.kind, rows)));
    }
    complete
}

fn tag_column(name: &str, stamp: &Stamp) -> Option<Column> {
    let (base, side) = match name.strip_suffix("_0") {
        Some(base) => (base, "_0"),
        None => name.strip_suffix("_1").map_or((name, ""), |base| (base, "_1")),
    };
    let (_, keys) = stamp.ends.sides.iter().find(|(known, _)| *known == side)?;
    let tags = keys.iter().map(|key| stamp.tags.get(*key as usize).copied().unwrap_or_default());
    Some(match base {
        "gprocess_id" => Column::U32(tags.map(|tags| tags.gprocess_id).collect()),
        "host_id" => Column::U16(tags.map(|tags| tags.host_id).collect()),
        "auto_instance_id" => Column::U32(tags.map(|tags| tags.auto_instance_id).collect()),
        "auto_instance_type" => Column::U8(tags.map(|tags| tags.auto_instance_type).collect()),
        "auto_service_id" => Column::U32(tags.map(|tags| tags.auto_service_id).collect()),
        "auto_service_type" => Column::U8(tags.map(|tags| tags.auto_service_type).collect()),
        _ => return None,
    })
}

/// `_id`: end-time seconds << 32 | server (10 bits) << 22 | counter (22 bits).
fn row_ids(time: Option<&Column>, rows: usize, stamp: &Stamp) -> Vec<u64> {
    let server = u64::from(stamp.server_id & 0x3ff) << 22;
    let id = |row: usize| {
        let counter = (stamp.first_row + row as u64) & 0x3f_ffff;
        number(time, row) << 32 | server | counter
    };
    (0..rows).map(id).collect()
}

/// `trace_id_index` of a trace id: XXH64 with seed 0, as ClickHouse's `xxHash64`; 0 for an empty
/// one.
pub fn trace_id_index(trace_id: &[u8]) -> u64 {
    if trace_id.is_empty() { 0 } else { crate::xxh64::hash(trace_id) }
}

fn agent_column<'a>(table: Table, columns: &'a [Column], name: &str) -> Option<&'a Column> {
    let mut agents = table.columns().iter().filter(|def| def.origin == Origin::Agent);
    columns.get(agents.position(|def| def.name == name)?)
}

fn number(column: Option<&Column>, row: usize) -> u64 {
    match column {
        Some(Column::U8(values)) => values.get(row).copied().unwrap_or(0).into(),
        Some(Column::U16(values)) => values.get(row).copied().unwrap_or(0).into(),
        Some(Column::U32(values)) => values.get(row).copied().unwrap_or(0).into(),
        Some(Column::U64(values)) => values.get(row).copied().unwrap_or(0),
        _ => 0,
    }
}

fn text(column: Option<&Column>, row: usize) -> &[u8] {
    match column {
        Some(Column::Text(texts)) => texts.bytes_of(row),
        _ => &[],
    }
}

fn address(ip4: &Column, ip6: Option<&Column>, is_ipv4: Option<&Column>, row: usize) -> IpAddr {
    match ip6 {
        Some(Column::Ip6(values)) if number(is_ipv4, row) == 0 => {
            values.get(row).copied().unwrap_or_default().into()
        }
        _ => (number(Some(ip4), row) as u32).to_be_bytes().into(),
    }
}

/// Appends the rows of `more` to `all`; both have the same shape.
pub(crate) fn append(all: &mut Vec<Column>, more: Vec<Column>) {
    if all.is_empty() {
        *all = more;
        return;
    }
    for (all, more) in all.iter_mut().zip(more) {
        append_column(all, more);
    }
}

fn append_column(all: &mut Column, more: Column) {
    match (all, more) {
        (Column::U8(all), Column::U8(more)) => all.extend(more),
        (Column::U16(all), Column::U16(more)) => all.extend(more),
        (Column::U32(all), Column::U32(more)) => all.extend(more),
        (Column::U64(all), Column::U64(more)) => all.extend(more),
        (Column::I8(all), Column::I8(more)) => all.extend(more),
        (Column::I32(all), Column::I32(more)) => all.extend(more),
        (Column::I64(all), Column::I64(more)) => all.extend(more),
        (Column::F64(all), Column::F64(more)) => all.extend(more),
        (Column::Ip6(all), Column::Ip6(more)) => all.extend(more),
        (Column::Text(all), Column::Text(more)) => {
            let start = all.bytes.len() as u32;
            all.bytes.extend(more.bytes);
            all.ends.extend(more.ends.into_iter().map(|end| start + end));
        }
        (
            Column::Opt { present, values },
            Column::Opt { present: more_present, values: more_values },
        ) => {
            present.extend(more_present);
            append_column(values, *more_values);
        }
        (Column::List { ends, values }, Column::List { ends: more_ends, values: more_values }) => {
            let start = ends.last().copied().unwrap_or(0);
            ends.extend(more_ends.into_iter().map(|end| start + end));
            append_column(values, *more_values);
        }
        _ => debug_assert!(false, "columns of different types"),
    }
}

#[cfg(test)]
mod tests;
