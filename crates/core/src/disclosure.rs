//! Which counts may be shown so that no suppressed one can be computed (disclosure control).
//!
//! Counts and their totals are arcs of a network in which as much flows into each node as out of it: a table's cell
//! goes from its row to its column, a total back. Tables that share totals hang together in one network, so they are
//! protected as one. A count of 0 is shown: nobody is in it. Of the others, totals included, are suppressed:
//!
//! 1. *Primary*: every count below the threshold.
//! 2. *Complementary*: as many more as it takes until, in each line (parts and their total),
//!    - not exactly one value is suppressed, for the others would give it;
//!    - what is suppressed under a total that is shown adds up to the threshold at least, or the group would be
//!      what the count must not be.
//! 3. *Audit*: and until no suppressed value is determined by all shown values together. Whoever reads them knows
//!    every sum, that counts are whole, and that a suppressed count is at least 1. So five suppressed counts under a
//!    total of 5 are all 1, and rows and columns can give what neither gives alone.
//!
//! The audit is exact. Two sets of counts that agree in all shown values differ by cycles of suppressed arcs, so a
//! suppressed value is undetermined if and only if it lies on a cycle of suppressed arcs along which every value may
//! change by 1 (Ahuja, Magnanti and Orlin, *Network Flows*, theorem 3.7).
//!
//! Each time, the smallest count that helps is suppressed, parts before totals. Not covered: someone who knows part of
//! what is suppressed, such as an organisation its own questions; that a suppressed value lies within bounds; and
//! counts of the same thing outside the network, such as an overlapping report of another day.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A node, by number.
pub(crate) type Node = usize;
/// A count, by number.
pub(crate) type Count = usize;

/// What may be shown of the parts of one node: pairs of an arc that loses 1 and an arc that gains it.
type Exchanges = BTreeSet<(Count, Count)>;

#[derive(Clone, Debug)]
struct Arc {
    from: Node,
    to: Node,
    value: u64,
    /// 0 for a part, more for totals and totals of totals: the higher, the later it is suppressed.
    rank: u8,
    hidden: bool,
}

/// Counts that sum up to each other, and which of them are suppressed; never a 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    arcs: Vec<Arc>,
    /// Arcs at each node.
    around: Vec<Vec<Count>>,
    /// Parts and, last, their total.
    lines: Vec<Vec<Count>>,
    /// Of each arc, its lines.
    lines_of: Vec<Vec<usize>>,
    /// Nodes that a cycle may pass only by these exchanges.
    restricted: BTreeMap<Node, Exchanges>,
}

impl Network {
    /// Another node.
    pub(crate) fn node(&mut self) -> Node {
        self.around.push(Vec::new());
        self.around.len() - 1
    }

    /// So many nodes.
    pub(crate) fn nodes(&mut self, count: usize) -> Vec<Node> {
        (0..count).map(|_| self.node()).collect()
    }

    /// A count that flows between two nodes of this network. `rank` is 0 for a part, more for totals.
    pub(crate) fn count(&mut self, from: Node, to: Node, value: u64, rank: u8) -> Count {
        let count = self.arcs.len();
        self.arcs.push(Arc {
            from,
            to,
            value,
            rank,
            hidden: false,
        });
        self.lines_of.push(Vec::new());
        for node in [from, to] {
            if let Some(around) = self.around.get_mut(node) {
                around.push(count);
            }
        }
        count
    }

    /// Says that these parts are published with their total.
    pub(crate) fn line(&mut self, parts: impl IntoIterator<Item = Count>, total: Count) {
        let line: Vec<Count> = parts.into_iter().chain([total]).collect();
        for count in &line {
            if let Some(lines) = self.lines_of.get_mut(*count) {
                lines.push(self.lines.len());
            }
        }
        self.lines.push(line);
    }

    /// The count if it is shown.
    pub(crate) fn shown(&self, count: Count) -> Option<u64> {
        let arc = self.arcs.get(count)?;
        (!arc.hidden).then_some(arc.value)
    }

