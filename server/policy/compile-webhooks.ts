import type { Webhook } from '../types.js'
import { ENTRY_KINDS } from './entry-kinds.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import type { Report } from './report.js'
import { isLoopbackHost } from './schema-fields.js'

export function compileWebhook(document: Parsed<'webhook'>, report: Report): Webhook {
  const { value } = document
  checkUrl(document, report)
  value.kinds.forEach((kind, n) => {
    // One letter wrong, and the alarm would never ring.
    const known = kind.endsWith('*')
      ? ENTRY_KINDS.some((one) => one.startsWith(kind.slice(0, -1)))
      : ENTRY_KINDS.some((one) => one === kind)
    if (known) return
    report(
      document,
      ['kinds', n],
      'entry_kind_unknown',
      `There is no kind of entry "${kind}".${suggest(kind, ENTRY_KINDS)}`,
    )
  })
  return {
    name: value.webhook,
    url: new URL(value.url).href,
    secretFile: value.secret_file,
    ...(value.ca_file === undefined ? {} : { caFile: value.ca_file }),
    kinds: [...value.kinds].sort(),
    personal: value.personal === true,
    local: value.local === true,
  }
}

function checkUrl(document: Parsed<'webhook'>, report: Report): void {
  const url = new URL(document.value.url)
  const onThisMachine = isLoopbackHost(url.hostname)
  if (document.value.local === true && !onThisMachine) {
    report(document, ['local'], 'field_invalid', '"local" is for a receiver on loopback; leave it out.')
  }
  if (document.value.local !== true && onThisMachine) {
    report(
      document,
      ['url'],
      'url_insecure',
      '"url" leads to this machine. To try it out, add "local: true", which works in local mode only.',
    )
  }
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  // Below 1024 live the services that a request from a trusted machine might persuade: mail, SSH, LDAP.
  if (port !== 443 && port < 1024) {
    report(document, ['url'], 'field_invalid', `"url" has port ${port}; it must be 443, or 1024 and above.`)
  }
}
