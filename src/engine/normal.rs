//! The quantile of the normal distribution, the same on every machine.

#![expect(clippy::excessive_precision, reason = "the digits are those of the paper")]

/// Below this distance from one half the central approximation holds.
const CENTRE: f64 = 0.425;
const CENTRE_SQUARED: f64 = 0.180_625;
/// The two approximations of the tails meet at this `sqrt(-ln(tail))`.
const FAR: f64 = 5.0;
const NEAR_SHIFT: f64 = 1.6;

// Coefficients by ascending power: numerator and denominator of each of the three rational approximations.
const CENTRE_OVER: [f64; 8] = [
    3.387_132_872_796_366_608_0,
    1.331_416_678_917_843_774_5e2,
    1.971_590_950_306_551_442_7e3,
    1.373_169_376_550_946_112_5e4,
    4.592_195_393_154_987_145_7e4,
    6.726_577_092_700_870_085_3e4,
    3.343_057_558_358_812_810_5e4,
    2.509_080_928_730_122_672_7e3,
];
const CENTRE_UNDER: [f64; 8] = [
    1.0,
    4.231_333_070_160_091_125_2e1,
    6.871_870_074_920_579_083_0e2,
    5.394_196_021_424_751_107_7e3,
    2.121_379_430_158_659_586_7e4,
    3.930_789_580_009_271_061_0e4,
    2.872_908_573_572_194_267_4e4,
    5.226_495_278_852_854_561_0e3,
];
const NEAR_OVER: [f64; 8] = [
    1.423_437_110_749_683_577_34,
    4.630_337_846_156_545_295_90,
    5.769_497_221_460_691_405_50,
    3.647_848_324_763_204_605_04,
    1.270_458_252_452_368_382_58,
    2.417_807_251_774_506_117_70e-1,
    2.272_384_498_926_918_458_33e-2,
    7.745_450_142_783_414_076_40e-4,
];
const NEAR_UNDER: [f64; 8] = [
    1.0,
    2.053_191_626_637_758_821_87,
    1.676_384_830_183_803_849_40,
    6.897_673_349_851_000_045_50e-1,
    1.481_039_764_274_800_745_90e-1,
    1.519_866_656_361_645_719_66e-2,
    5.475_938_084_995_344_946_00e-4,
    1.050_750_071_644_416_843_24e-9,
];
const FAR_OVER: [f64; 8] = [
    6.657_904_643_501_103_777_20,
    5.463_784_911_164_114_369_90,
    1.784_826_539_917_291_335_80,
    2.965_605_718_285_048_912_30e-1,
    2.653_218_952_657_612_309_30e-2,
    1.242_660_947_388_078_438_60e-3,
    2.711_555_568_743_487_578_15e-5,
    2.010_334_399_292_288_132_65e-7,
];
const FAR_UNDER: [f64; 8] = [
    1.0,
    5.998_322_065_558_879_376_90e-1,
    1.369_298_809_227_358_053_10e-1,
    1.487_536_129_085_061_485_25e-2,
    7.868_691_311_456_132_591_00e-4,
    1.846_318_317_510_054_681_80e-5,
    1.421_511_758_316_445_888_70e-7,
    2.044_263_103_389_939_785_64e-15,
];

/// The value that a standard normal variable falls below with probability `u`; infinite at 0 and 1.
///
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), PPND16:
/// accurate to about one part in 10^16.
pub(super) fn normal_quantile(u: f64) -> f64 {
    debug_assert!((0.0..=1.0).contains(&u), "{u} is no probability");
    let q = u - 0.5;
    if q.abs() <= CENTRE {
        let r = CENTRE_SQUARED - q * q;
        return q * ratio(&CENTRE_OVER, &CENTRE_UNDER, r);
    }
    // 1 - u is exact here: u is above one half.
    let tail = if q < 0.0 { u } else { 1.0 - u };
    if tail <= 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-libm::log(tail)).sqrt();
    let size = match r <= FAR {
        true => ratio(&NEAR_OVER, &NEAR_UNDER, r - NEAR_SHIFT),
        false => ratio(&FAR_OVER, &FAR_UNDER, r - FAR),
    };
    size.copysign(q)
}

/// One polynomial over another, both by Horner's rule.
fn ratio(over: &[f64; 8], under: &[f64; 8], x: f64) -> f64 {
    let value = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient);
    value(over) / value(under)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability below `x`, from the error function of the library.
    fn below(x: f64) -> f64 {
        0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
    }

    #[test]
    fn percentage_points_are_those_of_the_tables() {
        // Wichura's own test values, and the points that everyone knows.
        let points = [
            (0.25, -0.674_489_750_196_081_7),
            (0.001, -3.090_232_306_167_814),
            (1e-20, -9.262_340_089_798_408),
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.841_344_746_068_542_9, 1.0),
        ];
        for (u, exact) in points {
            let found = normal_quantile(u);
            assert!((found - exact).abs() <= 1e-15 * exact.abs().max(1.0), "{u}: {found}, not {exact}");
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn the_quantile_inverts_the_error_function_from_tail_to_tail() {
        for step in 0..=4_000 {
            let x = f64::from(step) / 500.0 - 8.0;
            let found = normal_quantile(below(x));
            assert!((found - x).abs() <= 2e-14 * x.abs().max(0.1), "{x}: {found}");
        }
        for step in 1..1_000 {
            let u = f64::from(step) / 1_024.0;
            assert_eq!(normal_quantile(u), -normal_quantile(1.0 - u), "the two halves mirror each other");
        }
    }
}
