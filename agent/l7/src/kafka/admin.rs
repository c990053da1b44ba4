//! Fields of the APIs that administer a cluster: access, settings, directories, tokens, quotas,
//! telemetry. kafka.apache.org/protocol, "The Messages".

use super::layout::Field::{
    self, Array, Blob, Bytes, Error, Message, Numbers, Partition, Partitions, Text, Texts, Topic,
};
use super::layout::{Layout, only, since, until};

/// Who may do what: principal, host, operation, permission.
const ACCESS: Field = Field::Versions(0, i16::MAX, &[Text, Text, Bytes(1 + 1)]);

/// An error with its text, then what resource it is about.
const RESOURCE_ERROR: Field = Field::Versions(0, i16::MAX, &[Error, Message, Bytes(1), Text]);

pub(super) const SASL_HANDSHAKE: Layout = Layout { request: &[Text], response: &[Error, Texts] };

pub(super) const SASL_AUTHENTICATE: Layout =
    Layout { request: &[Blob], response: &[Error, Message, Blob, since(1, &[Bytes(8)])] };

pub(super) const API_VERSIONS: Layout = Layout {
    request: &[since(3, &[Text, Text])],
    response: &[Error, Array(&[Bytes(2 + 2 + 2)]), since(1, &[Bytes(4)])],
};

pub(super) const DESCRIBE_ACLS: Layout = Layout {
    request: &[Bytes(1), Text, since(1, &[Bytes(1)]), ACCESS],
    response: &[
        Bytes(4),
        Error,
        Message,
        Array(&[Bytes(1), Text, since(1, &[Bytes(1)]), Array(&[ACCESS])]),
    ],
};

pub(super) const CREATE_ACLS: Layout = Layout {
    request: &[Array(&[Bytes(1), Text, since(1, &[Bytes(1)]), ACCESS])],
    response: &[Bytes(4), Array(&[Error, Message])],
};

pub(super) const DELETE_ACLS: Layout = Layout {
    request: &[Array(&[Bytes(1), Text, since(1, &[Bytes(1)]), ACCESS])],
    response: &[
        Bytes(4),
        Array(&[Error, Message, Array(&[RESOURCE_ERROR, since(1, &[Bytes(1)]), ACCESS])]),
    ],
};

pub(super) const DESCRIBE_CONFIGS: Layout = Layout {
    request: &[Array(&[Bytes(1), Text, Texts]), since(1, &[Bytes(1)]), since(3, &[Bytes(1)])],
    response: &[
        Bytes(4),
        Array(&[
            RESOURCE_ERROR,
            Array(&[
                Text,
                Text,
                Bytes(1),
                only(0, 0, &[Bytes(1)]),
                since(1, &[Bytes(1)]),
                Bytes(1),
                since(1, &[Array(&[Text, Text, Bytes(1)])]),
                since(3, &[Bytes(1), Text]),
            ]),
        ]),
    ],
};

pub(super) const ALTER_CONFIGS: Layout = Layout {
    request: &[Array(&[Bytes(1), Text, Array(&[Text, Text])]), Bytes(1)],
    response: &[Bytes(4), Array(&[RESOURCE_ERROR])],
};

pub(super) const INCREMENTAL_ALTER_CONFIGS: Layout = Layout {
    request: &[Array(&[Bytes(1), Text, Array(&[Text, Bytes(1), Text])]), Bytes(1)],
    response: &[Bytes(4), Array(&[RESOURCE_ERROR])],
};

pub(super) const LIST_CONFIG_RESOURCES: Layout = Layout {
    request: &[since(1, &[Numbers(1)])],
    response: &[Bytes(4), Error, Array(&[Text, since(1, &[Bytes(1)])])],
};

pub(super) const ALTER_REPLICA_LOG_DIRS: Layout = Layout {
    request: &[Array(&[Text, Array(&[Topic, Partitions])])],
    response: &[Bytes(4), Array(&[Topic, Array(&[Partition, Error])])],
};

pub(super) const DESCRIBE_LOG_DIRS: Layout = Layout {
    request: &[Array(&[Topic, Partitions])],
    response: &[
        Bytes(4),
        since(3, &[Error]),
        Array(&[
            Error,
            Text,
            Array(&[Topic, Array(&[Bytes(4 + 8 + 8 + 1)])]),
            since(4, &[Bytes(8 + 8)]),
            since(5, &[Bytes(1)]),
        ]),
    ],
};

