//! Which retention is in force, and one that is new and waits.
//!
//! What erases more than before counts only once it was told in the log what it erases, and a
//! while behind that: time enough to mend a slip. So the retention that was last in force stands
//! in a small file; without one, everything was kept until now.
//!
//! Invariant: what is in force is never stricter than what was in force before, but for what was
//! told and waited for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::api::{OpenError, ReadError};
use super::breather::Breather;
use super::files::{self, FileSystem};
use super::layout;
use super::shared::Shared;
use crate::model::{Domain, MsgId, Retention};

/// The file.
const FILE: &str = "retention.applied";
/// Between two attempts to write it.
const SAVE_PAUSE: Duration = Duration::from_secs(5);
/// What is not counted by then is told as "at least".
const COUNT_TIME_MAX: Duration = Duration::from_secs(20);
/// So many domains are told of one by one.
const DOMAINS_TOLD_MAX: usize = 20;

/// What waits, and whether what is in force is on disk.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    next: Option<Next>,
    unsaved: bool,
    /// When it could not be saved.
    failed_at: Option<Instant>,
}

/// A retention that is new.
#[derive(Debug, Clone)]
struct Next {
    retention: Retention,
    /// From when on it is in force, by the monotonic clock; `None` until it was told.
    due: Option<Duration>,
}

/// What a new retention erases of a domain.
struct Expiring {
    messages: u64,
    /// Everything at or below it.
    upto: MsgId,
}

impl Shared {
    fn keeping(&self) -> MutexGuard<'_, Keeping> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`super::Store::set_retention`].
    pub(super) fn set_retention(&self, wanted: Retention) {
        let mut keeping = self.keeping();
        let in_force = self.retention().clone();
        let now = match self.options.retention_notice {
            Duration::ZERO => wanted.clone(),
            _ => in_force.looser(&wanted),
        };
        let waits = now != wanted;
        if now != in_force {
            self.put_in_force(now);
            keeping.unsaved = true;
        }
        match &keeping.next {
            Some(next) if next.retention == wanted => {}
            next => {
                if next.is_some() {
                    tracing::info!("the retention that was to come is taken back");
                }
                let due = None;
                let retention = wanted;
                keeping.next = waits.then_some(Next { retention, due });
            }
        }
        drop(keeping);
        self.changed.notify_all();
    }

    fn put_in_force(&self, retention: Retention) {
        let place = self.retention.write();
        *place.unwrap_or_else(PoisonError::into_inner) = retention;
    }

    /// Tells of a retention that is new, and puts it in force when it is time. For the thread that
    /// erases.
    pub(super) fn step_retention(&self) {
        let next = self.keeping().next.clone();
        match next {
            Some(Next { retention, due }) => match due {
                None => {
                    self.tell(&retention);
                    self.note_told(&retention);
                    self.note_in_force();
                }
                Some(due) if self.clock.monotonic() >= due => {
                    let mut keeping = self.keeping();
                    // Another may have come meanwhile.
                    if let Some(next) = keeping.next.take_if(|next| next.due == Some(due)) {
                        // First, so that it is not new again behind a crash.
                        keeping.unsaved = true;
                        self.save(&mut keeping, &next.retention);
                        self.put_in_force(next.retention);
                        tracing::info!("the new retention counts from now on");
                    }
                }
                Some(_) => {}
            },
            None => self.note_in_force(),
        }
    }

    /// Notes on disk what is in force, if that is not there yet.
    pub(super) fn note_in_force(&self) {
        let mut keeping = self.keeping();
        let paused = keeping.failed_at.map(|at| at.elapsed() < SAVE_PAUSE);
        if keeping.unsaved && paused != Some(true) {
            let in_force = self.retention().clone();
            self.save(&mut keeping, &in_force);
        }
    }

    #[cfg(test)]
    pub(super) fn waits_since_it_was_told(&self) -> bool {
        let keeping = self.keeping();
        keeping.next.as_ref().is_some_and(|next| next.due.is_some())
    }

    #[cfg(test)]
    pub(super) fn has_unsaved_retention(&self) -> bool {
        self.keeping().unsaved
    }

    fn note_told(&self, retention: &Retention) {
        let mut keeping = self.keeping();
        let notice = self.options.retention_notice;
        if let Some(next) = &mut keeping.next
            && next.retention == *retention
        {
            next.due = Some(self.clock.monotonic() + notice);
        }
    }

    fn save(&self, keeping: &mut Keeping, retention: &Retention) {
        let bytes = encode(retention);
        match files::replace(self.files.as_ref(), &self.options.dir, FILE, &bytes) {
            Ok(()) => (keeping.unsaved, keeping.failed_at) = (false, None),
            Err(error) => {
                if keeping.failed_at.is_none() {
                    tracing::warn!(%error, file = FILE, "the retention cannot be noted: at the next start it is new again");
                }
                keeping.failed_at = Some(Instant::now());
            }
        }
    }

