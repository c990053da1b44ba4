//! Which calls of HTTP are calls of generative models, by their path.
//!
//! In: method, path, host. Out: who provides the model, what is asked, the model where the path
//! names it. Names are those of OpenTelemetry's semantic conventions for generative AI
//! (`gen_ai.provider.name`, `gen_ai.operation.name`). Never: certainty: what the body says decides
//! (see `reader`).

use schema::Text;

use crate::bytes;
use crate::record::Record;

/// A call, as far as its path tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// `gen_ai.provider.name`.
    pub provider: &'static str,
    /// `gen_ai.operation.name`.
    pub operation: &'static str,
    /// The model, where the path names it.
    pub model: Text,
    /// The answer comes in parts whatever the request says.
    pub is_streaming: bool,
}

/// Longest name of a model that is kept. unit byte
const MODEL_BYTES: usize = 128;

const CHAT: &str = "chat";
const COMPLETION: &str = "text_completion";
const EMBEDDINGS: &str = "embeddings";
const GENERATE: &str = "generate_content";

/// Hosts whose provider is known: ends of names.
const PROVIDERS: [(&str, &str); 16] = [
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "azure.ai.inference"),
    ("inference.ml.azure.com", "azure.ai.inference"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.x.ai", "x_ai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("ml.cloud.ibm.com", "ibm.watsonx.ai"),
];

impl Call {
    /// The call that a request may be.
    pub fn of(record: &Record) -> Option<Self> {
        if record.request_type != "POST" {
            return None;
        }
        let target = record.request_resource.as_bytes();
        let path = match bytes::find(target, b'?') {
            Some(end) => &target[..end],
            None => target,
        };
        let path = std::str::from_utf8(path).ok()?;
        let mut call = of_path(path)?;
        if let Some(provider) = provider(&record.request_domain) {
            call.provider = provider;
        }
        Some(call)
    }
}

fn of_path(path: &str) -> Option<Call> {
    let (before, last) = path.rsplit_once('/')?;
    if let Some((model, verb)) = last.split_once(':') {
        return before.ends_with("/models").then(|| of_verb(before, model, verb)).flatten();
    }
    let call = |provider, operation| Call {
        provider,
        operation,
        model: Text::default(),
        is_streaming: false,
    };
    let is_below = |ends: &[&str]| ends.iter().any(|end| before.ends_with(end));
    let is_azure = before.contains("/openai/deployments/");
    let of_openai = |operation| {
        let provider = if is_azure { "azure.ai.openai" } else { "openai" };
        let model = before.rsplit_once("/deployments/").map_or("", |(_, rest)| rest);
        Call { model: named(model.split('/').next().unwrap_or("")), ..call(provider, operation) }
    };
    match last {
        "completions" if is_below(&["/chat"]) => Some(of_openai(CHAT)),
        "completions" if is_azure || is_below(&["/v1"]) => Some(of_openai(COMPLETION)),
        "embeddings" if is_azure || is_below(&["/v1"]) => Some(of_openai(EMBEDDINGS)),
        "responses" if is_below(&["/v1", "/openai"]) => Some(of_openai(CHAT)),
        "messages" if is_below(&["/v1"]) => Some(call("anthropic", CHAT)),
        "chat" if is_below(&["/api"]) => Some(call("ollama", CHAT)),
        "generate" if is_below(&["/api"]) => Some(call("ollama", COMPLETION)),
        "embed" | "embeddings" if is_below(&["/api"]) => Some(call("ollama", EMBEDDINGS)),
        "converse" | "invoke" => {
            let model = before.strip_prefix("/model/")?;
            Some(Call { model: named(model), ..call("aws.bedrock", CHAT) })
        }
        _ => None,
    }
}

/// A method of a model, as Google names them: `models/MODEL:verb`.
fn of_verb(before: &str, model: &str, verb: &str) -> Option<Call> {
    let (operation, is_streaming) = match verb {
        "generateContent" => (GENERATE, false),
        "streamGenerateContent" => (GENERATE, true),
        "embedContent" | "batchEmbedContents" => (EMBEDDINGS, false),
        // Models of others on Vertex AI, with their own bodies.
        "rawPredict" if before.contains("/publishers/") => (CHAT, false),
        "streamRawPredict" if before.contains("/publishers/") => (CHAT, true),
        _ => return None,
    };
    let provider = match before.contains("/publishers/") {
        true => "gcp.vertex_ai",
        false => "gcp.gemini",
    };
    Some(Call { provider, operation, model: named(model), is_streaming })
}

fn named(model: &str) -> Text {
    bytes::text(model.as_bytes(), MODEL_BYTES)
}

fn provider(host: &str) -> Option<&'static str> {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let is = |known: &&(&str, &str)| {
        host.len() >= known.0.len()
            && host.as_bytes()[host.len() - known.0.len()..]
                .eq_ignore_ascii_case(known.0.as_bytes())
    };
    PROVIDERS.iter().find(is).map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::L7Protocol;

    fn call(host: &str, target: &str) -> String {
        let mut record = Record::new(L7Protocol::Http);
        record.request_type = "POST".into();
        record.request_domain = host.into();
        record.request_resource = target.into();
        match Call::of(&record) {
            Some(call) => format!(
                "{} {} {}{}",
                call.provider,
                call.operation,
                call.model,
                if call.is_streaming { " streaming" } else { "" }
            ),
            None => String::new(),
        }
    }

    #[test]
    fn paths_of_calls() {
        for (host, target, expected) in [
            ("api.openai.com", "/v1/chat/completions", "openai chat "),
            ("gpu:8000", "/v1/chat/completions?x=1", "openai chat "),
            ("api.groq.com:443", "/openai/v1/chat/completions", "groq chat "),
            ("API.DeepSeek.com", "/chat/completions", "deepseek chat "),
            ("gpu", "/v1/completions", "openai text_completion "),
            ("gpu", "/v1/embeddings", "openai embeddings "),
            ("api.openai.com", "/v1/responses", "openai chat "),
            (
                "e.openai.azure.com",
                "/openai/deployments/gpt-x/chat/completions?api-version=1",
                "azure.ai.openai chat gpt-x",
            ),
            ("h", "/openai/deployments/emb/embeddings", "azure.ai.openai embeddings emb"),
            ("e.openai.azure.com", "/openai/responses", "azure.ai.openai chat "),
            ("api.anthropic.com", "/v1/messages", "anthropic chat "),
            ("h:11434", "/api/chat", "ollama chat "),
            ("h:11434", "/api/generate", "ollama text_completion "),
            ("h:11434", "/api/embed", "ollama embeddings "),
            (
                "generativelanguage.googleapis.com",
                "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
                "gcp.gemini generate_content gemini-x streaming",
            ),
            (
                "eu-aiplatform.googleapis.com",
                "/v1/projects/p/locations/eu/publishers/anthropic/models/c:rawPredict",
                "gcp.vertex_ai chat c",
            ),
            ("bedrock-runtime.eu.amazonaws.com", "/model/m%3A0/converse", "aws.bedrock chat m%3A0"),
        ] {
            assert_eq!(call(host, target), expected, "{host}{target}");
        }
        for target in [
            "/completions",
            "/v1/messages/batches",
            "/users/v2/messages",
            "/chat",
            "/api/chats",
            "/models/x:delete",
            "/x:generateContent",
            "/model/x",
            "",
            "*",
        ] {
            assert_eq!(call("h", target), "", "{target}");
        }
    }
}
