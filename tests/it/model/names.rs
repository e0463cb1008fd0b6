//! What the users of a case are called.

use super::step::USERS;

/// Names of the users (the last one only sends), and their domain.
pub struct Names {
    pub domain: String,
    pub users: [String; USERS + 1],
}

impl Names {
    pub fn resource(resource: usize) -> &'static str {
        ["web", "phone", "tablet"][resource]
    }

    pub fn name(&self, user: usize) -> String {
        format!("Name of {}", self.users[user])
    }
}
