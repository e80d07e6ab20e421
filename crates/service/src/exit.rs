//! Exit codes that every Hitmachine program shares, so that scripts can tell the cases apart.

/// Everything asked was done.
pub const OK: u8 = 0;
/// The question was understood and refused, or what was asked for does not exist.
pub const REFUSED: u8 = 1;
/// Wrong use: arguments, configuration or key files. Trying again without a change is useless.
pub const USAGE: u8 = 2;
/// Something that was needed could not be reached. Trying again later may help.
pub const UNREACHABLE: u8 = 3;
/// A proof, signature, checksum or known answer was wrong. Stop and find out why.
pub const INTEGRITY: u8 = 4;
