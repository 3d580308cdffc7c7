//! How long a battery lasts: with the radio alone, and with the whole phone.

/// A phone's battery, and what the phone takes from it besides the radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    /// What it holds, in milliwatt hours.
    pub capacity_mwh: u32,
    /// What all else in the phone takes on average, in milliwatts.
    pub baseline_mw: u32,
}

impl Battery {
    /// 15 Wh, as phones have today (3900 mAh at 3.85 V), and 269 mW, a phone that is awake with its display off (Carroll
    /// and Heiser, "An analysis of power consumption in a smartphone", USENIX ATC 2010). How a phone is used moves the
    /// baseline by an order of magnitude, so it should be taken as a parameter.
    pub const PHONE: Battery = Battery { capacity_mwh: 15_000, baseline_mw: 269 };

    /// Hours that the battery lasts if nothing but the radio takes anything, at an average of `radio_mw` milliwatts.
    /// Infinite at zero.
    pub fn radio_life(&self, radio_mw: f64) -> f64 {
        f64::from(self.capacity_mwh) / radio_mw
    }

    /// Hours that the battery lasts with the whole phone, whose radio takes `radio_mw` milliwatts on average. Infinite if
    /// that and the baseline are zero.
    pub fn phone_life(&self, radio_mw: f64) -> f64 {
        f64::from(self.capacity_mwh) / (f64::from(self.baseline_mw) + radio_mw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_less_radio_is_not_ten_times_the_life_of_a_phone() {
        let battery = Battery { capacity_mwh: 15_000, baseline_mw: 100 };
        assert_eq!((battery.radio_life(400.0), battery.radio_life(40.0)), (37.5, 375.0));
        assert_eq!(battery.phone_life(400.0), 30.0);
        assert!((battery.phone_life(40.0) / battery.phone_life(400.0) - 500.0 / 140.0).abs() < 1e-12);
        assert_eq!(Battery { baseline_mw: 0, ..battery }.phone_life(40.0), battery.radio_life(40.0));
        assert_eq!(Battery { baseline_mw: 0, ..battery }.phone_life(0.0), f64::INFINITY);
    }
}
