//! T5: a tile, a bundle or the checkpoint is changed; the verifier names the file and the first bad index.

use std::{collections::BTreeMap, io};

use hitmachine_audit::{
    Hash, ReadTile, TilePath,
    disk::testing::Random,
    leaf_hash,
    tiles::{MAX_PROBLEMS, Problem, ProblemKind, PublishedFile, Report, VerifyError, parse_bundle},
    verify_published,
};

use super::world::{Heard, TestLog, entry, files_of, verifier};

#[derive(Clone)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn new(size: u64) -> Self {
        Self(files_of(&TestLog::new(size), size))
    }

    fn paths(&self) -> Vec<TilePath> {
        self.0.keys().filter_map(|name| name.parse().ok()).collect()
    }

    fn bytes(&mut self, path: &TilePath) -> &mut Vec<u8> {
        self.0.get_mut(&path.to_string()).unwrap()
    }

    fn verify(&self) -> Report {
        verify_published(self, &verifier(), &mut ()).unwrap()
    }
}

impl ReadTile for Files {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(&path.to_string()).cloned())
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get("checkpoint").cloned())
    }
}

/// First leaf under the hash or entry that this byte of the file belongs to.
fn leaf_at(path: &TilePath, bytes: &[u8], place: usize) -> u64 {
    let Some(level) = path.level() else {
        let mut end = 0;
        let entries = parse_bundle(bytes, path.width()).unwrap();
        let ends = entries.iter().map(|entry| {
            end += 2 + entry.len();
            end
        });
        let entry = ends.collect::<Vec<_>>().partition_point(|end| *end <= place);
        return path.index() * 256 + entry as u64;
    };
    (path.index() * 256 + (place / 32) as u64) << (8 * level)
}

fn problem(path: TilePath, index: u64, kind: ProblemKind) -> Problem {
    Problem {
        file: PublishedFile::Tile(path),
        index,
        kind,
    }
}

/// One problem, that file, that index.
fn flip(files: &mut Files, path: &TilePath, place: usize, mask: u8) {
    let index = leaf_at(path, files.bytes(path), place);
    files.bytes(path)[place] ^= mask;
    let report = files.verify();
    let [found] = report.problems[..] else {
        panic!("{path} {place}: {:?}", report.problems);
    };
    assert_eq!(
        (found.file, found.index),
        (PublishedFile::Tile(*path), index),
        "{path} {place}"
    );
    assert!(matches!(
        found.kind,
        ProblemKind::Differs | ProblemKind::Malformed
    ));
    assert_eq!(report.first_bad(), Some(index));
    assert!(!report.is_sound());
    assert!(found.to_string().starts_with(&path.to_string()));
    files.bytes(path)[place] ^= mask;
}

#[test]
fn every_byte_of_small_logs() {
    for size in [1, 2, 3, 259] {
        let mut files = Files::new(size);
        for path in files.paths() {
            for place in 0..files.bytes(&path).len() {
                flip(&mut files, &path, place, 1 << (place % 8));
            }
        }
        assert!(files.verify().is_sound());
    }
}

#[test]
fn sampled_bytes_of_a_large_log() {
    let mut files = Files::new(70_000);
    let mut random = Random::new(5);
    let paths = files.paths();
    // Each upper and each partial tile, and some of the many.
    let few = paths
        .iter()
        .filter(|path| path.is_partial() || path.level() > Some(0));
    let many = (0..60).map(|_| &paths[random.below(paths.len())]);
    let chosen: Vec<_> = few.chain(many).copied().collect();
    for path in chosen {
        for _ in 0..2 {
            let place = random.below(files.bytes(&path).len());
            flip(&mut files, &path, place, 1 << random.below(8));
        }
    }
    assert!(files.verify().is_sound());
}

#[test]
fn every_byte_of_the_checkpoint() {
    let files = Files::new(3);
    for place in 0..files.0["checkpoint"].len() {
        for bit in 0..8 {
            let mut files = files.clone();
            files.0.get_mut("checkpoint").unwrap()[place] ^= 1 << bit;
            let result = verify_published(&files, &verifier(), &mut ());
            assert!(matches!(result, Err(VerifyError::Checkpoint(_))), "{place} {bit}");
        }
    }
    let mut none = files;
    none.0.remove("checkpoint");
    let error = verify_published(&none, &verifier(), &mut ()).unwrap_err();
    assert_eq!(error.code(), "no_checkpoint");
}

