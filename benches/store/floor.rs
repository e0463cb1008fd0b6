//! The floor: a plain file in the place of the store.
//!
//! A thread takes all drafts that wait, appends their bytes to the file and makes them durable with
//! one fdatasync; another one tells their senders. So every group commit works, and this one does
//! nothing beside.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use relaybox::model::Draft;

use crate::traffic::Commits;

/// What a record has beside its texts.
const HEAD_BYTES: usize = 32;

/// Batches that wait for their answers.
const ANSWERS_MAX: usize = 16;

type Done = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    /// `None` at the end.
    waiting: Mutex<Option<Vec<(Draft, Done)>>>,
    changed: Condvar,
    batches: AtomicU64,
}

/// The plain file and its thread.
pub struct Floor {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Floor {
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("floor");
        let mut file = File::create(&path).unwrap();
        let queue = Arc::new(Queue {
            waiting: Mutex::new(Some(Vec::new())),
            ..Queue::default()
        });
        let taken = queue.clone();
        let (durable, answered) = sync_channel::<Vec<(Draft, Done)>>(ANSWERS_MAX);
        // As in the store, answers are given beside the next write.
        let answers = std::thread::spawn(move || {
            for (_, done) in answered.into_iter().flatten() {
                done();
            }
        });
        let thread = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while let Some(batch) = taken.next() {
                bytes.clear();
                for (draft, _) in &batch {
                    put(draft, &mut bytes);
                }
                file.write_all(&bytes).unwrap();
                file.sync_data().unwrap();
                taken.batches.fetch_add(1, Ordering::Relaxed);
                durable.send(batch).unwrap();
            }
            drop(durable);
            answers.join().unwrap();
        });
        Self {
            queue,
            thread: Some(thread),
            path,
        }
    }

    /// How often it was made durable.
    pub fn batches(&self) -> u64 {
        self.queue.batches.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn next(&self) -> Option<Vec<(Draft, Done)>> {
        let waiting = self.waiting.lock().unwrap();
        let is_idle = |waiting: &mut Option<Vec<_>>| waiting.as_ref().is_some_and(Vec::is_empty);
        let mut waiting = self.changed.wait_while(waiting, is_idle).unwrap();
        waiting.as_mut().map(std::mem::take)
    }
}

fn put(draft: &Draft, bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + HEAD_BYTES, 0);
    let texts = [
        draft.domain.as_str(),
        draft.recipients[0].user.as_str(),
        draft.from_id.as_str(),
        draft.from_name.as_str(),
        draft.from_resource.as_str(),
        &draft.content,
    ];
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
    }
    if let Some(id) = &draft.client_msg_id {
        bytes.extend_from_slice(id.as_str().as_bytes());
    }
}

impl Commits for Floor {
    fn commit(&self, draft: Draft, done: impl FnOnce() + Send + 'static) {
        let mut waiting = self.queue.waiting.lock().unwrap();
        let waiting = waiting.as_mut().unwrap();
        waiting.push((draft, Box::new(done)));
        if waiting.len() == 1 {
            self.queue.changed.notify_one();
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        *self.queue.waiting.lock().unwrap() = None;
        self.queue.changed.notify_one();
        self.thread.take().unwrap().join().unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// Messages a second that the disk alone would take: batches of so many, nobody sending them.
pub fn disk_alone(dir: &Path, batch: f64, message_bytes: f64, time: Duration) -> f64 {
    let path = dir.join("disk");
    let mut file = File::create(&path).unwrap();
    let bytes = vec![b'x'; (batch * message_bytes) as usize];
    let begun = Instant::now();
    let mut batches = 0;
    while begun.elapsed() < time {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        batches += 1;
    }
    let rate = f64::from(batches) * batch / begun.elapsed().as_secs_f64();
    std::fs::remove_file(&path).unwrap();
    rate
}
