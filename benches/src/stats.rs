//! Medians, percentiles, and a straight line through points.

/// The value below which `part` (0 to 1) of them lie; 0 of none.
#[must_use]
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// The middle one.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// A straight line, by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// At x = 0.
    pub start: f64,
    /// Of y per x.
    pub slope: f64,
    /// The largest distance of a point from the line, in y.
    pub residual: f64,
}

/// The line through these points.
#[must_use]
pub fn fit(points: &[(f64, f64)]) -> Line {
    let n = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
    let under = points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    let slope = if under > 0.0 { over / under } else { 0.0 };
    let start = y - slope * x;
    let off = points.iter().map(|point| (point.1 - start - slope * point.0).abs());
    Line { start, slope, residual: off.fold(0.0, f64::max) }
}

/// The line that a few wild points do not move: its slope is the median of the slopes between all pairs of points of
/// different `x` (Theil and Sen), its start the median of what that leaves. For rates on a machine whose host has other
/// guests: one of them, met by one run, would turn a line of least squares.
#[must_use]
pub fn fit_robust(points: &[(f64, f64)]) -> Line {
    let pairs = points.iter().enumerate().flat_map(|(at, a)| points[at + 1..].iter().map(move |b| (a, b)));
    // Points of one size differ by a few bytes: what lies between those is noise.
    let span = points.iter().map(|point| point.0).fold(0.0, f64::max) / 64.0;
    let apart = pairs.filter(|(a, b)| (b.0 - a.0).abs() > span);
    let slope = median(&apart.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect::<Vec<_>>());
    let start = median(&points.iter().map(|point| point.1 - slope * point.0).collect::<Vec<_>>());
    let off = points.iter().map(|point| (point.1 - start - slope * point.0).abs());
    Line { start, slope, residual: off.fold(0.0, f64::max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_its_worst_point() {
        let line = fit(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]);
        assert!((line.start - 1.0).abs() < 1e-9 && (line.slope - 2.0).abs() < 1e-9 && line.residual < 1e-9);
        assert!(fit(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]).residual > 0.3);
    }

    #[test]
    fn a_wild_point_does_not_turn_a_robust_line() {
        let mut points: Vec<_> = (0..20).map(|i| (f64::from(i), 1.0 + 2.0 * f64::from(i))).collect();
        points[19].1 += 500.0;
        let line = fit_robust(&points);
        assert!((line.slope - 2.0).abs() < 1e-9 && (line.start - 1.0).abs() < 1e-9);
        assert!(fit(&points).slope > 5.0);
        assert_eq!(fit_robust(&[]).slope, 0.0);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), percentile(&values, 0.99), percentile(&values, 0.0)), (3.0, 5.0, 1.0));
        assert_eq!(median(&[]), 0.0);
    }
}
