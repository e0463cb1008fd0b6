//! The end of an answer that is not read, for the sake of one that waits.

use std::convert::Infallible;
use std::sync::Mutex;

use axum::body::{Body, Bytes};
use futures_util::stream;
use relaybox::limits::HangUp;
use tokio::sync::Semaphore;

use super::*;

/// An answer without end, of which there is room for one: whoever comes ends the one before, and waits for its room.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let room = Arc::new(Semaphore::new(1));
    let before = Arc::new(Mutex::new(None::<HangUp>));
    Router::new().route(
        "/endless",
        get(|Extension(hang_up): Extension<HangUp>| async move {
            if let Some(before) = before.lock().unwrap().replace(hang_up) {
                before.cancel();
            }
            let permit = room.acquire_owned().await.unwrap();
            Body::from_stream(stream::repeat_with(move || {
                let _kept = &permit;
                Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 10]))
            }))
        }),
    )
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_for_one_that_waits() {
    let server = Server::start(None, options()).await;
    let request = "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut before: Option<TcpStream> = None;
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut status));
        read.await.expect("no room").unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        if let Some(mut before) = before.replace(stream) {
            until_closed(&mut before).await;
        }
    }
    drop(before);
    server.stop().await;
}
