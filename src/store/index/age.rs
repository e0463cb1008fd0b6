//! The last noted state of age time, alone in its tree.

use super::database::Index;
use super::error::IndexError;
use crate::store::age::AgeState;
use crate::store::data::{Record, record};

const KEY: &[u8] = b"age";

impl Index {
    /// Notes it.
    pub(super) fn set_age(&self, age: &AgeState) -> Result<(), IndexError> {
        let mut value = Vec::new();
        record::encode_age(age, &mut value);
        self.age.insert(KEY, value)?;
        Ok(())
    }

    /// How far age time was when it was last noted.
    pub(crate) fn age(&self) -> Result<Option<AgeState>, IndexError> {
        let Some(stored) = self.age.get(KEY)? else {
            return Ok(None);
        };
        match record::decode(&stored) {
            Ok(Record::Age(age)) => Ok(Some(age)),
            _ => Err("the age time".into()),
        }
    }
}
