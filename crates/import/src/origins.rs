//! Which requests a plan can send: those of its target. A plan has one; a source may name several.

use crate::draft::NO_TARGET;
use crate::notes::Notes;
use crate::url::Url;

/// The target, and the hosts whose requests are taken.
#[derive(Debug)]
pub(crate) struct Origins {
    pub target: String,
    hosts: Vec<String>,
}

impl Origins {
    /// The first host of `wanted` that there is; without any, the origin that most of `urls` have, of several the first.
    pub(crate) fn choose<'a>(urls: impl Iterator<Item = &'a Url>, wanted: &[String]) -> Self {
        let mut counted: Vec<(&Url, usize)> = Vec::new();
        for url in urls {
            match counted.iter_mut().find(|(known, _)| known.origin == url.origin) {
                Some((_, count)) => *count += 1,
                None => counted.push((url, 1)),
            }
        }
        let wanted: Vec<String> = wanted.iter().map(|host| host.to_ascii_lowercase()).collect();
        let matches = |url: &Url, host: &str| url.host == host || url.origin.ends_with(&format!("//{host}"));
        let named = wanted.iter().find_map(|host| counted.iter().find(|(url, _)| matches(url, host)));
        // The first of the largest: `max_by_key` would give the last.
        let largest = counted.iter().rev().max_by_key(|(_, count)| *count);
        let chosen = named.or(if wanted.is_empty() { largest } else { None }).map(|(url, _)| *url);
        let target = chosen.map_or(NO_TARGET, |url| url.origin.as_str()).to_owned();
        Self { target, hosts: wanted }
    }

    /// Whether a request to `url` is taken. Says so of those that are not, and of those that change their host by it.
    pub(crate) fn takes(&self, url: &Url, notes: &mut Notes) -> bool {
        if url.origin == self.target {
            return true;
        }
        let named =
            self.hosts.iter().any(|host| url.host == *host || url.origin.ends_with(&format!("//{host}")));
        if named {
            notes.add(format!("requests to {} go to {}: a plan has one target", url.origin, self.target));
        } else {
            notes.add(format!("left out: a request to {} (take it with --host {})", url.origin, url.host));
        }
        named
    }
}
