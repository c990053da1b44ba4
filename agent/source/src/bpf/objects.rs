//! A static check of the objects: each uses only what every kernel of its tier has.
//!
//! In: the objects that are built in, `kernel-matrix/bpf.toml`. Out: failures of tests, and the table
//! of instruction counts. So a mistake is found without a boot.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::kernel_functions::is_mark;
use super::load::{DIGESTS, OBJECT_V310, OBJECT_V510, PEEK_V310};
use super::relocate::Elf;

const FACTS: &str = include_str!("../../../../kernel-matrix/bpf.toml");
const COUNTS: &str = include_str!("../../../../kernel-matrix/instructions.toml");

const CALL: u8 = 0x85;
const WIDE: u8 = 0x18;

struct Facts(Table);

impl Facts {
    fn read() -> Self {
        Self(FACTS.parse().expect("bpf.toml is TOML"))
    }

    fn tier(&self, name: &str) -> &Value {
        &self.0["tier"][name]
    }

    /// Whether the row of `kind` whose `key` is this one is there in the tier's lowest kernel.
    fn allows(&self, tier: &str, kind: &str, key: &str, wanted: &Value) -> Result<(), String> {
        let rows = self.0[kind].as_array().expect("rows");
        let row = rows.iter().find(|row| row[key] == *wanted);
        let row = row.ok_or_else(|| format!("{kind} {wanted} is not in bpf.toml"))?;
        let (since, floor) = (version(&row["since"]), version(&self.tier(tier)["floor"]));
        if since > floor {
            return Err(format!(
                "{kind} {wanted} came with {}, the tier begins at {}",
                row["since"],
                self.tier(tier)["floor"]
            ));
        }
        Ok(())
    }
}

fn version(value: &Value) -> (u32, u32) {
    let text = value.as_str().expect("a version is text");
    let (major, minor) = text.split_once('.').expect("a version has a dot");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

/// Every fault of one object, and the instructions of each of its programs.
fn check(tier: &str, object: &[u8]) -> (Vec<String>, BTreeMap<String, i64>) {
    let facts = Facts::read();
    let elf = Elf(object);
    let (mut faults, mut counts) = (Vec::new(), BTreeMap::new());
    for (name, section) in elf.programs() {
        let kind = name.split('/').next().unwrap_or_default().to_owned();
        if kind != ".text"
            && let Err(fault) = facts.allows(tier, "program", "section", &Value::String(kind))
        {
            faults.push(format!("{name}: {fault}"));
        }
        let mut found = |fault: String| faults.push(format!("{name}: {fault}"));
        check_program(&facts, tier, section, &mut found);
        counts.insert(name.to_owned(), i64::try_from(section.len() / 8).unwrap_or(i64::MAX));
    }
    for data in [".rodata", ".data", ".bss"] {
        if tier == "v310" && elf.section(data).is_some_and(|bytes| !bytes.is_empty()) {
            faults.push(format!("global data in {data} (5.2)"));
        }
    }
    if let Some(maps) = elf.section("maps") {
        for map in maps.chunks_exact(20) {
            let kind = u32::from_le_bytes(*map.first_chunk().expect("four bytes"));
            if let Err(fault) = facts.allows(tier, "map", "id", &Value::Integer(kind.into())) {
                faults.push(fault);
            }
        }
    }
    (faults, counts)
}

fn check_program(facts: &Facts, tier: &str, program: &[u8], found: &mut impl FnMut(String)) {
    let rules = facts.tier(tier);
    let is_on = |rule: &str| rules[rule].as_bool().expect("a switch");
    let count = i64::try_from(program.len() / 8).unwrap_or(i64::MAX);
    let most = rules["instructions_max"].as_integer().expect("a number");
    if count > most {
        found(format!("{count} instructions, {most} are allowed"));
    }
    if !is_on("loops") && has_loop(program) {
        found("a loop (5.3)".to_owned());
    }
    let mut is_second = false;
    for (at, instruction) in program.chunks_exact(8).enumerate() {
        if std::mem::take(&mut is_second) {
            continue;
        }
        let (code, source) = (instruction[0], instruction[1] >> 4);
        let value = i32::from_le_bytes(*instruction[4..].first_chunk().expect("four bytes"));
        let (class, operation) = (code & 7, code >> 4);
        is_second = code == WIDE;
        match class {
            _ if code == CALL && source == 1 && !is_on("functions") => {
                found(format!("{at}: a call of a function"));
            }
            _ if code == CALL && source == 0 && !is_mark(value) => {
                let helper = Value::Integer(value.into());
                if let Err(fault) = facts.allows(tier, "helper", "id", &helper) {
                    found(format!("{at}: {fault}"));
                }
            }
            _ if code == CALL => {}
            6 if rules["cpu"].as_integer() < Some(3) => found(format!("{at}: a 32-bit jump (5.1)")),
            5 if operation > 13 => found(format!("{at}: jump {code:#x}")),
            // Atomics but the plain addition came with 5.12.
            3 if code & 0xe0 == 0xc0 && value != 0 => found(format!("{at}: an atomic {value:#x}")),
            _ => {}
        }
    }
}

/// Whether some path through a program comes back to where it was.
fn has_loop(program: &[u8]) -> bool {
    const JUMP: u8 = 0x05;
    const EXIT: u8 = 0x95;
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnThisPath,
        Done,
    }
    let next = |at: usize| -> Vec<usize> {
        let instruction = &program[at * 8..at * 8 + 8];
        let offset = isize::from(i16::from_le_bytes([instruction[2], instruction[3]]));
        let target = (at + 1).checked_add_signed(offset);
        match (instruction[0], instruction[0] & 7) {
            (EXIT, _) => vec![],
            (JUMP, _) => target.into_iter().collect(),
            (WIDE, _) => vec![at + 2],
            (code, 5 | 6) if code != CALL => target.into_iter().chain([at + 1]).collect(),
            _ => vec![at + 1],
        }
    };
    let mut seen = vec![Seen::No; program.len() / 8];
    let mut path = vec![(0, next(0))];
    seen[0] = Seen::OnThisPath;
    while let Some((at, left)) = path.last_mut() {
        let Some(to) = left.pop() else {
            seen[*at] = Seen::Done;
            path.pop();
            continue;
        };
        match seen.get(to) {
            Some(Seen::OnThisPath) => return true,
            Some(Seen::No) => {
                seen[to] = Seen::OnThisPath;
                path.push((to, next(to)));
            }
            _ => {}
        }
    }
    false
}

