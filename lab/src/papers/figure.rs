//! A plot, drawn as SVG.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// A plot of a paper's figure, ours and, where points of it are printed, theirs.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What is drawn; at most eight, so that colours tell them apart.
    pub series: Vec<Series>,
}

/// One axis. It reaches as far as the data.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// What it counts, with its unit.
    pub label: String,
    /// How.
    pub scale: Scale,
}

/// How an axis counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// From nothing on, in even steps.
    Linear,
    /// In powers; only what is above zero can be shown.
    Logarithmic,
}

impl Axis {
    /// In even steps.
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Linear }
    }

    /// In powers.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), scale: Scale::Logarithmic }
    }

    /// From where to where it reaches, given what it has to show.
    fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let shown: Vec<f64> = values.filter(|value| self.shows(*value)).collect();
        let (least, most) = shown.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
        match self.scale {
            _ if shown.is_empty() => (1.0, 10.0),
            Scale::Linear if least >= 0.0 => (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }),
            Scale::Linear => (least * 1.05, most.max(0.0) * 1.05 + f64::EPSILON),
            Scale::Logarithmic => (least / 1.3, most * 1.3),
        }
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }
}

/// What belongs together in a plot.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Where.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As a line from point to point.
    Line,
    /// As marks: what was published, or what was measured once.
    Points,
}

impl Series {
    /// A line from point to point.
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), style: Style::Line, points }
    }

    /// A mark at every point.
    pub fn points(name: impl Into<String>, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), style: Style::Points, points }
    }
}

const SIZE: (u32, u32) = (800, 480);
const FONT: &str = "sans-serif";
/// Told apart by people who see few colours, and on white (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(130, 130, 130),
];

impl Figure {
    /// The plot as SVG, the same for the same figure.
    ///
    /// # Panics
    /// If it has more series than there are colours.
    pub fn svg(&self) -> String {
        assert!(self.series.len() <= COLOURS.len(), "{}: too many series to tell apart", self.name);
        let across = self.x.range(self.points().map(|(x, _)| x));
        let up = self.y.range(self.points().map(|(_, y)| y));
        let mut svg = String::new();
        let (x, y) = (across.0..across.1, up.0..up.1);
        match (self.x.scale, self.y.scale) {
            (Scale::Linear, Scale::Linear) => self.draw(&mut svg, x, y),
            (Scale::Linear, Scale::Logarithmic) => self.draw(&mut svg, x, y.log_scale()),
            (Scale::Logarithmic, Scale::Linear) => self.draw(&mut svg, x.log_scale(), y),
            (Scale::Logarithmic, Scale::Logarithmic) => self.draw(&mut svg, x.log_scale(), y.log_scale()),
        }
        .expect("a picture in memory can be drawn");
        svg
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }

    fn draw<X, Y>(&self, svg: &mut String, x: X, y: Y) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(66)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style((FONT, 13))
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let shown = series.points.iter().copied().filter(|(x, y)| self.x.shows(*x) && self.y.shows(*y));
            let drawn = match series.style {
                Style::Line => chart.draw_series(LineSeries::new(shown, colour.stroke_width(2)))?,
                Style::Points => chart.draw_series(shown.map(|at| Circle::new(at, 4, colour.filled())))?,
            };
            let style = series.style;
            drawn.label(&series.name).legend(move |(x, y)| match style {
                Style::Line => PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)).into_dyn(),
                Style::Points => Circle::new((x + 8, y), 4, colour.filled()).into_dyn(),
            });
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font((FONT, 13))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// A number beside an axis.
fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if (0.001..100_000.0).contains(&size) {
        let digits = format!("{value:.4}");
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.0e}")
    }
}
