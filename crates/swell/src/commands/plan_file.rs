//! A plan in a file, with what the place adds where it is read: included files, variables, the environment, another target.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use plan::{Diagnostic, FileTrouble, Given, Plan};

use super::faults;
use super::files::below;
use crate::exit::{Ended, Exit};

/// Bytes of a plan, and of an included file, at most; what is read need not be one.
const PLAN_BYTES: u64 = plan::limits::PLAN_BYTES as u64;

/// A plan's text, and the files beside it that were read.
pub struct PlanFile {
    /// As it was named.
    pub name: String,
    text: String,
    included: RefCell<BTreeMap<String, String>>,
}

impl PlanFile {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let read = |from: &mut dyn Read| {
            let mut bytes = Vec::new();
            from.take(PLAN_BYTES + 1).read_to_end(&mut bytes)?;
            // What is too large is told as that, wherever it was cut.
            match u64::try_from(bytes.len()) {
                Ok(length) if length <= PLAN_BYTES => {
                    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
                }
                _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            }
        };
        let text = if name == "-" {
            read(&mut io::stdin())
        } else {
            fs::File::open(name).and_then(|mut file| read(&mut file))
        };
        let text = text.map_err(|error| {
            let why = match error.kind() {
                ErrorKind::InvalidData => "it is not UTF-8 text; save it as UTF-8".to_owned(),
                _ => error.to_string(),
            };
            Ended::because(Exit::Invalid, format!("cannot read the plan {name}: {why}"))
        })?;
        Ok(Self { name: name.to_owned(), text, included: RefCell::default() })
    }

    /// The folder that paths in the plan count from.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.name).parent().map(Path::to_owned).unwrap_or_default()
    }

    /// The plan, with variables set and another target if these are given.
    ///
    /// # Errors
    /// All faults.
    pub fn plan(
        &self,
        variables: &[(String, String)],
        target: Option<&str>,
    ) -> Result<Plan, Vec<Diagnostic>> {
        self.with(variables, target, |given| plan::submit(&self.name, &self.text, given))
    }

    /// The same plan as text that says where each value comes from.
    ///
    /// # Errors
    /// All faults.
    pub fn shown_plan(
        &self,
        variables: &[(String, String)],
        target: Option<&str>,
    ) -> Result<plan::Shown, Vec<Diagnostic>> {
        self.with(variables, target, |given| plan::show(&self.name, &self.text, given))
    }

    /// Gives what this place adds to the plan.
    fn with<T>(
        &self,
        variables: &[(String, String)],
        target: Option<&str>,
        take: impl FnOnce(&Given<'_>) -> T,
    ) -> T {
        let include = |path: &str| {
            let mut text = String::new();
            let path_there = below(&self.folder(), path).map_err(|trouble| match trouble {
                FileTrouble::Missing => "there is no such file".to_owned(),
                FileTrouble::Unreadable(why) => why,
                FileTrouble::Outside | FileTrouble::TooLarge(_) | FileTrouble::NotSent => {
                    "it is a link to a file that is not below the plan's folder".to_owned()
                }
            })?;
            let file = fs::File::open(path_there).map_err(|error| error.to_string())?;
            file.take(PLAN_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
            self.included.borrow_mut().insert(path.to_owned(), text.clone());
            Ok(text)
        };
        let env = |name: &str| std::env::var(name).ok();
        take(&Given { target, variables, env: &env, include: &include })
    }

    /// Faults as they are shown, each with its line.
    pub fn shown(&self, faults: &[Diagnostic], color: bool) -> String {
        let included = self.included.borrow();
        let text = |file: &str| match file == self.name {
            true => Some(self.text.as_str()),
            false => included.get(file).map(String::as_str),
        };
        faults::shown(faults, text, color)
    }
}
