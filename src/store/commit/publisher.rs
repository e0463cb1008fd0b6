//! Publishes durable batches in journal order: first the messages to the sink, then the answers to
//! their senders.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::model::Message;
use crate::store::api::{Accepted, AppendError, CommitSink, Done, EnterDone, Entered};
use crate::store::state::{ChangeReply, Job};

/// An answer that waits for its batch to be published.
pub(crate) enum Answer {
    Append(Done, Result<Accepted, AppendError>),
    Enter(EnterDone, Result<Entered, AppendError>),
    Change(ChangeReply, Result<bool, AppendError>),
    Refused(Job, AppendError),
}

impl Answer {
    /// The same, after its frame could not be written.
    pub(crate) fn failed(self, error: &AppendError) -> Self {
        match self {
            Self::Append(done, _) => Self::Append(done, Err(error.clone())),
            Self::Enter(done, _) => Self::Enter(done, Err(error.clone())),
            Self::Change(reply, _) => Self::Change(reply, Err(error.clone())),
            Self::Refused(job, error) => Self::Refused(job, error),
        }
    }

    fn give(self) {
        match self {
            Self::Append(done, outcome) => done(outcome),
            Self::Enter(done, outcome) => done(outcome),
            // Who no longer waits needs no answer.
            Self::Change(reply, outcome) => {
                let _ = reply.send(outcome);
            }
            Self::Refused(job, error) => job.refuse(error),
        }
    }
}

/// A durable batch on its way out.
pub(crate) struct Publication {
    pub(crate) messages: Arc<Vec<Message>>,
    pub(crate) answers: Vec<Answer>,
}

/// Works until the committer has ended.
pub(crate) fn run(sink: &dyn CommitSink, publications: &Receiver<Publication>) {
    while let Ok(publication) = publications.recv() {
        if !publication.messages.is_empty() {
            sink.committed(&publication.messages);
        }
        for answer in publication.answers {
            answer.give();
        }
    }
}
