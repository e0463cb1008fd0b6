//! Streams a page of history to a client.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;
use tracing::error;

use super::links;
use crate::command::history::{self, HistoryPage, HistoryQuery, PIECE_BYTES, Place};
use crate::http::problem::Problem;
use crate::limits::{AnswerPermit, Requester};
use crate::model::Message;
use crate::protocol::server_frame;
use crate::store::{ReadError, Store};

/// Most text waiting for the socket before the next piece is read.
const OUTPUT_BYTES: usize = 64 << 10;

/// Most bytes held by one answer: a piece being read, its text, and the text before it that the
/// client has not taken yet.
pub(super) fn bytes_max(content_bytes_max: usize) -> usize {
    let piece = PIECE_BYTES.saturating_add(content_bytes_max);
    OUTPUT_BYTES.saturating_add(piece.saturating_mul(2))
}

/// Finds the page, and answers with its first piece.
pub(super) async fn begin(
    store: Store,
    query: HistoryQuery,
    requester: Option<Requester>,
    permit: AnswerPermit,
) -> Result<Response, Problem> {
    let permit = Arc::new(permit);
    let read_permit = permit.read_permit().await;
    let found = blocking(read_permit, move || {
        let (page, piece) = history::find(&store, &query)?;
        let reader = Reader {
            store,
            query,
            page,
            requester,
            permit,
        };
        Ok((piece, reader))
    });
    let (piece, reader) = found.await?;
    let links = links::header(&reader.query, &reader.page);
    let mut response = body(piece, reader).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Some(links) = links {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

struct Reader {
    store: Store,
    query: HistoryQuery,
    page: HistoryPage,
    requester: Option<Requester>,
    /// Shared with the read in progress, which continues after the client has left.
    permit: Arc<AnswerPermit>,
}

type Piece = (Vec<Message>, Reader);

impl Reader {
    fn read_on(mut self) -> Result<Piece, ReadError> {
        let piece = history::read_on(&self.store, &self.query, &mut self.page)?;
        Ok((piece, self))
    }

    /// Appends messages to the list. `offline` is shown to the recipient and to trusted callers
    /// only.
    fn append(&self, out: &mut Vec<u8>, messages: &[Message], first: bool) {
        for (at, message) in messages.iter().enumerate() {
            if at > 0 || !first {
                out.push(b',');
            }
            let is_told = match &self.requester {
                Some(Requester::User(user)) => *user == message.mailbox,
                Some(Requester::Address(_)) | None => true,
            };
            server_frame::message(out, message, is_told && message.recipient_offline);
        }
    }
}

/// Holds the permit until the read ends, even if the client leaves.
async fn blocking(
    read_permit: Option<OwnedSemaphorePermit>,
    read: impl FnOnce() -> Result<Piece, ReadError> + Send + 'static,
) -> Result<Piece, Problem> {
    let read = tokio::task::spawn_blocking(move || {
        let _permit = read_permit;
        read()
    });
    let read = read.await.map_err(|_| Problem::internal())?;
    read.map_err(|error| {
        error!(%error, "a page of history cannot be read");
        Problem::storage_unavailable()
    })
}

/// The body: whole if the first piece completes the page, else streamed as the client reads.
fn body(first: Vec<Message>, mut reader: Reader) -> Body {
    let HistoryPage {
        total,
        pages,
        as_of,
        ..
    } = reader.page;
    let HistoryQuery { place, size, .. } = reader.query;
    let page = match place {
        Place::Page(number, _) => number,
        // Cursors have no page numbers.
        Place::Cursor { .. } => 0,
    };
    let mut out = format!(
        r#"{{"total":{total},"page":{page},"size":{size},"pages":{pages},"asOf":{as_of},"list":["#
    )
    .into_bytes();
    reader.append(&mut out, &first, true);
    drop(first);
    if reader.page.is_read() {
        out.extend_from_slice(b"]}");
        if let Some(permit) = Arc::get_mut(&mut reader.permit) {
            permit.shrink(out.len());
        }
        return Body::from(output(out, &reader.permit));
    }
    let first = output(out, &reader.permit);
    let rest = stream::try_unfold(Some(reader), |reader| async move {
        let Some(reader) = reader else {
            return Ok::<_, axum::Error>(None);
        };
        // A truncated page cannot be mistaken for a whole one: its JSON does not end.
        let read_permit = reader.permit.read_permit().await;
        let piece = blocking(read_permit, || reader.read_on()).await;
        let (piece, reader) = piece.map_err(|_| axum::Error::new("the page cannot be read"))?;
        let mut out = Vec::new();
        reader.append(&mut out, &piece, false);
        let is_read = reader.page.is_read();
        if is_read {
            out.extend_from_slice(b"]}");
        }
        let out = output(out, &reader.permit);
        Ok(Some((out, (!is_read).then_some(reader))))
    });
    Body::from_stream(stream::once(async { Ok(first) }).chain(rest))
}

/// Text that holds its permit until its last byte is written.
struct Output {
    text: Vec<u8>,
    _permit: Arc<AnswerPermit>,
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Called once the client has taken everything before this text.
fn output(mut text: Vec<u8>, permit: &Arc<AnswerPermit>) -> Bytes {
    text.shrink_to_fit();
    permit.progressed();
    let permit = Arc::clone(permit);
    Bytes::from_owner(Output {
        text,
        _permit: permit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_two_pieces_and_the_text_before_them() {
        assert_eq!(
            bytes_max(256 << 10),
            2 * ((256 << 10) + (64 << 10)) + (64 << 10)
        );
        assert_eq!(bytes_max(usize::MAX), usize::MAX);
    }
}
