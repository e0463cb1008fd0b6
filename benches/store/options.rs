//! The store's options as a server has them by default.

use std::path::Path;

use relaybox::config::{self, Env, Flags};
use relaybox::server::store_options;
use relaybox::store::StoreOptions;

pub fn options(dir: &Path) -> StoreOptions {
    let loaded = config::resolve(&Flags::new(), &Env::new(), None, None);
    StoreOptions {
        dir: dir.to_owned(),
        ..store_options(&loaded.unwrap().config)
    }
}
