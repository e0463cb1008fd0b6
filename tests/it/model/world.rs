//! Carries out the steps of a case against the server, and has the model look at everything that
//! comes of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::test_runner::TestCaseError;
use tokio::sync::Mutex;

use super::door::Door;
use super::sending::Sent;
use super::session::{End, Outcome, Session, fail};
use super::state::{Id, Model, Names, Presence};
use super::step::{After, Case, Device, Opening, Pick, Receipts, STRANGER, Step};
use crate::support::{DEMO, Login, PROJECT_TOKEN, Server};

/// Numbers cases, so that each has users of its own, also when it is run again.
static CASES: AtomicU64 = AtomicU64::new(1);

/// A server that cases run on, and the way to it.
pub struct Host {
    pub server: Mutex<Server>,
    pub door: std::sync::Mutex<Door>,
}

impl Host {
    pub fn new(server: Server) -> Self {
        Self {
            door: Door::of(&server).into(),
            server: Mutex::new(server),
        }
    }
}

/// One case on its server.
pub struct World<'a> {
    pub host: &'a Host,
    pub door: Door,
    pub model: Model,
    /// The project token of the case's domain.
    pub token: String,
    pub own_domain: bool,
    pub sessions: BTreeMap<Device, Session>,
    /// All that was sent and acknowledged.
    pub sent: Vec<Sent>,
    /// Numbers contents and `clientMsgId`s.
    pub numbers: u64,
    /// The last delivery that each device has seen, over all its sessions.
    processed: BTreeMap<Device, Id>,
    pub patience: Duration,
    story: Vec<String>,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story.join("\n"));
        }
    }
}

impl<'a> World<'a> {
    /// Runs a case; what is wrong comes with the story up to there.
    pub async fn run(host: &'a Host, case: &Case, patience: Duration) -> Outcome {
        let number = CASES.fetch_add(1, Ordering::Relaxed);
        let mut world = Self {
            host,
            door: host.door.lock().unwrap().clone(),
            model: Model::new(Names {
                domain: match case.own_domain {
                    true => format!("case-{number}"),
                    false => DEMO.into(),
                },
                users: ["a", "b", "stranger"].map(|name| format!("{name}-{number}")),
            }),
            token: PROJECT_TOKEN.into(),
            own_domain: case.own_domain,
            sessions: BTreeMap::new(),
            sent: Vec::new(),
            numbers: 0,
            processed: BTreeMap::new(),
            patience,
            story: Vec::new(),
        };
        match world.all(case).await {
            Ok(()) => Ok(()),
            Err(TestCaseError::Fail(why)) => {
                fail!("{why}\n--- what happened:\n{}", world.story.join("\n"))
            }
            Err(other) => Err(other),
        }
    }

    async fn all(&mut self, case: &Case) -> Outcome {
        if self.own_domain {
            let mut server = self.host.server.lock().await;
            self.token = server.add_domain(&self.model.names.domain).await;
        }
        for step in &case.steps {
            self.tell(format!("{step:?}"));
            self.step(step).await?;
            self.digest()?;
        }
        self.tell("the end".into());
        self.finish().await
    }

