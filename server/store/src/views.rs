//! Views under the names without precision, over the 1 s tables, so that fresh data are there at
//! once: `flow_metrics.application` reads `flow_metrics.application.1s`.

use schema::Table;

use crate::client::{Client, StoreError};

/// Ending of the tables that views read.
const PRECISION: &str = ".1s";

/// Creates or replaces the views.
pub async fn create(client: &Client) -> Result<(), StoreError> {
    for table in Table::ALL {
        if let Some(sql) = definition(*table) {
            client.execute(&sql).await?;
        }
    }
    Ok(())
}

fn definition(table: Table) -> Option<String> {
    let name = table.name().strip_suffix(PRECISION)?;
    let database = table.database();
    Some(format!(
        "CREATE OR REPLACE VIEW {database}.`{name}` AS SELECT * FROM {database}.`{}`",
        table.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_view_a_table_of_one_second() {
        assert_eq!(
            definition(Table::NetworkMap1s).as_deref(),
            Some(
                "CREATE OR REPLACE VIEW flow_metrics.`network_map` AS \
                 SELECT * FROM flow_metrics.`network_map.1s`"
            )
        );
        assert_eq!(definition(Table::NetworkMap1m), None);
        assert_eq!(definition(Table::L7FlowLog), None);
    }
}
