//! `hitmachine audit`: the log checked from its published files alone, and the policy of its witnesses.
//!
//! The formats are those of C2SP (tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-policy), so that
//! programs of others can do the same; `deploy/audit-verify.py` does it in Python.

mod evidence;
mod files;
mod findings;
mod place;
mod proof;
mod text;
mod verify;

use clap::Subcommand;
use hitmachine_audit::{LogVerifier, Policy, WitnessVerifier};
use hitmachine_service::{console, exit};

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a copy of the published log, from its files alone: every entry, every tile, the signature, the witnesses,
    /// and all proofs and evidence that are there.
    ///
    /// The first bad entry is named by its index, counted from 0. Exit code 0 means that everything fits, 4 that
    /// something does not, also if too few witnesses have cosigned for the policy.
    ///
    /// A `.tlog-proof` (C2SP tlog-proof@v1) has in its `extra` what the entry is computed from: 0x01 and the rest of an
    /// opening (all fields), 0x02 and the JSON of a public entry, or 0x03 and group A of an opening (without user and
    /// case). Without `extra` it shows only that there is an entry at that index.
    Verify(verify::Arguments),
    /// Print a witness policy, in which 1 + 2n/3 (rounded down) of these n witnesses have to cosign the log.
    Policy {
        /// Verifier key of the log, as `hitmachine keys show` prints it.
        #[arg(long, value_name = "VKEY")]
        log: LogVerifier,
        /// Verifier keys of the witnesses; none for a log without witnesses.
        #[arg(value_name = "WITNESS-VKEY")]
        witnesses: Vec<WitnessVerifier>,
    },
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Policy { log, witnesses } => {
            let text =
                Policy::generate(log, witnesses).map_err(|error| Failure::from_error(&error, exit::USAGE))?;
            console::print(text);
            Ok(())
        }
    }
}
