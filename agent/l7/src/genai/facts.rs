//! What requests and answers of generative models say of themselves, and where they say it.
//!
//! In: values found by a walk. Out: facts in the words of OpenTelemetry's semantic conventions for
//! generative AI. Never: what was asked or answered: of such a text it is only told that it began.
//!
//! The places are those of OpenAI's Chat Completions, Completions, Embeddings and Responses,
//! Anthropic's Messages, Ollama's, Gemini's and Bedrock's API references; no place means different
//! things in two of them.

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::genai::json::{Places, Value};

/// What a place in a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Model,
    /// What the model is to work on: it is never looked at.
    Input,
    Stream,
    MaxTokens,
    Temperature,
}

/// Places in requests.
pub(crate) const REQUEST: &Places<Asked> = &[
    ("model", Asked::Model),
    ("stream", Asked::Stream),
    ("messages", Asked::Input),
    ("prompt", Asked::Input),
    ("input", Asked::Input),
    ("contents", Asked::Input),
    ("content", Asked::Input),
    ("requests", Asked::Input),
    ("max_tokens", Asked::MaxTokens),
    ("max_completion_tokens", Asked::MaxTokens),
    ("max_output_tokens", Asked::MaxTokens),
    ("options.num_predict", Asked::MaxTokens),
    ("generationConfig.maxOutputTokens", Asked::MaxTokens),
    ("inferenceConfig.maxTokens", Asked::MaxTokens),
    ("temperature", Asked::Temperature),
    ("options.temperature", Asked::Temperature),
    ("generationConfig.temperature", Asked::Temperature),
    ("inferenceConfig.temperature", Asked::Temperature),
];

/// What a place in an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Id,
    Model,
    InputTokens,
    OutputTokens,
    /// Output that is counted beside the rest.
    ThoughtTokens,
    /// Input from a cache that is counted with the rest, or beside it.
    CachedTokens,
    CacheReadTokens,
    CacheWriteTokens,
    Finish,
    /// How a run of the Responses API stands.
    RunStatus,
    /// A part of what the model says.
    Part,
    ErrorType,
    ErrorCode,
    /// An error that is only a text.
    ErrorText,
}

