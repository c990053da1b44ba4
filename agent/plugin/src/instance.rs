//! A plug-in that runs: calls into it, each with its own fuel, and what becomes of faults.
//!
//! In: what `l7` asks. Out: what the plug-in answers, as far as that makes sense. Never: a call
//! without a bound, a second call into an instance that failed.

use l7::{
    Direction, Plugin, PluginInput, PluginMessage, PluginOrigin, PluginStep, PluginVerdict,
    Transport,
};
use wasmi::{Engine, Error, Linker, Memory, Store, TrapCode, TypedFunc, WasmParams, WasmResults};

use crate::host::{self, LINES, State};
use crate::module::{Limits, LoadError, Module};

/// The functions of one instance.
pub(crate) struct Exports {
    store: Store<State>,
    fuel: u64,
    memory: Memory,
    version: TypedFunc<(), i32>,
    name: TypedFunc<(), i64>,
    buffer: TypedFunc<i32, i32>,
    probe: TypedFunc<(i32, i32, i32, i32, i32), i32>,
    parse: TypedFunc<(i64, i32, i32, i32, i32), i64>,
    close: Option<TypedFunc<i64, ()>>,
}

/// Flags of `deepflow_parse`.
const CUT: i32 = 1;
const DATAGRAM: i32 = 2;

impl Exports {
    /// Makes an instance of a module and runs what it runs at its start.
    pub fn of(engine: &Engine, module: &wasmi::Module, limits: Limits) -> Result<Self, LoadError> {
        let start = |error: Error| LoadError::Start { reason: reason(&error) };
        let mut store = Store::new(engine, State::new(limits.memory_bytes));
        store.limiter(|state| &mut state.limits);
        store.set_fuel(limits.fuel).map_err(start)?;
        let mut linker = Linker::new(engine);
        host::define(&mut linker).map_err(start)?;
        let instance =
            linker.instantiate_and_start(&mut store, module).map_err(|error| {
                match error.as_trap_code() {
                    Some(_) => start(error),
                    None => LoadError::Link { reason: error.to_string() },
                }
            })?;
        let missing = |name| LoadError::Export { name };
        macro_rules! export {
            ($name:literal) => {
                instance.get_typed_func(&store, $name).map_err(|_| missing($name))?
            };
        }
        let close = match instance.get_func(&store, "deepflow_close") {
            Some(_) => Some(export!("deepflow_close")),
            None => None,
        };
        Ok(Self {
            fuel: limits.fuel,
            memory: instance.get_memory(&store, "memory").ok_or_else(|| missing("memory"))?,
            version: export!("deepflow_abi_version"),
            name: export!("deepflow_name"),
            buffer: export!("deepflow_buffer"),
            probe: export!("deepflow_probe"),
            parse: export!("deepflow_parse"),
            close,
            store,
        })
    }

    /// The version of the interface that it is made for.
    pub fn version(&mut self) -> Result<i32, LoadError> {
        let version = self.version;
        self.call(version, ()).map_err(|error| LoadError::Start { reason: reason(&error) })
    }

    /// What it calls its protocol; `None`: no text in its memory.
    pub fn name(&mut self) -> Result<Option<String>, LoadError> {
        let name = self.name;
        let place =
            self.call(name, ()).map_err(|error| LoadError::Start { reason: reason(&error) })?
                as u64;
        let (at, length) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
        let bytes = self.memory.data(&self.store).get(at..).and_then(|rest| rest.get(..length));
        Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned))
    }

    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Error> {
        self.store.set_fuel(self.fuel)?;
        function.call(&mut self.store, parameters)
    }

    /// Puts bytes where the plug-in wants them.
    fn give(&mut self, bytes: &[u8]) -> Result<i32, Error> {
        let buffer = self.buffer;
        let at = self.call(buffer, bytes.len() as i32)?;
        self.memory.write(&mut self.store, at as u32 as usize, bytes)?;
        Ok(at)
    }

    fn ask(&mut self, first: &[u8], origin: PluginOrigin) -> Result<PluginVerdict, Error> {
        let at = self.give(first)?;
        let transport = match origin.transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
        };
        let probe = self.probe;
        let direction = number(origin.direction);
        let port = i32::from(origin.server_port);
        let verdict = self.call(probe, (direction, transport, port, at, first.len() as i32))?;
        match verdict {
            0 => Ok(PluginVerdict::No),
            1 => Ok(PluginVerdict::Certain),
            2 => Ok(PluginVerdict::Possible),
            3 => Ok(PluginVerdict::Short),
            other => Err(Error::new(format!("deepflow_probe returned {other}"))),
        }
    }

    /// Calls `deepflow_parse` once; what it returned.
    fn read(
        &mut self,
        conversation: u64,
        input: PluginInput<'_>,
        messages: &mut Vec<PluginMessage>,
    ) -> Result<i64, Error> {
        let at = self.give(input.bytes)?;
        let flags =
            if input.is_cut { CUT } else { 0 } | if input.is_datagram { DATAGRAM } else { 0 };
        let (parse, length) = (self.parse, input.bytes.len() as i32);
        self.store.data_mut().is_reading = true;
        let result =
            self.call(parse, (conversation as i64, number(input.direction), at, length, flags));
        let state = self.store.data_mut();
        state.is_reading = false;
        messages.clear();
        messages.append(&mut state.messages);
        result
    }
}

