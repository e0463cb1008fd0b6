//! Steps that end sessions: by the device, by its token, by the server's own end.

use std::time::Duration;

use super::session::{End, Outcome, Session, fail};
use super::state::Presence;
use super::step::{Device, Recipients, Restart, STRANGER, To, USERS};
use super::world::{PLAIN, World};
use crate::support::DEMO;
use rustix::process::Signal;

/// Within this time a confirmation is stored; the server takes half a second.
const STORED_WITHIN: Duration = Duration::from_secs(2);

/// Time enough to log in with a token that ends soon.
const TOKEN_TTL: &str = "2s";

impl World<'_> {
    /// A session ends as a browser ends it, or is cut.
    pub async fn drop_session(&mut self, device: Device, orderly: bool) -> Outcome {
        let mut session = self.sessions.remove(&device).expect("it was picked");
        if orderly {
            session.close(&mut self.model).await?;
            self.model.set_presence(device, Presence::Offline);
        } else {
            self.model.set_presence(device, Presence::Unclear);
        }
        Ok(())
    }

    /// Reads a session that the server ends, up to this end.
    async fn read_out(&mut self, device: Device, wanted: End) -> Outcome<Session> {
        let mut session = self.sessions.remove(&device).expect("it was picked");
        let end = session.read_out().await?;
        if end != wanted {
            fail!("the session of {device:?} ended with {end:?}, not with {wanted:?}");
        }
        self.model.set_presence(device, Presence::Offline);
        Ok(session)
    }

    /// The same with all sessions. What came is not looked at yet.
    async fn read_all_out(&mut self, wanted: End) -> Outcome<Vec<Session>> {
        let devices: Vec<_> = self.sessions.keys().copied().collect();
        let mut ended = Vec::new();
        for device in devices {
            ended.push(self.read_out(device, wanted).await?);
        }
        Ok(ended)
    }

    /// The user's token expires during the session; it comes back with a new one.
    pub async fn expire(&mut self, device: Device) -> Outcome {
        let user = self.model.names.users[device.user].clone();
        let token = {
            let mut server = self.host.server.lock().await;
            server.mint_for(DEMO, &user, &["--ttl", TOKEN_TTL]).await
        };
        match self.connect_with(device, PLAIN, &token).await? {
            Ok(()) => {
                // From here on it may end at any time.
                self.model.set_presence(device, Presence::Unclear);
                self.send_meanwhile(device.user, 1).await?;
                let mut ended = self.read_out(device, End::Close(4401)).await?;
                ended.digest(&mut self.model)?;
            }
            // The machine was busy.
            Err(End::Close(4401)) => self.tell("  it had ended before the login".into()),
            Err(end) => fail!("the login of {device:?} is refused: {end:?}"),
        }
        self.connect(device, PLAIN).await
    }

    /// The tokens of the case's own domain end; a device comes back with the new one.
    pub async fn rotate(&mut self, device: Device) -> Outcome {
        let domain = self.model.names.domain.clone();
        {
            let mut server = self.host.server.lock().await;
            self.token = server.cli(&["domain", "rotate", &domain]).await;
            server.secret(&self.token);
        }
        for mut ended in self.read_all_out(End::Close(4401)).await? {
            ended.digest(&mut self.model)?;
        }
        self.connect(device, PLAIN).await
    }

    /// The server stops or is killed while sends are under way, and starts again.
    pub async fn restart(&mut self, restart: Restart) -> Outcome {
        let Restart {
            kill,
            rested,
            sends,
        } = restart;
        let to = To {
            users: Recipients::Both(usize::from(sends) % USERS),
            resource: None,
        };
        let mut drafts = self.drafts(STRANGER, to, &vec![30; usize::from(sends)]);
        for draft in &mut drafts {
            draft.forget_presence();
        }
        if kill && rested {
            let at = self.model.confirmed_at + STORED_WITHIN;
            // What is promised is a time: there is nothing to wait for but its end.
            tokio::time::sleep_until(at.into()).await;
            self.model.rested();
        }
        if sends > 0 {
            if !self.sessions.contains_key(&STRANGER) {
                self.connect(STRANGER, PLAIN).await?;
            }
            let texts = self.texts(&drafts);
            self.session(STRANGER).write_texts(&texts).await?;
        }
        let host = self.host;
        let mut server = host.server.lock().await;
        let ended = if kill {
            server.kill9().await;
            self.read_all_out(End::Broken).await
        } else {
            server.signal(Signal::TERM);
            let ended = self.read_all_out(End::Close(1001)).await;
            if server.ended().await != Some(0) {
                fail!("the server did not stop: {}", server.stderr());
            }
            ended
        };
        server.spawn().await;
        self.door.address = server.address.parse().unwrap();
        *host.door.lock().unwrap() = self.door.clone();
        drop(server);
        let ended = ended?;
        if kill {
            self.model.killed();
        } else {
            self.model.stopped();
        }
        self.carry_out(drafts, true).await?;
        // Only now it is known which of the sends were stored before.
        for mut session in ended {
            session.hides_cursor();
            session.digest(&mut self.model)?;
        }
        Ok(())
    }
}