/// Places in answers.
pub(crate) const ANSWER: &Places<Told> = &[
    ("id", Told::Id),
    ("response.id", Told::Id),
    ("message.id", Told::Id),
    ("responseId", Told::Id),
    ("model", Told::Model),
    ("response.model", Told::Model),
    ("message.model", Told::Model),
    ("modelVersion", Told::Model),
    ("usage.prompt_tokens", Told::InputTokens),
    ("usage.input_tokens", Told::InputTokens),
    ("usage.inputTokens", Told::InputTokens),
    ("response.usage.input_tokens", Told::InputTokens),
    ("message.usage.input_tokens", Told::InputTokens),
    ("usageMetadata.promptTokenCount", Told::InputTokens),
    ("prompt_eval_count", Told::InputTokens),
    ("usage.completion_tokens", Told::OutputTokens),
    ("usage.output_tokens", Told::OutputTokens),
    ("usage.outputTokens", Told::OutputTokens),
    ("response.usage.output_tokens", Told::OutputTokens),
    ("message.usage.output_tokens", Told::OutputTokens),
    ("usageMetadata.candidatesTokenCount", Told::OutputTokens),
    ("eval_count", Told::OutputTokens),
    ("usageMetadata.thoughtsTokenCount", Told::ThoughtTokens),
    ("usage.prompt_tokens_details.cached_tokens", Told::CachedTokens),
    ("usage.input_tokens_details.cached_tokens", Told::CachedTokens),
    ("response.usage.input_tokens_details.cached_tokens", Told::CachedTokens),
    ("usageMetadata.cachedContentTokenCount", Told::CachedTokens),
    ("usage.cache_read_input_tokens", Told::CacheReadTokens),
    ("message.usage.cache_read_input_tokens", Told::CacheReadTokens),
    ("usage.cache_creation_input_tokens", Told::CacheWriteTokens),
    ("message.usage.cache_creation_input_tokens", Told::CacheWriteTokens),
    ("choices.finish_reason", Told::Finish),
    ("stop_reason", Told::Finish),
    ("delta.stop_reason", Told::Finish),
    ("done_reason", Told::Finish),
    ("candidates.finishReason", Told::Finish),
    ("promptFeedback.blockReason", Told::Finish),
    ("stopReason", Told::Finish),
    ("incomplete_details.reason", Told::Finish),
    ("response.incomplete_details.reason", Told::Finish),
    ("status", Told::RunStatus),
    ("response.status", Told::RunStatus),
    ("choices.delta.content", Told::Part),
    ("choices.delta.reasoning_content", Told::Part),
    ("choices.delta.reasoning", Told::Part),
    ("choices.delta.refusal", Told::Part),
    ("choices.delta.tool_calls.function.name", Told::Part),
    ("choices.delta.tool_calls.function.arguments", Told::Part),
    ("choices.text", Told::Part),
    ("delta", Told::Part),
    ("delta.text", Told::Part),
    ("delta.thinking", Told::Part),
    ("delta.partial_json", Told::Part),
    ("response", Told::Part),
    ("thinking", Told::Part),
    ("message.content", Told::Part),
    ("message.thinking", Told::Part),
    ("message.tool_calls.function.name", Told::Part),
    ("candidates.content.parts.text", Told::Part),
    ("candidates.content.parts.functionCall.name", Told::Part),
    ("error.type", Told::ErrorType),
    ("error.status", Told::ErrorType),
    ("error.code", Told::ErrorCode),
    ("response.error.code", Told::ErrorCode),
    ("error", Told::ErrorText),
];

/// Facts of a request.
#[derive(Debug, Default)]
pub(crate) struct RequestFacts {
    pub model: Text,
    pub has_input: bool,
    pub streams: Option<bool>,
    pub max_tokens: Text,
    pub temperature: Text,
}

impl RequestFacts {
    pub fn take(&mut self, field: Asked, value: Value<'_>) {
        match (field, value) {
            (Asked::Input, Value::Name) => self.has_input = true,
            (Asked::Model, Value::Text(model)) => self.model = bytes::text(model, model.len()),
            (Asked::Stream, Value::Word(word)) => self.streams = Some(word == b"true"),
            (Asked::MaxTokens, Value::Word(word)) => self.max_tokens = number(word),
            (Asked::Temperature, Value::Word(word)) => self.temperature = number(word),
            _ => {}
        }
    }
}

/// Facts of an answer.
#[derive(Debug, Default)]
pub(crate) struct AnswerFacts {
    pub id: Text,
    pub model: Text,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    thought_tokens: u64,
    cached_tokens: Option<u64>,
    /// Read from a cache and written to it, beside the input.
    beside_tokens: [Option<u64>; 2],
    finish: Vec<Text>,
    /// How a run stands that gave no other reason.
    run_status: Text,
    /// A part of what the model says was seen.
    pub has_part: bool,
    error_type: Text,
    error_code: Text,
    has_error: bool,
}

/// Reasons that are kept.
const REASONS: usize = 4;

