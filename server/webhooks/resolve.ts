import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { mayReach, type Reach } from './addresses.js'
import { DeliveryError } from './failure.js'

/** All addresses of a name, IPv4 and IPv6. */
export type Resolve = (name: string) => Promise<readonly string[]>

/**
 * DNS with limits of our own: at most three tries of two seconds. Not `dns.lookup`: that occupies one of libuv's
 * few threads until the system gives up, and a receiver whose name servers are silent would hold up the look-up
 * of AWS that an issuance waits for. The price: /etc/hosts and search domains are not read.
 */
export const resolveByDns: Resolve = async (name) => {
  // RFC 6761, section 6.3: no name server is to be asked.
  if (name === 'localhost') return ['127.0.0.1', '::1']
  const resolver = new Resolver({ timeout: 2_000, tries: 3 })
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
  return [
    ...(four.status === 'fulfilled' ? four.value : []),
    ...(six.status === 'fulfilled' ? six.value : []),
  ]
}

/**
 * The addresses that a connection to this host may be made to: all of its name's, or none. A name with one address
 * outside and one inside is refused whole, or retrying would sooner or later reach the one inside. Throws
 * `DeliveryError`.
 */
export async function reachable(
  host: string,
  reach: Reach,
  resolve: Resolve,
): Promise<readonly { readonly address: string; readonly family: number }[]> {
  const literal = isIP(host) !== 0
  const addresses = literal ? [host] : await resolve(host).catch(() => [])
  if (addresses.length === 0) throw new DeliveryError('name_not_found')
  // Checked as an address, not as text that looks like one: that is what `connect` is given.
  if (!addresses.every((address) => isIP(address) !== 0 && mayReach(address, reach))) {
    throw new DeliveryError('address_refused')
  }
  return addresses.map((address) => ({ address, family: isIP(address) }))
}

/** The host of a URL as `connect` takes it: IPv6 without its brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1')
