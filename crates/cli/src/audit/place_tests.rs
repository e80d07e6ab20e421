use std::collections::HashMap;

use hitmachine_audit::{Front, leaf_hash};

use super::*;

/// Tiles in memory, by path.
struct Tiles(HashMap<String, Vec<u8>>);

impl ReadTile for Tiles {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(&path.to_string()).cloned())
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

fn front(size: u64) -> Front {
    let mut front = Front::new();
    (0..size).for_each(|index| front.push(leaf_hash(&index.to_be_bytes())));
    front
}

/// The hash tiles that this size needs.
fn tiles(front: &Front, size: u64) -> Tiles {
    let hashes = TilePath::needed(size).filter_map(|path| {
        let level = 8 * u32::from(path.level()?);
        let nodes = (0..u64::from(path.width())).map(|place| front.node(level, path.index() * 256 + place));
        Some((path.to_string(), nodes.flat_map(|node| node.unwrap().0).collect()))
    });
    Tiles(hashes.collect())
}

fn head(front: &Front, size: u64) -> Head {
    let root = front.root_at(size).unwrap();
    Head { size, root }
}

#[test]
fn every_earlier_head_is_on_the_log_and_no_other() {
    for size in [1, 2, 255, 256, 257, 700] {
        let front = front(size);
        let tiles = tiles(&front, size);
        let mut tree = Tree::new(&tiles, head(&front, size));
        for old in 0..=size {
            let right = head(&front, old);
            assert_eq!(tree.place(right).unwrap(), Place::OnLog, "{old} of {size}");
            let root = leaf_hash(b"another");
            let wrong = Head { root, ..right };
            assert_eq!(tree.place(wrong).unwrap(), Place::OffLog, "{old} of {size}");
            let proof = tree.consistency(old).unwrap();
            assert_eq!(proof, front.consistency_proof(old), "{old} of {size}");
        }
        let root = front.root();
        let more = Head { size: size + 1, root };
        assert_eq!(tree.place(more).unwrap(), Place::Beyond);
    }
}

#[test]
fn heads_of_a_log_with_three_levels() {
    let front = front(70_000);
    let tiles = tiles(&front, 70_000);
    let mut tree = Tree::new(&tiles, head(&front, 70_000));
    for old in [
        1, 255, 256, 257, 4_096, 65_535, 65_536, 65_537, 69_888, 69_999, 70_000,
    ] {
        assert_eq!(tree.place(head(&front, old)).unwrap(), Place::OnLog, "{old}");
        assert_eq!(
            tree.consistency(old).unwrap(),
            front.consistency_proof(old),
            "{old}"
        );
        assert_eq!(tree.leaf(old - 1).unwrap(), front.node(0, old - 1));
    }
    assert_eq!(tree.leaf(70_000).unwrap(), None);
}

/// What is missing shows nothing, and a full tile may stand in for a partial one.
#[test]
fn missing_and_grown_tiles() {
    let front = front(600);
    let mut grown = tiles(&front, 600);
    grown.0.remove("tile/0/000");
    let signed = head(&front, 300);
    let mut tree = Tree::new(&grown, signed);
    assert_eq!(tree.place(head(&front, 7)).unwrap(), Place::OffLog);
    // Tile 1 is full at 600 entries, and 44 wide at 300.
    assert_eq!(tree.place(head(&front, 256)).unwrap(), Place::OnLog);
    assert_eq!(tree.leaf(299).unwrap(), front.node(0, 299));
    assert_eq!(tree.leaf(0).unwrap(), None);
}
