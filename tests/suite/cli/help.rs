//! What `--help` says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{command, ended, out};

const PROGRAMS: [&str; 3] = ["hitmachine", "hitmachine-broker", "hitmachine-node"];

/// The help of a command and of all commands below it, by name.
fn help(name: &str, below: &[String], found: &mut Vec<(String, String)>) {
    let output = ended(command(name).args(below).arg("--help").output().unwrap(), 0);
    // Where a line is only blanks, or ends in them, is of no interest to anybody.
    let text: Vec<&str> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(str::trim_end)
        .collect();
    // Names are indented by two, what is said about them by more.
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands = text
        .iter()
        .skip_while(|line| **line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .copied()
        .filter(is_name)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    found.push((
        [&[name.to_owned()], below].concat().join("-"),
        text.join("\n") + "\n",
    ));
    for command in names.into_iter().filter(|command| *command != "help") {
        help(name, &[below, &[command.to_owned()]].concat(), found);
    }
}

#[test]
fn help_is_as_in_the_snapshots() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let mut found = Vec::new();
    for name in PROGRAMS {
        help(name, &[], &mut found);
    }
    assert!(found.len() >= 20, "{} commands", found.len());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(&dir).unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in found {
            fs::write(dir.join(format!("{name}.txt")), text).unwrap();
        }
        return;
    }
    let files: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = found.iter().map(|(name, _)| format!("{name}.txt")).collect();
    assert_eq!(
        files, names,
        "commands came or went; UPDATE_SNAPSHOTS=1 writes them"
    );
    for (name, text) in found {
        let expected = fs::read_to_string(dir.join(format!("{name}.txt"))).unwrap();
        assert!(
            text == expected,
            "{name} --help changed; UPDATE_SNAPSHOTS=1 accepts it. Now:\n{text}"
        );
    }
}

#[test]
fn help_explains_every_option_and_the_exit_codes() {
    let mut found = Vec::new();
    for name in PROGRAMS {
        help(name, &[], &mut found);
    }
    for (name, text) in &found {
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            let option = line.trim_start();
            if !option.starts_with("--") && !option.starts_with("-h,") && !option.starts_with("-V,") {
                continue;
            }
            // Either on the same line behind a gap, or on the next.
            let beside = option
                .split_once("  ")
                .is_some_and(|(_, said)| !said.trim().is_empty());
            let below = lines
                .get(place + 1)
                .is_some_and(|next| next.len() > 10 && next.starts_with("          "));
            assert!(beside || below, "{name}: {option} is not explained");
        }
    }
    for name in PROGRAMS {
        let text = &found.iter().find(|(found, _)| found == name).unwrap().1;
        assert!(text.contains("Exit codes: 0 ok, 1 "), "{name}: {text}");
        let version = ended(command(name).arg("--version").output().unwrap(), 0);
        assert_eq!(out(&version), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        ended(command(name).output().unwrap(), 2);
        ended(command(name).arg("fly").output().unwrap(), 2);
    }
}
