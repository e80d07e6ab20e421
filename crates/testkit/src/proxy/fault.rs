//! What a proxy can do to connections.

use std::time::Duration;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From who connected to who listens.
    ToServer,
    /// Back.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    pub(super) fn place(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// What happens to new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accepting {
    /// They are passed on.
    #[default]
    Pass,
    /// Nothing listens.
    Refuse,
    /// They are taken, and nothing comes of them until the faults change.
    Ignore,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Held until the faults change: a partition that TCP survives.
    pub held: bool,
    /// How much later they come.
    pub delay: Duration,
    /// Up to so much later still, at random. Their order stays.
    pub jitter: Duration,
    /// So many a second at most.
    pub bytes_per_second: Option<u64>,
}

/// What a proxy does, until it is told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// New connections.
    pub accepting: Accepting,
    /// Bytes from who connected.
    pub to_server: Line,
    /// Bytes to who connected.
    pub to_client: Line,
}

impl Faults {
    /// The same line in both directions.
    pub fn both(line: Line) -> Self {
        Self {
            to_server: line,
            to_client: line,
            ..Self::default()
        }
    }

    /// Nothing comes through in either direction, and new connections are taken but not passed on.
    pub fn partition() -> Self {
        let held = Line {
            held: true,
            ..Line::default()
        };
        Self {
            accepting: Accepting::Ignore,
            ..Self::both(held)
        }
    }

    /// Nothing comes through in one direction.
    pub fn one_way(direction: Direction) -> Self {
        let mut faults = Self::default();
        let line = match direction {
            Direction::ToServer => &mut faults.to_server,
            Direction::ToClient => &mut faults.to_client,
        };
        line.held = true;
        faults
    }

    /// Slow: so many bytes a second in each direction.
    pub fn slow(bytes_per_second: u64) -> Self {
        Self::both(Line {
            bytes_per_second: Some(bytes_per_second),
            ..Line::default()
        })
    }

    pub(super) fn line(&self, direction: Direction) -> Line {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// What can happen to one connection, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Both sides see a reset.
    Reset,
    /// Both sides see an orderly end.
    Close,
    /// Who receives sees an end; the other direction goes on.
    HalfClose,
    /// Nothing passes any more in either direction, for good, and neither side hears of it: what a firewall does
    /// that forgot a connection.
    Forget,
    /// The same for one direction only: the one in which it was planned, or towards who connected.
    ForgetOneWay,
    /// One bit of one byte is another.
    Corrupt,
}
