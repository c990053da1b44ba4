//! Bodies of Dubbo messages: what is called, and what came of it.

use std::borrow::Cow;

use crate::config::TraceConfig;
use crate::dubbo::attachments;
use crate::dubbo::hessian::Hessian;
use crate::dubbo::words::{Form, Words};

/// What a request says before its arguments.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub version: Cow<'a, [u8]>,
    pub path: Cow<'a, [u8]>,
    pub service_version: Cow<'a, [u8]>,
    pub method: Cow<'a, [u8]>,
    /// What follows the method.
    pub rest: Option<Words<'a>>,
    /// All of the body.
    pub body: &'a [u8],
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// A value or nothing.
    Returned,
    /// Class and message of an exception, as far as they are known.
    Exception(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// The call itself failed: why.
    Failed(Cow<'a, [u8]>),
}

/// Reads a request, as far as it was captured.
pub(crate) fn call(form: Form, body: &[u8]) -> Call<'_> {
    let mut call = Call { body, ..Call::default() };
    let mut words = Words::of(form, body);
    let mut read = || -> Option<()> {
        call.version = words.text()?;
        call.path = words.text()?;
        call.service_version = words.text()?;
        call.method = words.text()?;
        Some(())
    };
    let is_whole = read().is_some();
    call.rest = is_whole.then_some(words);
    call
}

/// The text of an event; empty for a heartbeat.
pub(crate) fn event(form: Form, body: &[u8]) -> Cow<'_, [u8]> {
    Words::of(form, body).text().unwrap_or_default()
}

/// The text that a response with an error has.
pub(crate) fn error(form: Form, body: &[u8]) -> Cow<'_, [u8]> {
    Words::of(form, body).text().unwrap_or_default()
}

/// Reads a response. `each` is given its attachments.
pub(crate) fn outcome<'a>(
    form: Form,
    body: &'a [u8],
    trace: &TraceConfig,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Outcome<'a> {
    let mut words = Words::of(form, body);
    let Some(flag) = words.number().filter(|flag| *flag <= 5) else { return Outcome::Returned };
    let is_exception = matches!(flag, 0 | 3);
    let has_value = matches!(flag, 1 | 4);
    if let Words::Hessian(hessian) = &mut words {
        return hessian_outcome(hessian, is_exception, has_value, each);
    }
    if flag >= 3 {
        let call = Call { rest: Some(words), body, ..Call::default() };
        attachments::each(form, &call, trace, each);
    }
    match is_exception {
        true => Outcome::Exception(attachments::exception_class(body), Cow::Borrowed(&[])),
        false => Outcome::Returned,
    }
}

fn hessian_outcome<'a>(
    hessian: &mut Hessian<'a>,
    is_exception: bool,
    has_value: bool,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Outcome<'a> {
    let before = hessian.clone();
    // Attachments follow the value, where it can be passed over.
    if !(is_exception || has_value) || hessian.pass().is_some() {
        hessian.map(each);
    }
    match is_exception {
        true => {
            let (class, message) = before.clone().exception().unwrap_or_default();
            Outcome::Exception(class, message)
        }
        false => Outcome::Returned,
    }
}
