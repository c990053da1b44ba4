//! The log acknowledges what is on disk, once, and remembers it over restarts and deletions.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

struct Opened {
    wal: Wal,
    segments: UnboundedReceiver<ClosedSegment>,
    thread: std::thread::JoinHandle<()>,
    counters: Arc<Counters>,
}

fn open(dir: &Path, change: impl FnOnce(&mut IngestConfig)) -> Opened {
    let authority = Arc::new(control::Authority::open(&dir.join("authority")).unwrap());
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut config = IngestConfig::new(listen, dir.join("wal"), authority);
    config.segment_age_max = Duration::from_millis(20);
    change(&mut config);
    let (closed, segments) = tokio::sync::mpsc::unbounded_channel();
    let counters = Arc::new(Counters::default());
    let (wal, thread) = Wal::start(&config, counters.clone(), closed).unwrap();
    Opened { wal, segments, thread, counters }
}

impl Opened {
    async fn append(&self, epoch: u64, sequence: u64, rejected: bool) -> Option<AckOutcome> {
        let (reply, answer) = oneshot::channel();
        let header = BatchHeader {
            signal: Signal::RequestLogs,
            sequence,
            table_id: 1,
            rows: 10,
            payload_bytes: 100,
        };
        let content = if rejected { Err(Rejection::Damaged) } else { Ok(vec![7; 100]) };
        let append = Append {
            agent: AgentUuid([1; 16]),
            agent_id: 3,
            epoch,
            header,
            content,
            reply,
            room: None,
        };
        self.wal.append(append);
        answer.await.ok()
    }

    async fn begin(&self) -> Session {
        self.wal.begin(AgentUuid([1; 16]), vec![]).await.unwrap()
    }

    fn stop(self) -> UnboundedReceiver<ClosedSegment> {
        self.wal.stop();
        self.thread.join().unwrap();
        self.segments
    }
}

fn sequences(segment: &ClosedSegment) -> Vec<u64> {
    let content = read_segment(&segment.path).unwrap();
    content
        .frames()
        .filter(|frame| frame.kind == FrameKind::Batch)
        .map(|frame| frame.sequence)
        .collect()
}

#[tokio::test]
async fn a_sequence_is_stored_once_over_restarts_and_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    let epoch = log.begin().await.epoch;
    assert_eq!(log.append(epoch, 5, false).await, Some(AckOutcome::Stored));
    assert_eq!(log.append(epoch, 5, false).await, Some(AckOutcome::Duplicate));
    let rejected = AckOutcome::Rejected(Rejection::Damaged);
    assert_eq!(log.append(epoch, 6, true).await, Some(rejected));
    let mut segments = log.stop();
    let first = segments.recv().await.unwrap();
    assert_eq!(sequences(&first), [5]);

    let mut log = open(dir.path(), |_| {});
    let again = log.segments.recv().await.unwrap();
    assert_eq!((again.id, again.log_id), (first.id, first.log_id));
    log.wal.stored(again.id);
    let session = log.begin().await;
    assert_eq!(session.streams.len(), 1);
    assert_eq!((session.streams[0].watermark, &session.streams[0].rejected), (6, &vec![6]));
    log.stop();
    assert!(!first.path.exists());

    let log = open(dir.path(), |_| {});
    let session = log.begin().await;
    assert_eq!(session.streams[0].watermark, 6);
    assert_eq!(log.append(session.epoch, 4, false).await, Some(AckOutcome::Duplicate));
    assert_eq!(log.append(session.epoch, 9, false).await, Some(AckOutcome::Stored));
    let mut segments = log.stop();
    let next = segments.recv().await.unwrap();
    assert!(next.id > first.id, "the number of a deleted segment came again");
    assert!(read_segment(&next.path).unwrap().first_row >= 10);
}

#[tokio::test]
async fn an_older_session_can_append_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    let old = log.begin().await.epoch;
    let new = log.begin().await.epoch;
    assert_eq!(log.append(old, 1, false).await, None);
    assert_eq!(log.append(new, 1, false).await, Some(AckOutcome::Stored));
    log.stop();
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), |_| {});
    let epoch = log.begin().await.epoch;
    log.append(epoch, 1, false).await;
    log.append(epoch, 2, false).await;
    let mut segments = log.stop();
    let mut written = Vec::new();
    while let Some(segment) = segments.recv().await {
        written.push(segment);
    }
    let last = written.pop().unwrap();
    let length = last.path.metadata().unwrap().len();
    OpenOptions::new().write(true).open(&last.path).unwrap().set_len(length - 1).unwrap();
    let log = open(dir.path(), |_| {});
    let session = log.begin().await;
    assert_eq!(session.streams[0].watermark, 1);
    assert_eq!(log.append(session.epoch, 2, false).await, Some(AckOutcome::Stored));
    log.stop();
}

#[tokio::test]
async fn a_full_log_holds_batches_back_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), |config| config.wal_bytes_max = 400);
    let epoch = log.begin().await.epoch;
    assert_eq!(log.append(epoch, 1, false).await, Some(AckOutcome::Stored));
    assert_eq!(log.append(epoch, 2, false).await, Some(AckOutcome::Stored));
    let third = log.append(epoch, 3, false);
    let waited = tokio::time::timeout(Duration::from_millis(200), third).await;
    assert!(waited.is_err(), "a batch was taken above the limit");
    assert_eq!(log.counters.snapshot().dropped[&schema::Drop::WalFull], 10);
    while let Ok(segment) = log.segments.try_recv() {
        log.wal.stored(segment.id);
    }
    // The third batch is still in the log's hands and is stored now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(log.append(epoch, 3, false).await, Some(AckOutcome::Duplicate));
    log.stop();
}

#[tokio::test]
async fn a_damaged_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), |_| {}).stop();
    let path = dir.path().join("wal/checkpoint");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let authority = Arc::new(control::Authority::open(&dir.path().join("authority")).unwrap());
    let config =
        IngestConfig::new("127.0.0.1:0".parse().unwrap(), dir.path().join("wal"), authority);
    let (closed, _segments) = tokio::sync::mpsc::unbounded_channel();
    let error = Wal::start(&config, Arc::default(), closed).err().unwrap();
    assert!(matches!(error, WalError::Damaged(_)));
}
