//! Names of topics by their ids, as one connection tells them (KIP-516).

use std::collections::BTreeMap;

use schema::Text;

use crate::bytes;

/// Topics remembered for one connection.
const TOPICS_MAX: usize = 1024;

/// Longest name of a topic (org.apache.kafka.common.internals.Topic). unit byte
const NAME_BYTES: usize = 249;

/// What is known of the topics of one cluster.
#[derive(Debug, Default)]
pub(crate) struct TopicNames(BTreeMap<[u8; 16], Text>);

impl TopicNames {
    /// Remembers a topic. At the bound the one with the lowest id goes.
    pub fn learn(&mut self, id: [u8; 16], name: &[u8]) {
        let name = bytes::text(name, NAME_BYTES);
        if self.0.len() >= TOPICS_MAX && !self.0.contains_key(&id) {
            self.0.pop_first();
        }
        self.0.insert(id, name);
    }

    /// The name of a topic, if it was told.
    pub fn name_of(&self, id: [u8; 16]) -> Option<&Text> {
        self.0.get(&id)
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.0.values().map(|name| name.len() + 64).sum()
    }
}

/// An id as Kafka shows it: base64 (RFC 4648 §5) without padding.
pub(crate) fn id_text(id: [u8; 16]) -> Text {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(id);
    let letter = |place: u32| {
        // 128 bits are 21 sextets and the upper two bits of one more.
        let sextet = if place < 21 { bits >> (122 - 6 * place) } else { bits << 4 };
        char::from(ALPHABET[sextet as usize & 63])
    };
    (0..22).map(letter).collect()
}