#[test]
fn each_file_missing_cut_off_or_longer() {
    for size in [1, 600, 65_537] {
        let files = Files::new(size);
        let mut random = Random::new(size);
        for path in files.paths() {
            if size > 600 && !path.is_partial() && path.level() <= Some(0) && random.below(40) > 0 {
                continue;
            }
            let whole = &files.0[&path.to_string()];
            let mut missing = files.clone();
            missing.0.remove(&path.to_string());
            assert_eq!(
                missing.verify().problems,
                [problem(path, path.first_leaf(), ProblemKind::Missing)]
            );

            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                let mut short = files.clone();
                short.bytes(&path).truncate(length);
                let index = leaf_at(&path, whole, length);
                assert_eq!(
                    short.verify().problems,
                    [problem(path, index, ProblemKind::Malformed)],
                    "{length}"
                );
            }
            let mut long = files.clone();
            long.bytes(&path).push(0);
            let last = leaf_at(&path, whole, whole.len() - 1);
            assert_eq!(
                long.verify().problems,
                [problem(path, last, ProblemKind::Malformed)]
            );
        }
    }
}

/// A wrong hash before the place where the file is cut off: the first is named.
#[test]
fn wrong_and_cut_off() {
    for name in [
        "tile/entries/000",
        "tile/0/000",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
    ] {
        let path: TilePath = name.parse().unwrap();
        let mut files = Files::new(600);
        let bytes = files.bytes(&path);
        bytes[3] ^= 1;
        bytes.truncate(bytes.len() - 1);
        let found = files.verify().problems;
        let [found] = found[..] else { panic!("{found:?}") };
        assert_eq!(
            (found.file, found.index),
            (PublishedFile::Tile(path), path.first_leaf())
        );
    }
}

/// A bundle and its tile changed alike: only what is above can tell.
#[test]
fn a_consistent_pair() {
    let mut files = Files::new(600);
    let forged = vec![1; 33];
    let (bundle, tile) = (TilePath::entries(1, None), TilePath::tile(0, 1, None).unwrap());
    files.bytes(&bundle)[9 * 35 + 2..10 * 35].copy_from_slice(&forged);
    files.bytes(&tile)[9 * 32..10 * 32].copy_from_slice(leaf_hash(&forged).as_bytes());
    let upper = "tile/1/000.p/2".parse().unwrap();
    let root = Problem {
        file: PublishedFile::Checkpoint,
        index: 600,
        kind: ProblemKind::Root,
    };
    assert_eq!(
        files.verify().problems,
        [problem(upper, 256, ProblemKind::Differs), root]
    );
    assert_eq!(files.verify().first_bad(), Some(256));
}

/// Bundle and tile both gone: the level above stands in, as far as there is one.
#[test]
fn a_missing_pair() {
    for (number, width, stands_in) in [(0, "", true), (1, "", true), (2, ".p/88", false)] {
        let mut files = Files::new(600);
        let mut wanted = Vec::new();
        for row in ["entries", "0"] {
            let path: TilePath = format!("tile/{row}/00{number}{width}").parse().unwrap();
            files.0.remove(&path.to_string()).unwrap();
            wanted.push(problem(path, number * 256, ProblemKind::Missing));
        }
        assert_eq!(files.verify().problems, wanted);
        let note = TestLog::note_of(600, Hash([3; 32]));
        files.0.insert("checkpoint".to_owned(), note);
        let found = files.verify().problems.len();
        assert_eq!(found, if stands_in { 3 } else { 2 }, "{number}");
    }
}

/// Everything agrees, but it is another log's: the size is named.
#[test]
fn another_tree_under_the_checkpoint() {
    for size in [1, 255, 256, 600] {
        let log = TestLog::new(size);
        let mut files = Files::new(size);
        for root in [Hash([0; 32]), log.checkpoint(size - 1).root] {
            files
                .0
                .insert("checkpoint".to_owned(), TestLog::note_of(size, root));
            let report = files.verify();
            let [found] = report.problems[..] else {
                panic!("{:?}", report.problems)
            };
            assert_eq!((found.file, found.index), (PublishedFile::Checkpoint, size));
            assert_eq!(found.kind.code(), "tile_root");
            assert_eq!(
                found.to_string(),
                format!("checkpoint has another root at {size} entries")
            );
        }
    }
    let mut empty = Files::new(0);
    assert!(empty.verify().is_sound());
    empty
        .0
        .insert("checkpoint".to_owned(), TestLog::note_of(0, Hash([0; 32])));
    assert_eq!(empty.verify().problems.len(), 1);
}

