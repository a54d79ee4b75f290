//! Where the control groups of this process say what they allow, in both versions.
//!
//! A limit holds for all groups below, so whoever looks for one looks at the process's own group and at all above it.

use std::fs;
use std::path::PathBuf;

/// The folders in which `controller` may be told of, from the process's own group up to the root.
///
/// In version 2 there is one hierarchy, in version 1 one per controller; where both are mounted, a controller is in one
/// of them. Inside a container the own group may be mounted as the root, hence names that do not exist here.
pub(crate) fn folders(controller: &str) -> Vec<PathBuf> {
    folders_of(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), controller)
}

fn folders_of(groups: &str, controller: &str) -> Vec<PathBuf> {
    let parts = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let parts: Vec<(&str, &str)> = parts.collect();
    let version_1 = parts.iter().find(|(names, _)| names.split(',').any(|name| name == controller));
    let version_2 = parts.iter().find(|(names, _)| names.is_empty());
    let roots = [
        (format!("/sys/fs/cgroup/{controller}"), version_1),
        ("/sys/fs/cgroup".to_owned(), version_2),
        ("/sys/fs/cgroup/unified".to_owned(), version_2),
    ];
    let mut folders = Vec::new();
    for (root, part) in roots {
        let Some((_, group)) = part else { continue };
        let mut group = group.trim_matches('/');
        while !group.is_empty() {
            folders.push(PathBuf::from(format!("{root}/{group}")));
            group = group.rsplit_once('/').map_or("", |(above, _)| above);
        }
        folders.push(PathBuf::from(root));
    }
    folders
}

/// The least of what `read` makes of the files called `name` in `folders`; `None` where none of them says anything.
pub(crate) fn least<T: PartialOrd>(
    folders: &[PathBuf],
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let told = folders.iter().filter_map(|folder| read(&fs::read_to_string(folder.join(name)).ok()?));
    told.reduce(|least, other| if other < least { other } else { least })
}

/// Cores of a quota: `cpu.max` of version 2, or `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1 in one line.
pub(crate) fn quota_of(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace().map_while(|word| word.parse::<f64>().ok());
    let (quota, period) = (numbers.next()?, numbers.next()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// The cores that the group of `folder` may use; `None` without a quota.
pub(crate) fn quota(folder: &std::path::Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    if let Some(text) = read("cpu.max") {
        return quota_of(&text);
    }
    quota_of(&format!("{} {}", read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_above_are_looked_at_too() {
        let shown = |groups| -> Vec<String> {
            folders_of(groups, "cpu").iter().map(|folder| folder.display().to_string()).collect()
        };
        assert_eq!(
            shown("0::/a/b\n"),
            [
                "/sys/fs/cgroup/a/b",
                "/sys/fs/cgroup/a",
                "/sys/fs/cgroup",
                "/sys/fs/cgroup/unified/a/b",
                "/sys/fs/cgroup/unified/a",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert_eq!(
            shown("4:cpuset:/\n3:cpu,cpuacct:/docker/x\n"),
            ["/sys/fs/cgroup/cpu/docker/x", "/sys/fs/cgroup/cpu/docker", "/sys/fs/cgroup/cpu"]
        );
        assert!(shown("").is_empty());
    }

    #[test]
    fn quotas_of_both_versions_are_read() {
        assert_eq!(quota_of("50000 100000\n"), Some(0.5));
        assert_eq!(quota_of("max 100000\n"), None);
        assert_eq!(quota_of("-1\n 100000\n"), None);
        assert_eq!(quota_of("150000\n 100000\n"), Some(1.5));
    }
}
