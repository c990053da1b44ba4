//! Fields of the APIs that move records and find where they are: produce, fetch, offsets,
//! metadata. kafka.apache.org/protocol, "The Messages"; versions that brokers of today no longer
//! take, as their older releases had them.

use super::layout::Field::{
    Acks, Array, Bytes, Error, Message, Numbers, Offset, Optional, Partition, Partitions, Records,
    Text, Topic, TopicId, Topics, Transaction,
};
use super::layout::{Layout, only, since, until};

pub(super) const PRODUCE: Layout = Layout {
    request: &[
        since(3, &[Transaction]),
        Acks,
        Bytes(4),
        Array(&[until(12, &[Topic]), since(13, &[TopicId]), Array(&[Partition, Records])]),
    ],
    response: &[
        Array(&[
            until(12, &[Topic]),
            since(13, &[TopicId]),
            Array(&[
                Partition,
                Error,
                Offset,
                since(2, &[Bytes(8)]),
                since(5, &[Bytes(8)]),
                since(8, &[Array(&[Bytes(4), Text]), Message]),
            ]),
        ]),
        since(1, &[Bytes(4)]),
    ],
};

pub(super) const FETCH: Layout = Layout {
    request: &[
        until(14, &[Bytes(4)]),
        Bytes(4 + 4),
        since(3, &[Bytes(4)]),
        since(4, &[Bytes(1)]),
        since(7, &[Bytes(4 + 4)]),
        Array(&[
            until(12, &[Topic]),
            since(13, &[TopicId]),
            Array(&[
                Partition,
                since(9, &[Bytes(4)]),
                Offset,
                since(12, &[Bytes(4)]),
                since(5, &[Bytes(8)]),
                Bytes(4),
            ]),
        ]),
        since(7, &[Array(&[only(7, 12, &[Text]), since(13, &[Bytes(16)]), Numbers(4)])]),
        since(11, &[Text]),
    ],
    response: &[
        since(1, &[Bytes(4)]),
        since(7, &[Error, Bytes(4)]),
        Array(&[
            until(12, &[Topic]),
            since(13, &[TopicId]),
            Array(&[
                Partition,
                Error,
                Bytes(8),
                since(4, &[Bytes(8)]),
                since(5, &[Bytes(8)]),
                since(4, &[Array(&[Bytes(8 + 8)])]),
                since(11, &[Bytes(4)]),
                Records,
            ]),
        ]),
    ],
};

pub(super) const LIST_OFFSETS: Layout = Layout {
    request: &[
        Bytes(4),
        since(2, &[Bytes(1)]),
        Array(&[
            Topic,
            Array(&[Partition, since(4, &[Bytes(4)]), Bytes(8), only(0, 0, &[Bytes(4)])]),
        ]),
        since(10, &[Bytes(4)]),
    ],
    response: &[
        since(2, &[Bytes(4)]),
        Array(&[
            Topic,
            Array(&[
                Partition,
                Error,
                only(0, 0, &[Numbers(8)]),
                since(1, &[Bytes(8), Offset]),
                since(4, &[Bytes(4)]),
            ]),
        ]),
    ],
};

pub(super) const METADATA: Layout = Layout {
    request: &[
        Array(&[since(10, &[TopicId]), Topic]),
        since(4, &[Bytes(1)]),
        only(8, 10, &[Bytes(1)]),
        since(8, &[Bytes(1)]),
    ],
    response: &[
        since(3, &[Bytes(4)]),
        Array(&[Bytes(4), Text, Bytes(4), since(1, &[Text])]),
        since(2, &[Text]),
        since(1, &[Bytes(4)]),
        Array(&[
            Error,
            Topic,
            since(10, &[TopicId]),
            since(1, &[Bytes(1)]),
            Array(&[
                Error,
                Bytes(4 + 4),
                since(7, &[Bytes(4)]),
                Numbers(4),
                Numbers(4),
                since(5, &[Numbers(4)]),
            ]),
            since(8, &[Bytes(4)]),
        ]),
        only(8, 10, &[Bytes(4)]),
        since(13, &[Error]),
    ],
};

pub(super) const OFFSET_FOR_LEADER_EPOCH: Layout = Layout {
    request: &[
        since(3, &[Bytes(4)]),
        Array(&[Topic, Array(&[Partition, since(2, &[Bytes(4)]), Bytes(4)])]),
    ],
    response: &[
        since(2, &[Bytes(4)]),
        Array(&[Topic, Array(&[Error, Partition, since(1, &[Bytes(4)]), Offset])]),
    ],
};

pub(super) const DELETE_RECORDS: Layout = Layout {
    request: &[Array(&[Topic, Array(&[Partition, Offset])]), Bytes(4)],
    response: &[Bytes(4), Array(&[Topic, Array(&[Partition, Bytes(8), Error])])],
};

pub(super) const DESCRIBE_PRODUCERS: Layout = Layout {
    request: &[Array(&[Topic, Partitions])],
    response: &[
        Bytes(4),
        Array(&[
            Topic,
            Array(&[Partition, Error, Message, Array(&[Bytes(8 + 4 + 4 + 8 + 4 + 8)])]),
        ]),
    ],
};

pub(super) const DESCRIBE_TOPIC_PARTITIONS: Layout = Layout {
    request: &[Array(&[Topic]), Bytes(4), Optional(&[Text, Bytes(4)])],
    response: &[
        Bytes(4),
        Array(&[
            Error,
            Topic,
            TopicId,
            Bytes(1),
            Array(&[
                Error,
                Bytes(4 + 4 + 4),
                Numbers(4),
                Numbers(4),
                Numbers(4),
                Numbers(4),
                Numbers(4),
            ]),
            Bytes(4),
        ]),
        Optional(&[Text, Bytes(4)]),
    ],
};

pub(super) const CREATE_TOPICS: Layout = Layout {
    request: &[
        Array(&[Topic, Bytes(4 + 2), Array(&[Bytes(4), Numbers(4)]), Array(&[Text, Text])]),
        Bytes(4),
        since(1, &[Bytes(1)]),
    ],
    response: &[
        since(2, &[Bytes(4)]),
        Array(&[
            Topic,
            since(7, &[TopicId]),
            Error,
            since(1, &[Message]),
            since(5, &[Bytes(4 + 2), Array(&[Text, Text, Bytes(1 + 1 + 1)])]),
        ]),
    ],
};

pub(super) const DELETE_TOPICS: Layout = Layout {
    request: &[since(6, &[Array(&[Topic, TopicId])]), until(5, &[Topics]), Bytes(4)],
    response: &[
        since(1, &[Bytes(4)]),
        Array(&[Topic, since(6, &[TopicId]), Error, since(5, &[Message])]),
    ],
};

pub(super) const CREATE_PARTITIONS: Layout = Layout {
    request: &[Array(&[Topic, Bytes(4), Array(&[Numbers(4)])]), Bytes(4 + 1)],
    response: &[Bytes(4), Array(&[Topic, Error, Message])],
};
