//! HAR 1.2, as browsers and proxies record it: the requests of one host become one journey.

mod recording;
mod correlate;
mod found;

use crate::curl::plural;
use crate::draft::{Draft, Scenario, Step, try_out};
use crate::notes::Notes;
use crate::origins::Origins;
use crate::span::show_ms;
use crate::{Error, Options, headers, read};
use recording::Recorded;

/// Gaps shorter than this are the browser's, not a person's.
const PAUSE_MS: i64 = 300;
/// A person who is away longer than this is not at it.
const PAUSE_MS_MOST: i64 = 30_000;

pub(crate) fn draft(text: &str, options: &Options, notes: &mut Notes) -> Result<Draft, Error> {
    let expected = read::FOUND[0].0;
    let root = read::json(text, expected)?;
    read::must_be(&root, expected)?;
    let mut recorded = recording::entries(&root, notes);
    if recorded.is_empty() {
        return Err(Error::Nothing("the recording has no http request".to_owned()));
    }
    recorded.sort_by_key(|entry| entry.started_ms);
    let pages = recorded.iter().filter(|entry| !entry.is_asset());
    let origins = Origins::choose(pages.map(|entry| &entry.url), &options.hosts);
    let mut kept = Vec::new();
    let mut assets = 0;
    let mut busy_until_ms: Option<i64> = None;
    for mut entry in recorded {
        let gap_ms = busy_until_ms.map_or(0, |until| entry.started_ms.saturating_sub(until));
        busy_until_ms = busy_until_ms.max(Some(entry.started_ms.saturating_add(entry.time_ms)));
        if entry.is_asset() && !options.include_assets {
            assets += 1;
            entry.gap_ms = gap_ms;
            carry(&mut kept, gap_ms);
        } else if origins.takes(&entry.url, notes) {
            entry.gap_ms = gap_ms;
            kept.push(Kept::Request(Box::new(entry)));
        } else {
            carry(&mut kept, gap_ms);
        }
    }
    if assets > 0 {
        let assets = plural(assets, "image, style, script or font", "images, styles, scripts and fonts");
        notes.add(format!("left out: {assets} (take them with --include-assets)"));
    }
    made(kept, &origins, notes)
}

/// What is kept of a recording: a request, or only the pause before one that is not.
enum Kept {
    Request(Box<Recorded>),
    Gap(i64),
}

fn carry(kept: &mut Vec<Kept>, gap_ms: i64) {
    if gap_ms >= PAUSE_MS {
        kept.push(Kept::Gap(gap_ms));
    }
}

fn made(kept: Vec<Kept>, origins: &Origins, notes: &mut Notes) -> Result<Draft, Error> {
    let mut recorded = Vec::new();
    let mut waiting_ms = 0;
    for kept in kept {
        match kept {
            Kept::Gap(gap_ms) => waiting_ms += gap_ms,
            Kept::Request(mut entry) => {
                entry.gap_ms += std::mem::take(&mut waiting_ms);
                recorded.push(*entry);
            }
        }
    }
    if recorded.is_empty() {
        return Err(Error::Nothing("no request of the recording is for the chosen host".to_owned()));
    }
    let cookies = recorded.iter().any(|entry| entry.has_cookies);
    for entry in &mut recorded {
        let coded = entry.request.header("accept-encoding").is_some();
        entry.request.decompress = coded;
        headers::without_browser(&mut entry.request.headers, true, notes);
        entry.request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
    }
    if cookies {
        notes
            .add("cookies: the scenario keeps those it is given; those of the recording are not in the plan");
    }
    correlate::correlate(&mut recorded, notes);
    let mut scenario = Scenario { name: "journey".to_owned(), cookies, ..Scenario::default() };
    for entry in recorded {
        if entry.gap_ms >= PAUSE_MS && !scenario.steps.is_empty() {
            scenario.steps.push(Step::Pause(show_ms(rounded(entry.gap_ms, notes))));
        }
        scenario.steps.push(Step::Request(Box::new(entry.request)));
    }
    let host = origins.target.split("://").nth(1).unwrap_or_default();
    let (load, load_comments) = try_out();
    Ok(Draft {
        name: host.to_owned(),
        comments: vec![
            "Made from a HAR recording. Look at each value that is the same for every user.".to_owned(),
        ],
        target: origins.target.clone(),
        target_comment: Some("as recorded; give a system that you may load".to_owned()),
        load,
        load_comments,
        scenarios: vec![scenario],
        ..Draft::default()
    })
}

/// Tenths of a second below ten, else whole seconds.
fn rounded(gap_ms: i64, notes: &mut Notes) -> u64 {
    if gap_ms > PAUSE_MS_MOST {
        notes.add(format!("a pause longer than {}s was shortened", PAUSE_MS_MOST / 1000));
    }
    let gap_ms = u64::try_from(gap_ms.min(PAUSE_MS_MOST)).unwrap_or(0);
    let step_ms = if gap_ms < 10_000 { 100 } else { 1000 };
    (gap_ms + step_ms / 2) / step_ms * step_ms
}
