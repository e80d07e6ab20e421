use super::*;
use crate::merkle::Front;

#[test]
fn folding_is_the_tree_of_the_rfc() {
    let mut front = Front::new();
    let mut leaves = Vec::new();
    for index in 0..300_u64 {
        let leaf = leaf_hash(&index.to_be_bytes());
        front.push(leaf);
        leaves.push(leaf);
        assert_eq!(fold(&leaves, None), Some(front.root()), "{index}");
        let (left, right) = leaves.split_at(leaves.len() / 256 * 256);
        let left: Option<Hash> = subtree(left);
        let folded = fold(right, None);
        let folded = match (left, folded) {
            (Some(left), right) => fold(&[left], right),
            (None, right) => right,
        };
        assert_eq!(folded, Some(front.root()), "{index} in two levels");
    }
    assert_eq!((fold(&[], None), subtree(&[])), (None, None));
}
