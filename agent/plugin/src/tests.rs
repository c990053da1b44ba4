//! Plug-ins in text: what they may do, and what becomes of those that do otherwise.

use l7::{Direction, Plugin, PluginInput, PluginMessage, PluginOrigin, PluginStep, PluginVerdict};

use crate::{Limits, LoadError, Module};

/// A module in text, with the parts that tests vary.
struct Text {
    version: i32,
    name: &'static str,
    /// Body of `deepflow_probe`: `$at`, `$length` of the bytes.
    probe: &'static str,
    /// Body of `deepflow_parse`: `$conversation`, `$direction`, `$at`, `$length`, `$flags`.
    parse: &'static str,
    /// Further fields.
    more: &'static str,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            version: 1,
            name: "TextLines",
            probe: "(i32.const 1)",
            parse: "(i64.extend_i32_u (local.get $length))",
            more: "",
        }
    }
}

impl Text {
    fn wat(&self) -> String {
        format!(
            r#"(module
              (import "deepflow" "log" (func $log (param i32 i32)))
              (import "deepflow" "message" (func $message (param i32 i64) (result i32)))
              (import "deepflow" "text" (func $text (param i32 i32 i32) (result i32)))
              (import "deepflow" "number" (func $number (param i32 i64) (result i32)))
              (import "deepflow" "attribute"
                (func $attribute (param i32 i32 i32 i32) (result i32)))
              (import "deepflow" "metric" (func $metric (param i32 i32 f64) (result i32)))
              (memory (export "memory") 2)
              (data (i32.const 0) "{name}")
              (global $count (mut i32) (i32.const 0))
              {more}
              (func (export "deepflow_abi_version") (result i32) (i32.const {version}))
              (func (export "deepflow_name") (result i64) (i64.const {name_bytes}))
              (func (export "deepflow_buffer") (param i32) (result i32) (i32.const 1024))
              (func (export "deepflow_probe")
                (param $direction i32) (param $transport i32) (param $port i32)
                (param $at i32) (param $length i32) (result i32) {probe})
              (func (export "deepflow_parse")
                (param $conversation i64) (param $direction i32)
                (param $at i32) (param $length i32) (param $flags i32) (result i64) {parse}))"#,
            name = self.name,
            name_bytes = self.name.len(),
            more = self.more,
            version = self.version,
            probe = self.probe,
            parse = self.parse,
        )
    }

    fn load(&self) -> Result<Module, LoadError> {
        self.load_with(Limits::default())
    }

    fn load_with(&self, limits: Limits) -> Result<Module, LoadError> {
        Module::load(wat::parse_str(self.wat()).expect("good text"), limits)
    }

    fn reader(&self) -> Box<dyn Plugin> {
        self.load().expect("a plug-in").reader()
    }
}

const ORIGIN: PluginOrigin = PluginOrigin {
    direction: Direction::ClientToServer,
    transport: l7::Transport::Tcp,
    server_port: 7,
};

fn read(reader: &mut dyn Plugin, bytes: &[u8]) -> (PluginStep, Vec<PluginMessage>) {
    let direction = Direction::ClientToServer;
    let input = PluginInput { direction, bytes, is_cut: false, is_datagram: false };
    let mut messages = Vec::new();
    let step = reader.parse(5, input, &mut messages);
    (step, messages)
}

/// Calls until the plug-in is switched off: how often, and the last reason.
fn faults(reader: &mut dyn Plugin) -> (u64, String) {
    for _ in 0..20 {
        if !reader.is_disabled() {
            let (step, messages) = read(reader, b"bytes");
            assert_eq!((step, messages.len()), (PluginStep::Lost, 0));
        }
    }
    assert!(reader.is_disabled());
    assert_eq!(reader.probe(b"bytes", ORIGIN), PluginVerdict::No);
    (reader.take_faults(), reader.take_lines().pop().unwrap_or_default())
}

#[test]
fn an_endless_loop_ends() {
    let text = Text { parse: "(loop $l (br $l)) (i64.const 0)", ..Text::default() };
    let (faults, reason) = faults(&mut *text.reader());
    assert_eq!(faults, 8);
    assert_eq!(reason, "fault 8 of 8, switched off: out of fuel: it took too long");
    let endless = "(func $f (loop $l (br $l))) (start $f)";
    let error = Text { more: endless, ..Text::default() }.load().expect_err("it never starts");
    assert_eq!(error.to_string(), "failed when it was started (out of fuel: it took too long)");
}

