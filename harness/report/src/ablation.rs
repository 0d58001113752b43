//! What cures are worth, in words and in cells: whatever the figure, above zero is for the better.

use brownout_measure::ablation::{Figure, Worth, ranking, worth};
use brownout_measure::record::{AblationRecord, RunRecord};

use crate::figures;
use crate::table::Table;

/// The title over the table.
pub(crate) const TITLE: &str = "What each cure is worth";

/// Prices are said for so many valid answers, so that they have digits.
const ANSWERS: f64 = 1_000.0;
/// Differences below these are none to speak of: a twentieth of a point, ten milliseconds, a tenth of a cent for a thousand
/// answers.
const SLIGHT: [f64; 3] = [0.000_5, 10.0, 1e-6];

/// How the table is read.
pub(crate) fn note(record: &RunRecord) -> String {
    let Some(row) = record.results.ablation.first() else {
        return String::new();
    };
    let idle = match idle(record).as_slice() {
        [] => String::new(),
        idle => format!(" No difference here: {}.", idle.join(", ")),
    };
    format!(
        "Alone: what {} gains with this cure and no other. In the whole: what {} loses without it. Above zero is for the \
         better in every column: points of goodput (valid answers of all that were due), a shorter p99, fewer dollars for \
         a thousand valid answers. Of requests that fail no latency is counted, so a cure that saves them can lengthen the \
         p99.{idle}",
        row.base, row.full
    )
}

/// Which cure is worth most and which costs most. `None` where nothing was ablated.
pub(crate) fn headline(record: &RunRecord) -> Option<String> {
    let figure = if slight(Figure::Goodput, best(record, Figure::Goodput)?.1) {
        Figure::P99
    } else {
        Figure::Goodput
    };
    let (cure, worth) = best(record, figure)?;
    let most = if slight(figure, worth) {
        "No cure is worth anything to speak of".to_owned()
    } else {
        format!("Worth most: {cure} ({})", both(figure, worth))
    };
    Some(format!("{most}. {}", dearest(record)?))
}

fn best(record: &RunRecord, figure: Figure) -> Option<(String, Worth)> {
    let (row, worth) = ranking(record, figure).into_iter().next()?;
    Some((row.cure.clone(), worth))
}

fn dearest(record: &RunRecord) -> Option<String> {
    let (row, worth) = ranking(record, Figure::Cost).into_iter().next_back()?;
    Some(if slight(Figure::Cost, worth) || worth.sum() > 0.0 {
        "None makes valid answers dearer".to_owned() + "."
    } else {
        format!("Dearest: {} ({}).", row.cure, both(Figure::Cost, worth))
    })
}

/// The cures that change `figure`, the best first, and the names of those that do not.
pub(crate) fn changing(record: &RunRecord, figure: Figure) -> (Vec<(&AblationRecord, Worth)>, Vec<&str>) {
    let changes = |worth: &Worth| {
        let is_large = |gain: Option<f64>| gain.is_none_or(|gain| gain.abs() >= limit(figure));
        is_large(worth.alone) || is_large(worth.without)
    };
    let (changing, idle): (Vec<_>, Vec<_>) = ranking(record, figure)
        .into_iter()
        .partition(|(_, worth)| changes(worth));
    (changing, idle.into_iter().map(|(row, _)| row.cure.as_str()).collect())
}

fn slight(figure: Figure, worth: Worth) -> bool {
    worth.sum().abs() < limit(figure)
}

const fn limit(figure: Figure) -> f64 {
    let [goodput, p99, cost] = SLIGHT;
    match figure {
        Figure::Goodput => goodput,
        Figure::P99 => p99,
        Figure::Cost => cost,
    }
}

/// Both differences of a cure, with unit.
pub(crate) fn both(figure: Figure, worth: Worth) -> String {
    let of = |gain: Option<f64>| gain.map_or_else(|| figures::NONE.to_owned(), |gain| signed(figure, gain));
    let what = match figure {
        Figure::Goodput => "points of goodput",
        Figure::P99 => "p99 saved",
        Figure::Cost => "saved on 1,000 valid answers",
    };
    format!("{what}: {} alone, {} in the whole", of(worth.alone), of(worth.without))
}

/// A difference with its sign.
pub(crate) fn signed(figure: Figure, gain: f64) -> String {
    let sign = if gain < 0.0 { "−" } else { "+" };
    let size = gain.abs();
    match figure {
        _ if size < limit(figure) => "0".to_owned(),
        Figure::Goodput => format!("{sign}{:.1}", size * 100.0),
        Figure::P99 => format!("{sign}{}", figures::milliseconds(size)),
        Figure::Cost => format!("{sign}{}", figures::usd(size * ANSWERS)),
    }
}

/// The names of those that change nothing at all here.
fn idle(record: &RunRecord) -> Vec<&str> {
    let [goodput, p99, cost] = Figure::ALL.map(|figure| changing(record, figure).1);
    goodput
        .into_iter()
        .filter(|cure| p99.contains(cure) && cost.contains(cure))
        .collect()
}

/// One row a cure that changes anything, the best first by goodput.
pub(crate) fn table(record: &RunRecord) -> Option<Table> {
    if record.results.ablation.is_empty() {
        return None;
    }
    let head = [
        "cure",
        "goodput alone",
        "in the whole",
        "p99 alone",
        "in the whole",
        "$/1,000 alone",
        "in the whole",
    ];
    let mut table = Table::new(head.map(str::to_owned).to_vec());
    let idle = idle(record);
    let rows = ranking(record, Figure::Goodput).into_iter();
    for (row, _) in rows.filter(|(row, _)| !idle.contains(&row.cure.as_str())) {
        let cells = Figure::ALL.into_iter().flat_map(|figure| {
            let worth = worth(record, row, figure);
            [worth.alone, worth.without]
                .map(|gain| gain.map_or_else(|| figures::NONE.to_owned(), |gain| signed(figure, gain)))
        });
        table.push(std::iter::once(row.cure.clone()).chain(cells).collect());
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_first_line_names_what_is_worth_most_and_what_costs_most() {
        let line = headline(&sample::ablated()).unwrap_or_default();
        assert!(line.starts_with("Worth most: retry (points of goodput: +"), "{line}");
        assert!(
            line.contains("Dearest: fallback (saved on 1,000 valid answers: −$"),
            "{line}"
        );
        assert_eq!(headline(&sample::record()), None);
        let mut none = sample::ablated();
        none.results.ablation.truncate(1);
        (none.results.ablation[0].alone, none.results.ablation[0].without) = (None, None);
        let line = headline(&none).unwrap_or_default();
        assert_eq!(
            line,
            "No cure is worth anything to speak of. None makes valid answers dearer."
        );
    }

    #[test]
    fn cures_in_a_table() {
        insta::assert_snapshot!(table(&sample::ablated()).map(|table| table.plain()).unwrap_or_default());
    }
}
