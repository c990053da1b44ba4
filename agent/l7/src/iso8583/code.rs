//! Response codes (field 39): two signs in version 1987, three digits since 1993.

use schema::ResponseStatus;

/// Whether a transaction was approved; of what was not, whether the network or the issuer failed.
pub(crate) fn status(code: &str) -> ResponseStatus {
    let approved = ["", "00", "08", "10", "11", "16", "32"];
    let failed =
        ["06", "09", "19", "20", "22", "23", "29", "68", "90", "91", "92", "96", "97", "98"];
    match code {
        code if approved.contains(&code) => ResponseStatus::Ok,
        code if failed.contains(&code) => ResponseStatus::ServerError,
        code if code.len() == 3 => new_status(code),
        _ => ResponseStatus::ClientError,
    }
}

/// Of three digits the first is the class: approved, denied, denied with the card picked up; then
/// files, reversals, reconciliations, administration and fees, of which the first is accepted.
fn new_status(code: &str) -> ResponseStatus {
    match code.as_bytes() {
        [b'0', ..] | [b'3'..=b'8', b'0', b'0'] | b"900" => ResponseStatus::Ok,
        b"902" | b"903" | b"904" | b"905" | b"906" | b"913" | b"914" | b"916" => {
            ResponseStatus::ClientError
        }
        [b'9', ..] => ResponseStatus::ServerError,
        _ => ResponseStatus::ClientError,
    }
}

/// Names of codes of version 1987 (annex A) and of the most frequent of 1993.
pub(crate) fn name(code: &str) -> Option<&'static str> {
    Some(match code {
        "00" | "000" => "approved",
        "01" | "107" => "refer to card issuer",
        "02" | "108" => "refer to card issuer, special condition",
        "03" | "109" => "invalid merchant",
        "04" | "200" => "pick up",
        "05" | "100" => "do not honour",
        "06" => "error",
        "07" => "pick up, special condition",
        "08" | "001" => "honour with identification",
        "09" => "request in progress",
        "10" | "002" => "approved for partial amount",
        "11" | "003" => "approved (VIP)",
        "12" | "902" => "invalid transaction",
        "13" | "110" => "invalid amount",
        "14" | "111" => "invalid card number",
        "15" => "no such issuer",
        "19" | "903" => "re-enter transaction",
        "20" => "invalid response",
        "22" => "suspected malfunction",
        "25" => "unable to locate record",
        "30" | "904" => "format error",
        "33" | "54" | "101" => "expired card",
        "34" | "59" | "102" => "suspected fraud",
        "38" | "75" | "106" => "PIN tries exceeded",
        "40" => "function not supported",
        "41" | "208" => "lost card",
        "43" | "209" => "stolen card",
        "51" | "116" => "not sufficient funds",
        "55" | "117" => "incorrect PIN",
        "57" | "119" => "transaction not permitted to cardholder",
        "58" | "120" => "transaction not permitted to terminal",
        "61" | "121" => "exceeds withdrawal limit",
        "62" | "104" => "restricted card",
        "63" | "122" => "security violation",
        "65" | "123" => "exceeds withdrawal frequency",
        "68" => "response received too late",
        "90" => "cut-off in process",
        "91" | "907" => "issuer inoperative",
        "92" | "908" => "destination not found",
        "94" | "913" => "duplicate transmission",
        "95" | "915" => "reconcile error",
        "96" | "909" => "system malfunction",
        "400" => "accepted",
        "500" => "reconciled",
        "800" => "accepted",
        "911" => "issuer timed out",
        "912" => "issuer unavailable",
        _ => return None,
    })
}
