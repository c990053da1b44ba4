//! Which shard of a group a packet goes to: a classic BPF program that the kernel runs on it.
//!
//! In: a frame. Out: a number that is the same for every packet of a flow, both ways. The kernel's
//! own `PACKET_FANOUT_HASH` is not used: it takes the outer ports of VXLAN and Geneve, which are
//! others for each direction, and the ports of a datagram's first fragment only.
//!
//! ```text
//! number := mix(source address + destination address)
//!         + mix(source port + destination port)        of TCP that is no fragment
//! ```
//! So TCP connections spread over the shards, and everything else stays together by its pair of
//! addresses: datagrams with their later fragments and ICMP errors, tunnels with all that is in
//! them. What is neither IPv4 nor IPv6 goes to the first shard. Limit: a TCP segment in fragments
//! goes by addresses alone, away from its flow.

use libc::sock_filter;

use super::assembler::*;

type Assembler = super::assembler::Assembler<Label>;

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Tagged,
    Bare,
    V4,
    V6,
    Ports,
    Mix,
    Other,
    Drop,
}

/// In how many parts flows fall.
pub(super) const PARTS: u32 = 1024;

/// Scratch memory: the number so far.
const NUMBER: u32 = 0;
/// Odd numbers with their bits spread, as in Knuth's multiplicative hashing.
const SPREAD_ADDRESSES: u32 = 0x9e37_79b1;
const SPREAD_PORTS: u32 = 0x85eb_ca6b;

/// The program that shares packets out.
pub(super) fn program() -> Vec<sock_filter> {
    let mut asm = Assembler::new();
    take_number(&mut asm);
    asm.emit(RET_A, 0);
    asm.mark(Label::Other);
    asm.emit(RET, 0);
    asm.finish()
}

/// A program that lets `portion` of [`PARTS`] flows through whole, with at most `snap_bytes` of each
/// packet, and all that is not IP. Those of a smaller portion are among those of a larger one.
pub(super) fn portion(portion: u32, snap_bytes: u32) -> Vec<sock_filter> {
    let mut asm = Assembler::new();
    take_number(&mut asm);
    // Not the bits by which shards are chosen.
    asm.emit(RSH, 16);
    asm.emit(AND, PARTS - 1);
    asm.jump_unless_below(portion, Label::Drop);
    asm.mark(Label::Other);
    asm.emit(RET, snap_bytes);
    asm.mark(Label::Drop);
    asm.emit(RET, 0);
    asm.finish()
}

/// Leads on with the number in A, or to `Other`.
fn take_number(asm: &mut Assembler) {
    find_network(asm);
    take_v4(asm);
    take_v6(asm);
    asm.mark(Label::Ports); // X is where the segment begins
    asm.emit(LD_H_IND, NETWORK + 2);
    asm.emit(ST, 1);
    asm.emit(LD_H_IND, NETWORK);
    asm.emit(LDX_MEM, 1);
    asm.emit(ADD_X, 0);
    asm.emit(MUL, SPREAD_PORTS);
    asm.emit(LDX_MEM, NUMBER);
    asm.emit(ADD_X, 0);
    asm.emit(ST, NUMBER);
    asm.mark(Label::Mix);
    // The kernel takes the remainder by the number of shards: the high bits must count, too.
    asm.emit(LD_MEM, NUMBER);
    asm.emit(RSH, 15);
    asm.emit(LDX_MEM, NUMBER);
    asm.emit(XOR_X, 0);
}

/// Leads to `V4` or `V6` with X as the distance of the header from the kernel's network header.
fn find_network(asm: &mut Assembler) {
    asm.emit(LDX_IMM, 0);
    asm.emit(LD_W_ABS, AD_PROTOCOL);
    asm.jump_if(0x0800, Label::V4);
    asm.jump_if(0x86dd, Label::V6);
    asm.jump_if(0x8100, Label::Tagged);
    asm.jump_if(0x88a8, Label::Tagged);
    asm.jump(Label::Other);
    // A tag in the frame: the network header is behind it, or is the tag itself.
    asm.mark(Label::Tagged);
    asm.emit(LD_H_ABS, NETWORK + 2);
    asm.jump_unless(0x0800, Label::Bare);
    asm.emit(LD_B_ABS, NETWORK + 4);
    asm.emit(RSH, 4);
    asm.jump_unless(4, Label::Bare);
    asm.emit(LDX_IMM, 4);
    asm.jump(Label::V4);
    asm.mark(Label::Bare);
    asm.emit(LD_B_ABS, NETWORK);
    asm.emit(RSH, 4);
    asm.jump_if(4, Label::V4);
    asm.emit(LD_H_ABS, NETWORK + 2);
    asm.emit(LDX_IMM, 4);
    asm.jump_if(0x86dd, Label::V6);
    asm.emit(LDX_IMM, 0);
    asm.emit(LD_B_ABS, NETWORK);
    asm.emit(RSH, 4);
    asm.jump_if(6, Label::V6);
    asm.jump(Label::Other);
}

