//! Capture files, records of the BPF ring and messages.

use schema::block::{self, Encoder};
use schema::wire::{
    Ack, AckOutcome, AgentUuid, BatchHeader, Configuration, EnrolRequest, FRAME_HEADER_BYTES,
    Hello, HostFacts, Message, Signal,
};
use schema::{Batch, Table};

/// Both formats, both byte orders.
pub(crate) fn captures() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for big in [false, true] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
            let mut file = Writer { big, out: Vec::new() };
            file.u32s(&[magic]).u16s(&[2, 4]).u32s(&[0, 0, 65_535, 1]);
            for length in [3, 2] {
                file.u32s(&[1_700_000_000, 123_456, length, 90]);
                if magic == 0xa1b2_cd34 {
                    file.u32s(&[4, 0]);
                }
                file.out.extend(vec![7; length as usize]);
            }
            files.push(file.out);
        }
        files.push(pcapng(big));
    }
    files
}

fn pcapng(big: bool) -> Vec<u8> {
    let mut file = Writer { big, out: Vec::new() };
    file.u32s(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d]).u16s(&[1, 0]).u32s(&[u32::MAX, u32::MAX, 28]);
    file.u32s(&[1, 20]).u16s(&[1, 0]).u32s(&[0, 20]);
    file.u32s(&[1, 48]).u16s(&[101, 0]).u32s(&[4]).u16s(&[9, 1]).u32s(&[0x0909_0909]);
    file.u16s(&[14, 8]).u32s(&[100, 0, 0, 48]);
    file.u32s(&[5, 16, 7, 16]);
    file.u32s(&[6, 36, 1, 0x17_9709, 0xac91_1234, 4, 60, 0x6162_6364, 36]);
    file.u32s(&[2, 36, 0, 0x6, 0x0a24_181e, 4, 5, 0x6162_6364, 36]);
    file.u32s(&[3, 20, 3, 0x6162_6300, 20]);
    file.out
}

/// Writes numbers in one byte order.
struct Writer {
    big: bool,
    out: Vec<u8>,
}

impl Writer {
    fn u16s(&mut self, values: &[u16]) -> &mut Self {
        for value in values {
            self.out.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        }
        self
    }

    fn u32s(&mut self, values: &[u32]) -> &mut Self {
        for value in values {
            self.out.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        }
        self
    }
}

/// One of each kind, with addresses of IPv6 and of IPv4.
pub(crate) fn events() -> Vec<Vec<u8>> {
    let version = source::bpf::abi::VERSION;
    let kinds = 1..=6u8;
    kinds
        .flat_map(|kind| [(kind, 6), (kind, 4)])
        .map(|(kind, fill)| {
            let mut record = vec![fill; 160];
            record[..4].copy_from_slice(&[kind, version, 1, 1]);
            record
        })
        .collect()
}

/// Messages as `[kind][body]`, and blocks as `[16][table][rows][columns]`.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let messages = [
        Message::EnrolRequest(EnrolRequest {
            token_secret: "secret".into(),
            agent_uuid: AgentUuid([1; 16]),
            hostname: "host".into(),
            csr_der: vec![0x30, 0x82],
        }),
        Message::Hello(Hello {
            protocol_version: 1,
            schema_version: 1,
            agent_uuid: AgentUuid([7; 16]),
            agent_version: "0.1.0".into(),
            configuration_version: 3,
            host: HostFacts { hostname: "host".into(), ..HostFacts::default() },
            oldest_unsettled: vec![(Signal::RequestLogs, 1)],
        }),
        Message::Configuration(Configuration { version: 2, yaml: "a: 1\n".into() }),
        Message::Open(Signal::FlowLogs),
        Message::Batch(BatchHeader {
            signal: Signal::FlowLogs,
            sequence: 1 << 40,
            table_id: 1,
            rows: 10,
            payload_bytes: 22,
        }),
        Message::Ack(Ack { sequence: 7, outcome: AckOutcome::Stored }),
    ];
    let mut inputs: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| [&[message.kind()], &message.encode()[FRAME_HEADER_BYTES..]].concat())
        .collect();
    let flow = schema::l4_flow_log::Row { flow_id: 1 << 40, byte_tx: 77, ..Default::default() };
    let request = schema::l7_flow_log::Row {
        request_resource: "/a".into(),
        attribute_names: vec!["name".into()],
        attribute_values: vec!["value".into()],
        ..Default::default()
    };
    let metric = schema::application::Row { request: 3, rrt_sum: 1.5, ..Default::default() };
    inputs.push(columns(&Batch::new(Table::L4FlowLog, &[flow.clone(), flow])));
    inputs.push(columns(&Batch::new(Table::L7FlowLog, &[request.clone(), request])));
    inputs.push(columns(&Batch::new(Table::Application1s, &[metric.clone(), metric])));
    inputs
}

/// The body of a block, as it is before its compression.
fn columns(batch: &Batch) -> Vec<u8> {
    let block = Encoder::new().and_then(|mut encoder| encoder.encode(batch)).expect("memory");
    let header = block::peek(&block, &block::Limits::default()).expect("our own block");
    let start = block.windows(4).position(|four| four == ZSTD_MAGIC).expect("a zstd frame");
    let body = zstd::bulk::decompress(&block[start..], header.body_bytes).expect("our own block");
    [&[16, header.table_id as u8, header.rows as u8], body.as_slice()].concat()
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
