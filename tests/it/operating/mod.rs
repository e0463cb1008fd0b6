//! What an operator sees of a running server, and does with it.

mod attacked;
mod bare;
mod families;
mod hanging;
mod logs;
mod metrics;
mod orders;
mod plain_only;
mod starting;
mod unread;
