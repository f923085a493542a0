import ipaddr from 'ipaddr.js'
import type { NetworkBinding, Refusal } from '../types.js'

export interface Caller {
  /** The address the broker sees, after trusted proxies; IPv4, IPv6 or IPv4 mapped into IPv6. */
  readonly ip: string
}

export type BoundNetwork = { readonly cidrs?: readonly string[] } | { readonly refusal: Refusal }

/**
 * The CIDR blocks a session is bound to. `caller` is the one address the broker sees, and only where that
 * can be the address AWS will see: a private one never is. Loopback is, for the local AWS alone.
 */
export function bindNetwork(
  binding: NetworkBinding | undefined,
  caller: Caller,
  localAws: boolean,
): BoundNetwork {
  if (binding === undefined) return {}
  if (binding.kind === 'cidrs') return { cidrs: binding.cidrs }
  if (!ipaddr.isValid(caller.ip)) return refused('The address of the caller is unknown.')
  const address = ipaddr.process(caller.ip)
  const range = address.range()
  if (range === 'loopback' && localAws) return { cidrs: ['127.0.0.0/8', '::1/128'] }
  if (range !== 'unicast') return refused(`The address of the caller is ${range}, which AWS never sees.`)
  return { cidrs: [`${address.toString()}/${address.kind() === 'ipv4' ? 32 : 128}`] }
}

function refused(detail: string): BoundNetwork {
  return { refusal: { code: 'network_unknown', detail } }
}
