//! Fields of the APIs in which members of groups of the new protocols (KIP-848), of share groups
//! (KIP-932) and of streams groups (KIP-1071) say that they live, and are described.
//! kafka.apache.org/protocol, "The Messages".

use super::layout::Field::{
    self, Array, Bytes, Error, Group, Groups, Message, Numbers, Optional, Struct, Text, Texts,
    TopicId, Topics,
};
use super::layout::{Layout, since};

/// Groups to be described, and whether with what may be done with them.
const DESCRIBED: &[Field] = &[Groups, Bytes(1)];

/// What a member is told: its epoch, when to come back, what it is to read.
const HEARTBEAT_ANSWER: &[Field] =
    &[Bytes(4), Error, Message, Text, Bytes(4 + 4), Optional(&[Array(&[Bytes(16), Numbers(4)])])];

/// Partitions that a member has or is to have.
const ASSIGNMENT: Field = Struct(&[Array(&[Bytes(16), Text, Numbers(4)])]);

pub(super) const CONSUMER_GROUP_HEARTBEAT: Layout = Layout {
    request: &[
        Group,
        Text,
        Bytes(4),
        Text,
        Text,
        Bytes(4),
        Topics,
        since(1, &[Text]),
        Text,
        Array(&[TopicId, Numbers(4)]),
    ],
    response: HEARTBEAT_ANSWER,
};

pub(super) const CONSUMER_GROUP_DESCRIBE: Layout = Layout {
    request: DESCRIBED,
    response: &[
        Bytes(4),
        Array(&[
            Error,
            Message,
            Group,
            Text,
            Bytes(4 + 4),
            Text,
            Array(&[
                Text,
                Text,
                Text,
                Bytes(4),
                Text,
                Text,
                Texts,
                Text,
                ASSIGNMENT,
                ASSIGNMENT,
                since(1, &[Bytes(1)]),
            ]),
            Bytes(4),
        ]),
    ],
};

pub(super) const SHARE_GROUP_HEARTBEAT: Layout =
    Layout { request: &[Group, Text, Bytes(4), Text, Topics], response: HEARTBEAT_ANSWER };

pub(super) const SHARE_GROUP_DESCRIBE: Layout = Layout {
    request: DESCRIBED,
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
    request: DESCRIBED,
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
