import ipaddr from 'ipaddr.js'
import { StartError } from '../errors.js'

/** What beyond the public internet a webhook may reach. */
export interface Reach {
  /** Blocks of private addresses that the operator opened. */
  readonly inside: readonly string[]
  /** This machine itself: a webhook that says `local`, in local mode. */
  readonly loopback: boolean
}

type Block = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Global unicast (RFC 4291, section 2.4). A list of what is refused would miss `::127.0.0.1` and what comes next. */
const GLOBAL_V6 = ipaddr.parseCIDR('2000::/3')

/** Where an operator may open a block: private networks, and no others. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'].map((text) =>
  ipaddr.parseCIDR(text),
)

/**
 * Metadata services outside the link-local range, which hand a machine's credentials to whoever asks from it:
 * AWS (fd00:ec2::254), Alibaba (100.100.100.200), Azure's wire server (168.63.129.16, a public address).
 */
const METADATA = ['fd00:ec2::/32', '100.100.100.200/32', '168.63.129.16/32'].map((text) =>
  ipaddr.parseCIDR(text),
)

const within = (address: ipaddr.IPv4 | ipaddr.IPv6, [base, bits]: Block): boolean =>
  address.kind() === base.kind() && address.match(base, bits)

/**
 * Whether a webhook may connect to an address, in any notation that `connect` would take. Everything is refused
 * that is not public: loopback, private, link-local, carrier-grade NAT, multicast, reserved, and every IPv6 form
 * that carries an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo), whatever it carries.
 */
export function mayReach(text: string, reach: Reach): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.parse(text)
  if (METADATA.some((block) => within(address, block))) return false
  const range = address.range()
  if (range === 'loopback') return reach.loopback
  if (range === 'unicast') return address.kind() === 'ipv4' || within(address, GLOBAL_V6)
  return (
    PRIVATE.some((block) => within(address, block)) &&
    reach.inside.some((cidr) => within(address, ipaddr.parseCIDR(cidr)))
  )
}

/**
 * Checks the blocks that an operator opened. Throws `StartError` on one that is not a CIDR block inside a private
 * network: link-local addresses in particular can never be opened.
 */
export function checkInside(cidrs: readonly string[]): void {
  for (const cidr of cidrs) {
    const lies =
      ipaddr.isValidCIDR(cidr) &&
      PRIVATE.some(([base, bits]) => {
        const [first, length] = ipaddr.parseCIDR(cidr)
        return length >= bits && within(first, [base, bits])
      })
    if (!lies) {
      throw new StartError(
        `WRIT_WEBHOOK_INSIDE has ${cidr}, which is not a block of private addresses such as 10.1.2.0/24.`,
      )
    }
  }
}
