//! Cycles of imports: their files, their lines, and the shortest cycle in each.

use crate::imports::Imports;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Describes each cycle of a crate: files that all import one another, directly or through others.
pub fn circles(imports: &Imports) -> Vec<String> {
    let mut to: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, imported) in imports.lines.keys() {
        to.entry(*from).or_default().push(*imported);
    }
    components(&to).iter().map(|files| describe(imports, &to, files)).collect()
}

fn describe(
    imports: &Imports,
    to: &BTreeMap<usize, Vec<usize>>,
    files: &BTreeSet<usize>,
) -> String {
    let paths: Vec<String> =
        files.iter().map(|file| imports.path(*file).display().to_string()).collect();
    let mut text = format!("{} files import one another: {}\n", files.len(), paths.join(", "));
    for (from, imported) in imports.lines.keys() {
        if files.contains(from) && files.contains(imported) {
            for line in imports.show(*from, *imported) {
                text += &format!("  {line}\n");
            }
        }
    }
    let circle = files.iter().map(|file| shortest(to, *file)).min_by_key(Vec::len);
    text += "  the shortest circle in it:\n";
    for step in circle.expect("a component has files").windows(2) {
        text += &format!("    {}\n", imports.show(step[0], step[1])[0]);
    }
    text
}

/// Returns the sets of two or more files in which every file can be reached from every other one.
fn components(to: &BTreeMap<usize, Vec<usize>>) -> Vec<BTreeSet<usize>> {
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        to.keys().map(|from| (*from, reach(to, *from))).collect();
    let mut found: Vec<BTreeSet<usize>> = Vec::new();
    for (from, others) in &reached {
        if others.contains(from) && !found.iter().any(|files| files.contains(from)) {
            let is_back = |file: &&usize| reached.get(file).is_some_and(|of| of.contains(from));
            found.push(others.iter().filter(is_back).copied().collect());
        }
    }
    found
}

/// Returns the files that this file imports, directly or through others.
fn reach(to: &BTreeMap<usize, Vec<usize>>, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut left = vec![from];
    while let Some(file) = left.pop() {
        let imported = to.get(&file).into_iter().flatten().copied();
        left.extend(imported.filter(|imported| reached.insert(*imported)));
    }
    reached
}

/// Returns the shortest cycle through a file of a component. It begins and ends with that file.
fn shortest(to: &BTreeMap<usize, Vec<usize>>, file: usize) -> Vec<usize> {
    let mut before = BTreeMap::new();
    let mut left = VecDeque::from([file]);
    while let Some(from) = left.pop_front() {
        for imported in to.get(&from).into_iter().flatten() {
            if !before.contains_key(imported) {
                before.insert(*imported, from);
                left.push_back(*imported);
            }
        }
    }
    let mut circle = vec![file];
    loop {
        let previous = before[&circle[circle.len() - 1]];
        circle.push(previous);
        if previous == file {
            break;
        }
    }
    circle.reverse();
    circle
}
