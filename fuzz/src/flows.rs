//! A flow table under packets, the passing of time and calls from above.
//!
//! In: a script in a small world, so that packets meet. Properties: what went in comes out of the
//! ticks and of the reports, each flow begins once and ends once, seconds come in order, the table
//! stays within its limit, nothing depends on the seed of the hash.
//!
//! ```text
//! input := [setup: u8] step*
//! step  := [kind: 4 bit][time: 4 bit] what the kind needs
//! ```

mod ledger;
mod packets;

use flow::{FlowConfig, FlowTable, Kept, Timeouts, Update};
use wire::{DecapConfig, LinkType};

use self::ledger::Ledger;
use crate::input::Input;

const SECOND_NS: u64 = 1_000_000_000;
const MS_NS: u64 = 1_000_000;

/// How time goes on before a step; the last ones go back.
const STEPS_NS: [i64; 16] = [
    0,
    1_000,
    100_000,
    1_000_000,
    20_000_000,
    300_000_000,
    1_000_000_000,
    1_900_000_000,
    5_100_000_000,
    36_000_000_000,
    60_000_000_000,
    301_000_000_000,
    7_200_000_000_000,
    -2_000_000,
    -3_000_000_000,
    -15_000_000_000,
];

/// Where time begins: a usual day, the epoch, its end, and the middle of it.
const STARTS_NS: [u64; 4] =
    [1_700_000_040_000_000_000, 0, u64::MAX - 400 * SECOND_NS, 1_699_999_999_999_999_999];

/// A table being driven.
struct World {
    table: FlowTable,
    kept: Kept,
    /// Ticks that are in the ledger.
    entered: usize,
    ledger: Ledger,
    now_ns: u64,
    last: Option<Update>,
}

/// Reads a script and runs it with two seeds.
pub(crate) fn run(data: &[u8]) {
    let first = drive(data, 0);
    let second = drive(data, 0x5eed_5eed_5eed_5eed);
    assert!(first.ticks == second.ticks, "ticks depend on the seed of the hash");
    assert!(first.reports == second.reports, "reports depend on the seed of the hash");
}

fn drive(data: &[u8], seed: u64) -> Kept {
    let mut input = Input(data);
    let setup = input.u8();
    let config = FlowConfig { hash_seed: seed, ..config(setup) };
    let mut world = World {
        table: FlowTable::new(config),
        kept: Kept::default(),
        entered: 0,
        ledger: Ledger::default(),
        now_ns: STARTS_NS[usize::from(setup >> 6)],
        last: None,
    };
    while !input.is_empty() {
        world.step(&mut input);
    }
    world.end(setup & 32 != 0)
}

/// Limits and timeouts, from everyday ones to the least.
fn config(choice: u8) -> FlowConfig {
    let timeouts = match choice >> 2 & 3 {
        0 => Timeouts::default(),
        1 => Timeouts {
            established_ns: SECOND_NS,
            closing_rst_ns: 1,
            opening_rst_ns: 0,
            others_ns: 2 * SECOND_NS,
            fin_done_ns: 0,
        },
        2 => Timeouts { others_ns: 600 * SECOND_NS, ..Timeouts::default() },
        _ => Timeouts { established_ns: u64::MAX, others_ns: u64::MAX, ..Timeouts::default() },
    };
    FlowConfig {
        max_flows: [3, 1, 16, 1000][usize::from(choice & 3)],
        timeouts,
        server_ports: if choice & 16 != 0 { vec![80, 40_001] } else { Vec::new() },
        ..FlowConfig::default()
    }
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.u8();
        let step_ns = STEPS_NS[usize::from(what >> 4)];
        let before_ns = self.now_ns;
        self.now_ns = self.now_ns.saturating_add_signed(step_ns);
        self.ledger.time_goes(before_ns, self.now_ns);
        match what & 15 {
            0..=11 => {
                let (link, frame) = packets::frame(what & 15, input);
                self.packet(link, &frame);
            }
            12 | 15 => self.tick(),
            13 => self.call(input.u8()),
            _ => self.table.reconfigure(config(input.u8())),
        }
        self.check();
    }

    fn packet(&mut self, link: LinkType, frame: &[u8]) {
        let Ok(packet) = wire::parse(link, frame, 0, &DecapConfig::all()) else { return };
        let nic = u32::from(frame.len().is_multiple_of(5));
        let update = self.table.on_packet(self.now_ns, nic, &packet, &mut self.kept);
        self.take_ticks();
        self.last = update;
        let Some(update) = update else { return };
        self.ledger.packet(&update, &packet);
        let info = self.table.flow(update.slot).expect("the flow of the update");
        assert_eq!(info.flow_id, update.flow_id);
        assert_eq!(info.protocol, packet.ip.protocol);
        let sender = match update.direction {
            flow::Direction::ClientToServer => &info.client,
            flow::Direction::ServerToClient => &info.server,
        };
        assert_eq!(sender.ip, packet.ip.src, "the direction of a packet is that of its sender");
    }

    fn tick(&mut self) {
        self.table.tick(self.now_ns, &mut self.kept);
        self.take_ticks();
    }

    /// Something that the application protocol found out of the last packet's flow, or of any.
    fn call(&mut self, choice: u8) {
        let slot = match self.last {
            Some(update) if choice & 8 == 0 => update.slot,
            _ => u32::from(choice >> 4),
        };
        match choice & 3 {
            0 | 1 => {
                let before = self.table.flow(slot).map(|info| (info.client, info.server));
                let turned = self.table.reverse(slot);
                let after = self.table.flow(slot).map(|info| (info.client, info.server));
                match (before, after) {
                    (Some(before), Some(after)) if turned => {
                        assert_eq!((before.0, before.1), (after.1, after.0));
                    }
                    _ => assert_eq!(before, after),
                }
            }
            2 => self.table.confirm(slot),
            _ => self.table.note_answer(slot),
        }
    }

    fn take_ticks(&mut self) {
        for tick in &self.kept.ticks[self.entered..] {
            self.ledger.tick(tick);
        }
        self.entered = self.kept.ticks.len();
    }

    fn check(&self) {
        let stats = self.table.stats();
        assert_eq!(stats.held, self.ledger.open(), "flows held");
        assert_eq!(stats.opened, self.ledger.opened());
        assert_eq!(stats.opened - stats.closed, stats.held);
        assert_eq!(stats.packets, self.ledger.packets());
        assert!(stats.held <= 1000, "the greatest limit");
    }

    fn end(mut self, stops: bool) -> Kept {
        if stops {
            self.table.stop(self.now_ns, &mut self.kept);
        } else {
            self.table.flush(self.now_ns.saturating_add(MS_NS), &mut self.kept);
        }
        self.take_ticks();
        assert_eq!(self.table.stats().held, 0);
        self.ledger.settle(&self.kept.ticks, &self.kept.reports);
        self.kept
    }
}