    pub fn tell(&mut self, line: String) {
        self.story.push(line);
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Connect(device, opening) => self.connect(*device, *opening).await,
            Step::Send(pick, to, sizes) => {
                let sender = match pick {
                    Some(pick) => self.pick(*pick).await?,
                    None => STRANGER,
                };
                self.send(sender, *to, sizes).await
            }
            Step::Interrupted(pick, to, sizes) => {
                let sender = self.pick(*pick).await?;
                self.interrupted(sender, *to, sizes).await
            }
            Step::Retry(pick, altered) => self.retry(*pick, *altered).await,
            Step::Read(pick, count) => {
                let device = self.pick(*pick).await?;
                // What the login has brought is not due any more.
                self.digest()?;
                let due = self.due(device).len();
                let count = due.min(usize::from(*count));
                self.session(device).read_deliveries(count).await
            }
            Step::Settle(pick) => {
                let device = self.pick(*pick).await?;
                self.settle(device).await
            }
            Step::Receipt(pick, receipt, wait) => {
                let device = self.pick(*pick).await?;
                self.receipt(device, *receipt, *wait).await
            }
            Step::Drop(pick, orderly) => {
                let device = self.pick(*pick).await?;
                self.drop_session(device, *orderly).await
            }
            Step::Page {
                user,
                size,
                from,
                growing,
            } => self.page(*user, *size, *from, *growing).await,
            Step::Erase(user, before) => self.erase(*user, *before).await,
            Step::Expire(device) if self.own_domain => self.rotate(*device).await,
            Step::Expire(device) => self.expire(*device).await,
            Step::Restart(restart) => self.restart(*restart).await,
        }
    }

    /// The model looks at all that came.
    pub fn digest(&mut self) -> Outcome {
        for (device, session) in &mut self.sessions {
            session.digest(&mut self.model)?;
            if let Some(last) = session.given.last() {
                self.processed.insert(*device, *last);
            }
        }
        Ok(())
    }

    /// One of the sessions that live; where there is none, one begins.
    async fn pick(&mut self, pick: Pick) -> Outcome<Device> {
        let all = self.sessions.keys().filter(|device| **device != STRANGER);
        let all: Vec<_> = all.copied().collect();
        if let Some(device) = all.get(usize::from(pick) % all.len().max(1)) {
            return Ok(*device);
        }
        let device = Device {
            user: usize::from(pick % 2),
            resource: 0,
        };
        self.connect(device, PLAIN).await?;
        Ok(device)
    }

    pub fn session(&mut self, device: Device) -> &mut Session {
        self.parts(device).0
    }

    pub fn parts(&mut self, device: Device) -> (&mut Session, &mut Model) {
        let session = self.sessions.get_mut(&device);
        let session = session.expect("a session that was picked or made");
        (session, &mut self.model)
    }

    pub fn due(&self, device: Device) -> Vec<Id> {
        let track = self.sessions[&device].track.as_ref();
        track.map_or_else(Vec::new, |track| self.model.due(track))
    }

    /// Reads everything that is due.
    pub async fn settle(&mut self, device: Device) -> Outcome {
        self.read_due(device).await?;
        self.digest()
    }

    /// The same, but the model does not look at it yet.
    pub async fn read_due(&mut self, device: Device) -> Outcome {
        match self.due(device).last() {
            Some(newest) => self.session(device).read_up_to(*newest).await,
            None => Ok(()),
        }
    }

    pub fn login(&self, device: Device, token: &str) -> Login {
        let names = &self.model.names;
        Login::new(&names.users[device.user])
            .name(&names.name(device.user))
            .domain(&names.domain)
            .resource(Names::resource(device.resource))
            .token(token)
    }

    /// A session begins. An older one of the same device is replaced: it confirms nothing any more.
    pub async fn connect(&mut self, device: Device, opening: Opening) -> Outcome {
        let token = self.token.clone();
        match self.connect_with(device, opening, &token).await? {
            Ok(()) => Ok(()),
            Err(end) => fail!("the login of {device:?} is refused: {end:?}"),
        }
    }

    /// The same with this token, which may have ended.
    pub async fn connect_with(
        &mut self,
        device: Device,
        opening: Opening,
        token: &str,
    ) -> Outcome<Result<(), End>> {
        let user = device.user;
        let after = opening.after.map(|after| self.after(device, after));
        let mut login = self.login(device, token);
        if opening.receipts == Receipts::Manual {
            login = login.receipts("manual");
        }
        if let Some(after) = after {
            login = login.after(after);
        }
        let before = self.model.newest(user);
        let mut older = self.sessions.remove(&device);
        let mut receipt = None;
        match &mut older {
            Some(older) if opening.late => receipt = older.latest_receipt(&mut self.model),
            Some(_) => {}
            None => self.model.set_presence(device, Presence::Unclear),
        }
        let how = (opening.receipts, self.patience);
        let stream = self.door.stream(opening.narrow).await;
        // All at once: the login, messages, and a receipt of the session that it replaces.
        let (opened, meanwhile, ()) = tokio::join!(
            Session::open(stream, device, &login, how),
            self.send_meanwhile(user, usize::from(opening.meanwhile)),
            async {
                if let (Some(older), Some(receipt)) = (&mut older, &receipt) {
                    older.write_too_late(receipt).await;
                }
            },
        );
        meanwhile?;
        let (mut session, admitted) = opened?;
        if let Err(end) = admitted {
            self.sessions.extend(older.map(|older| (device, older)));
            return Ok(Err(end));
        }
        session.track = Some(self.model.logged_in(device, before, after));
        self.model.set_presence(device, Presence::Online);
        self.sessions.insert(device, session);
        if let Some(older) = older {
            self.replaced(older, opening.late).await?;
        }
        let newest = self.model.newest(user);
        self.tell(format!(
            "  {device:?} is there, after {after:?}, newest {newest}"
        ));
        Ok(Ok(()))
    }

    fn after(&self, device: Device, after: After) -> Id {
        let mailbox = self.model.mailbox(device.user);
        let newest = self.model.newest(device.user);
        match after {
            After::Zero => 0,
            After::Message(pick, more) => {
                match mailbox.get(usize::from(pick) % mailbox.len().max(1)) {
                    Some(message) => message.id.saturating_add_signed(more),
                    None => 0,
                }
            }
            After::Above(more) => newest + more,
            After::Processed => self.processed.get(&device).copied().unwrap_or(0),
        }
    }

    async fn replaced(&mut self, mut older: Session, late: bool) -> Outcome {
        older.hides_cursor();
        // What it says from now on comes too late, whatever it was given.
        let newest = self.model.newest(older.device.user);
        if late {
            older.write_too_late(&Session::receipts_of(newest)).await;
        }
        match older.read_out().await? {
            End::Close(4409) => {}
            // Who writes to a connection that is over may lose what it has not read of it.
            End::Broken if late => {}
            end => fail!("a replaced session ended with {end:?}"),
        }
        older.digest(&mut self.model)
    }

    /// Everything that is due comes to every known device, and nothing more; the histories are right.
    async fn finish(&mut self) -> Outcome {
        for user in 0..super::step::USERS {
            self.page(user, 100, None, false).await?;
        }
        let devices = self.model.devices();
        for device in &devices {
            if !self.sessions.contains_key(device) {
                self.connect(*device, PLAIN).await?;
            }
        }
        for user in 0..super::step::USERS {
            self.send_meanwhile(user, 1).await?;
        }
        for device in devices {
            self.settle(device).await?;
            let (session, model) = self.parts(device);
            session.barrier(model).await?;
            self.digest()?;
            self.drop_session(device, true).await?;
        }
        Ok(())
    }
}

/// A login with nothing special.
pub const PLAIN: Opening = Opening {
    receipts: Receipts::Auto,
    after: None,
    narrow: false,
    meanwhile: 0,
    late: false,
};
