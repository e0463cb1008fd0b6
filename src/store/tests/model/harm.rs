//! What goes wrong with the index between two runs.

use super::super::support::*;

use super::run::World;
use super::steps::Harm;

impl World {
    pub(super) fn harm(&self, harm: Harm) {
        let db = self.dir.path().join("db");
        // The index that counts has the highest number, or the only one.
        let numbers = crate::store::index::numbers(self.dir.path()).unwrap();
        let number = numbers.into_iter().max();
        let file = number.map_or(db.clone(), |number| db.join(number.to_string()).join("db"));
        let bytes = std::fs::read(&file).unwrap_or_default();
        match harm {
            Harm::None => {}
            Harm::Truncate(_) | Harm::Overwrite(_) if bytes.is_empty() => {}
            Harm::Truncate(part) => {
                let kept = bytes.len() * usize::from(part) / 65_536;
                std::fs::write(&file, &bytes[..kept]).unwrap();
            }
            Harm::Overwrite(part) => {
                let mut bytes = bytes;
                let from = bytes.len() * usize::from(part) / 65_536;
                let to = bytes.len().min(from + 4_096);
                bytes[from..to].fill(0x5a);
                std::fs::write(&file, &bytes).unwrap();
            }
            Harm::Delete => {
                if db.exists() {
                    std::fs::remove_dir_all(db).unwrap();
                }
            }
            Harm::DeleteState => {
                let state = self.dir.path().join("db.state");
                self.files.remove(&state).unwrap_or_default();
            }
        }
    }
}
