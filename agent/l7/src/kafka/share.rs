//! Fields of the APIs of share groups (KIP-932): records, and what is known of them.
//! kafka.apache.org/protocol, "The Messages".

use super::layout::Field::{
    self, Array, Bytes, Error, Group, Message, Numbers, Offset, Partition, Partitions, Records,
    Struct, Text, Topic, TopicId,
};
use super::layout::{Layout, only, since};

/// Records acknowledged: first and last offset, what became of each.
const ACKNOWLEDGED: Field = Array(&[Bytes(8 + 8), Numbers(1)]);

/// Brokers and where they are.
const ENDPOINTS: Field = Array(&[Bytes(4), Text, Bytes(4), Text]);

/// States of records in flight: offsets, state, deliveries.
const STATES: Field = Array(&[Bytes(8 + 8 + 1 + 2)]);

/// A result for each partition.
const RESULTS: Field = Array(&[TopicId, Array(&[Partition, Error, Message])]);

pub(super) const SHARE_FETCH: Layout = Layout {
    request: &[
        Group,
        Text,
        Bytes(4 + 4 + 4 + 4),
        since(1, &[Bytes(4 + 4)]),
        since(2, &[Bytes(1 + 1)]),
        Array(&[TopicId, Array(&[Partition, only(0, 0, &[Bytes(4)]), ACKNOWLEDGED])]),
        Array(&[Bytes(16), Numbers(4)]),
    ],
    response: &[
        Bytes(4),
        Error,
        Message,
        since(1, &[Bytes(4)]),
        Array(&[
            TopicId,
            Array(&[
                Partition,
                Error,
                Message,
                Error,
                Message,
                Struct(&[Bytes(4 + 4)]),
                Records,
                Array(&[Bytes(8 + 8 + 2)]),
            ]),
        ]),
        ENDPOINTS,
    ],
};

pub(super) const SHARE_ACKNOWLEDGE: Layout = Layout {
    request: &[
        Group,
        Text,
        Bytes(4),
        since(2, &[Bytes(1)]),
        Array(&[TopicId, Array(&[Partition, ACKNOWLEDGED])]),
    ],
    response: &[
        Bytes(4),
        Error,
        Message,
        since(2, &[Bytes(4)]),
        Array(&[TopicId, Array(&[Partition, Error, Message, Struct(&[Bytes(4 + 4)])])]),
        ENDPOINTS,
    ],
};

pub(super) const INITIALIZE_SHARE_GROUP_STATE: Layout = Layout {
    request: &[Group, Array(&[TopicId, Array(&[Partition, Bytes(4), Offset])])],
    response: &[RESULTS],
};

pub(super) const READ_SHARE_GROUP_STATE: Layout = Layout {
    request: &[Group, Array(&[TopicId, Array(&[Partition, Bytes(4)])])],
    response: &[Array(&[TopicId, Array(&[Partition, Error, Message, Bytes(4), Offset, STATES])])],
};

pub(super) const WRITE_SHARE_GROUP_STATE: Layout = Layout {
    request: &[
        Group,
        Array(&[TopicId, Array(&[Partition, Bytes(4 + 4), Offset, since(1, &[Bytes(4)]), STATES])]),
    ],
    response: &[RESULTS],
};

pub(super) const DELETE_SHARE_GROUP_STATE: Layout =
    Layout { request: &[Group, Array(&[TopicId, Array(&[Partition])])], response: &[RESULTS] };

pub(super) const READ_SHARE_GROUP_STATE_SUMMARY: Layout = Layout {
    request: &[Group, Array(&[TopicId, Array(&[Partition, Bytes(4)])])],
    response: &[Array(&[
        TopicId,
        Array(&[Partition, Error, Message, Bytes(4 + 4), Offset, since(1, &[Bytes(4)])]),
    ])],
};

pub(super) const DESCRIBE_SHARE_GROUP_OFFSETS: Layout = Layout {
    request: &[Array(&[Group, Array(&[Topic, Partitions])])],
    response: &[
        Bytes(4),
        Array(&[
            Group,
            Array(&[
                Topic,
                TopicId,
                Array(&[Partition, Offset, Bytes(4), since(1, &[Bytes(8)]), Error, Message]),
            ]),
            Error,
            Message,
        ]),
    ],
};

pub(super) const ALTER_SHARE_GROUP_OFFSETS: Layout = Layout {
    request: &[Group, Array(&[Topic, Array(&[Partition, Offset])])],
    response: &[
        Bytes(4),
        Error,
        Message,
        Array(&[Topic, TopicId, Array(&[Partition, Error, Message])]),
    ],
};

pub(super) const DELETE_SHARE_GROUP_OFFSETS: Layout = Layout {
    request: &[Group, Array(&[Topic])],
    response: &[Bytes(4), Error, Message, Array(&[Topic, TopicId, Error, Message])],
};
