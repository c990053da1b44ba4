//! Fields of the APIs by which brokers and controllers speak with each other.
//! kafka.apache.org/protocol, "The Messages"; the first four as releases before 4.0 had them.

use super::layout::Field::{
    self, Array, Blob, Bytes, Error, Message, Numbers, Offset, Partition, Partitions, Records,
    Struct, Text, Topic, TopicId,
};
use super::layout::{Layout, only, since, until};

/// What a broker is told of a partition.
const PARTITION_STATE: &[Field] = &[
    until(1, &[Topic]),
    Partition,
    Bytes(4 + 4 + 4),
    Numbers(4),
    Bytes(4),
    Numbers(4),
    since(3, &[Numbers(4), Numbers(4)]),
    since(1, &[Bytes(1)]),
    since(6, &[Bytes(1)]),
];

pub(super) const LEADER_AND_ISR: Layout = Layout {
    request: &[
        Bytes(4),
        since(7, &[Bytes(1)]),
        Bytes(4),
        since(2, &[Bytes(8)]),
        since(5, &[Bytes(1)]),
        until(1, &[Array(PARTITION_STATE)]),
        since(2, &[Array(&[Topic, since(5, &[TopicId]), Array(PARTITION_STATE)])]),
        Array(&[Bytes(4), Text, Bytes(4)]),
    ],
    response: &[
        Error,
        until(4, &[Array(&[Topic, Partition, Error])]),
        since(5, &[Array(&[TopicId, Array(&[Partition, Error])])]),
    ],
};

pub(super) const STOP_REPLICA: Layout = Layout {
    request: &[
        Bytes(4),
        since(4, &[Bytes(1)]),
        Bytes(4),
        since(1, &[Bytes(8)]),
        until(2, &[Bytes(1)]),
        only(0, 0, &[Array(&[Topic, Partition])]),
        only(1, 2, &[Array(&[Topic, Partitions])]),
        since(3, &[Array(&[Topic, Array(&[Partition, Bytes(4 + 1)])])]),
    ],
    response: &[Error, Array(&[Topic, Partition, Error])],
};

/// What a broker is told of the leaders of a partition.
const LEADER_STATE: &[Field] = &[
    until(4, &[Topic]),
    Partition,
    Bytes(4 + 4 + 4),
    Numbers(4),
    Bytes(4),
    Numbers(4),
    since(4, &[Numbers(4)]),
];

pub(super) const UPDATE_METADATA: Layout = Layout {
    request: &[
        Bytes(4),
        since(8, &[Bytes(1)]),
        Bytes(4),
        since(5, &[Bytes(8)]),
        until(4, &[Array(LEADER_STATE)]),
        since(5, &[Array(&[Topic, since(7, &[TopicId]), Array(LEADER_STATE)])]),
        Array(&[
            Bytes(4),
            only(0, 0, &[Text, Bytes(4)]),
            since(1, &[Array(&[Bytes(4), Text, since(3, &[Text]), Bytes(2)])]),
            since(2, &[Text]),
        ]),
    ],
    response: &[Error],
};

pub(super) const CONTROLLED_SHUTDOWN: Layout = Layout {
    request: &[Bytes(4), since(2, &[Bytes(8)])],
    response: &[Error, Array(&[Topic, Partition])],
};

pub(super) const VOTE: Layout = Layout {
    request: &[
        Text,
        since(1, &[Bytes(4)]),
        Array(&[
            Topic,
            Array(&[
                Partition,
                Bytes(4 + 4),
                since(1, &[Bytes(16 + 16)]),
                Bytes(4 + 8),
                since(2, &[Bytes(1)]),
            ]),
        ]),
    ],
    response: &[Error, Array(&[Topic, Array(&[Partition, Error, Bytes(4 + 4 + 1)])])],
};

/// The answer to BeginQuorumEpoch and EndQuorumEpoch.
const QUORUM_EPOCH: &[Field] = &[Error, Array(&[Topic, Array(&[Partition, Error, Bytes(4 + 4)])])];

/// Listeners: name, host, port.
const LISTENERS: Field = Array(&[Text, Text, Bytes(2)]);

pub(super) const BEGIN_QUORUM_EPOCH: Layout = Layout {
    request: &[
        Text,
        since(1, &[Bytes(4)]),
        Array(&[Topic, Array(&[Partition, since(1, &[Bytes(16)]), Bytes(4 + 4)])]),
        since(1, &[LISTENERS]),
    ],
    response: QUORUM_EPOCH,
};

pub(super) const END_QUORUM_EPOCH: Layout = Layout {
    request: &[
        Text,
        Array(&[
            Topic,
            Array(&[
                Partition,
                Bytes(4 + 4),
                only(0, 0, &[Numbers(4)]),
                since(1, &[Array(&[Bytes(4 + 16)])]),
            ]),
        ]),
        since(1, &[LISTENERS]),
    ],
    response: QUORUM_EPOCH,
};

