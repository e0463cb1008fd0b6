//! Request bodies: JSON text, bounded in bytes and in time.
//!
//! Does not parse the JSON. Invariants: nothing is read for a caller without a known token; memory
//! is bounded by [`BodyPermits`].

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::limits::{BodyPermit, BodyPermits};

/// Time limit of a body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds on draining a refused body: a client that is still sending would otherwise see a broken
/// connection instead of the answer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
const DISCARD_BYTES_MAX: usize = 4 << 20;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A complete body, with its memory permit.
#[derive(Debug)]
pub(super) struct JsonText<'a> {
    text: String,
    _permit: BodyPermit<'a>,
}

impl std::ops::Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Reads the body of a request that needs a project token; returns the token and the JSON.
///
/// # Errors
/// Those of [`Caller::project_token`] and [`json`].
pub(super) async fn of_project<'a>(
    caller: &Caller,
    permits: &'a BodyPermits,
    headers: &'a HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<(&'a str, JsonText<'a>), Problem> {
    let mut stream = body.into_data_stream();
    let read = async {
        let token = caller.project_token(headers)?;
        let json = json(permits, headers, &mut stream, bytes_max).await?;
        Ok::<_, Problem>((token, json))
    };
    let read = read.await;
    if read.is_err() {
        discard_rest(headers, &mut stream).await;
    }
    read
}

/// Drains a refused body for a moment.
pub(super) async fn discard_rest(headers: &HeaderMap, stream: &mut BodyDataStream) {
    // A client that expects `100 Continue` (RFC 9110, 10.1.1) has not begun to send.
    if !headers.contains_key(EXPECT) {
        // The answer is the refusal whatever happens here.
        let _ = timeout(DISCARD_TIMEOUT, discard(stream)).await;
    }
}

async fn discard(stream: &mut BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(piece)) = stream.next().await {
        bytes += piece.len();
        if bytes > DISCARD_BYTES_MAX {
            break;
        }
    }
}

/// Reads a body of at most `bytes_max` bytes, declared as JSON.
///
/// # Errors
/// 415 for another type or a compressed body, 413 if it is too large, 408 if it is too slow, 400 if
/// it is truncated or not UTF-8, 503 if no memory is free.
async fn json<'a>(
    permits: &'a BodyPermits,
    headers: &HeaderMap,
    stream: &mut BodyDataStream,
    bytes_max: usize,
) -> Result<JsonText<'a>, Problem> {
    check_type(headers)?;
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let read = timeout(READ_TIMEOUT, read(permits, stream, bytes_max)).await;
    let (bytes, permit) = read.map_err(|_| Problem::request_timeout(READ_TIMEOUT))??;
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Problem::invalid_json("the body must be JSON: it is not UTF-8"))?;
    // Some tools prepend a byte order mark, which may be ignored (RFC 8259, 8.1).
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Ok(JsonText {
        text,
        _permit: permit,
    })
}

async fn read<'a>(
    permits: &'a BodyPermits,
    stream: &mut BodyDataStream,
    bytes_max: usize,
) -> Result<(Vec<u8>, BodyPermit<'a>), Problem> {
    let (mut bytes, mut permit) = (Vec::new(), permits.start());
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Problem::invalid_json("the body breaks off"))?;
        let length = bytes.len() + piece.len();
        if length > bytes_max {
            return Err(too_large(bytes_max));
        }
        permit.grow(length).await.map_err(|_| {
            Problem::overloaded("the server reads too many large bodies; try again later")
        })?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, permit))
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::too_large(format!("the body must be at most {bytes_max} bytes"))
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let media_type = headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type(
            "the body must be JSON: `Content-Type: application/json`",
        ));
    }
    // RFC 9110, 15.5.16: 415 for an unsupported coding, too.
    let coded = headers.get_all(CONTENT_ENCODING).iter().map(text);
    if coded
        .into_iter()
        .any(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(Problem::unsupported_media_type(
            "the body must not be compressed: send it without `Content-Encoding`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use axum::response::IntoResponse as _;
    use futures_util::stream;
    use tokio::time::Instant;

    use super::*;
    use crate::limits::BODIES_BYTES_MAX;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    async fn read<'a>(
        permits: &'a BodyPermits,
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
    ) -> Result<JsonText<'a>, u16> {
        let mut stream = body.into_data_stream();
        let read = json(permits, headers, &mut stream, bytes_max).await;
        read.map_err(status)
    }

    fn status(problem: Problem) -> u16 {
        problem.into_response().status().as_u16()
    }

    #[tokio::test]
    async fn a_body_is_json_of_a_bounded_size() {
        let permits = BodyPermits::default();
        type Case<'a> = (
            &'a [(&'static str, &'static str)],
            &'a [u8],
            Result<&'a str, u16>,
        );
        let cases: &[Case<'_>] = &[
            (&[JSON], b"{}", Ok("{}")),
            (
                &[("content-type", "Application/JSON; charset=utf-8")],
                b"1234",
                Ok("1234"),
            ),
            (&[JSON, ("content-encoding", "identity")], b"{}", Ok("{}")),
            (&[JSON], b"\xef\xbb\xbf1", Ok("1")),
            (&[JSON], b"12345", Err(413)),
            (&[JSON, ("content-length", "5")], b"", Err(413)),
            (&[JSON], b"\"\xff\"", Err(400)),
            (&[], b"{}", Err(415)),
            (&[("content-type", "text/json")], b"{}", Err(415)),
            (&[("content-type", "application/jsonp")], b"{}", Err(415)),
            (&[JSON, ("content-encoding", "gzip")], b"{}", Err(415)),
        ];
        for (pairs, bytes, expected) in cases {
            let read = read(&permits, &headers(pairs), Body::from(bytes.to_vec()), 4).await;
            let read = read.map(|text| text.to_owned());
            assert_eq!(read, expected.map(str::to_owned), "{pairs:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_or_breaks_off_is_given_up() {
        let permits = BodyPermits::default();
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>("x"), ()))
        });
        let (begun, headers) = (Instant::now(), headers(&[JSON]));
        let trickled = read(&permits, &headers, Body::from_stream(drops), 1 << 20).await;
        assert_eq!(trickled.err(), Some(408));
        assert_eq!(begun.elapsed(), READ_TIMEOUT);

        let broken = stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
        let broken = read(&permits, &headers, Body::from_stream(broken), 1 << 20).await;
        assert_eq!(broken.err(), Some(400));
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_together_are_bounded() {
        let permits = BodyPermits::default();
        let headers = headers(&[JSON]);
        let large = || Body::from("0".repeat(BODIES_BYTES_MAX));
        let held = read(&permits, &headers, large(), BODIES_BYTES_MAX).await;
        let next = read(&permits, &headers, large(), BODIES_BYTES_MAX).await;
        assert_eq!(next.err(), Some(503));
        // Small ones go on.
        assert!(read(&permits, &headers, Body::from("{}"), 4).await.is_ok());
        drop(held);
        assert!(
            read(&permits, &headers, large(), BODIES_BYTES_MAX)
                .await
                .is_ok()
        );
    }
}
