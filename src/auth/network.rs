//! Where requests come from, as far as clients can be told apart by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many leading bits of an IPv6 address are one client's, one site's, one provider's: a home or a server has at
/// least a /64 and may use all of it, a site mostly a /48, a provider a /32 or more (RFC 6177, RFC 7934).
const CLIENT_BITS: u8 = 64;
const SITE_BITS: u8 = 48;
const REGION_BITS: u8 = 32;

/// The same of a provider's IPv4 addresses.
const REGION_BITS_V4: u8 = 16;

/// A network: the addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// What one client may have: its IPv4 address, or the /64 around its IPv6 address.
    pub fn of_client(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::v4(address, 32),
            IpAddr::V6(address) => Self::v6(address, CLIENT_BITS),
        }
    }

    /// The site around a client: the /48 of an IPv6 one. Behind IPv4 addresses that are close may be anybody.
    pub fn site(self) -> Option<Self> {
        match self.first {
            IpAddr::V4(_) => None,
            IpAddr::V6(first) => Some(Self::v6(first, SITE_BITS)),
        }
    }

    /// The part of the internet that it is in: a /16 of IPv4, a /32 of IPv6.
    pub fn region(self) -> Self {
        match self.first {
            IpAddr::V4(first) => Self::v4(first, REGION_BITS_V4),
            IpAddr::V6(first) => Self::v6(first, REGION_BITS),
        }
    }

    fn v4(address: Ipv4Addr, bits: u8) -> Self {
        let mask = u32::MAX << (u32::BITS - u32::from(bits));
        Self { first: IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)), bits }
    }

    fn v6(address: Ipv6Addr, bits: u8) -> Self {
        let mask = u128::MAX << (u128::BITS - u32::from(bits));
        Self { first: IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)), bits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ipv4_address_is_a_client_of_its_own(one: Ipv4Addr, other: Ipv4Addr) {
            let client = |address| Network::of_client(IpAddr::V4(address));
            prop_assert_eq!(client(one) == client(other), one == other);
            prop_assert_eq!(client(one), Network::of_client(IpAddr::V6(one.to_ipv6_mapped())));
            prop_assert_eq!(client(one).site(), None);
            let is_near = one.octets()[..2] == other.octets()[..2];
            prop_assert_eq!(client(one).region() == client(other).region(), is_near);
        }

        #[test]
        fn a_64_is_one_client_and_a_48_one_site(site in 0x2000_0000_0000_u128.., one: u128, other: u128) {
            let site = site << 80;
            let address = |below: u128| Ipv6Addr::from_bits(site | (below >> 48));
            let client = |below| Network::of_client(IpAddr::V6(address(below)));
            let is_same = address(one).segments()[..4] == address(other).segments()[..4];
            prop_assert_eq!(client(one) == client(other), is_same);
            prop_assert_eq!(client(one).site(), client(other).site());
            prop_assert_eq!(client(one).region(), client(other).region());
        }
    }
}