#[test]
fn calls_into_the_host_take_fuel_for_what_they_copy() {
    let parse = "(drop (call $message (i32.const 0) (i64.const -1)))
      (loop $l (drop (call $text (i32.const 3) (i32.const 0) (i32.const 16384))) (br $l))
      (i64.const 1)";
    let mut reader = Text { parse, ..Text::default() }.reader();
    let begin = std::time::Instant::now();
    assert!(faults(&mut *reader).1.ends_with("it took too long"));
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn memory_is_bounded() {
    let hog = "(drop (memory.grow (i32.const 1000))) (i64.const 1)";
    let (_, reason) = faults(&mut *Text { parse: hog, ..Text::default() }.reader());
    assert!(reason.ends_with("it wanted more memory than it may have"), "{reason}");
    let few = Limits { memory_bytes: 65_536, ..Limits::default() };
    let error = Text::default().load_with(few).expect_err("two pages");
    assert!(matches!(error, LoadError::Link { .. } | LoadError::Start { .. }), "{error}");
    let deep = "(func $r (call $r))";
    let parse = "(call $r) (i64.const 1)";
    let (_, reason) = faults(&mut *Text { more: deep, parse, ..Text::default() }.reader());
    assert!(reason.ends_with("its calls nested too deep"), "{reason}");
}

#[test]
fn a_trap_starts_it_anew() {
    // The second call of an instance traps.
    let parse = "(global.set $count (i32.add (global.get $count) (i32.const 1)))
      (if (i32.eq (global.get $count) (i32.const 2)) (then (unreachable)))
      (i64.const 1)";
    let mut reader = Text { parse, ..Text::default() }.reader();
    let steps: Vec<PluginStep> = (0..5).map(|_| parse_step(&mut *reader)).collect();
    let used = PluginStep::Used(1);
    assert_eq!(steps, [used, PluginStep::Lost, used, PluginStep::Lost, used]);
    assert_eq!((reader.take_faults(), reader.take_faults()), (2, 0));
    let lines = reader.take_lines();
    assert!(lines[0].starts_with("fault 1 of 8, started anew: trap: "), "{lines:?}");
}

fn parse_step(reader: &mut dyn Plugin) -> PluginStep {
    read(reader, b"bytes").0
}

#[test]
fn pointers_outside_of_its_memory_are_traps() {
    for parse in [
        "(call $log (i32.const 131000) (i32.const 100)) (i64.const 1)",
        "(call $log (i32.const -1) (i32.const -1)) (i64.const 1)",
        "(drop (call $message (i32.const 0) (i64.const 1)))
         (drop (call $text (i32.const 1) (i32.const 131072) (i32.const 1))) (i64.const 1)",
        "(drop (call $attribute (i32.const 0) (i32.const 1) (i32.const 99999999) (i32.const 1)))
         (i64.const 1)",
    ] {
        let (_, reason) = faults(&mut *Text { parse, ..Text::default() }.reader());
        assert!(reason.contains("out of bounds"), "{reason}");
    }
    // A buffer that does not lie in memory.
    let text = Text::default().wat().replace("(i32.const 1024)", "(i32.const 131071)");
    let module = Module::load(wat::parse_str(text).expect("good text"), Limits::default());
    let (_, reason) = faults(&mut *module.expect("a plug-in").reader());
    assert!(reason.contains("out of bounds"), "{reason}");
}

#[test]
fn what_is_no_plugin_is_told() {
    let error = |text: &str| {
        let bytes = wat::parse_str(text).expect("good text");
        Module::load(bytes, Limits::default()).expect_err("no plug-in").to_string()
    };
    let version = Text { version: 9, ..Text::default() }.load().expect_err("version").to_string();
    assert!(
        version.starts_with("is made for version 9 of the plug-in interface, this agent has 1")
    );
    assert_eq!(error("(module)"), "has no export memory of the right type: see docs/plugins.md");
    let missing = Text::default().wat().replace("deepflow_parse", "deepflow_parze");
    assert!(error(&missing).contains("no export deepflow_parse"));
    let foreign = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#;
    assert!(error(foreign).contains("import only the functions of docs/plugins.md"));
    for name in ["", "two words", "0123456789012345678901234567890123"] {
        let error = Text { name, ..Text::default() }.load().expect_err("name").to_string();
        assert!(error.starts_with("its name must be"), "{error}");
    }
    for bytes in [b"".to_vec(), b"\x7fELF".to_vec(), b"\0asm\x01\0\0\0\xff".to_vec()] {
        let error = Module::load(bytes, Limits::default()).expect_err("no module").to_string();
        assert!(error.contains("wasm32-unknown-unknown"), "{error}");
    }
    let long = Module::load(vec![0; 9 << 20], Limits::default()).expect_err("too long");
    assert!(long.to_string().contains("build it for release"));
}

#[test]
fn columns_are_set() {
    let parse = r#"(drop (call $message (i32.const 0) (i64.const 7)))
      (drop (call $text (i32.const 1) (local.get $at) (i32.const 3)))
      (drop (call $text (i32.const 99) (local.get $at) (i32.const 3)))
      (drop (call $number (i32.const 1) (i64.const 7)))
      (drop (call $attribute (i32.const 0) (i32.const 4) (local.get $at) (i32.const 2)))
      (drop (call $metric (i32.const 0) (i32.const 9) (f64.const 2.5)))
      (drop (call $message (i32.const 1) (i64.const -1)))
      (drop (call $number (i32.const 2) (i64.const 404)))
      (drop (call $number (i32.const 3) (i64.const 4)))
      (drop (call $message (i32.const 9) (i64.const -1)))
      (i64.const 5)"#;
    let mut reader = Text { parse, ..Text::default() }.reader();
    let (step, messages) = read(&mut *reader, b"GET x");
    assert_eq!((step, messages.len()), (PluginStep::Used(5), 2));
    let [request, response] = &messages[..] else { panic!("two messages") };
    assert_eq!((request.kind, request.key), (l7::PluginMessageKind::Request, Some(7)));
    let fields = &request.fields;
    assert_eq!((&*fields.request_type, fields.request_id), ("GET", Some(7)));
    assert_eq!(fields.attributes, [("Text".into(), "GE".into())]);
    assert_eq!(fields.metrics, [("TextLines".into(), 2.5)]);
    assert_eq!((response.kind, response.key), (l7::PluginMessageKind::Response, None));
    assert_eq!(response.fields.response_code, Some(404));
    assert_eq!(response.fields.response_status, schema::ResponseStatus::ClientError);
}

#[test]
fn more_is_shown_when_it_is_asked_for() {
    // Asks for 3000 bytes, whatever it is shown; then uses them.
    let parse = "(if (result i64) (i32.lt_u (local.get $length) (i32.const 3000))
      (then (i64.const -3000)) (else (i64.extend_i32_u (local.get $length))))";
    let mut reader = Text { parse, ..Text::default() }.reader();
    assert_eq!(read(&mut *reader, &[0; 100]).0, PluginStep::Need(3000));
    assert_eq!(read(&mut *reader, &[0; 5000]).0, PluginStep::Used(3000));
    // It never has enough: what is shown is bounded.
    let greedy = "(i64.sub (i64.const -1) (i64.extend_i32_u (local.get $length)))";
    let mut reader = Text { parse: greedy, ..Text::default() }.reader();
    assert_eq!(read(&mut *reader, &[0; 1000]).0, PluginStep::Need(1001));
    assert_eq!(read(&mut *reader, &[0; 40_000]).0, PluginStep::Lost);
    assert_eq!(reader.take_faults(), 0);
}

#[test]
fn lines_are_few_and_short() {
    let parse = "(local $n i32) (loop $l (call $log (i32.const 0) (i32.const 600))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $n) (i32.const 100)))) (i64.const 1)";
    let mut reader = Text { parse, ..Text::default() }.reader();
    assert_eq!(read(&mut *reader, b"x").0, PluginStep::Used(1));
    let lines = reader.take_lines();
    assert_eq!(lines.len(), 16);
    assert!(lines[0].starts_with("TextLines\\0") && lines[0].len() < 600, "{}", lines[0]);
}
