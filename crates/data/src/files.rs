//! The files of a run, by the names that the plan gives them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Contents by path. Cheap to clone: contents are shared.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, Arc<[u8]>>);

impl Files {
    /// The content of the file that the plan names so.
    pub fn get(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.0.get(path)
    }

    /// Adds a file, or replaces the one of that name.
    pub fn insert(&mut self, path: String, content: Arc<[u8]>) {
        self.0.insert(path, content);
    }

    /// All of them, by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.0.iter().map(|(path, content)| (path.as_str(), content))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first file that `plan` needs and that is not here.
    pub fn missing<'a>(&self, plan: &'a plan::Plan) -> Option<&'a str> {
        plan.files().into_iter().map(|file| file.path.as_str()).find(|path| self.get(path).is_none())
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(path, content)| (path, content.len()))).finish()
    }
}
