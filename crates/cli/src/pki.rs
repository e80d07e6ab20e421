//! `hitmachine pki`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Subcommand;
use hitmachine_service::{console, exit};
use hitmachine_testkit::pki::{CertificateUsage, IssueOptions, PkiError, TestAuthority};
use jiff::{Timestamp, ToSpan};

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a certificate authority for tests. It vouches for test OINs (00000099…) only; production uses `PKIoverheid`.
    NewAuthority {
        /// Folder for ca.pem and ca.key.
        dir: PathBuf,
        /// Name of the authority.
        #[arg(long, default_value = "Hitmachine test authority")]
        name: String,
    },
    /// Issue a certificate with an OIN in its subject's serial number.
    Issue {
        /// Folder of the authority.
        #[arg(long)]
        authority: PathBuf,
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
        /// Name of the files: NAME.pem and NAME.key.
        #[arg(long)]
        name: String,
        /// Organisation in the certificate.
        #[arg(long)]
        organisation: String,
        /// Its OIN, 20 positions, starting with 00000099.
        #[arg(long)]
        oin: String,
        /// Host names of a server.
        #[arg(long)]
        dns: Vec<String>,
        /// IP addresses of a server.
        #[arg(long)]
        ip: Vec<IpAddr>,
        /// Days for which it is valid, from one hour ago.
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let failed = |error: PkiError| Failure::from_error(&error, exit::REFUSED);
    match command {
        Command::NewAuthority { dir, name } => {
            if dir.join("ca.key").exists() {
                return Err(Failure::new(
                    format!("{} already holds an authority", dir.display()),
                    exit::REFUSED,
                ));
            }
            std::fs::create_dir_all(&dir).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            TestAuthority::new(&name)
                .and_then(|authority| authority.save(&dir))
                .map_err(failed)?;
            console::print_line(format_args!(
                "{} and ca.key written",
                dir.join("ca.pem").display()
            ));
        }
        Command::Issue {
            authority,
            out,
            name,
            organisation,
            oin,
            dns,
            ip,
            days,
        } => {
            let authority = TestAuthority::load(&authority).map_err(failed)?;
            let now = Timestamp::now();
            let usage = if dns.is_empty() && ip.is_empty() {
                CertificateUsage::Client
            } else {
                CertificateUsage::ClientAndServer
            };
            let options = IssueOptions {
                common_name: dns.first().cloned().unwrap_or_else(|| organisation.clone()),
                organisation,
                oin: Some(oin),
                dns_names: dns,
                ip_addresses: ip,
                not_before: now.checked_sub(1.hour()).unwrap_or(now),
                not_after: now.checked_add((i64::from(days) * 24).hours()).unwrap_or(now),
                usage,
            };
            std::fs::create_dir_all(&out).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            authority
                .issue(&options)
                .and_then(|issued| issued.save(&out, &name))
                .map_err(failed)?;
            console::print_line(format_args!(
                "{} and {name}.key written",
                out.join(format!("{name}.pem")).display()
            ));
        }
    }
    Ok(())
}
