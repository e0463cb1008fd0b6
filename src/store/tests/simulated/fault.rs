//! What goes wrong.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The world stops; a write in progress gets half-way.
    Crash,
    /// The next sync fails; what it should have kept is kept or not.
    FailSync,
    /// The next write stops half-way.
    ShortWrite,
    /// The disk is full for so many operations.
    Full(u32),
}

impl Fault {
    /// Whether it can strike there.
    pub(super) fn fits(self, operation: Operation) -> bool {
        match self {
            Self::Crash | Self::Full(_) => true,
            Self::FailSync => operation == Operation::Sync,
            Self::ShortWrite => operation == Operation::Write,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Sync,
    Reserve,
    Other,
}
