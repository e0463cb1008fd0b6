//! The bounded queue in front of the committer, taken in batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::clock::{Clock, EventCount};
use crate::model::{Device, Domain, DomainRecord, Draft, Mailbox, MsgId};
use crate::store::api::{AppendError, Done, EnterDone};
use crate::store::data::SendKey;

/// Most bytes of content in the queue: bounds the memory that a stalled disk costs.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of content at which a batch is full.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most jobs in a batch.
const BATCH_JOBS_MAX: usize = 4096;

/// Receives the outcome of a change of a domain or a mailbox: whether there was anything to change.
pub(crate) type ChangeReply = SyncSender<Result<bool, AppendError>>;

/// Work for the committer.
pub(crate) enum Job {
    Append {
        draft: Box<Draft>,
        done: Done,
    },
    /// A send that only answers a repeat.
    Repeat {
        key: Box<SendKey>,
        done: Done,
    },
    Enter {
        device: Box<Device>,
        after: Option<MsgId>,
        done: EnterDone,
    },
    PutDomain(DomainRecord, ChangeReply),
    RemoveDomain(Domain, ChangeReply),
    /// Erases messages below an id, or all.
    Erase(Mailbox, Option<MsgId>, ChangeReply),
    /// Accepts the clock after a step.
    AcceptClock(ChangeReply),
    /// Seals the open segment, so that everything until now is in segments that may be rewritten.
    Seal(ChangeReply),
}

impl Job {
    /// Answers with an error.
    pub(crate) fn refuse(self, error: AppendError) {
        match self {
            Self::Append { done, .. } | Self::Repeat { done, .. } => done(Err(error)),
            Self::Enter { done, .. } => done(Err(error)),
            // The caller may have stopped waiting.
            Self::PutDomain(_, reply)
            | Self::RemoveDomain(_, reply)
            | Self::Erase(_, _, reply)
            | Self::AcceptClock(reply)
            | Self::Seal(reply) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Whether it comes from an operator or the store itself. Such a job makes a batch of its own.
    pub(crate) fn is_order(&self) -> bool {
        !matches!(
            self,
            Self::Append { .. } | Self::Repeat { .. } | Self::Enter { .. }
        )
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Append { draft, .. } => draft.content.len() + 64 * draft.recipients.len(),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Accepts no jobs; those waiting are still done.
    Closed,
    /// Jobs are no longer done.
    Aborted,
}

struct QueueState {
    jobs: VecDeque<Job>,
    bytes: usize,
    phase: Phase,
    /// The committer waits for a job.
    waiting: bool,
}

pub(crate) struct Queue {
    state: Mutex<QueueState>,
    ready: Arc<EventCount>,
    max: usize,
}

/// The committer's next work.
pub(crate) enum Dequeued {
    /// A batch, possibly empty. Orders come alone.
    Jobs(Vec<Job>),
    /// Closed and empty.
    Finished,
    /// Aborted. These jobs are not to be done.
    Aborted(Vec<Job>),
}

impl Queue {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                jobs: VecDeque::new(),
                bytes: 0,
                phase: Phase::Open,
                waiting: false,
            }),
            ready: Arc::default(),
            max,
        }
    }

    /// Adds a job or refuses it at once.
    pub(crate) fn push(&self, job: Job) {
        let mut state = self.state.lock();
        let refused = if state.phase != Phase::Open {
            AppendError::Closed
        } else if state.jobs.len() >= self.max || state.bytes >= QUEUE_BYTES_MAX {
            AppendError::Overloaded
        } else {
            state.bytes += job.bytes();
            state.jobs.push_back(job);
            if state.waiting {
                self.ready.notify();
            }
            return;
        };
        drop(state);
        job.refuse(refused);
    }

    /// Adds a job and waits for its answer.
    pub(crate) fn change(&self, job: impl FnOnce(ChangeReply) -> Job) -> Result<bool, AppendError> {
        let (reply, answer) = sync_channel(1);
        self.push(job(reply));
        answer.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Whether less than half of the capacity is in use.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.jobs.len() < self.max.div_ceil(2) && state.bytes < QUEUE_BYTES_MAX / 2
    }

    /// Waiting jobs, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.jobs.len(), state.bytes)
    }

    /// Takes the waiting jobs, or waits until `deadline` at most.
    pub(crate) fn take(&self, clock: &dyn Clock, deadline: Duration) -> Dequeued {
        let mut state = self.state.lock();
        if state.jobs.is_empty() && state.phase == Phase::Open {
            state.waiting = true;
            let seen = self.ready.count();
            MutexGuard::unlocked(&mut state, || clock.wait(&self.ready, seen, deadline));
            state.waiting = false;
        }
        if state.phase == Phase::Aborted {
            return Dequeued::Aborted(state.jobs.drain(..).collect());
        }
        if state.phase == Phase::Closed && state.jobs.is_empty() {
            return Dequeued::Finished;
        }
        let mut bytes = 0;
        let mut count = 0;
        for job in state.jobs.iter().take(BATCH_JOBS_MAX) {
            let alone = job.is_order();
            if count > 0 && (alone || bytes + job.bytes() > BATCH_BYTES_MAX) {
                break;
            }
            bytes += job.bytes();
            count += 1;
            if alone {
                break;
            }
        }
        state.bytes -= bytes;
        Dequeued::Jobs(state.jobs.drain(..count).collect())
    }

    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        self.ready.notify();
    }

    pub(crate) fn abort(&self) {
        self.state.lock().phase = Phase::Aborted;
        self.ready.notify();
    }

    pub(crate) fn aborted(&self) -> bool {
        self.state.lock().phase == Phase::Aborted
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().phase == Phase::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::model::MessageType;
    use crate::model::Recipient;
    use crate::model::Resource;
    use crate::model::UserId;
    use crate::model::UserName;
    use std::sync::mpsc::channel;

    fn draft(content_bytes: usize) -> Box<Draft> {
        let user = UserId::parse("u").expect("valid");
        Box::new(Draft {
            domain: Domain::parse("d").expect("valid"),
            recipients: vec![Recipient {
                user: user.clone(),
                offline: true,
            }],
            to_resource: None,
            from_id: user,
            from_name: UserName::parse("n").expect("valid"),
            from_resource: Resource::parse("r").expect("valid"),
            kind: MessageType(10),
            content: "0".repeat(content_bytes).into(),
            client_msg_id: None,
        })
    }

    #[test]
    fn jobs_and_their_bytes_are_bounded_and_room_comes_back() {
        let (refused, refusals) = channel();
        let push = |queue: &Queue, content_bytes: usize| {
            let refused = refused.clone();
            let done: Done = Box::new(move |outcome| refused.send(outcome).expect("it is open"));
            queue.push(Job::Append {
                draft: draft(content_bytes),
                done,
            });
        };
        for (max, content_bytes, fit) in [(3, 1, 3), (100, QUEUE_BYTES_MAX / 4, 4)] {
            let queue = Queue::new(max);
            for _ in 0..=fit {
                push(&queue, content_bytes);
            }
            assert_eq!(
                refusals.try_iter().collect::<Vec<_>>(),
                [Err(AppendError::Overloaded)]
            );
            let Dequeued::Jobs(jobs) = queue.take(&SystemClock, Duration::ZERO) else {
                panic!("it is open")
            };
            assert!(!jobs.is_empty());
            push(&queue, content_bytes);
            assert_eq!(refusals.try_iter().count(), 0, "there is room again");
        }
    }
}
