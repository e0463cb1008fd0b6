//! One HTTP/1.1 request on a connection of its own.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::soon;
use super::tls::Stream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(io: Stream, method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_of(io, method, target, headers).await.unwrap()
    }

    /// The answer to a request with a body.
    pub async fn to(
        io: Stream,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Self {
        let answer = Self::try_to(io, method, target, headers, body.into());
        answer.await.unwrap()
    }

    /// An answer that the server may break off.
    pub async fn try_of(
        io: Stream,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> hyper::Result<Self> {
        Self::try_to(io, method, target, headers, Bytes::new()).await
    }

    async fn try_to(
        io: Stream,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> hyper::Result<Self> {
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        soon("an HTTP answer", async {
            let io = TokioIo::new(io);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            connection.abort();
            Ok(Self {
                status: head.status.as_u16(),
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            })
        })
        .await
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.body))
    }

    /// Asserts an RFC 9457 answer and gives its `detail`.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail", "code"] {
            let text = problem[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {field}: {problem}");
        }
        problem["detail"].as_str().unwrap().to_owned()
    }
}
