//! Fields of the APIs of consumer groups and of transactions.
//! kafka.apache.org/protocol, "The Messages".

use super::layout::Field::{
    Array, Blob, Bytes, Error, Group, Groups, KeyKind, Message, Numbers, Offset, Partition,
    Partitions, Text, Texts, Topic, TopicId, Transaction, Transactions,
};
use super::layout::{Layout, only, since, until};

pub(super) const OFFSET_COMMIT: Layout = Layout {
    request: &[
        Group,
        since(1, &[Bytes(4), Text]),
        since(7, &[Text]),
        only(2, 4, &[Bytes(8)]),
        Array(&[
            until(9, &[Topic]),
            since(10, &[TopicId]),
            Array(&[Partition, Offset, since(6, &[Bytes(4)]), only(1, 1, &[Bytes(8)]), Text]),
        ]),
    ],
    response: &[
        since(3, &[Bytes(4)]),
        Array(&[until(9, &[Topic]), since(10, &[TopicId]), Array(&[Partition, Error])]),
    ],
};

pub(super) const OFFSET_FETCH: Layout = Layout {
    request: &[
        until(7, &[Group, Array(&[Topic, Partitions])]),
        since(
            8,
            &[Array(&[
                Group,
                since(9, &[Text, Bytes(4)]),
                Array(&[until(9, &[Topic]), since(10, &[TopicId]), Partitions]),
            ])],
        ),
        since(7, &[Bytes(1)]),
    ],
    response: &[
        since(3, &[Bytes(4)]),
        until(
            7,
            &[Array(&[Topic, Array(&[Partition, Offset, since(5, &[Bytes(4)]), Text, Error])])],
        ),
        only(2, 7, &[Error]),
        since(
            8,
            &[Array(&[
                Group,
                Array(&[
                    until(9, &[Topic]),
                    since(10, &[TopicId]),
                    Array(&[Partition, Offset, Bytes(4), Text, Error]),
                ]),
                Error,
            ])],
        ),
    ],
};

pub(super) const FIND_COORDINATOR: Layout = Layout {
    request: &[until(3, &[Group]), since(1, &[KeyKind]), since(4, &[Groups])],
    response: &[
        since(1, &[Bytes(4)]),
        until(3, &[Error]),
        only(1, 3, &[Message]),
        until(3, &[Bytes(4), Text, Bytes(4)]),
        since(4, &[Array(&[Text, Bytes(4), Text, Bytes(4), Error, Message])]),
    ],
};

pub(super) const JOIN_GROUP: Layout = Layout {
    request: &[
        Group,
        Bytes(4),
        since(1, &[Bytes(4)]),
        Text,
        since(5, &[Text]),
        Text,
        Array(&[Text, Blob]),
        since(8, &[Text]),
    ],
    response: &[
        since(2, &[Bytes(4)]),
        Error,
        Bytes(4),
        since(7, &[Text]),
        Text,
        Text,
        since(9, &[Bytes(1)]),
        Text,
        Array(&[Text, since(5, &[Text]), Blob]),
    ],
};

pub(super) const HEARTBEAT: Layout = Layout {
    request: &[Group, Bytes(4), Text, since(3, &[Text])],
    response: &[since(1, &[Bytes(4)]), Error],
};

pub(super) const LEAVE_GROUP: Layout = Layout {
    request: &[Group, until(2, &[Text]), since(3, &[Array(&[Text, Text, since(5, &[Text])])])],
    response: &[since(1, &[Bytes(4)]), Error, since(3, &[Array(&[Text, Text, Error])])],
};

pub(super) const SYNC_GROUP: Layout = Layout {
    request: &[
        Group,
        Bytes(4),
        Text,
        since(3, &[Text]),
        since(5, &[Text, Text]),
        Array(&[Text, Blob]),
    ],
    response: &[since(1, &[Bytes(4)]), Error, since(5, &[Text, Text]), Blob],
};