fn number(direction: Direction) -> i32 {
    match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    }
}

/// A fault in words.
fn reason(error: &Error) -> String {
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => "out of fuel: it took too long".to_owned(),
        Some(TrapCode::GrowthOperationLimited) => "it wanted more memory than it may have".into(),
        Some(TrapCode::StackOverflow) => "its calls nested too deep".to_owned(),
        Some(code) => format!("trap: {code}"),
        None => error.to_string(),
    }
}

/// A plug-in in one thread.
pub struct Instance {
    module: Module,
    /// `None`: not started yet, or it failed and will be started anew.
    exports: Option<Exports>,
    /// Faults that good calls have not made up for.
    faults: u32,
    /// Good calls since the last fault.
    good: u32,
    faults_untold: u64,
    lines: Vec<String>,
}

/// Good calls that make up for all faults before them.
const GOOD_CALLS: u32 = 10_000;

/// First bytes of a message that are shown before the plug-in asks for more. unit byte
const FIRST_BYTES: usize = 1024;

impl Instance {
    pub(crate) fn new(module: Module) -> Self {
        Self { module, exports: None, faults: 0, good: 0, faults_untold: 0, lines: Vec::new() }
    }

    /// Calls into the instance; a fault ends it.
    fn run<T>(&mut self, call: impl FnOnce(&mut Exports) -> Result<T, Error>) -> Option<T> {
        if self.is_disabled() {
            return None;
        }
        let mut exports = match self.exports.take() {
            Some(exports) => exports,
            None => match self.module.start() {
                Ok(exports) => exports,
                Err(error) => {
                    self.fail(&error.to_string());
                    return None;
                }
            },
        };
        let result = call(&mut exports);
        let room = LINES.saturating_sub(self.lines.len());
        self.lines.extend(exports.store.data_mut().lines.drain(..).take(room));
        match result {
            Ok(value) => {
                self.exports = Some(exports);
                self.good += 1;
                if self.good >= GOOD_CALLS {
                    (self.good, self.faults) = (0, 0);
                }
                Some(value)
            }
            Err(error) => {
                self.fail(&reason(&error));
                None
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        self.good = 0;
        self.faults += 1;
        self.faults_untold += 1;
        let limit = self.module.limits().faults;
        let verdict = match self.is_disabled() {
            true => "switched off",
            false => "started anew",
        };
        // What became of it is told even where it talks too much.
        self.lines.truncate(LINES - 1);
        self.lines.push(format!("fault {} of {limit}, {verdict}: {reason}", self.faults));
    }
}

impl Plugin for Instance {
    fn name(&self) -> &str {
        self.module.name()
    }

    fn probe(&mut self, first: &[u8], origin: PluginOrigin) -> PluginVerdict {
        let first = &first[..first.len().min(self.module.limits().payload_bytes)];
        self.run(|exports| exports.ask(first, origin)).unwrap_or(PluginVerdict::No)
    }

    fn parse(
        &mut self,
        conversation: u64,
        input: PluginInput<'_>,
        messages: &mut Vec<PluginMessage>,
    ) -> PluginStep {
        let limit = self.module.limits().payload_bytes;
        let mut shown = if input.is_datagram { limit } else { FIRST_BYTES.min(limit) };
        loop {
            let length = input.bytes.len().min(shown);
            let is_whole = length == input.bytes.len();
            let is_cut = input.is_cut && is_whole || !is_whole && length >= limit;
            let call = PluginInput { bytes: &input.bytes[..length], is_cut, ..input };
            let result = self.run(|exports| exports.read(conversation, call, messages));
            let step = match result {
                None => PluginStep::Lost,
                Some(0) => PluginStep::Lost,
                Some(used @ 1..) => return PluginStep::Used(used as u64),
                Some(need) => {
                    let need = usize::try_from(need.unsigned_abs()).unwrap_or(usize::MAX);
                    if need <= length || is_cut {
                        PluginStep::Lost
                    } else if is_whole {
                        PluginStep::Need(need.min(limit))
                    } else {
                        shown = need.min(limit);
                        continue;
                    }
                }
            };
            messages.clear();
            return step;
        }
    }

    fn close(&mut self, conversation: u64) {
        if self.exports.as_ref().is_some_and(|exports| exports.close.is_some()) {
            self.run(|exports| match exports.close {
                Some(close) => exports.call(close, conversation as i64),
                None => Ok(()),
            });
        }
    }

    fn is_disabled(&self) -> bool {
        self.faults >= self.module.limits().faults
    }

    fn take_faults(&mut self) -> u64 {
        std::mem::take(&mut self.faults_untold)
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("module", &self.module)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
