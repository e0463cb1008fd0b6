//! All domains and all low watermarks, held in memory: they are few.
//!
//! Removing a domain issues an id as its low watermark: no message has that id, and everything
//! older is never served again. A cursor dates from after the removal exactly if it is at the low
//! watermark or above.

use std::collections::{BTreeMap, HashMap};

use super::record::Record;
use super::watermarks::LowWatermarks;
use crate::model::{Domain, DomainRecord, Mailbox, MsgId};

/// A domain, also after its removal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DomainState {
    /// `None` after a removal.
    pub(crate) record: Option<DomainRecord>,
    /// Zero if never removed.
    pub(crate) low_watermark: MsgId,
}

#[derive(Debug, Default)]
pub(crate) struct Domains {
    records: BTreeMap<Domain, DomainRecord>,
    pub(crate) low_watermarks: LowWatermarks,
}

impl Domains {
    pub(crate) fn set(&mut self, domain: &Domain, state: DomainState) {
        match state.record {
            Some(record) => self.records.insert(domain.clone(), record),
            None => self.records.remove(domain),
        };
        if state.low_watermark > MsgId::ZERO {
            self.low_watermarks
                .raise_domain(domain, state.low_watermark);
        }
    }

    /// `None` if the record is not about a domain.
    pub(crate) fn apply(&mut self, record: &Record) -> Option<(Domain, DomainState)> {
        let (domain, state) = match record {
            Record::Domain(record) => {
                let state = DomainState {
                    record: Some(record.clone()),
                    low_watermark: self.low_watermarks.of_domain(&record.domain),
                };
                (record.domain.clone(), state)
            }
            Record::DomainRemoved {
                domain,
                low_watermark,
            } => {
                let state = DomainState {
                    record: None,
                    low_watermark: *low_watermark,
                };
                (domain.clone(), state)
            }
            Record::Send { .. }
            | Record::SendIds { .. }
            | Record::Cursor { .. }
            | Record::Confirmed { .. }
            | Record::Age(_)
            | Record::Erased { .. } => return None,
        };
        self.set(&domain, state.clone());
        Some((domain, state))
    }

    /// Forgets erasures of which nothing is left on disk.
    pub(crate) fn forget(&mut self, erasures: &HashMap<Mailbox, MsgId>) {
        for (mailbox, upto) in erasures {
            self.low_watermarks.forget(mailbox, *upto);
        }
    }

    pub(crate) fn contains(&self, domain: &Domain) -> bool {
        self.records.contains_key(domain)
    }

    /// Whether it was removed and not added again.
    pub(crate) fn is_removed(&self, domain: &Domain) -> bool {
        self.low_watermarks.has_domain(domain) && !self.contains(domain)
    }

    /// All records, by name.
    pub(crate) fn records(&self) -> Vec<DomainRecord> {
        self.records.values().cloned().collect()
    }
}