    /// Says in the log what a new retention erases.
    fn tell(&self, wanted: &Retention) {
        let notice = humantime::format_duration(self.options.retention_notice);
        let (expiring, whole) = match self.expiring(wanted) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "what the new retention erases cannot be counted");
                (BTreeMap::new(), false)
            }
        };
        let messages: u64 = expiring.values().map(|expiring| expiring.messages).sum();
        let about = if whole { "" } else { "at least " };
        tracing::warn!(
            messages,
            "the retention is new: in {notice} it erases {about}{messages} messages for good; to \
             keep them, mend the setting and reload it (SIGHUP), or stop the server, before"
        );
        for (domain, Expiring { messages, upto }) in expiring.iter().take(DOMAINS_TOLD_MAX) {
            let kept = wanted.of(domain).unwrap_or_default();
            let kept = humantime::format_duration(kept);
            let before = UNIX_EPOCH + Duration::from_micros(upto.0);
            let before = humantime::format_rfc3339_seconds(before);
            tracing::warn!(%domain, messages, "in {notice}, of this domain, what is older than {kept}: everything from before {before}");
        }
        if let Some(more) = expiring.len().checked_sub(DOMAINS_TOLD_MAX + 1) {
            tracing::warn!("and of {} domains more", more + 1);
        }
    }

    /// What a retention erases that the one in force does not, by domain; and whether that is all.
    fn expiring(
        &self,
        wanted: &Retention,
    ) -> Result<(BTreeMap<Domain, Expiring>, bool), ReadError> {
        // What is in memory is young, but the retention may be short.
        self.checkpoint();
        let in_force = self.retention().clone();
        // Where age is held: as it will be.
        let (wall_us, monotonic) = (self.clock.now_us(), self.clock.monotonic());
        let accepted = self.age().accepted(false);
        let ages = accepted.map_or_else(|| self.ages(), |age| age.ages(wall_us, monotonic));
        let (begun, mut breather) = (Instant::now(), Breather::new());
        let mut expiring: BTreeMap<Domain, Expiring> = BTreeMap::new();
        let mut last = None;
        while let Some(mailbox) = self.with_index(|index| index.mailbox_after(last.as_ref()))? {
            breather.step();
            if begun.elapsed() >= COUNT_TIME_MAX || !self.queue.is_open() {
                return Ok((expiring, false));
            }
            if wanted.is_stricter(&in_force, &mailbox.domain) {
                let kept = wanted.of(&mailbox.domain).unwrap_or_default();
                let upto = ages.expired(kept);
                let messages = self.rank(&mailbox, None, upto)?;
                if messages > 0 {
                    let of_domain = expiring.entry(mailbox.domain.clone());
                    let nothing = Expiring { messages: 0, upto };
                    of_domain.or_insert(nothing).messages += messages;
                }
            }
            last = Some(mailbox);
        }
        Ok((expiring, true))
    }
}

/// The retention to begin with, and what else there is to do. `is_new`: nothing was ever stored.
pub(super) fn begin(
    files: &dyn FileSystem,
    dir: &Path,
    wanted: &Retention,
    notice: Duration,
    is_new: bool,
) -> Result<(Retention, Keeping), OpenError> {
    let known = applied(files, dir)?;
    let in_force = match &known {
        _ if is_new || notice.is_zero() => wanted.clone(),
        known => known.clone().unwrap_or_default().looser(wanted),
    };
    let next = (in_force != *wanted).then(|| Next {
        retention: wanted.clone(),
        due: None,
    });
    let keeping = Keeping {
        unsaved: known.unwrap_or_default() != in_force,
        next,
        failed_at: None,
    };
    Ok((in_force, keeping))
}

/// The retention that was last in force in a data directory; `None` where none is known.
pub(super) fn applied(files: &dyn FileSystem, dir: &Path) -> Result<Option<Retention>, OpenError> {
    let Some(bytes) = layout::read(files, dir, FILE)? else {
        return Ok(None);
    };
    let retention = decode(&bytes);
    if retention.is_none() {
        tracing::warn!(
            file = FILE,
            "it does not say which retention was in force: everything was kept, as far as is known"
        );
    }
    Ok(retention)
}

fn encode(retention: &Retention) -> Vec<u8> {
    let ms = |kept: Option<Duration>| json!(kept.map(|kept| kept.as_millis() as u64));
    let domains = retention.domains.iter();
    let domains: Map<String, Value> = domains
        .map(|(domain, kept)| (domain.as_str().to_owned(), ms(*kept)))
        .collect();
    format!(
        "{}\n",
        json!({"all": ms(retention.all), "domains": domains})
    )
    .into_bytes()
}

fn decode(bytes: &[u8]) -> Option<Retention> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let kept = |ms: &Value| match ms {
        Value::Null => Some(None),
        ms => Some(Some(Duration::from_millis(ms.as_u64()?))),
    };
    let domains = value.get("domains")?.as_object()?.iter();
    let domains = domains.map(|(domain, ms)| Some((Domain::parse(domain).ok()?, kept(ms)?)));
    Some(Retention {
        all: kept(value.get("all")?)?,
        domains: domains.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_was_written_or_not_at_all() {
        let domain = |name| Domain::parse(name).expect("valid");
        let retention = Retention {
            all: Some(Duration::from_secs(60)),
            domains: BTreeMap::from([
                (domain("ever"), None),
                (domain("a=\"b"), Some(Duration::from_millis(1_500))),
            ]),
        };
        let bytes = encode(&retention);
        let golden = r#"{"all":60000,"domains":{"a=\"b":1500,"ever":null}}"#;
        assert_eq!(String::from_utf8_lossy(&bytes).trim_end(), golden);
        assert_eq!(decode(&bytes), Some(retention));
        assert_eq!(
            decode(&encode(&Retention::default())),
            Some(Retention::default())
        );
        for bad in ["", "{}", r#"{"all":-1,"domains":{}}"#, &golden[..30]] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