pub(super) const DESCRIBE_GROUPS: Layout = Layout {
    request: &[Groups, since(3, &[Bytes(1)])],
    response: &[
        since(1, &[Bytes(4)]),
        Array(&[
            Error,
            since(6, &[Message]),
            Group,
            Text,
            Text,
            Text,
            Array(&[Text, since(4, &[Text]), Text, Text, Blob, Blob]),
            since(3, &[Bytes(4)]),
        ]),
    ],
};

pub(super) const LIST_GROUPS: Layout = Layout {
    request: &[since(4, &[Texts]), since(5, &[Texts])],
    response: &[
        since(1, &[Bytes(4)]),
        Error,
        Array(&[Text, Text, since(4, &[Text]), since(5, &[Text])]),
    ],
};

pub(super) const DELETE_GROUPS: Layout =
    Layout { request: &[Groups], response: &[Bytes(4), Array(&[Group, Error])] };

pub(super) const OFFSET_DELETE: Layout = Layout {
    request: &[Group, Array(&[Topic, Array(&[Partition])])],
    response: &[Error, Bytes(4), Array(&[Topic, Array(&[Partition, Error])])],
};

// === transactions ===

pub(super) const INIT_PRODUCER_ID: Layout = Layout {
    request: &[Transaction, Bytes(4), since(3, &[Bytes(8 + 2)]), since(6, &[Bytes(1 + 1)])],
    response: &[Bytes(4), Error, Bytes(8 + 2), since(6, &[Bytes(8 + 2)])],
};

pub(super) const ADD_PARTITIONS_TO_TXN: Layout = Layout {
    request: &[
        since(4, &[Array(&[Transaction, Bytes(8 + 2 + 1), Array(&[Topic, Partitions])])]),
        until(3, &[Transaction, Bytes(8 + 2), Array(&[Topic, Partitions])]),
    ],
    response: &[
        Bytes(4),
        since(4, &[Error, Array(&[Transaction, Array(&[Topic, Array(&[Partition, Error])])])]),
        until(3, &[Array(&[Topic, Array(&[Partition, Error])])]),
    ],
};

pub(super) const ADD_OFFSETS_TO_TXN: Layout =
    Layout { request: &[Transaction, Bytes(8 + 2), Group], response: &[Bytes(4), Error] };

pub(super) const END_TXN: Layout = Layout {
    request: &[Transaction, Bytes(8 + 2 + 1)],
    response: &[Bytes(4), Error, since(5, &[Bytes(8 + 2)])],
};

pub(super) const WRITE_TXN_MARKERS: Layout = Layout {
    request: &[Array(&[
        Bytes(8 + 2 + 1),
        Array(&[Topic, Partitions]),
        Bytes(4),
        since(2, &[Bytes(1)]),
    ])],
    response: &[Array(&[Bytes(8), Array(&[Topic, Array(&[Partition, Error])])])],
};

pub(super) const TXN_OFFSET_COMMIT: Layout = Layout {
    request: &[
        Transaction,
        Group,
        Bytes(8 + 2),
        since(3, &[Bytes(4), Text, Text]),
        Array(&[Topic, Array(&[Partition, Offset, since(2, &[Bytes(4)]), Text])]),
    ],
    response: &[Bytes(4), Array(&[Topic, Array(&[Partition, Error])])],
};

pub(super) const DESCRIBE_TRANSACTIONS: Layout = Layout {
    request: &[Transactions],
    response: &[
        Bytes(4),
        Array(&[Error, Transaction, Text, Bytes(4 + 8 + 8 + 2), Array(&[Text, Numbers(4)])]),
    ],
};

pub(super) const LIST_TRANSACTIONS: Layout = Layout {
    request: &[Texts, Numbers(8), since(1, &[Bytes(8)]), since(2, &[Text])],
    response: &[Bytes(4), Error, Texts, Array(&[Text, Bytes(8), Text])],
};