/// Both of a pair wrong, and several files at once: each is named once.
#[test]
fn several_at_once() {
    let mut files = Files::new(70_000);
    let flips = [
        ("tile/entries/003", 70),
        ("tile/0/003", 64),
        ("tile/0/100", 320),
        ("tile/0/100", 640),
        ("tile/1/000", 32 * 200),
        ("tile/2/000.p/1", 0),
        ("tile/entries/273.p/112", 2),
    ];
    for (name, place) in flips {
        files.bytes(&name.parse().unwrap())[place] ^= 1;
    }
    let found = files.verify().problems;
    let found: Vec<_> = found
        .iter()
        .map(|problem| (problem.file.to_string(), problem.index))
        .collect();
    let of = |name: &str, index| (name.to_owned(), index);
    assert_eq!(
        found,
        [
            // Neither fits the level above, which therefore differs too, and so on to the root.
            of("tile/entries/003", 3 * 256 + 2),
            of("tile/1/000", 3 * 256),
            of("tile/0/100", 100 * 256 + 10),
            of("tile/2/000.p/1", 0),
            of("tile/entries/273.p/112", 273 * 256),
            of("checkpoint", 70_000),
        ]
    );
}

/// The log grew while it was read, and its partial files are gone.
#[test]
fn full_files_in_place_of_partial_ones() {
    let mut files = Files::new(70_000);
    files
        .0
        .insert("checkpoint".to_owned(), TestLog::new(65_700).note(65_700));
    let mut heard = Heard::default();
    let report = verify_published(&files, &verifier(), &mut heard).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    heard.check(65_700);
    // A change in the part that is not asked for does not matter, one in the other part does.
    let bundle = TilePath::entries(256, None);
    files.bytes(&bundle).truncate(164 * 35 + 40);
    assert!(files.verify().is_sound());
    let tile = TilePath::tile(0, 256, None).unwrap();
    files.bytes(&tile)[164 * 32] ^= 1;
    files.bytes(&tile).truncate(165 * 32);
    assert!(files.verify().is_sound());
    files.bytes(&tile)[163 * 32] ^= 1;
    let partial = "tile/0/256.p/164".parse().unwrap();
    assert_eq!(
        files.verify().problems,
        [problem(partial, 65_699, ProblemKind::Differs)]
    );
}

/// Entries that are not what the tree says are not passed on.
#[test]
fn control_entries_fit_their_leaves() {
    let mut files = Files::new(300);
    let bundle = TilePath::entries(0, None);
    let place = (0..207).map(|index| 2 + entry(index).len()).sum::<usize>() + 8;
    files.bytes(&bundle)[place] ^= 1;
    let mut heard = Heard::default();
    assert!(
        !verify_published(&files, &verifier(), &mut heard)
            .unwrap()
            .is_sound()
    );
    assert_eq!(heard.controls(), [7, 107]);
}

/// Cannot read level 1.
struct Dead(Files);

impl ReadTile for Dead {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        if path.level() == Some(1) {
            return Err(io::Error::other("line is down"));
        }
        self.0.read(path)
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.checkpoint()
    }
}

/// A checkpoint that nothing can be behind ends early; a reader that fails is an error with the file's name.
#[test]
fn absurd_sizes_and_dead_readers() {
    let mut files = Files::new(0);
    for size in [1 << 50, u64::MAX] {
        files
            .0
            .insert("checkpoint".to_owned(), TestLog::note_of(size, Hash([1; 32])));
        let report = files.verify();
        assert!((MAX_PROBLEMS..MAX_PROBLEMS + 20).contains(&report.problems.len()));
        assert!(report.checked < size && !report.is_sound());
    }

    let error = verify_published(&Dead(Files::new(300)), &verifier(), &mut ()).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        ("tiles_io", "tile/1/000.p/1 cannot be read".to_owned())
    );
}