/// Adds up the addresses of IPv4; on to `Ports` with X at the segment, or to `Mix`.
fn take_v4(asm: &mut Assembler) {
    asm.mark(Label::V4);
    add_words(asm, 12..20);
    asm.emit(LD_H_IND, NETWORK + 6);
    asm.jump_if_any(0x3fff, Label::Mix); // more fragments, or a later one
    asm.emit(LD_B_IND, NETWORK + 9);
    asm.jump_unless(libc::IPPROTO_TCP as u32, Label::Mix);
    asm.emit(LD_B_IND, NETWORK);
    asm.emit(AND, 0x0f);
    asm.emit(LSH, 2);
    asm.emit(ADD_X, 0);
    asm.emit(TAX, 0);
    asm.jump(Label::Ports);
}

/// The same of IPv6.
fn take_v6(asm: &mut Assembler) {
    asm.mark(Label::V6);
    add_words(asm, 8..40);
    asm.emit(LD_B_IND, NETWORK + 6);
    asm.jump_unless(libc::IPPROTO_TCP as u32, Label::Mix);
    asm.emit(TXA, 0);
    asm.emit(ADD, 40);
    asm.emit(TAX, 0);
    asm.jump(Label::Ports);
}

/// Puts the spread sum of the words at these offsets from X into memory; X stays.
fn add_words(asm: &mut Assembler, bytes: std::ops::Range<u32>) {
    asm.emit(STX, 1);
    asm.emit(LD_IMM, 0);
    asm.emit(ST, NUMBER);
    for at in bytes.step_by(4) {
        asm.emit(LDX_MEM, 1);
        asm.emit(LD_W_IND, NETWORK + at);
        asm.emit(LDX_MEM, NUMBER);
        asm.emit(ADD_X, 0);
        asm.emit(ST, NUMBER);
    }
    asm.emit(MUL, SPREAD_ADDRESSES);
    asm.emit(ST, NUMBER);
    asm.emit(LDX_MEM, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, with the network header at the start of `packet`.
    fn run(protocol: u16, packet: &[u8]) -> Option<u32> {
        run_program(&program(), protocol, packet)
    }

    fn run_program(program: &[sock_filter], protocol: u16, packet: &[u8]) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
        let load = |at: u32, bytes: u32| -> Option<u32> {
            let at = at.wrapping_sub(NETWORK) as usize;
            let part = packet.get(at..at + bytes as usize)?;
            Some(part.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        };
        let mut at = 0;
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LD_W_ABS if step.k == AD_PROTOCOL => a = protocol.into(),
                LD_H_ABS => a = load(step.k, 2)?,
                LD_B_ABS => a = load(step.k, 1)?,
                LD_W_IND => a = load(step.k.wrapping_add(x), 4)?,
                LD_H_IND => a = load(step.k.wrapping_add(x), 2)?,
                LD_B_IND => a = load(step.k.wrapping_add(x), 1)?,
                LD_IMM => a = step.k,
                LD_MEM => a = memory[step.k as usize],
                LDX_IMM => x = step.k,
                LDX_MEM => x = memory[step.k as usize],
                ST => memory[step.k as usize] = a,
                STX => memory[step.k as usize] = x,
                ADD => a = a.wrapping_add(step.k),
                ADD_X => a = a.wrapping_add(x),
                XOR_X => a ^= x,
                MUL => a = a.wrapping_mul(step.k),
                AND => a &= step.k,
                LSH => a <<= step.k,
                RSH => a >>= step.k,
                TAX => x = a,
                TXA => a = x,
                JA => at += step.k as usize,
                JEQ => at += usize::from(if a == step.k { step.jt } else { step.jf }),
                JGE => at += usize::from(if a >= step.k { step.jt } else { step.jf }),
                JSET => at += usize::from(if a & step.k != 0 { step.jt } else { step.jf }),
                RET => return Some(step.k),
                RET_A => return Some(a),
                code => panic!("no instruction {code:#x}"),
            }
        }
    }

    fn v4(from: u8, to: u8, ports: (u16, u16), protocol: u8, fragment: u16) -> Vec<u8> {
        let mut out = vec![0x45, 0, 0, 40, 0, 1];
        out.extend(fragment.to_be_bytes());
        out.extend([64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        out.extend(ports.0.to_be_bytes());
        out.extend(ports.1.to_be_bytes());
        out
    }

    fn v6(from: u8, to: u8, ports: (u16, u16)) -> Vec<u8> {
        let mut out = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        let address = |last: u8| (0..15).map(|byte| byte * 3).chain([last]).collect::<Vec<u8>>();
        out.extend(address(from));
        out.extend(address(to));
        out.extend(ports.0.to_be_bytes());
        out.extend(ports.1.to_be_bytes());
        out
    }

    #[test]
    fn both_ways_give_the_same_number() {
        for port in 1024..2048 {
            let there = run(0x0800, &v4(1, 2, (port, 80), 6, 0));
            assert_eq!(there, run(0x0800, &v4(2, 1, (80, port), 6, 0)));
            assert!(there.is_some());
            let there = run(0x86dd, &v6(1, 2, (port, 443)));
            assert_eq!(there, run(0x86dd, &v6(2, 1, (443, port))));
        }
    }

    #[test]
    fn connections_spread_evenly() {
        for shards in [2, 3, 4, 8] {
            let mut counts = vec![0; shards];
            for port in (32_768..60_768).step_by(2) {
                let number = run(0x0800, &v4(1, 2, (port, 80), 6, 0)).expect("sound");
                counts[number as usize % shards] += 1;
            }
            let mean = 14_000 / shards;
            assert!(counts.iter().all(|count| count * 10 > mean * 9), "{counts:?}");
        }
    }

    #[test]
    fn a_portion_is_of_whole_flows_and_grows() {
        let kept = |parts: u32| -> Vec<u16> {
            let program = portion(parts, 99);
            let is_kept = |port: &u16| {
                let there = run_program(&program, 0x0800, &v4(1, 2, (*port, 80), 6, 0));
                let back = run_program(&program, 0x0800, &v4(2, 1, (80, *port), 6, 0));
                assert_eq!(there, back);
                there == Some(99)
            };
            (32_768..60_768).step_by(2).filter(is_kept).collect()
        };
        let (all, quarter, some) = (kept(PARTS), kept(PARTS / 4), kept(PARTS / 64));
        assert_eq!(all.len(), 14_000);
        assert!((3_200..3_800).contains(&quarter.len()), "{}", quarter.len());
        assert!((150..290).contains(&some.len()), "{}", some.len());
        assert!(some.iter().all(|port| quarter.contains(port)));
        assert_eq!(run_program(&portion(1, 99), 0x0806, &[0; 28]), Some(99), "not IP");
    }

    #[test]
    fn addresses_spread_evenly() {
        let mut counts = [0; 4];
        for n in 0..=255 {
            let number = run(0x0800, &v4(n, 2, (1000, 53), 17, 0)).expect("sound");
            counts[number as usize % 4] += 1;
        }
        assert!(counts.iter().all(|count| *count > 40), "{counts:?}");
    }

    #[test]
    fn a_datagram_and_its_fragments_stay_together() {
        let first = run(0x0800, &v4(1, 2, (1000, 53), 17, 0x2000));
        let later = run(0x0800, &v4(1, 2, (7, 9), 17, 0x00b9));
        let whole = run(0x0800, &v4(2, 1, (53, 1001), 17, 0x4000));
        assert_eq!((first, later), (whole, whole));
    }

    #[test]
    fn tags_in_the_frame_are_passed() {
        let bare = v4(1, 2, (5000, 80), 6, 0);
        let tagged = [&[0, 5, 8, 0][..], &bare].concat();
        assert_eq!(run(0x8100, &tagged), run(0x0800, &bare));
        assert_eq!(run(0x8100, &bare), run(0x0800, &bare), "the header is behind the tag");
        let bare = v6(1, 2, (5000, 80));
        let tagged = [&[0, 5, 0x86, 0xdd][..], &bare].concat();
        assert_eq!(run(0x8100, &tagged), run(0x86dd, &bare));
        assert_eq!(run(0x88a8, &bare), run(0x86dd, &bare));
    }

    #[test]
    fn what_is_not_ip_goes_to_the_first() {
        assert_eq!(run(0x0806, &[0; 28]), Some(0));
    }
}
