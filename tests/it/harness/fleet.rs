//! Ends of the server that a fleet lives through.

use std::time::Duration;

use crate::support::Server;
use crate::support::fleet::Fleet;

impl Fleet {
    /// Kills the server and starts it again, after `down`.
    pub async fn kill(&mut self, server: &mut Server, down: Duration) {
        self.strike(server, async |server| {
            server.kill9().await;
            tokio::time::sleep(down).await;
        })
        .await;
    }

    /// Stops the server as an operator does and starts it again.
    pub async fn restart(&mut self, server: &mut Server) {
        server.restart().await;
        self.moved(server);
    }
}
