//! Statements that pass, and statements that are refused with their reason.

use super::*;

#[test]
fn statements_that_read_pass() {
    for sql in [
        "SELECT 1",
        "  select count() from flow_log.l7_flow_log where request_type = 'INSERT; DROP' ",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS x SELECT x",
        "SHOW TABLES FROM flow_log",
        "DESCRIBE flow_log.l7_flow_log",
        "DESC flow_log.l7_flow_log",
        "EXPLAIN PLAN SELECT 1",
        "EXISTS TABLE flow_log.l7_flow_log",
        "-- who talks to whom\nSELECT 'it''s', \"file\", `url` FROM t /* file( */",
        "SELECT format('{}', 1), format FROM t",
        "SELECT dictGet('flow_tag.host_map', 'name', toUInt64(1)) FROM numbers(3)",
        "SELECT $$;file('x')$$",
        "SELECT a ? b : c FROM t",
        "SELECT '\u{e4}\u{f6}\u{fc} \u{2192}'",
    ] {
        assert_eq!(check(sql), Ok(sql), "{sql}");
    }
}

#[test]
fn final_semicolons_are_cut_off() {
    assert_eq!(check("SELECT 1;"), Ok("SELECT 1"));
    assert_eq!(check("SELECT 1 ; ;-- end"), Ok("SELECT 1 "));
}

#[test]
fn statements_that_change_are_refused() {
    for verb in [
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "alter table t delete where 1",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "USE default",
        "ATTACH TABLE t",
        "OPTIMIZE TABLE t",
        "TRUNCATE TABLE t",
        "RENAME TABLE a TO b",
        "GRANT ALL ON *.* TO x",
        "BACKUP TABLE t TO Disk('a', 'b')",
        "/* SELECT */ DELETE FROM t WHERE 1",
        "(INSERT INTO t SELECT 1)",
        "`select` 1",
    ] {
        assert!(matches!(check(verb), Err(Refusal::Verb(_))), "{verb}: {:?}", check(verb));
    }
}

#[test]
fn a_second_statement_is_refused() {
    assert_eq!(check("SELECT 1; DROP TABLE t"), Err(Refusal::Several));
    assert_eq!(check("SELECT 1;/**/;SELECT 2"), Err(Refusal::Several));
}

#[test]
fn functions_that_reach_outside_are_refused() {
    for (sql, name) in [
        ("SELECT * FROM file('/etc/passwd', 'LineAsString')", "file"),
        ("SELECT * FROM FILE /* x */ ('/etc/passwd')", "FILE"),
        ("SELECT * FROM `file`('/etc/passwd')", "file"),
        ("SELECT * FROM \"url\"('http://x')", "url"),
        ("WITH x AS (SELECT * FROM remote('h', 'd', 't')) SELECT * FROM x", "remote"),
        ("SELECT * FROM s3Cluster('c', 'u')", "s3Cluster"),
        ("SELECT * FROM executable('rm', 'TSV', 'a String')", "executable"),
        ("SELECT * FROM icebergS3('x')", "icebergS3"),
        ("SELECT file('x')", "file"),
        ("EXPLAIN SELECT * FROM mysql('h', 'd', 't', 'u', 'p')", "mysql"),
        ("SELECT * FROM `fi\\x6ce`('/etc/passwd')", "fi\\x6ce"),
    ] {
        assert_eq!(check(sql), Err(Refusal::Function(name.to_owned())), "{sql}");
    }
}

#[test]
fn other_ways_out_are_refused() {
    assert_eq!(check("SELECT 1 INTO OUTFILE '/tmp/x'"), Err(Refusal::Into));
    assert_eq!(check("SELECT 1 FORMAT Native"), Err(Refusal::Format));
    assert_eq!(check("SELECT 1 FORMAT Native SETTINGS a = 1"), Err(Refusal::Format));
    assert_eq!(check(""), Err(Refusal::Empty));
    assert_eq!(check(" -- nothing"), Err(Refusal::Empty));
    assert_eq!(check(";"), Err(Refusal::Empty));
    assert_eq!(check("SELECT 'x"), Err(Refusal::Unclosed));
    assert_eq!(check("SELECT 1 /* x"), Err(Refusal::Unclosed));
    assert_eq!(check("SELECT $a$ x $b$"), Err(Refusal::Unclosed));
    assert_eq!(check(&format!("SELECT '{}'", "x".repeat(300 << 10))), Err(Refusal::TooLong));
    assert_eq!(check("1 + 1"), Err(Refusal::Verb("1".to_owned())));
}

/// No text makes the guard panic, whatever is cut off where.
#[test]
fn any_piece_of_text_is_survived() {
    let text = "SELECT 'ä\\'', `b\\``, \"c\"\"d\", $t$ü$t$ -- e\n/* f */ # g\n FROM file(1); é";
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut passed = 0;
    for start in &places {
        for end in places.iter().filter(|end| *end >= start) {
            passed += usize::from(check(&text[*start..*end]).is_ok());
        }
    }
    assert!(passed > 0, "some pieces are statements");
}
