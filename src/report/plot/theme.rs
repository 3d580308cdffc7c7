//! Colours of charts, for light and for dark paper.
//!
//! Series have the colours of Okabe and Ito ("Color Universal Design", 2008, jfly.uni-koeln.de/color), which people
//! tell apart whatever colours they see. Yellow, orange and sky blue are too pale for lines on white, so the light theme
//! has black and the wine red of Paul Tol ("Colour Schemes", SRON/EPS/TN/09-002, 2021) instead; on dark paper black is
//! white and blue is sky blue. The tests hold every colour against its paper by the contrast of WCAG 2.2 (3 to 1 for
//! graphics, 4.5 to 1 for text), and colours against each other as people without one kind of cone see them. Heat maps
//! have viridis (van der Walt and Smith, 2015), whose lightness rises evenly.

/// Red, green, blue.
pub(in crate::report) type Rgb = (u8, u8, u8);

/// The paper that charts are drawn for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// White paper.
    #[default]
    Light,
    /// A dark screen.
    Dark,
}

/// What is drawn in which colour.
#[derive(Debug)]
pub(in crate::report) struct Colours {
    pub(in crate::report) paper: Rgb,
    pub(in crate::report) ink: Rgb,
    pub(in crate::report) grid: Rgb,
    pub(in crate::report) series: [Rgb; 6],
}

const LIGHT: Colours = Colours {
    paper: (255, 255, 255),
    ink: (34, 34, 34),
    grid: (221, 221, 221),
    series: [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (0, 0, 0), (136, 34, 85)],
};

const DARK: Colours = Colours {
    paper: (24, 27, 32),
    ink: (230, 230, 232),
    grid: (62, 66, 74),
    series: [(86, 180, 233), (213, 94, 0), (0, 158, 115), (204, 121, 167), (255, 255, 255), (240, 228, 66)],
};

impl Theme {
    /// The colours of this theme.
    pub(in crate::report) const fn colours(self) -> &'static Colours {
        match self {
            Theme::Light => &LIGHT,
            Theme::Dark => &DARK,
        }
    }

    /// What is put to the name of a file: nothing for light paper.
    pub(in crate::report) const fn suffix(self) -> &'static str {
        match self {
            Theme::Light => "",
            Theme::Dark => "-dark",
        }
    }
}

const VIRIDIS: [Rgb; 9] = [
    (68, 1, 84),
    (71, 45, 123),
    (59, 82, 139),
    (44, 114, 142),
    (33, 145, 140),
    (40, 174, 128),
    (94, 201, 98),
    (173, 220, 48),
    (253, 231, 37),
];

/// The colour of `share`, from 0 to 1, in a heat map.
pub(in crate::report) fn heat(share: f64) -> Rgb {
    let place = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let index = (place as usize).min(VIRIDIS.len() - 2);
    let (from, to, part) = (VIRIDIS[index], VIRIDIS[index + 1], place - index as f64);
    let mix = |from: u8, to: u8| libm::round(f64::from(from) + part * (f64::from(to) - f64::from(from))) as u8;
    (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Black or white, whichever is read better on `background`.
pub(in crate::report) fn ink_on(background: Rgb) -> Rgb {
    let (black, white) = ((0, 0, 0), (255, 255, 255));
    if contrast(background, white) > contrast(background, black) { white } else { black }
}

/// The contrast of two colours, from 1 to 21, by WCAG 2.2.
pub(in crate::report) fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = linear(colour);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// Light of each primary, from 0 to 1 (sRGB, IEC 61966-2-1).
fn linear((red, green, blue): Rgb) -> [f64; 3] {
    [red, green, blue].map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { libm::pow((part + 0.055) / 1.055, 2.4) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stand_out_from_their_paper() {
        assert!((contrast((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 1e-9, "as WCAG says");
        for theme in [Theme::Light, Theme::Dark] {
            let colours = theme.colours();
            assert!(contrast(colours.ink, colours.paper) >= 4.5, "{theme:?}: text");
            for colour in colours.series {
                assert!(contrast(colour, colours.paper) >= 3.0, "{theme:?}: {colour:?}");
            }
        }
        for step in 0..=100 {
            let colour = heat(f64::from(step) / 100.0);
            assert!(contrast(colour, ink_on(colour)) >= 4.5, "{colour:?}");
        }
    }

    /// What the eye makes of a colour without cones for long, medium or short waves: Machado, Oliveira and Fernandes,
    /// "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, at full severity.
    const SIGHT: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    ];

    /// CIELAB of a colour as it is seen.
    fn lab(colour: Rgb, sight: &[[f64; 3]; 3]) -> [f64; 3] {
        let light = linear(colour);
        let times = |row: &[f64; 3], light: &[f64; 3]| row[0] * light[0] + row[1] * light[1] + row[2] * light[2];
        let seen = [0, 1, 2].map(|row| times(&sight[row], &light).clamp(0.0, 1.0));
        let of = |row: [f64; 3], white: f64| {
            let value = times(&row, &seen) / white;
            if value > 216.0 / 24389.0 { libm::cbrt(value) } else { (24389.0 / 27.0 * value + 16.0) / 116.0 }
        };
        let x = of([0.4124564, 0.3575761, 0.1804375], 0.95047);
        let y = of([0.2126729, 0.7151522, 0.072175], 1.0);
        let z = of([0.0193339, 0.119192, 0.9503041], 1.08883);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn colours_differ_for_everybody() {
        for theme in [Theme::Light, Theme::Dark] {
            let series = theme.colours().series;
            for sight in &SIGHT {
                for (index, &one) in series.iter().enumerate() {
                    for &other in &series[..index] {
                        let (a, b) = (lab(one, sight), lab(other, sight));
                        let squares = (0..3).map(|part| (a[part] - b[part]) * (a[part] - b[part]));
                        let distance = libm::sqrt(squares.fold(0.0, |sum, square| sum + square));
                        // A difference of 2.3 can just be noticed side by side (Sharma, 2003).
                        assert!(distance > 15.0, "{theme:?}: {one:?} and {other:?} are {distance:.1} apart");
                    }
                }
            }
        }
    }

    #[test]
    fn heat_gets_lighter() {
        let lights: Vec<f64> = (0..=64).map(|step| luminance(heat(f64::from(step) / 64.0))).collect();
        assert!(lights.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((heat(-1.0), heat(2.0)), (VIRIDIS[0], VIRIDIS[8]));
    }
}
