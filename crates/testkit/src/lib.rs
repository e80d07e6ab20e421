//! Everything a test, a measurement or the demo needs that is not the product itself.
//!
//! - [`deployment`]: a whole installation in one folder, for real programs;
//! - [`population`]: made-up persons, partner registers and a screening list, written as the files partners
//!   export;
//! - [`ground_truth`]: what a screening of that list must answer, worked out from those files without the
//!   product;
//! - [`pki`]: a certificate authority for tests and demonstrations, with the OIN where `PKIoverheid` puts it;
//! - [`process`]: real programs as child processes;
//! - [`proxy`]: a network between them, with faults that can be switched;
//! - [`rng`]: the generator that makes all of this the same for a seed, on every machine.
//!
//! Nothing here is for production data: the people do not exist, their numbers come from test ranges, and the
//! authority refuses to vouch for an OIN outside the test range.

pub mod deployment;
pub mod ground_truth;
pub mod pki;
pub mod population;
pub mod process;
pub mod proxy;
pub mod rng;
