//! The classic BPF program of the socket: what the kernel does not hand to us.
//!
//! Left out: outgoing frames of loopbacks (each is seen coming in, too), interfaces that are not
//! captured, and our own ports. Frames that cannot be judged (later fragments, IPv6 with extension
//! headers, two VLAN tags or more) are kept.

use libc::sock_filter;

use super::assembler::*;
use super::fanout;

type Assembler = super::assembler::Assembler<Label>;

/// Interfaces that the program can leave out; frames of further ones are left out after it.
const MAX_UNWANTED: usize = 256;
/// Own ports that the program can leave out.
const MAX_PORTS: usize = 64;

/// A port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPort {
    /// TCP.
    Tcp(u16),
    /// UDP.
    Udp(u16),
}

/// What the program is made of.
pub(super) struct Filter<'a> {
    pub(super) snap_bytes: u32,
    pub(super) loopbacks: &'a [u32],
    pub(super) unwanted: &'a [u32],
    pub(super) own_ports: &'a [OwnPort],
}

impl Filter<'_> {
    /// A program that lets nothing through.
    pub(super) fn none() -> Vec<sock_filter> {
        vec![sock_filter { code: RET, jt: 0, jf: 0, k: 0 }]
    }

    /// The program, which lets `portion` of [`fanout::PARTS`] flows through.
    pub(super) fn program(&self, portion: u32) -> Vec<sock_filter> {
        if portion >= fanout::PARTS {
            return self.finish(vec![sock_filter { code: RET, jt: 0, jf: 0, k: self.snap_bytes }]);
        }
        self.finish(fanout::portion(portion, self.snap_bytes))
    }

    /// `accepted` goes on with what is not left out; its jumps are from place to place.
    fn finish(&self, accepted: Vec<sock_filter>) -> Vec<sock_filter> {
        let mut asm = Assembler::new();
        self.judge_interface(&mut asm);
        let (tcp, udp) = self.ports();
        if !tcp.is_empty() || !udp.is_empty() {
            find_network(&mut asm);
            find_transport(&mut asm);
            judge_ports(&mut asm, Label::Tcp, &tcp);
            judge_ports(&mut asm, Label::Udp, &udp);
        }
        asm.jump(Label::Accept);
        asm.mark(Label::Drop);
        asm.emit(RET, 0);
        asm.mark(Label::Accept);
        let mut program = asm.finish();
        program.extend(accepted);
        program
    }

    fn ports(&self) -> (Vec<u16>, Vec<u16>) {
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for port in self.own_ports.iter().take(MAX_PORTS) {
            match port {
                OwnPort::Tcp(port) => tcp.push(*port),
                OwnPort::Udp(port) => udp.push(*port),
            }
        }
        (tcp, udp)
    }

    fn judge_interface(&self, asm: &mut Assembler) {
        asm.emit(LD_W_ABS, AD_PACKET_TYPE);
        asm.jump_unless(u32::from(libc::PACKET_OUTGOING), Label::NotOutgoing);
        asm.emit(LD_W_ABS, AD_INTERFACE);
        for nic in self.loopbacks {
            asm.jump_if(*nic, Label::Drop);
        }
        asm.mark(Label::NotOutgoing);
        asm.emit(LD_W_ABS, AD_INTERFACE);
        for nic in self.unwanted.iter().take(MAX_UNWANTED) {
            asm.jump_if(*nic, Label::Drop);
        }
    }
}

/// Leads to `V4` or `V6` with X at the network header.
fn find_network(asm: &mut Assembler) {
    asm.emit(LD_W_ABS, AD_HARDWARE_TYPE);
    asm.jump_if(libc::ARPHRD_ETHER.into(), Label::Ethernet);
    asm.jump_if(libc::ARPHRD_LOOPBACK.into(), Label::Ethernet);
    asm.emit(LDX_IMM, 0);
    asm.emit(LD_B_ABS, 0);
    asm.emit(RSH, 4);
    asm.jump_if(4, Label::V4);
    asm.jump_if(6, Label::V6);
    asm.jump(Label::Accept);
    asm.mark(Label::Ethernet);
    asm.emit(LDX_IMM, 14);
    asm.emit(LD_H_ABS, 12);
    asm.jump_if(0x0800, Label::V4);
    asm.jump_if(0x86dd, Label::V6);
    asm.jump_if(0x8100, Label::Vlan);
    asm.jump_if(0x88a8, Label::Vlan);
    asm.jump(Label::Accept);
    asm.mark(Label::Vlan);
    asm.emit(LDX_IMM, 18);
    asm.emit(LD_H_ABS, 16);
    asm.jump_if(0x0800, Label::V4);
    asm.jump_if(0x86dd, Label::V6);
    asm.jump(Label::Accept);
}

/// Leads to `Tcp` or `Udp` with X at the transport header.
fn find_transport(asm: &mut Assembler) {
    asm.mark(Label::V4);
    asm.emit(LD_H_IND, 6);
    asm.jump_if_any(0x1fff, Label::Accept); // a later fragment
    asm.emit(LD_B_IND, 9);
    asm.emit(ST, 0);
    asm.emit(LD_B_IND, 0);
    asm.emit(AND, 0x0f);
    asm.emit(LSH, 2);
    asm.emit(ADD_X, 0);
    asm.emit(TAX, 0);
    asm.jump(Label::Transport);
    asm.mark(Label::V6);
    asm.emit(LD_B_IND, 6);
    asm.emit(ST, 0);
    asm.emit(TXA, 0);
    asm.emit(ADD, 40);
    asm.emit(TAX, 0);
    asm.mark(Label::Transport);
    asm.emit(LD_MEM, 0);
    asm.jump_if(libc::IPPROTO_TCP as u32, Label::Tcp);
    asm.jump_if(libc::IPPROTO_UDP as u32, Label::Udp);
    asm.jump(Label::Accept);
}

fn judge_ports(asm: &mut Assembler, label: Label, ports: &[u16]) {
    asm.mark(label);
    for offset in [0, 2] {
        asm.emit(LD_H_IND, offset);
        for port in ports {
            asm.jump_if(u32::from(*port), Label::Drop);
        }
    }
    asm.jump(Label::Accept);
}

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    NotOutgoing,
    Ethernet,
    Vlan,
    V4,
    V6,
    Transport,
    Tcp,
    Udp,
    Accept,
    Drop,
}
