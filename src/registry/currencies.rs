//! The currencies that are in use, and the one that somebody may have meant.

use super::record::Currency;

/// The codes of national currencies (ISO 4217, list one, as of 2025), in order. Funds, metals and test codes are left out.
const CODES: &str = "\
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY \
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS \
    INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP \
    MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR \
    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND \
    VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// Every currency in use, in order of its code.
pub fn currencies() -> impl Iterator<Item = Currency> {
    CODES.split_ascii_whitespace().filter_map(|code| Currency::new(code.as_bytes()))
}

/// Whether `currency` is in use.
pub fn is_known(currency: Currency) -> bool {
    // All codes are of one length, so a code's place in the text tells its place in the list.
    let code = |index: usize| &CODES.as_bytes()[4 * index..4 * index + 3];
    let (mut from, mut to) = (0, CODES.len().div_ceil(4));
    while from < to {
        let middle = usize::midpoint(from, to);
        match code(middle).cmp(currency.code().as_slice()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = middle + 1,
            std::cmp::Ordering::Greater => to = middle,
        }
    }
    false
}

/// The currency in use whose code is most like `text`; the first of several that are equally like it.
pub fn closest(text: &str) -> Option<Currency> {
    let text: String = text.chars().take(8).map(|letter| letter.to_ascii_uppercase()).collect();
    currencies().min_by_key(|known| strsim::damerau_levenshtein(&known.to_string(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_every_code_of_it_is_known() {
        let all: Vec<_> = currencies().collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        assert_eq!(all.len(), CODES.split_ascii_whitespace().count());
        assert!(all.len() > 150 && all.iter().all(|&currency| is_known(currency)));
        for unknown in ["AAA", "XYZ", "EUS", "ZZZ"] {
            assert!(!is_known(unknown.parse().unwrap()), "{unknown}");
        }
    }

    #[test]
    fn a_mistyped_code_finds_the_one_that_was_meant() {
        for (typed, meant) in [("UER", "EUR"), ("usd", "USD"), ("GPB", "GBP"), ("JPYY", "JPY"), ("", "AED")] {
            assert_eq!(closest(typed).unwrap().to_string(), meant, "{typed}");
        }
    }
}
