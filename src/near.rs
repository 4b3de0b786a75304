//! Which name is meant by one that is not there.

/// The name that is nearest to one that is not there: at most a third of its letters differ.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = names.map(|other| (strsim::damerau_levenshtein(name, other), other));
    let (distance, nearest) = near.min()?;
    (distance * 3 <= name.chars().count().max(3)).then_some(nearest)
}
