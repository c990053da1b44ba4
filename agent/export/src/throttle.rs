//! Limits of logs a second, by a bucket that fills with the clock.

use std::time::Instant;

use schema::{Batch, Column, TextColumn};

/// Seconds of rows that may come at once after silence; DeepFlow samples in buckets of so many.
const BUCKET_SECONDS: f64 = 4.0;

/// A bucket of rows.
pub(crate) struct Throttle {
    rows_per_second: f64,
    rows: f64,
    filled_at: Instant,
}

impl Throttle {
    /// A full bucket; 0 = no limit.
    pub fn new(rows_per_second: u32, now: Instant) -> Self {
        let rows_per_second = f64::from(rows_per_second);
        Self { rows_per_second, rows: rows_per_second * BUCKET_SECONDS, filled_at: now }
    }

    /// How many of `wanted` rows may pass now.
    pub fn take(&mut self, wanted: usize, now: Instant) -> usize {
        if self.rows_per_second == 0.0 {
            return wanted;
        }
        let age = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        let full = self.rows_per_second * BUCKET_SECONDS;
        self.rows = (self.rows + age * self.rows_per_second).min(full);
        let passed = wanted.min(self.rows as usize);
        self.rows -= passed as f64;
        passed
    }
}

/// `kept` rows of a batch, evenly spread over it.
pub(crate) fn sample(batch: &Batch, kept: usize) -> Batch {
    let rows: Vec<usize> = (0..kept).map(|i| i * batch.rows / kept.max(1)).collect();
    let columns = batch.columns.iter().map(|column| pick(column, &rows)).collect();
    Batch { table: batch.table, rows: kept, columns }
}

fn pick(column: &Column, rows: &[usize]) -> Column {
    fn of<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
        rows.iter().map(|row| values[*row]).collect()
    }
    match column {
        Column::U8(values) => Column::U8(of(values, rows)),
        Column::U16(values) => Column::U16(of(values, rows)),
        Column::U32(values) => Column::U32(of(values, rows)),
        Column::U64(values) => Column::U64(of(values, rows)),
        Column::I8(values) => Column::I8(of(values, rows)),
        Column::I32(values) => Column::I32(of(values, rows)),
        Column::I64(values) => Column::I64(of(values, rows)),
        Column::F64(values) => Column::F64(of(values, rows)),
        Column::Ip6(values) => Column::Ip6(of(values, rows)),
        Column::Text(texts) => {
            let mut picked = TextColumn::default();
            rows.iter().for_each(|row| picked.push(texts.text_of(*row)));
            Column::Text(picked)
        }
        Column::Opt { present, values } => {
            Column::Opt { present: of(present, rows), values: Box::new(pick(values, rows)) }
        }
        Column::List { ends, values } => {
            let (mut picked, mut picked_ends) = (Vec::new(), Vec::new());
            for row in rows {
                let start = if *row == 0 { 0 } else { ends[row - 1] };
                picked.extend(start as usize..ends[*row] as usize);
                picked_ends.push(picked.len() as u32);
            }
            Column::List { ends: picked_ends, values: Box::new(pick(values, &picked)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use schema::{Table, deepflow_collector, l7_flow_log};

    use super::*;

    #[test]
    fn a_bucket_lets_bursts_pass_and_then_the_rate() {
        let start = Instant::now();
        let mut throttle = Throttle::new(100, start);
        assert_eq!(throttle.take(1000, start), 400);
        assert_eq!(throttle.take(10, start), 0);
        assert_eq!(throttle.take(1000, start + Duration::from_secs(1)), 100);
        assert_eq!(throttle.take(1000, start + Duration::from_secs(100)), 400);
        assert_eq!(Throttle::new(0, start).take(1_000_000, start), 1_000_000);
    }

    #[test]
    fn a_sample_holds_whole_rows() {
        let row = |i: u32| deepflow_collector::Row {
            time: i,
            tag_names: (0..i).map(|tag| format!("t{tag}").into()).collect(),
            ..deepflow_collector::Row::default()
        };
        let rows: Vec<_> = (0..10).map(row).collect();
        let table = Table::DeepflowCollector;
        let sampled = sample(&Batch::new(table, &rows), 4);
        let expected: Vec<_> = [0, 2, 5, 7].into_iter().map(row).collect();
        assert_eq!(sampled, Batch::new(table, &expected));
        let optional = |id| l7_flow_log::Row { request_id: id, ..l7_flow_log::Row::default() };
        let rows = [optional(Some(1)), optional(None), optional(Some(3)), optional(None)];
        let sampled = sample(&Batch::new(Table::L7FlowLog, &rows), 2);
        assert_eq!(sampled, Batch::new(Table::L7FlowLog, &[rows[0].clone(), rows[2].clone()]));
    }
}
