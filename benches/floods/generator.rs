//! A process that floods: as fast as its target lets it, or again in the time course of an earlier flood.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::list::{Flood, Flooder, Then};

/// What is counted together.
const SLOT: Duration = Duration::from_millis(50);
const BUFFER_BYTES: usize = 16 << 10;
/// Before it is tried again where there was no connection to be had.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// What a generator is to do.
#[derive(Serialize, Deserialize)]
pub struct Order {
    pub flood: String,
    pub flooder: Flooder,
    pub source: Ipv4Addr,
    pub target: SocketAddr,
    pub time: Duration,
    /// `None`: as fast as it goes.
    pub course: Option<Course>,
}

/// How many connections were opened, and how many pieces were written, in each slot.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Course(Vec<(usize, usize)>);

impl Course {
    /// Both of all slots.
    pub fn sums(&self) -> (usize, usize) {
        let add = |sum: (usize, usize), slot: &(usize, usize)| (sum.0 + slot.0, sum.1 + slot.1);
        self.0.iter().fold((0, 0), add)
    }
}

enum Step {
    Open,
    Push,
}

/// Who says when the next step is.
enum Pace {
    Free,
    Replayed { opens: Semaphore, pushes: Semaphore },
}

/// A connection, and what reads there until its end.
struct Connection {
    writing: OwnedWriteHalf,
    reader: Reader,
    end: Option<Instant>,
}