pub(super) const CREATE_DELEGATION_TOKEN: Layout = Layout {
    request: &[since(3, &[Text, Text]), Array(&[Text, Text]), Bytes(8)],
    response: &[Error, Text, Text, since(3, &[Text, Text]), Bytes(8 + 8 + 8), Text, Blob, Bytes(4)],
};

/// RenewDelegationToken and ExpireDelegationToken.
pub(super) const CHANGE_DELEGATION_TOKEN: Layout =
    Layout { request: &[Blob, Bytes(8)], response: &[Error, Bytes(8 + 4)] };

pub(super) const DESCRIBE_DELEGATION_TOKEN: Layout = Layout {
    request: &[Array(&[Text, Text])],
    response: &[
        Error,
        Array(&[
            Text,
            Text,
            since(3, &[Text, Text]),
            Bytes(8 + 8 + 8),
            Text,
            Blob,
            Array(&[Text, Text]),
        ]),
        Bytes(4),
    ],
};

pub(super) const DESCRIBE_CLIENT_QUOTAS: Layout = Layout {
    request: &[Array(&[Text, Bytes(1), Text]), Bytes(1)],
    response: &[Bytes(4), Error, Message, Array(&[Array(&[Text, Text]), Array(&[Text, Bytes(8)])])],
};

pub(super) const ALTER_CLIENT_QUOTAS: Layout = Layout {
    request: &[Array(&[Array(&[Text, Text]), Array(&[Text, Bytes(8 + 1)])]), Bytes(1)],
    response: &[Bytes(4), Array(&[Error, Message, Array(&[Text, Text])])],
};

pub(super) const DESCRIBE_USER_SCRAM_CREDENTIALS: Layout = Layout {
    request: &[Array(&[Text])],
    response: &[Bytes(4), Error, Message, Array(&[Text, Error, Message, Array(&[Bytes(1 + 4)])])],
};

pub(super) const ALTER_USER_SCRAM_CREDENTIALS: Layout = Layout {
    request: &[Array(&[Text, Bytes(1)]), Array(&[Text, Bytes(1 + 4), Blob, Blob])],
    response: &[Bytes(4), Array(&[Text, Error, Message])],
};

pub(super) const UPDATE_FEATURES: Layout = Layout {
    request: &[Bytes(4), Array(&[Text, Bytes(2 + 1)]), since(1, &[Bytes(1)])],
    response: &[Bytes(4), Error, Message, until(1, &[Array(&[Text, Error, Message])])],
};

pub(super) const GET_TELEMETRY_SUBSCRIPTIONS: Layout = Layout {
    request: &[Bytes(16)],
    response: &[Bytes(4), Error, Bytes(16 + 4), Numbers(1), Bytes(4 + 4 + 1), Texts],
};

pub(super) const PUSH_TELEMETRY: Layout =
    Layout { request: &[Bytes(16 + 4 + 1 + 1), Blob], response: &[Bytes(4), Error] };

pub(super) const ELECT_LEADERS: Layout = Layout {
    request: &[since(1, &[Bytes(1)]), Array(&[Topic, Partitions]), Bytes(4)],
    response: &[Bytes(4), since(1, &[Error]), Array(&[Topic, Array(&[Partition, Error, Message])])],
};

pub(super) const ALTER_PARTITION_REASSIGNMENTS: Layout = Layout {
    request: &[Bytes(4), since(1, &[Bytes(1)]), Array(&[Topic, Array(&[Partition, Numbers(4)])])],
    response: &[
        Bytes(4),
        since(1, &[Bytes(1)]),
        Error,
        Message,
        Array(&[Topic, Array(&[Partition, Error, Message])]),
    ],
};

pub(super) const LIST_PARTITION_REASSIGNMENTS: Layout = Layout {
    request: &[Bytes(4), Array(&[Topic, Partitions])],
    response: &[
        Bytes(4),
        Error,
        Message,
        Array(&[Text, Array(&[Bytes(4), Numbers(4), Numbers(4), Numbers(4)])]),
    ],
};

pub(super) const DESCRIBE_CLUSTER: Layout = Layout {
    request: &[Bytes(1), since(1, &[Bytes(1)]), since(2, &[Bytes(1)])],
    response: &[
        Bytes(4),
        Error,
        Message,
        since(1, &[Bytes(1)]),
        Text,
        Bytes(4),
        Array(&[Bytes(4), Text, Bytes(4), Text, since(2, &[Bytes(1)])]),
        Bytes(4),
    ],
};
