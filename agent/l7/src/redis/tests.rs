//! Redaction and the edges of RESP.

use super::*;

fn shown(command: &str) -> String {
    let mut wire = String::new();
    for word in command.split(' ') {
        wire += &format!("${}\r\n{word}\r\n", word.len());
    }
    let whole = format!("*{}\r\n{wire}", command.split(' ').count());
    let input = Input { bytes: whole.as_bytes(), cut: false, datagram: false, text_bytes: 4096 };
    let Step::Frame { frame: Frame::Command(args), used } = frame::command(input, &mut 0) else {
        panic!("no command: {whole}");
    };
    assert_eq!(used as usize, whole.len());
    let redaction = command::redaction_of(args.name());
    command::text(args, redaction, 4096).to_string()
}

#[test]
fn values_are_hidden_and_keys_are_not() {
    assert_eq!(shown("GET k"), "GET k");
    assert_eq!(shown("set k secret EX 60"), "set k ?");
    assert_eq!(shown("MSET a 1 b 2"), "MSET a ? b ?");
    assert_eq!(shown("HSET h f1 v1 f2 v2"), "HSET h f1 ? f2 ?");
    assert_eq!(shown("AUTH user password"), "AUTH ?");
    assert_eq!(shown("HELLO 3 AUTH u p"), "HELLO ?");
    assert_eq!(shown("CONFIG SET requirepass p"), "CONFIG SET requirepass ?");
    assert_eq!(shown("NEWCOMMAND k v w"), "NEWCOMMAND k ?");
}

#[test]
fn what_is_no_resp_is_lost() {
    let lost = |text: &str, is_client: bool| {
        let input = Input { bytes: text.as_bytes(), cut: false, datagram: false, text_bytes: 100 };
        let step = match is_client {
            true => frame::command(input, &mut 0),
            false => frame::reply(input, &mut 0, false),
        };
        matches!(step, Step::Lost)
    };
    for text in
        ["*x\r\n", "*1\r\n+a\r\n", "*1\r\n$-1\r\n", "*99999999999\r\n", "*1\r\n$5x", "\x01a\r\n"]
    {
        assert!(lost(text, true), "{text:?}");
    }
    for text in ["hello\r\n", "$12a\r\n", "*-2\r\n", "+a\n", "$99999999999999999999\r\n"] {
        assert!(lost(text, false), "{text:?}");
    }
}

#[test]
fn values_are_passed_over_however_deep() {
    let bytes = b"*2\r\n*1\r\n%1\r\n+k\r\n|1\r\n+a\r\n:1\r\n#t\r\n$3\r\nabc\r\n+rest\r\n";
    let mut left = 1;
    let Step::Skip(used) = frame::pass_values(bytes, &mut left) else { panic!("not passed") };
    assert_eq!((left, &bytes[used as usize..]), (0, &b"+rest\r\n"[..]));
}
