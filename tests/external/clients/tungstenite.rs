//! The lines of docs/CLIENTS.md for tokio-tungstenite.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

pub(crate) async fn listen(url: &str, token: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut request = url.into_client_request()?;
    let bearer = format!("Bearer {token}").parse()?;
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = connect_async(request).await?;
    while let Some(Ok(frame)) = socket.next().await {
        if let Message::Text(text) = frame {
            let message: Value = serde_json::from_str(&text)?;
            println!("{}", message["content"]);
            let received = json!({"received": message["msgId"]}).to_string();
            socket.send(Message::text(received)).await?;
        }
    }
    Ok(())
}