fn objects() -> [(&'static str, &'static str, &'static [u8]); 3] {
    [
        ("capture_v310", "v310", &OBJECT_V310.0),
        ("peek_v310", "v310", &PEEK_V310.0),
        ("capture_v510", "v510", &OBJECT_V510.0),
    ]
}

#[test]
fn each_object_uses_only_what_its_tier_has() {
    for (name, tier, object) in objects() {
        let (faults, counts) = check(tier, object);
        assert!(!counts.is_empty(), "{name} has no programs");
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn each_digest_is_that_of_the_bytes_that_are_loaded() {
    for (name, _, bytes) in objects() {
        let told = DIGESTS.iter().find(|(object, _)| *object == format!("{name}.o"));
        let found: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(told.map(|(_, digest)| *digest), Some(found.as_str()), "{name}");
    }
}

#[test]
fn an_object_of_a_newer_tier_is_refused_in_an_older_one() {
    let (faults, _) = check("v310", &OBJECT_V510.0);
    for wanted in
        ["32-bit jump", "a call of a function", "global data", "helper 130", "program", "a loop"]
    {
        assert!(faults.iter().any(|fault| fault.contains(wanted)), "{wanted} was not found");
    }
}

#[test]
fn instruction_counts_are_those_of_the_table() {
    let table: Table = COUNTS.parse().expect("instructions.toml is TOML");
    let mut now = String::from(
        "# Instructions of each program, by object. A test compares them; what it prints is the new table.\n",
    );
    let mut same = true;
    for (name, tier, object) in objects() {
        now.push_str(&format!("\n[{name}]\n"));
        for (program, count) in check(tier, object).1 {
            // clang's versions differ a little.
            let known = table.get(name).and_then(|rows| rows.get(&program)?.as_integer());
            same &= known.is_some_and(|known| (known - count).abs() * 20 <= known);
            now.push_str(&format!("\"{program}\" = {count}\n"));
        }
    }
    assert!(same, "kernel-matrix/instructions.toml differs by more than 5 %; it would be:\n{now}");
}
