//! The checksum of frames, headers and journal slots against the polynomial itself.

use switchover_core::wire::crc::Crc32c;

/// One bit at a time, as the definition says.
fn by_definition(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |remainder, byte| {
        (0..8).fold(remainder ^ u32::from(*byte), |remainder, _| {
            if remainder & 1 == 1 { remainder >> 1 ^ 0x82F6_3B78 } else { remainder >> 1 }
        })
    })
}

#[test]
fn the_check_value_is_that_of_the_catalogue_of_crcs() {
    assert_eq!(Crc32c::of(b"123456789"), 0xE306_9283);
}

#[test]
fn every_length_agrees_with_the_definition_and_every_flipped_bit_shows() {
    for length in 0..100_usize {
        let mut bytes: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
        let whole = Crc32c::of(&bytes);
        assert_eq!(whole, by_definition(&bytes), "{length} bytes");
        for bit in 0..length * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Crc32c::of(&bytes), whole, "{length} bytes, bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    let bytes: Vec<u8> = (0..=255).collect();
    for cut in 0..bytes.len() {
        let mut running = Crc32c::new();
        running.update(&bytes[..cut]);
        running.update(&bytes[cut..]);
        assert_eq!(running.value(), Crc32c::of(&bytes));
    }
}