/// How far replicas are.
const REPLICAS: Field =
    Array(&[Bytes(4), since(2, &[Bytes(16)]), Bytes(8), since(1, &[Bytes(8 + 8)])]);

pub(super) const DESCRIBE_QUORUM: Layout = Layout {
    request: &[Array(&[Topic, Array(&[Partition])])],
    response: &[
        Error,
        since(2, &[Message]),
        Array(&[
            Topic,
            Array(&[Partition, Error, since(2, &[Message]), Bytes(4 + 4 + 8), REPLICAS, REPLICAS]),
        ]),
        since(2, &[Array(&[Bytes(4), LISTENERS])]),
    ],
};

pub(super) const ALTER_PARTITION: Layout = Layout {
    request: &[
        Bytes(4 + 8),
        Array(&[
            until(1, &[Topic]),
            since(2, &[TopicId]),
            Array(&[
                Partition,
                Bytes(4),
                until(2, &[Numbers(4)]),
                since(3, &[Array(&[Bytes(4 + 8)])]),
                since(1, &[Bytes(1)]),
                Bytes(4),
            ]),
        ]),
    ],
    response: &[
        Bytes(4),
        Error,
        Array(&[
            until(1, &[Topic]),
            since(2, &[TopicId]),
            Array(&[Partition, Error, Bytes(4 + 4), Numbers(4), since(1, &[Bytes(1)]), Bytes(4)]),
        ]),
    ],
};

pub(super) const ENVELOPE: Layout =
    Layout { request: &[Blob, Blob, Blob], response: &[Blob, Error] };

pub(super) const FETCH_SNAPSHOT: Layout = Layout {
    request: &[
        Bytes(4 + 4),
        Array(&[Topic, Array(&[Partition, Bytes(4), Struct(&[Offset, Bytes(4)]), Bytes(8)])]),
    ],
    response: &[
        Bytes(4),
        Error,
        Array(&[
            Topic,
            Array(&[Partition, Error, Struct(&[Offset, Bytes(4)]), Bytes(8 + 8), Records]),
        ]),
    ],
};

/// Listeners with their security, and features.
const LISTENERS_AND_FEATURES: Field = Field::Versions(
    0,
    i16::MAX,
    &[Array(&[Text, Text, Bytes(2 + 2)]), Array(&[Text, Bytes(2 + 2)])],
);

pub(super) const BROKER_REGISTRATION: Layout = Layout {
    request: &[
        Bytes(4),
        Text,
        Bytes(16),
        LISTENERS_AND_FEATURES,
        Text,
        since(1, &[Bytes(1)]),
        since(2, &[Numbers(16)]),
        since(3, &[Bytes(8)]),
    ],
    response: &[Bytes(4), Error, Bytes(8)],
};

pub(super) const BROKER_HEARTBEAT: Layout =
    Layout { request: &[Bytes(4 + 8 + 8 + 1 + 1)], response: &[Bytes(4), Error, Bytes(1 + 1 + 1)] };

pub(super) const UNREGISTER_BROKER: Layout =
    Layout { request: &[Bytes(4)], response: &[Bytes(4), Error, Message] };

pub(super) const ALLOCATE_PRODUCER_IDS: Layout =
    Layout { request: &[Bytes(4 + 8)], response: &[Bytes(4), Error, Bytes(8 + 4)] };

pub(super) const CONTROLLER_REGISTRATION: Layout = Layout {
    request: &[Bytes(4 + 16 + 1), LISTENERS_AND_FEATURES],
    response: &[Bytes(4), Error, Message],
};

pub(super) const ASSIGN_REPLICAS_TO_DIRS: Layout = Layout {
    request: &[Bytes(4 + 8), Array(&[Bytes(16), Array(&[TopicId, Array(&[Partition])])])],
    response: &[
        Bytes(4),
        Error,
        Array(&[Bytes(16), Array(&[TopicId, Array(&[Partition, Error])])]),
    ],
};

pub(super) const ADD_RAFT_VOTER: Layout = Layout {
    request: &[Text, Bytes(4 + 4 + 16), LISTENERS, since(1, &[Bytes(1)])],
    response: &[Bytes(4), Error, Message],
};

pub(super) const REMOVE_RAFT_VOTER: Layout =
    Layout { request: &[Text, Bytes(4 + 16)], response: &[Bytes(4), Error, Message] };

pub(super) const UPDATE_RAFT_VOTER: Layout = Layout {
    request: &[Text, Bytes(4 + 4 + 16), LISTENERS, Struct(&[Bytes(2 + 2)])],
    response: &[Bytes(4), Error],
};
