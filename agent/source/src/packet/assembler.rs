//! Writes classic BPF.
//!
//! In: instructions, labels, jumps to labels further on. Out: a program as the kernel takes it.
//! Never: a jump back, which classic BPF does not have.

use libc::sock_filter;

/// Writes instructions; far jumps are unconditional ones, since conditional ones reach 255 only.
pub(super) struct Assembler<Label> {
    code: Vec<sock_filter>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl<Label: PartialEq> Assembler<Label> {
    pub(super) fn new() -> Self {
        Self { code: Vec::new(), jumps: Vec::new(), labels: Vec::new() }
    }

    pub(super) fn emit(&mut self, code: u16, k: u32) {
        self.code.push(sock_filter { code, jt: 0, jf: 0, k });
    }

    pub(super) fn mark(&mut self, label: Label) {
        self.labels.push((label, self.code.len()));
    }

    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(JA, 0);
    }

    pub(super) fn jump_if(&mut self, k: u32, label: Label) {
        self.code.push(sock_filter { code: JEQ, jt: 0, jf: 1, k });
        self.jump(label);
    }

    pub(super) fn jump_unless(&mut self, k: u32, label: Label) {
        self.code.push(sock_filter { code: JEQ, jt: 1, jf: 0, k });
        self.jump(label);
    }

    pub(super) fn jump_if_any(&mut self, bits: u32, label: Label) {
        self.code.push(sock_filter { code: JSET, jt: 0, jf: 1, k: bits });
        self.jump(label);
    }

    pub(super) fn jump_unless_below(&mut self, k: u32, label: Label) {
        self.code.push(sock_filter { code: JGE, jt: 0, jf: 1, k });
        self.jump(label);
    }

    pub(super) fn finish(mut self) -> Vec<sock_filter> {
        for (at, label) in self.jumps {
            let target = self.labels.iter().find(|(known, _)| *known == label);
            let (_, to) = target.expect("every label jumped to is marked, further on");
            self.code[at].k = (to - at - 1) as u32;
        }
        self.code
    }
}

pub(super) const LD_W_ABS: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
pub(super) const LD_H_ABS: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
pub(super) const LD_B_ABS: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
pub(super) const LD_W_IND: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IND) as u16;
pub(super) const LD_H_IND: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
pub(super) const LD_B_IND: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
pub(super) const LD_IMM: u16 = (libc::BPF_LD | libc::BPF_IMM) as u16;
pub(super) const LD_MEM: u16 = (libc::BPF_LD | libc::BPF_MEM) as u16;
pub(super) const LDX_IMM: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM) as u16;
pub(super) const LDX_MEM: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM) as u16;
pub(super) const STX: u16 = libc::BPF_STX as u16;
pub(super) const ST: u16 = libc::BPF_ST as u16;
pub(super) const ADD: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K) as u16;
pub(super) const ADD_X: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X) as u16;
pub(super) const MUL: u16 = (libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K) as u16;
pub(super) const XOR_X: u16 = (libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X) as u16;
pub(super) const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
pub(super) const LSH: u16 = (libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K) as u16;
pub(super) const RSH: u16 = (libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K) as u16;
pub(super) const TAX: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
pub(super) const TXA: u16 = (libc::BPF_MISC | libc::BPF_TXA) as u16;
pub(super) const JA: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
pub(super) const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(super) const JGE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
pub(super) const JSET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
pub(super) const RET: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
pub(super) const RET_A: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

/// Loads that read facts about the frame instead of its bytes.
pub(super) const AD_PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
pub(super) const AD_INTERFACE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_IFINDEX) as u32;
pub(super) const AD_HARDWARE_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_HATYPE) as u32;
pub(super) const AD_PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
/// Loads from here on count from where the kernel has the network header.
pub(super) const NETWORK: u32 = libc::SKF_NET_OFF as u32;
