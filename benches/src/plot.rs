//! A small picture of downtime against final dirty bytes: one SVG file that needs nothing beside it.

use crate::stats::Line;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 60.0;

/// Points in (bytes, seconds), the line through them, and that of a bare `writev`.
#[must_use]
pub fn svg(points: &[(f64, f64)], ours: Line, raw: Line) -> String {
    let most = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(0.0, f64::max) * 1.05;
    let (x_max, y_max) = (most(|point| point.0).max(1.0), most(|point| point.1).max(1e-6));
    let x = |bytes: f64| MARGIN + bytes / x_max * (WIDTH - 2.0 * MARGIN);
    let y = |seconds: f64| HEIGHT - MARGIN - seconds / y_max * (HEIGHT - 2.0 * MARGIN);
    let mut body = String::new();
    for part in 0..=4 {
        let part = f64::from(part) / 4.0;
        let (bytes, seconds) = (x_max * part, y_max * part);
        body += &format!(
            "<text x='{:.0}' y='{:.0}' text-anchor='middle'>{:.0} MiB</text><text x='{:.0}' y='{:.0}' text-anchor='end'>{:.1} ms</text>\n",
            x(bytes),
            HEIGHT - MARGIN + 20.0,
            bytes / f64::from(1 << 20),
            MARGIN - 8.0,
            y(seconds) + 4.0,
            seconds * 1e3
        );
    }
    for (line, colour) in [(ours, "#06c"), (raw, "#999")] {
        let end = (line.start + line.slope * x_max).max(0.0);
        body += &format!(
            "<line x1='{:.1}' y1='{:.1}' x2='{:.1}' y2='{:.1}' stroke='{colour}' stroke-width='1.5'/>\n",
            x(0.0),
            y(line.start.max(0.0)),
            x(x_max),
            y(end)
        );
    }
    for (bytes, seconds) in points {
        body += &format!("<circle cx='{:.1}' cy='{:.1}' r='3' fill='#06c'/>\n", x(*bytes), y(*seconds));
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n\
         <text x='{MARGIN}' y='30' font-size='15'>Downtime against final dirty bytes</text>\n\
         <text x='{MARGIN}' y='48'><tspan fill='#06c'>switchover, each run and their line</tspan> <tspan fill='#777'>  bare writev into a guest memory</tspan></text>\n\
         <path d='M{MARGIN} {MARGIN}V{0}H{1}' fill='none' stroke='black'/>\n{body}</svg>\n",
        HEIGHT - MARGIN,
        WIDTH - MARGIN
    )
}
