//! The APIs of Kafka by key: name, versions, fields. kafka.apache.org/protocol, "Api Keys", as of
//! Kafka 4.2, with the versions and the four keys that 4.0 removed.

use super::layout::Layout;
use super::{admin, cluster, data, group, member, share};

/// One API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    /// Its name.
    pub name: &'static str,
    /// The last version whose fields are known.
    pub last: i16,
    /// The first version with flexible headers and fields.
    pub flexible: i16,
    /// Its fields.
    pub layout: Layout,
}

/// Keys that have rules of their own.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const CONTROLLED_SHUTDOWN: i16 = 7;
pub(crate) const SASL_HANDSHAKE: i16 = 17;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const SHARE_FETCH: i16 = 78;

/// No version is flexible.
const NEVER: i16 = i16::MAX;

/// The API of a key.
pub(crate) fn of(key: i16) -> Option<&'static Api> {
    APIS.get(usize::try_from(key).ok()?)
}

const fn api(name: &'static str, last: i16, flexible: i16, layout: Layout) -> Api {
    Api { name, last, flexible, layout }
}

/// In the order of their keys, from 0.
static APIS: [Api; 93] = [
    api("Produce", 13, 9, data::PRODUCE),
    api("Fetch", 18, 12, data::FETCH),
    api("ListOffsets", 11, 6, data::LIST_OFFSETS),
    api("Metadata", 13, 9, data::METADATA),
    api("LeaderAndIsr", 7, 4, cluster::LEADER_AND_ISR),
    api("StopReplica", 4, 2, cluster::STOP_REPLICA),
    api("UpdateMetadata", 8, 6, cluster::UPDATE_METADATA),
    api("ControlledShutdown", 3, 3, cluster::CONTROLLED_SHUTDOWN),
    api("OffsetCommit", 10, 8, group::OFFSET_COMMIT),
    api("OffsetFetch", 10, 6, group::OFFSET_FETCH),
    api("FindCoordinator", 6, 3, group::FIND_COORDINATOR),
    api("JoinGroup", 9, 6, group::JOIN_GROUP),
    api("Heartbeat", 4, 4, group::HEARTBEAT),
    api("LeaveGroup", 5, 4, group::LEAVE_GROUP),
    api("SyncGroup", 5, 4, group::SYNC_GROUP),
    api("DescribeGroups", 6, 5, group::DESCRIBE_GROUPS),
    api("ListGroups", 5, 3, group::LIST_GROUPS),
    api("SaslHandshake", 1, NEVER, admin::SASL_HANDSHAKE),
    api("ApiVersions", 4, 3, admin::API_VERSIONS),
    api("CreateTopics", 7, 5, data::CREATE_TOPICS),
    api("DeleteTopics", 6, 4, data::DELETE_TOPICS),
    api("DeleteRecords", 2, 2, data::DELETE_RECORDS),
    api("InitProducerId", 6, 2, group::INIT_PRODUCER_ID),
    api("OffsetForLeaderEpoch", 4, 4, data::OFFSET_FOR_LEADER_EPOCH),
    api("AddPartitionsToTxn", 5, 3, group::ADD_PARTITIONS_TO_TXN),
    api("AddOffsetsToTxn", 4, 3, group::ADD_OFFSETS_TO_TXN),
    api("EndTxn", 5, 3, group::END_TXN),
    api("WriteTxnMarkers", 2, 1, group::WRITE_TXN_MARKERS),
    api("TxnOffsetCommit", 5, 3, group::TXN_OFFSET_COMMIT),
    api("DescribeAcls", 3, 2, admin::DESCRIBE_ACLS),
    api("CreateAcls", 3, 2, admin::CREATE_ACLS),
    api("DeleteAcls", 3, 2, admin::DELETE_ACLS),
    api("DescribeConfigs", 4, 4, admin::DESCRIBE_CONFIGS),
    api("AlterConfigs", 2, 2, admin::ALTER_CONFIGS),
    api("AlterReplicaLogDirs", 2, 2, admin::ALTER_REPLICA_LOG_DIRS),
    api("DescribeLogDirs", 5, 2, admin::DESCRIBE_LOG_DIRS),
    api("SaslAuthenticate", 2, 2, admin::SASL_AUTHENTICATE),
    api("CreatePartitions", 3, 2, data::CREATE_PARTITIONS),
    api("CreateDelegationToken", 3, 2, admin::CREATE_DELEGATION_TOKEN),
    api("RenewDelegationToken", 2, 2, admin::CHANGE_DELEGATION_TOKEN),
    api("ExpireDelegationToken", 2, 2, admin::CHANGE_DELEGATION_TOKEN),
    api("DescribeDelegationToken", 3, 2, admin::DESCRIBE_DELEGATION_TOKEN),
    api("DeleteGroups", 2, 2, group::DELETE_GROUPS),
    api("ElectLeaders", 2, 2, admin::ELECT_LEADERS),
    api("IncrementalAlterConfigs", 1, 1, admin::INCREMENTAL_ALTER_CONFIGS),
    api("AlterPartitionReassignments", 1, 0, admin::ALTER_PARTITION_REASSIGNMENTS),
    api("ListPartitionReassignments", 0, 0, admin::LIST_PARTITION_REASSIGNMENTS),
    api("OffsetDelete", 0, NEVER, group::OFFSET_DELETE),
    api("DescribeClientQuotas", 1, 1, admin::DESCRIBE_CLIENT_QUOTAS),
    api("AlterClientQuotas", 1, 1, admin::ALTER_CLIENT_QUOTAS),
    api("DescribeUserScramCredentials", 0, 0, admin::DESCRIBE_USER_SCRAM_CREDENTIALS),
    api("AlterUserScramCredentials", 0, 0, admin::ALTER_USER_SCRAM_CREDENTIALS),
    api("Vote", 2, 0, cluster::VOTE),
    api("BeginQuorumEpoch", 1, 1, cluster::BEGIN_QUORUM_EPOCH),
    api("EndQuorumEpoch", 1, 1, cluster::END_QUORUM_EPOCH),
    api("DescribeQuorum", 2, 0, cluster::DESCRIBE_QUORUM),
    api("AlterPartition", 3, 0, cluster::ALTER_PARTITION),
    api("UpdateFeatures", 2, 0, admin::UPDATE_FEATURES),
    api("Envelope", 0, 0, cluster::ENVELOPE),
    api("FetchSnapshot", 1, 0, cluster::FETCH_SNAPSHOT),
    api("DescribeCluster", 2, 0, admin::DESCRIBE_CLUSTER),
    api("DescribeProducers", 0, 0, data::DESCRIBE_PRODUCERS),
    api("BrokerRegistration", 4, 0, cluster::BROKER_REGISTRATION),
    api("BrokerHeartbeat", 2, 0, cluster::BROKER_HEARTBEAT),
    api("UnregisterBroker", 0, 0, cluster::UNREGISTER_BROKER),
    api("DescribeTransactions", 0, 0, group::DESCRIBE_TRANSACTIONS),
    api("ListTransactions", 2, 0, group::LIST_TRANSACTIONS),
    api("AllocateProducerIds", 0, 0, cluster::ALLOCATE_PRODUCER_IDS),
    api("ConsumerGroupHeartbeat", 1, 0, member::CONSUMER_GROUP_HEARTBEAT),
    api("ConsumerGroupDescribe", 1, 0, member::CONSUMER_GROUP_DESCRIBE),
    api("ControllerRegistration", 0, 0, cluster::CONTROLLER_REGISTRATION),
    api("GetTelemetrySubscriptions", 0, 0, admin::GET_TELEMETRY_SUBSCRIPTIONS),
    api("PushTelemetry", 0, 0, admin::PUSH_TELEMETRY),
    api("AssignReplicasToDirs", 0, 0, cluster::ASSIGN_REPLICAS_TO_DIRS),
    api("ListConfigResources", 1, 0, admin::LIST_CONFIG_RESOURCES),
    api("DescribeTopicPartitions", 0, 0, data::DESCRIBE_TOPIC_PARTITIONS),
    api("ShareGroupHeartbeat", 1, 0, member::SHARE_GROUP_HEARTBEAT),
    api("ShareGroupDescribe", 1, 0, member::SHARE_GROUP_DESCRIBE),
    api("ShareFetch", 2, 0, share::SHARE_FETCH),
    api("ShareAcknowledge", 2, 0, share::SHARE_ACKNOWLEDGE),
    api("AddRaftVoter", 1, 0, cluster::ADD_RAFT_VOTER),
    api("RemoveRaftVoter", 0, 0, cluster::REMOVE_RAFT_VOTER),
    api("UpdateRaftVoter", 0, 0, cluster::UPDATE_RAFT_VOTER),
    api("InitializeShareGroupState", 0, 0, share::INITIALIZE_SHARE_GROUP_STATE),
    api("ReadShareGroupState", 0, 0, share::READ_SHARE_GROUP_STATE),
    api("WriteShareGroupState", 1, 0, share::WRITE_SHARE_GROUP_STATE),
    api("DeleteShareGroupState", 0, 0, share::DELETE_SHARE_GROUP_STATE),
    api("ReadShareGroupStateSummary", 1, 0, share::READ_SHARE_GROUP_STATE_SUMMARY),
    api("StreamsGroupHeartbeat", 0, 0, member::STREAMS_GROUP_HEARTBEAT),
    api("StreamsGroupDescribe", 0, 0, member::STREAMS_GROUP_DESCRIBE),
    api("DescribeShareGroupOffsets", 1, 0, share::DESCRIBE_SHARE_GROUP_OFFSETS),
    api("AlterShareGroupOffsets", 0, 0, share::ALTER_SHARE_GROUP_OFFSETS),
    api("DeleteShareGroupOffsets", 0, 0, share::DELETE_SHARE_GROUP_OFFSETS),
];
