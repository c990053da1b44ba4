//! The server's columns stand in the store's order and hold what they should.

use schema::{Row, l7_flow_log};

use super::*;

fn l7_rows() -> Vec<l7_flow_log::Row> {
    let row = |second: u32, client: u32, trace: &str| l7_flow_log::Row {
        time: second,
        is_ipv4: 1,
        ip4_0: client,
        ip4_1: 0x0a00_0001,
        process_id_1: 77,
        process_kname_1: "nginx".into(),
        trace_id: trace.into(),
        ..l7_flow_log::Row::default()
    };
    vec![row(100, 1, "abc"), row(101, 2, ""), row(102, 1, "abc")]
}

fn column<'a>(table: Table, columns: &'a [Column], name: &str) -> &'a Column {
    &columns[stored_defs(table).iter().position(|def| def.name == name).unwrap()]
}

#[test]
fn ends_are_found_once_and_their_tags_reach_every_row() {
    let table = Table::L7FlowLog;
    let columns = l7_flow_log::Row::columns(&l7_rows());
    let ends = ends(table, &columns, 3);
    let ips: Vec<String> = ends.keys.iter().map(|key| key.ip.to_string()).collect();
    assert_eq!(ips, ["0.0.0.1", "0.0.0.2", "10.0.0.1"]);
    assert_eq!(ends.keys[2].process_name, "nginx");
    assert_eq!(ends.keys[1].time_s, 101);
    let tags: Vec<EndTags> =
        (1..=3).map(|id| EndTags { gprocess_id: id, host_id: 7, ..EndTags::default() }).collect();
    let stamp = Stamp { agent_id: 5, server_id: 1, first_row: 0x40_0001, ends: &ends, tags: &tags };
    let complete = complete(table, columns, 3, &stamp);
    let defs = stored_defs(table);
    assert_eq!(complete.len(), defs.len());
    for (def, column) in defs.iter().zip(&complete) {
        let shape = std::mem::discriminant(&Column::new(def.kind));
        assert_eq!((std::mem::discriminant(column), column.len()), (shape, 3), "{}", def.name);
    }
    assert_eq!(column(table, &complete, "gprocess_id_0"), &Column::U32(vec![1, 2, 1]));
    assert_eq!(column(table, &complete, "gprocess_id_1"), &Column::U32(vec![3, 3, 3]));
    assert_eq!(column(table, &complete, "host_id_1"), &Column::U16(vec![7, 7, 7]));
    assert_eq!(column(table, &complete, "agent_id"), &Column::U16(vec![5; 3]));
    let hash = 0x44bc_2cf5_ad77_0999;
    assert_eq!(column(table, &complete, "trace_id_index"), &Column::U64(vec![hash, 0, hash]));
    let id = |second: u64, counter: u64| second << 32 | 1 << 22 | counter;
    let ids = vec![id(100, 1), id(101, 2), id(102, 3)];
    assert_eq!(column(table, &complete, "_id"), &Column::U64(ids));
}

#[test]
fn every_table_completes_with_no_rows_and_with_defaults() {
    for table in Table::ALL {
        let agents = table.columns().iter().filter(|def| def.origin == Origin::Agent);
        let columns: Vec<Column> = agents.map(|def| Column::defaults(def.kind, 2)).collect();
        let ends = ends(*table, &columns, 2);
        let tags = vec![EndTags::default(); ends.keys.len()];
        let stamp = Stamp { agent_id: 1, server_id: 1, first_row: 0, ends: &ends, tags: &tags };
        let complete = complete(*table, columns, 2, &stamp);
        let defs = stored_defs(*table);
        assert_eq!(complete.len(), defs.len(), "{}", table.name());
        for (def, column) in defs.iter().zip(&complete) {
            let shape = std::mem::discriminant(&Column::new(def.kind));
            assert_eq!((std::mem::discriminant(column), column.len()), (shape, 2));
        }
    }
}

#[test]
fn appended_columns_keep_their_rows() {
    let rows = l7_rows();
    let mut all = Vec::new();
    append(&mut all, l7_flow_log::Row::columns(&rows[..1]));
    append(&mut all, l7_flow_log::Row::columns(&rows[1..]));
    assert_eq!(all, l7_flow_log::Row::columns(&rows));
}