enum Reader {
    Reads(JoinHandle<()>, Rc<Notify>),
    Holds(#[allow(dead_code, reason = "it is open as long as it is held")] OwnedReadHalf),
}

struct Generator {
    order: Order,
    flood: Flood,
    pace: Pace,
    begin: Instant,
    done: RefCell<Course>,
}

/// Floods as it is told; what it came to.
pub async fn run(mut order: Order) -> Course {
    let flood = Flood::named(&order.flood, &order.flooder);
    let course = order.course.take();
    let pace = match &course {
        None => Pace::Free,
        Some(_) => Pace::Replayed {
            opens: Semaphore::new(0),
            pushes: Semaphore::new(0),
        },
    };
    let (time, connections) = (order.time, flood.connections);
    let generator = Rc::new(Generator {
        order,
        flood,
        pace,
        begin: Instant::now(),
        done: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for number in 0..connections {
        tasks.spawn_local(Rc::clone(&generator).work(number));
    }
    if let Some(course) = course {
        tasks.spawn_local(Rc::clone(&generator).replay(course));
    }
    tasks.run_until(sleep(time)).await;
    generator.done.take()
}

impl Generator {
    async fn work(self: Rc<Self>, number: usize) {
        // Those that last for a time do not all begin at once.
        if let (Pace::Free, Then::Hold(time) | Then::Trickle(_, _, time)) =
            (&self.pace, &self.flood.then)
        {
            sleep(time.mul_f64(number as f64 / self.flood.connections as f64)).await;
        }
        let mut connection = None;
        loop {
            match self.next(connection.as_mut()).await {
                Step::Open => {
                    drop(connection.take());
                    match self.open(number).await {
                        Ok(opened) => {
                            connection = Some(opened);
                            self.count(Step::Open);
                        }
                        Err(_) => sleep(RETRY_PAUSE).await,
                    }
                }
                Step::Push => {
                    let written = match &mut connection {
                        Some(connection) => self.push(connection).await,
                        None => false,
                    };
                    if written {
                        self.count(Step::Push);
                    } else {
                        connection = None;
                    }
                }
            }
        }
    }

    async fn next(&self, connection: Option<&mut Connection>) -> Step {
        match &self.pace {
            Pace::Replayed { opens, pushes } => {
                let is_open = connection.is_some();
                tokio::select! {
                    biased;
                    turn = opens.acquire() => { turn.unwrap().forget(); Step::Open }
                    turn = pushes.acquire(), if is_open => { turn.unwrap().forget(); Step::Push }
                }
            }
            Pace::Free => match connection {
                Some(connection) => self.go_on(connection).await,
                None => Step::Open,
            },
        }
    }

    /// Waits for what comes first, the next piece or the connection's end.
    async fn go_on(&self, connection: &mut Connection) -> Step {
        let end = connection.end;
        let pushing = async {
            match &self.flood.then {
                Then::Read | Then::Hold(_) => pending().await,
                // Others have their turns, too.
                Then::Push(_) => tokio::task::yield_now().await,
                Then::Trickle(_, pause, _) => sleep(*pause).await,
            }
        };
        let ending = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = connection.reader.end() => Step::Open,
            () = ending => Step::Open,
            () = pushing => Step::Push,
        }
    }

    async fn open(&self, number: usize) -> io::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.order.source, 0).into())?;
        let stream = socket.connect(self.order.target).await?;
        stream.set_nodelay(true)?;
        let (mut reading, mut writing) = stream.into_split();
        let lasts = match &self.flood.then {
            Then::Read | Then::Push(_) => None,
            Then::Hold(time) | Then::Trickle(_, _, time) => Some(*time),
        };
        let mut reader = match &self.flood.then {
            Then::Hold(_) => Reader::Holds(reading),
            _ => {
                let answered = Rc::new(Notify::new());
                let answers = Rc::clone(&answered);
                let task = tokio::task::spawn_local(async move {
                    let mut buffer = vec![0; BUFFER_BYTES];
                    while let Ok(1..) = reading.read(&mut buffer).await {
                        answers.notify_one();
                    }
                });
                Reader::Reads(task, answered)
            }
        };
        let head = self.flood.head.replace("{n}", &number.to_string());
        let waits = self.flood.waits && matches!(self.pace, Pace::Free);
        let answered = reader.answered();
        let beginning = async {
            writing.write_all(head.as_bytes()).await?;
            if let Some(answered) = answered.filter(|_| waits) {
                answered.notified().await;
            }
            writing.write_all(&self.flood.begin).await
        };
        // It may be closed before all is written: that was an attempt all the same.
        tokio::select! {
            biased;
            _ = beginning => {}
            () = reader.end() => {}
            () = sleep(lasts.unwrap_or(self.order.time)) => {}
        }
        Ok(Connection {
            writing,
            reader,
            end: lasts.map(|time| Instant::now() + time),
        })
    }

    /// Writes a piece; whether the connection goes on.
    async fn push(&self, connection: &mut Connection) -> bool {
        let (Then::Push(piece) | Then::Trickle(piece, ..)) = &self.flood.then else {
            return true;
        };
        let writing = timeout(self.order.time, connection.writing.write_all(piece));
        tokio::select! {
            biased;
            () = connection.reader.end() => false,
            written = writing => matches!(written, Ok(Ok(()))),
        }
    }

    fn count(&self, step: Step) {
        let slot = (self.begin.elapsed().as_millis() / SLOT.as_millis()) as usize;
        let mut done = self.done.borrow_mut();
        if done.0.len() <= slot {
            done.0.resize(slot + 1, (0, 0));
        }
        match step {
            Step::Open => done.0[slot].0 += 1,
            Step::Push => done.0[slot].1 += 1,
        }
    }

    async fn replay(self: Rc<Self>, course: Course) {
        let Pace::Replayed { opens, pushes } = &self.pace else {
            return;
        };
        let mut slots = interval(SLOT);
        for (opened, pushed) in course.0 {
            slots.tick().await;
            opens.add_permits(opened);
            pushes.add_permits(pushed);
        }
    }
}

impl Reader {
    fn answered(&self) -> Option<Rc<Notify>> {
        match self {
            Self::Reads(_, answered) => Some(Rc::clone(answered)),
            Self::Holds(_) => None,
        }
    }

    /// Waits until the peer has ended what is read.
    async fn end(&mut self) {
        match self {
            // A task that reads does not panic.
            Self::Reads(task, _) if !task.is_finished() => {
                let _ = task.await;
            }
            Self::Reads(..) => {}
            Self::Holds(_) => pending().await,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Self::Reads(task, _) = self {
            task.abort();
        }
    }
}
