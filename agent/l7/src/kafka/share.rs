//! Fields of the APIs of share groups (KIP-932) and streams groups (KIP-1071).
//! kafka.apache.org/protocol, "The Messages".

use super::layout::Field::{
    self, Array, Bytes, Error, Group, Groups, Message, Numbers, Offset, Optional, Partition,
    Partitions, Records, Struct, Text, Texts, Topic, TopicId, Topics,
};
use super::layout::{Layout, only, since};

/// Partitions that a member has.
const ASSIGNMENT: Field = Struct(&[Array(&[Bytes(16), Text, Numbers(4)])]);

/// Records acknowledged: first and last offset, what became of each.
const ACKNOWLEDGED: Field = Array(&[Bytes(8 + 8), Numbers(1)]);

/// Brokers and where they are.
const ENDPOINTS: Field = Array(&[Bytes(4), Text, Bytes(4), Text]);

/// States of records in flight: offsets, state, deliveries.
const STATES: Field = Array(&[Bytes(8 + 8 + 1 + 2)]);

/// A result for each partition.
const RESULTS: Field = Array(&[TopicId, Array(&[Partition, Error, Message])]);

pub(super) const SHARE_GROUP_HEARTBEAT: Layout = Layout {
    request: &[Group, Text, Bytes(4), Text, Topics],
    response: &[
        Bytes(4),
        Error,
        Message,
        Text,
        Bytes(4 + 4),
        Optional(&[Array(&[Bytes(16), Numbers(4)])]),
    ],
};

pub(super) const SHARE_GROUP_DESCRIBE: Layout = Layout {
    request: &[Groups, Bytes(1)],
    response: &[
        Bytes(4),
        Array(&[
            Error,
            Message,
            Group,
            Text,
            Bytes(4 + 4),
            Text,
            Array(&[Text, Text, Bytes(4), Text, Text, Texts, ASSIGNMENT]),
            Bytes(4),
        ]),
    ],
};

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

// === streams groups ===

/// A topic that a topology makes: name, partitions, replicas, settings.
const MADE_TOPICS: Field = Array(&[Text, Bytes(4 + 2), Array(&[Text, Text])]);

/// Tasks: of which part of the topology, which partitions.
const TASKS: Field = Array(&[Text, Numbers(4)]);

/// How far tasks are.
const TASK_OFFSETS: Field = Array(&[Text, Bytes(4 + 8)]);

/// Tasks of a member: active, standby, warm-up.
const TASK_ASSIGNMENT: Field = Struct(&[TASKS, TASKS, TASKS]);

pub(super) const STREAMS_GROUP_HEARTBEAT: Layout = Layout {
    request: &[
        Group,
        Text,
        Bytes(4 + 4),
        Text,
        Text,
        Bytes(4),
        Optional(&[
            Bytes(4),
            Array(&[
                Text,
                Topics,
                Texts,
                MADE_TOPICS,
                Texts,
                MADE_TOPICS,
                Array(&[Numbers(2), Numbers(2), Numbers(2)]),
            ]),
        ]),
        TASKS,
        TASKS,
        TASKS,
        Text,
        Optional(&[Text, Bytes(2)]),
        Array(&[Text, Text]),
        TASK_OFFSETS,
        TASK_OFFSETS,
        Bytes(1),
    ],
    response: &[
        Bytes(4),
        Error,
        Message,
        Text,
        Bytes(4 + 4 + 4 + 4),
        Array(&[Bytes(1), Text]),
        TASKS,
        TASKS,
        TASKS,
        Bytes(4),
        Array(&[Struct(&[Text, Bytes(2)]), TASKS, TASKS]),
    ],
};

pub(super) const STREAMS_GROUP_DESCRIBE: Layout = Layout {
    request: &[Groups, Bytes(1)],
    response: &[
        Bytes(4),
        Array(&[
            Error,
            Message,
            Group,
            Text,
            Bytes(4 + 4),
            Optional(&[Bytes(4), Array(&[Text, Texts, Texts, MADE_TOPICS, MADE_TOPICS])]),
            Array(&[
                Text,
                Bytes(4),
                Text,
                Text,
                Text,
                Text,
                Bytes(4),
                Text,
                Optional(&[Text, Bytes(2)]),
                Array(&[Text, Text]),
                TASK_OFFSETS,
                TASK_OFFSETS,
                TASK_ASSIGNMENT,
                TASK_ASSIGNMENT,
                Bytes(1),
            ]),
            Bytes(4),
        ]),
    ],
};
