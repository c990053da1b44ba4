//! Messages over QUIC streams.

use quinn::{RecvStream, SendStream};

use schema::wire::{FRAME_HEADER_BYTES, FrameHeader, Message, WireError};

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The peer ended the stream between messages.
    #[error("end of stream")]
    End,
    /// The connection or the stream broke.
    #[error("connection lost")]
    Lost,
    /// Bytes that are no message.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Receives one message.
pub(crate) async fn receive(stream: &mut RecvStream) -> Result<Message, ReceiveError> {
    let mut header = [0; FRAME_HEADER_BYTES];
    match stream.read_exact(&mut header).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(0)) => return Err(ReceiveError::End),
        Err(quinn::ReadExactError::FinishedEarly(_)) => {
            return Err(WireError::Truncated("frame").into());
        }
        Err(quinn::ReadExactError::ReadError(_)) => return Err(ReceiveError::Lost),
    }
    let header = FrameHeader::decode(header)?;
    let body = receive_bytes(stream, header.body_bytes).await?;
    Ok(Message::decode(header.kind, &body)?)
}

/// Receives `count` bytes; allocates as they come.
pub(crate) async fn receive_bytes(
    stream: &mut RecvStream,
    count: usize,
) -> Result<Vec<u8>, ReceiveError> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match stream.read_chunk(count - bytes.len(), true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Ok(None) => return Err(WireError::Truncated("payload").into()),
            Err(_) => return Err(ReceiveError::Lost),
        }
    }
    Ok(bytes)
}

/// Reads over `count` bytes.
pub(crate) async fn skip_bytes(
    stream: &mut RecvStream,
    mut count: usize,
) -> Result<(), ReceiveError> {
    while count > 0 {
        match stream.read_chunk(count.min(64 << 10), true).await {
            Ok(Some(chunk)) => count -= chunk.bytes.len(),
            Ok(None) => return Err(WireError::Truncated("payload").into()),
            Err(_) => return Err(ReceiveError::Lost),
        }
    }
    Ok(())
}

/// Sends one message.
pub(crate) async fn send(stream: &mut SendStream, message: &Message) -> Result<(), ReceiveError> {
    stream.write_all(&message.encode()).await.map_err(|_| ReceiveError::Lost)
}
