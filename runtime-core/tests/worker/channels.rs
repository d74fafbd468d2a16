//! Runs tests over both kinds of channels.

/// Makes two tests of each of these functions: one for each kind of channel.
macro_rules! over_both {
    ($($test:ident,)*) => {
        mod over_rings {
            $(#[test] fn $test() { super::$test(super::ChannelKind::Ring) })*
        }
        mod over_pipes {
            $(#[test] fn $test() { super::$test(super::ChannelKind::Fifo) })*
        }
    };
}
