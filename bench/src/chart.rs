//! The results as a picture: for each request what the service gave, and what that is compared with.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::results::Results;

const WIDTH: u32 = 1000;
const BAR: u32 = 16;

/// Bars that would fit where the legend stands, below the others.
const LEGEND: u32 = 5;

/// Where names stand, left of the bars.
const NAMES: u32 = 300;

const OURS: RGBColor = RGBColor(31, 119, 180);
const BELOW: RGBColor = RGBColor(255, 127, 14);
const BARE: RGBColor = RGBColor(190, 190, 190);

/// Draws requests a second, as bars on a scale of powers of ten.
pub fn draw(results: &Results, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut bars = Vec::new();
    for row in &results.rows {
        let name = format!("{}: {}", row.store, row.request);
        bars.push((name, row.rate, OURS));
        bars.extend(row.below.map(|rate| (String::new(), rate, BELOW)));
        bars.extend(row.bare.map(|rate| (String::new(), rate, BARE)));
    }
    let most = bars.iter().map(|(_, rate, _)| *rate).fold(10.0, f64::max) * 2.0;
    let least = bars.iter().map(|(_, rate, _)| *rate).fold(1.0, f64::min) / 2.0;
    let height = BAR * (bars.len() as u32 + LEGEND) + 80;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let font = || ("sans-serif", 13).into_font();
    let mut chart = ChartBuilder::on(&area)
        .caption("requests a second", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((least..most).log_scale(), -f64::from(LEGEND)..bars.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_style(font())
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    let from_top = |place: usize| (bars.len() - place) as f64;
    let legend = [
        (OURS, "crossbar-groups"),
        (BELOW, "what is below: CouchDB asked directly, fdatasync"),
        (BARE, "bare actix-web"),
    ];
    for (color, meaning) in legend {
        let of_color = bars.iter().enumerate().filter(|(_, (_, _, of))| *of == color);
        let drawn = of_color.map(|(place, (_, rate, _))| {
            let top = from_top(place);
            Rectangle::new([(least, top - 0.1), (*rate, top - 0.9)], color.filled())
        });
        chart
            .draw_series(drawn)?
            .label(meaning)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
    }
    let rates = bars.iter().enumerate();
    chart.draw_series(rates.map(|(place, (_, rate, _))| {
        let text = if *rate < 10.0 { format!(" {rate:.1}") } else { format!(" {rate:.0}") };
        Text::new(text, (*rate, from_top(place) - 0.1), ("sans-serif", 11))
    }))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .label_font(font())
        .draw()?;
    // names stand left of the axis, where a chart draws nothing of its own
    for (place, (name, ..)) in bars.iter().enumerate() {
        let (_, top) = chart.backend_coord(&(least, from_top(place) - 0.1));
        area.draw(&Text::new(name.as_str(), (15, top), font()))?;
    }
    area.present()?;
    Ok(())
}
