//! The meter: what happened goes in, finished documents come out as batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::FlowTick;
use l7::Stat;
use schema::{Batch, Row, Rows, SignalSource, Table};

use crate::application::{self, ApplicationKey, ApplicationSum};
use crate::edge::Edge;
use crate::network::{self, NetworkKey, NetworkSum, Period};
use crate::window::{Document, Sum, Windows};

const NS_A_SECOND: u64 = 1_000_000_000;
/// Documents open at once, see [`Meter::bound`].
const DOCUMENTS_MAX: usize = 32_768;
/// Rows of one batch: rows and their columns are memory beside the documents.
const BATCH_ROWS: usize = 4_096;

/// Open documents of one pipeline.
#[derive(Debug, Default)]
pub struct Meter {
    applications: Windows<ApplicationKey, ApplicationSum>,
    networks: Windows<NetworkKey, NetworkSum>,
}

impl Meter {
    /// Counts a request, response or timeout; those of packets in the network metrics too.
    pub fn on_stat(&mut self, edge: &Arc<Edge>, direction_score: u8, stat: &Stat) {
        let key = ApplicationKey {
            edge: Arc::clone(edge),
            protocol: stat.protocol,
            endpoint: stat.endpoint.clone(),
        };
        let second = stat.time_ns / NS_A_SECOND;
        self.applications.sum(second, &key).count(stat, direction_score);
        if edge.signal_source == SignalSource::Packet {
            self.networks.sum(second, &**edge).requests.count(stat);
        }
    }

    /// Adds a second of a flow.
    pub fn on_tick(&mut self, edge: &Edge, tick: &FlowTick) {
        self.networks.sum(tick.time_s, edge).add(tick);
    }

    /// Gives out all documents as they stand when too many are open: those of a period add up.
    pub fn bound(&mut self, out: &mut impl FnMut(Batch)) {
        if self.applications.len() + self.networks.len() > DOCUMENTS_MAX {
            self.finish_all(out);
        }
    }

    /// Gives out the seconds and minutes that ended at or before `second` (since the Unix epoch).
    pub fn finish(&mut self, second: u64, out: &mut impl FnMut(Batch)) {
        let documents = self.applications.finish_seconds(second);
        push_applications(&documents, Table::ApplicationMap1s, Table::Application1s, out);
        let documents = self.applications.finish_minutes(second);
        push_applications(&documents, Table::ApplicationMap1m, Table::Application1m, out);
        let documents = self.networks.finish_seconds(second);
        push_networks(&documents, Period::Second, out);
        let documents = self.networks.finish_minutes(second);
        push_networks(&documents, Period::Minute, out);
    }

    /// Gives out everything, whether ended or not.
    pub fn finish_all(&mut self, out: &mut impl FnMut(Batch)) {
        self.finish(u64::MAX - 1, out);
    }
}

fn push_applications(
    documents: &[Document<ApplicationKey, ApplicationSum>],
    map: Table,
    single: Table,
    out: &mut impl FnMut(Batch),
) {
    if documents.is_empty() {
        return;
    }
    push(map, documents, application::map_row, out);
    push(single, &singles(documents), application::single_row, out);
}

fn push_networks(
    documents: &[Document<NetworkKey, NetworkSum>],
    period: Period,
    out: &mut impl FnMut(Batch),
) {
    if documents.is_empty() {
        return;
    }
    let (map, single) = match period {
        Period::Second => (Table::NetworkMap1s, Table::Network1s),
        Period::Minute => (Table::NetworkMap1m, Table::Network1m),
    };
    push(map, documents, |document| network::map_row(document, period), out);
    push(single, &singles(documents), |document| network::single_row(document, period), out);
}

/// Batches of the documents' rows.
fn push<D, R: Row>(
    table: Table,
    documents: &[D],
    row: impl Fn(&D) -> R,
    out: &mut impl FnMut(Batch),
) {
    for part in documents.chunks(BATCH_ROWS) {
        let mut rows = Rows::new(table);
        part.iter().for_each(|document| rows.push(row(document)));
        rows.take().map(&mut *out);
    }
}

/// The single-end documents of edge documents: joined over the other ends.
fn singles<K, Single, S>(documents: &[Document<K, S>]) -> Vec<Document<Single, S>>
where
    Single: for<'a> From<&'a K> + Ord,
    S: Sum,
{
    let mut joined: BTreeMap<(u64, Single), S> = BTreeMap::new();
    for document in documents {
        let key = (document.start_s, Single::from(&document.key));
        joined.entry(key).or_default().join(&document.sum);
    }
    joined.into_iter().map(|((start_s, key), sum)| Document { start_s, key, sum }).collect()
}