impl AnswerFacts {
    pub fn take(&mut self, field: Told, value: Value<'_>) {
        let text = match value {
            Value::Name => return,
            Value::Text(text) | Value::Word(text) => text,
        };
        let count = match value {
            Value::Word(word) => bytes::decimal(word),
            _ => None,
        };
        match field {
            Told::Part => self.has_part |= matches!(value, Value::Text([_, ..])),
            Told::InputTokens => self.input_tokens = count.or(self.input_tokens),
            Told::OutputTokens => self.output_tokens = count.or(self.output_tokens),
            Told::ThoughtTokens => self.thought_tokens = count.unwrap_or(self.thought_tokens),
            Told::CachedTokens => self.cached_tokens = count.or(self.cached_tokens),
            Told::CacheReadTokens => self.beside_tokens[0] = count.or(self.beside_tokens[0]),
            Told::CacheWriteTokens => self.beside_tokens[1] = count.or(self.beside_tokens[1]),
            _ if text.is_empty() => {}
            Told::ErrorType | Told::ErrorCode | Told::ErrorText => {
                self.has_error = true;
                match field {
                    Told::ErrorType => self.error_type = name(text),
                    Told::ErrorCode => self.error_code = name(text),
                    _ => {}
                }
            }
            _ if !matches!(value, Value::Text(_)) => {}
            Told::Id if self.id.is_empty() => self.id = name(text),
            Told::Model => self.model = name(text),
            Told::Finish => {
                let reason = name(text);
                if self.finish.len() < REASONS && !self.finish.contains(&reason) {
                    self.finish.push(reason);
                }
            }
            Told::RunStatus => self.run_status = name(text),
            _ => {}
        }
    }

    /// All input, that of caches included.
    pub fn input_tokens(&self) -> Option<u64> {
        let beside =
            self.beside_tokens.iter().flatten().fold(0u64, |sum, n| sum.saturating_add(*n));
        self.input_tokens.map(|tokens| tokens.saturating_add(beside))
    }

    /// All output, thoughts included.
    pub fn output_tokens(&self) -> Option<u64> {
        self.output_tokens.map(|tokens| tokens.saturating_add(self.thought_tokens))
    }

    /// Input that was read from a cache, and written to one.
    pub fn cache_tokens(&self) -> [Option<u64>; 2] {
        [self.cached_tokens.or(self.beside_tokens[0]), self.beside_tokens[1]]
    }

    /// Why it ended, several reasons joined by commas.
    pub fn finish_reasons(&self) -> Text {
        if self.finish.is_empty() {
            return match &*self.run_status {
                "in_progress" | "queued" => Text::default(),
                _ => self.run_status.clone(),
            };
        }
        let mut joined = Text::default();
        for reason in &self.finish {
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(reason);
        }
        joined
    }

    /// The kind of error, if it tells one.
    pub fn error_type(&self) -> Option<Text> {
        // A code that is a name says more than the type; one that is a number repeats HTTP's.
        let is_name = bytes::decimal(self.error_code.as_bytes()).is_none();
        let known = match is_name && !self.error_code.is_empty() || self.error_type.is_empty() {
            true => &self.error_code,
            false => &self.error_type,
        };
        match known.is_empty() {
            true => self.has_error.then_some(Text::const_new("_OTHER")),
            false => Some(known.clone()),
        }
    }

    /// Whose error it is, of an answer that HTTP calls good.
    pub fn error_status(&self) -> ResponseStatus {
        let is_client = |name: &Text| {
            matches!(bytes::decimal(name.as_bytes()), Some(400..500))
                || CLIENT_ERRORS.contains(&name.as_str())
        };
        match is_client(&self.error_type) || is_client(&self.error_code) {
            true => ResponseStatus::ClientError,
            false => ResponseStatus::ServerError,
        }
    }
}

/// Kinds of errors that are the client's: those that have a code of 4xx otherwise.
const CLIENT_ERRORS: [&str; 19] = [
    "authentication_error",
    "billing_error",
    "content_filter",
    "context_length_exceeded",
    "insufficient_quota",
    "invalid_prompt",
    "invalid_request_error",
    "not_found_error",
    "permission_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "request_too_large",
    "FAILED_PRECONDITION",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
];

fn name(text: &[u8]) -> Text {
    bytes::text(text, text.len())
}

/// A number as it was written.
fn number(word: &[u8]) -> Text {
    match word.first() {
        Some(b'0'..=b'9' | b'-') => name(word),
        _ => Text::default(),
    }
}
