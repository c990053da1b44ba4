//! Enumerations of `schema` as rows of `flow_tag.int_enum`.

use schema::{
    AutoInstanceType, CloseType, FlowStatus, L7Protocol, RecordType, ResponseStatus, Role,
    SignalSource, TunnelType,
};
use serde::Serialize;

/// One value of one enumeration.
#[derive(Clone, Debug, PartialEq, Eq, clickhouse::Row, Serialize)]
pub struct EnumerationTag {
    /// Column that holds the number.
    pub tag_name: String,
    /// Number.
    pub value: u64,
    /// Name.
    pub name: String,
    /// What it means; empty = the name says it.
    pub description: String,
    /// Orders versions of the row.
    pub version: u64,
}

/// Every value of every enumeration, under the names of the columns that hold them.
pub fn rows() -> Vec<EnumerationTag> {
    let mut rows = Vec::new();
    let mut add = |tag_name: &str, values: Vec<(u8, &'static str)>| {
        rows.extend(values.into_iter().map(|(value, name)| EnumerationTag {
            tag_name: tag_name.to_owned(),
            value: value.into(),
            name: name.to_owned(),
            description: String::new(),
            version: 1,
        }));
    };
    macro_rules! values {
        ($kind:ty) => {
            <$kind>::ALL.iter().map(|value| (value.id(), value.name())).collect()
        };
    }
    add("l7_protocol", values!(L7Protocol));
    add("signal_source", values!(SignalSource));
    add("type", values!(RecordType));
    add("response_status", values!(ResponseStatus));
    add("close_type", values!(CloseType));
    add("status", values!(FlowStatus));
    add("tunnel_type", values!(TunnelType));
    add("role", values!(Role));
    add("auto_instance_type", values!(AutoInstanceType));
    add("auto_service_type", values!(AutoInstanceType));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_rows() {
        let rows = rows();
        let name = |tag: &str, value: u64| {
            let row = rows.iter().find(|row| row.tag_name == tag && row.value == value);
            row.map(|row| row.name.as_str())
        };
        assert_eq!(name("type", 2), Some("session"));
        assert_eq!(name("response_status", 3), Some("server_error"));
        assert_eq!(name("l7_protocol", 120), Some("DNS"));
    }
}