    /// Suppresses all that must be. With a threshold of 0 or 1 that is nothing.
    pub(crate) fn suppress(&mut self, threshold: u64) {
        for arc in &mut self.arcs {
            arc.hidden = (1..threshold).contains(&arc.value);
        }
        let all: Vec<Count> = (0..self.arcs.len()).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for line in 0..self.lines.len() {
                while self.is_weak(line, threshold) && self.hide_smallest_of(line) {
                    changed = true;
                }
            }
            if changed {
                continue; // one line's complement may leave another weak
            }
            for count in self.hidden() {
                if self.is_determined(count) {
                    // When no shown value but 0 is left anywhere, nothing is determined: every count then lies on a
                    // cycle of the flow itself, along which all may grow.
                    let lines = self.lines_of.get(count).cloned().unwrap_or_default();
                    changed |=
                        lines.into_iter().any(|line| self.hide_smallest_of(line)) || self.hide_smallest(&all);
                }
            }
        }
    }

    /// Says that whoever reads the report knows more about a node, namely that only these exchanges between its parts
    /// are possible (the first loses 1, the second gains it).
    ///
    /// Whether every suppressed value is undetermined even so; if not, nothing has changed.
    pub(crate) fn restrict(&mut self, node: Node, exchanges: Exchanges) -> bool {
        self.restricted.insert(node, exchanges);
        let stands = self.hidden().into_iter().all(|count| !self.is_determined(count));
        if !stands {
            self.restricted.remove(&node);
        }
        stands
    }

    fn hidden(&self) -> Vec<Count> {
        let hidden = self.arcs.iter().enumerate().filter(|(_, arc)| arc.hidden);
        hidden.map(|(count, _)| count).collect()
    }

    /// A line that gives one of its values, or a group below the threshold.
    fn is_weak(&self, line: usize, threshold: u64) -> bool {
        let line = self.lines.get(line).map(Vec::as_slice).unwrap_or_default();
        let arcs = || line.iter().filter_map(|count| self.arcs.get(*count));
        let hidden = || arcs().filter(|arc| arc.hidden);
        let sum = hidden().fold(0_u64, |sum, arc| sum.saturating_add(arc.value));
        let under_a_total = arcs().next_back().is_some_and(|total| !total.hidden);
        match hidden().count() {
            0 => false,
            1 => true,
            _ => under_a_total && sum < threshold,
        }
    }

    fn hide_smallest_of(&mut self, line: usize) -> bool {
        let line = self.lines.get(line).cloned().unwrap_or_default();
        self.hide_smallest(&line)
    }

    /// Hides the smallest shown value that is not 0, a total only if nothing else is left.
    fn hide_smallest(&mut self, counts: &[Count]) -> bool {
        let shown = counts
            .iter()
            .filter_map(|count| self.arcs.get(*count).map(|arc| (*count, arc)));
        let shown = shown.filter(|(_, arc)| arc.value > 0 && !arc.hidden);
        let smallest = shown.min_by_key(|(_, arc)| (arc.rank, arc.value));
        let smallest = smallest.map(|(count, _)| count);
        match smallest.and_then(|count| self.arcs.get_mut(count)) {
            Some(arc) => {
                arc.hidden = true;
                true
            }
            None => false,
        }
    }

    /// Whether only one value fits all shown ones.
    fn is_determined(&self, count: Count) -> bool {
        let shrinks = self.arcs.get(count).is_some_and(|arc| arc.value > 1);
        !(self.may_change(count, true) || shrinks && self.may_change(count, false))
    }

    /// Whether a cycle of suppressed values, each of which may change by 1 in the cycle's direction, leads through
    /// this one, which grows or shrinks.
    fn may_change(&self, count: Count, grows: bool) -> bool {
        let Some(arc) = self.arcs.get(count) else {
            return false;
        };
        let (begin, end) = if grows {
            (arc.to, arc.from)
        } else {
            (arc.from, arc.to)
        };
        // What is known of a way: the step that came here. One step for each node is enough, but where it matters by
        // which one came.
        let mut seen: BTreeSet<(Node, Option<Count>)> = BTreeSet::new();
        let mut came_from: BTreeMap<(Node, Count), (Node, Count)> = BTreeMap::new();
        let mut next = VecDeque::from([(begin, count)]);
        while let Some((node, by)) = next.pop_front() {
            for step in self.around.get(node).map(Vec::as_slice).unwrap_or_default() {
                let Some(arc) = self.arcs.get(*step) else { continue };
                let forwards = arc.from == node;
                let open = arc.hidden && *step != count && (forwards || arc.value > 1);
                if !open || !self.passes(node, by, *step) {
                    continue;
                }
                let other = if forwards { arc.to } else { arc.from };
                if other == end && self.passes(end, *step, count) {
                    if self.is_simple((node, by), &came_from, begin, end) {
                        return true;
                    }
                    continue;
                }
                let as_seen = self.restricted.contains_key(&other).then_some(*step);
                if seen.insert((other, as_seen)) {
                    came_from.insert((other, *step), (node, by));
                    next.push_back((other, *step));
                }
            }
        }
        false
    }

    /// Whether a cycle may pass this node so. A restricted node has its parts as arcs into it and its total, which is
    /// shown, as the only arc out, so the arc by which one comes gains and that by which one goes loses.
    fn passes(&self, node: Node, by: Count, step: Count) -> bool {
        self.restricted
            .get(&node)
            .is_none_or(|exchanges| exchanges.contains(&(step, by)))
    }

    /// Whether no restricted node is passed twice: each exchange is possible, two at once may not be.
    fn is_simple(
        &self,
        last: (Node, Count),
        came_from: &BTreeMap<(Node, Count), (Node, Count)>,
        begin: Node,
        end: Node,
    ) -> bool {
        let mut passed = BTreeSet::from([begin, end]);
        let mut at = last;
        while let Some(before) = came_from.get(&at) {
            if self.restricted.contains_key(&at.0) && !passed.insert(at.0) {
                return false;
            }
            at = *before;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of parts with their totals shown, and nothing else: parts flow from their row to where they meet again.
    fn rows(values: &[&[u64]]) -> (Network, Vec<Vec<Count>>) {
        let mut network = Network::default();
        let (source, sink) = (network.node(), network.node());
        let counts = values.iter().map(|row| {
            let node = network.node();
            let parts: Vec<Count> = row
                .iter()
                .map(|value| network.count(source, node, *value, 0))
                .collect();
            let total = network.count(node, sink, row.iter().sum(), 1);
            network.line(parts.clone(), total);
            parts
        });
        let counts = counts.collect();
        (network, counts)
    }

    fn hide(network: &mut Network, counts: &[Count]) {
        for count in counts {
            network.arcs[*count].hidden = true;
        }
    }

    #[test]
    fn five_that_are_five_are_all_one() {
        let (mut network, counts) = rows(&[&[1, 1, 1, 1, 1]]);
        hide(&mut network, &counts[0]);
        assert!(network.is_determined(counts[0][0]));
        let (mut network, counts) = rows(&[&[2, 1, 1, 1, 1]]);
        hide(&mut network, &counts[0]);
        assert!(!network.is_determined(counts[0][0]));
        assert!(
            !network.is_determined(counts[0][1]),
            "it could be the one that is 2"
        );
    }

    #[test]
    fn what_more_is_known_of_a_node_binds_the_ways_through_it() {
        let (mut network, counts) = rows(&[&[3, 7, 9]]);
        network.suppress(5);
        let [three, seven, nine] = counts[0][..] else {
            panic!()
        };
        assert_eq!(
            (network.shown(three), network.shown(seven), network.shown(nine)),
            (None, None, Some(9))
        );
        assert!(
            !network.restrict(2, Exchanges::new()),
            "nothing is possible any more"
        );
        assert!(!network.restrict(2, BTreeSet::from([(three, nine), (nine, seven)])));
        assert!(
            network.restrict(2, BTreeSet::from([(seven, three)])),
            "one way is enough"
        );
        assert!(network.restrict(2, BTreeSet::from([(three, seven)])));
    }

    #[test]
    fn no_threshold_suppresses_nothing() {
        for threshold in [0, 1] {
            let (mut network, counts) = rows(&[&[1, 0, 2], &[0, 0]]);
            network.suppress(threshold);
            assert!(
                counts
                    .iter()
                    .flatten()
                    .all(|count| network.shown(*count).is_some())
            );
        }
    }
}
