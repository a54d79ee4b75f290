//! A document and its references.

use crate::node::Node;
use crate::notes::Notes;

/// References that lead to references.
const HOPS: usize = 16;

/// A document whose references lead within it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub root: &'a Node,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self { root }
    }

    /// What `node` refers to, or itself.
    pub(super) fn resolved(&self, node: &'a Node, notes: &mut Notes) -> &'a Node {
        let mut at = node;
        for _ in 0..HOPS {
            let Some(reference) = at.text_of("$ref") else {
                return at;
            };
            match self.find(reference) {
                Some(found) => at = found,
                None => {
                    notes.add(format!("$ref {reference}: not found in this file"));
                    return &Node::Null;
                }
            }
        }
        &Node::Null
    }

    /// A JSON pointer (RFC 6901) in a fragment.
    fn find(&self, reference: &str) -> Option<&'a Node> {
        let pointer = reference.strip_prefix("#/")?;
        pointer.split('/').try_fold(self.root, |node, key| {
            let key = crate::url::decoded(key).replace("~1", "/").replace("~0", "~");
            match node {
                Node::List(nodes) => nodes.get(key.parse::<usize>().ok()?),
                node => node.get(&key),
            }
        })
    }
}
