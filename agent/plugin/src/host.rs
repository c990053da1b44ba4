//! What a plug-in may call: functions of the module `deepflow` (docs/plugins.md).
//!
//! In: pointers and lengths inside of the plug-in's memory. Out: messages and lines in the host's
//! state; 1 where it was done, 0 where the arguments make no sense. A pointer outside of its
//! memory is a trap. Each call takes fuel for the bytes that it copies, so that time stays
//! bounded. Never: anything of the host given away.

use l7::PluginMessage;
use schema::Text;
use wasmi::{Caller, Error, Extern, Linker, StoreLimits, StoreLimitsBuilder, TrapCode};

use crate::message::{self, MESSAGES, NAME_BYTES, TEXT_BYTES};

/// Name of the module that a plug-in imports from.
const MODULE: &str = "deepflow";

/// What the functions work on.
pub(crate) struct State {
    pub limits: StoreLimits,
    /// Messages of the current call.
    pub messages: Vec<PluginMessage>,
    /// The current call reads a message: only then messages are taken.
    pub is_reading: bool,
    /// What the plug-in said.
    pub lines: Vec<String>,
}

/// Lines that are kept until somebody takes them; more are dropped.
pub(crate) const LINES: usize = 16;

/// Longest line. unit byte
const LINE_BYTES: usize = 256;

/// Elements of tables.
const TABLE_ELEMENTS: usize = 16 << 10;

/// Fuel of any call into the host.
const CALL_FUEL: u64 = 50;

impl State {
    pub fn new(memory_bytes: usize) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(memory_bytes)
            .memories(1)
            .tables(4)
            .table_elements(TABLE_ELEMENTS)
            .instances(1)
            .trap_on_grow_failure(true)
            .build();
        Self { limits, messages: Vec::new(), is_reading: false, lines: Vec::new() }
    }

    fn last(&mut self) -> Option<&mut PluginMessage> {
        self.messages.last_mut().filter(|_| self.is_reading)
    }
}

/// The functions that there are.
pub(crate) fn define(linker: &mut Linker<State>) -> Result<(), Error> {
    linker
        .func_wrap(MODULE, "log", |mut caller: Caller<'_, State>, at: i32, length: i32| {
            let line = text(&mut caller, at, length, LINE_BYTES)?;
            let state = caller.data_mut();
            if state.lines.len() < LINES {
                state.lines.push(line.escape_debug().to_string());
            }
            Ok::<_, Error>(())
        })?
        .func_wrap(MODULE, "message", |mut caller: Caller<'_, State>, kind: i32, key: i64| {
            charge(&mut caller, 0)?;
            let state = caller.data_mut();
            let message = message::begin(kind, key)
                .filter(|_| state.is_reading && state.messages.len() < MESSAGES);
            let is_done = message.is_some();
            state.messages.extend(message);
            Ok::<_, Error>(i32::from(is_done))
        })?
        .func_wrap(
            MODULE,
            "text",
            |mut caller: Caller<'_, State>, column: i32, at: i32, length: i32| {
                let value = text(&mut caller, at, length, TEXT_BYTES)?;
                let set = |last| message::set_text(last, column, value);
                Ok::<_, Error>(i32::from(caller.data_mut().last().is_some_and(set)))
            },
        )?
        .func_wrap(MODULE, "number", |mut caller: Caller<'_, State>, column: i32, value: i64| {
            charge(&mut caller, 0)?;
            let set = |last| message::set_number(last, column, value);
            Ok::<_, Error>(i32::from(caller.data_mut().last().is_some_and(set)))
        })?
        .func_wrap(
            MODULE,
            "attribute",
            |mut caller: Caller<'_, State>, name: i32, name_bytes: i32, at: i32, length: i32| {
                let name = text(&mut caller, name, name_bytes, NAME_BYTES)?;
                let value = text(&mut caller, at, length, TEXT_BYTES)?;
                let add = |last| message::add_attribute(last, name, value);
                Ok::<_, Error>(i32::from(caller.data_mut().last().is_some_and(add)))
            },
        )?
        .func_wrap(
            MODULE,
            "metric",
            |mut caller: Caller<'_, State>, name: i32, name_bytes: i32, value: f64| {
                let name = text(&mut caller, name, name_bytes, NAME_BYTES)?;
                let add = |last| message::add_metric(last, name, value);
                Ok::<_, Error>(i32::from(caller.data_mut().last().is_some_and(add)))
            },
        )?;
    Ok(())
}

/// Bytes of the plug-in's memory as text, cut to `limit`; what is not UTF-8 is replaced.
fn text(caller: &mut Caller<'_, State>, at: i32, length: i32, limit: usize) -> Result<Text, Error> {
    let length = length as u32 as usize;
    charge(caller, length.min(limit))?;
    let outside = || Error::from(TrapCode::MemoryOutOfBounds);
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return Err(outside()) };
    let at = at as u32 as usize;
    let bytes = memory.data(&*caller).get(at..).and_then(|rest| rest.get(..length));
    let bytes = bytes.ok_or_else(outside)?;
    Ok(Text::from_utf8_lossy(&bytes[..length.min(limit)]))
}

/// Takes fuel for a call that copies so many bytes.
fn charge(caller: &mut Caller<'_, State>, bytes: usize) -> Result<(), Error> {
    let left = caller.get_fuel()?.checked_sub(CALL_FUEL + bytes as u64);
    caller.set_fuel(left.ok_or(TrapCode::OutOfFuel)?)
}
