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
    fn percentiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), percentile(&values, 0.99), percentile(&values, 0.0)), (3.0, 5.0, 1.0));
        assert_eq!(median(&[]), 0.0);
    }
}
