import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import type { Webhook } from '../../server/types.js'
import { checkInside, mayReach, type Reach } from '../../server/webhooks/addresses.js'
import { hostOf, reachable } from '../../server/webhooks/resolve.js'
import { checkWebhooks } from '../../server/webhooks/start.js'
import { hook, stage, target } from './support.js'

const OUTSIDE: Reach = { inside: [], loopback: false }

/** IANA's registries of special-purpose addresses, and multicast: written down here again, by hand. */
const SPECIAL_V4 =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32'.split(
    ' ',
  )
const SPECIAL_V6 =
  '::/128 ::1/128 ::ffff:0:0/96 ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fd00:ec2::/32 fe80::/10 fec0::/10 ff00::/8'.split(
    ' ',
  )

/** Any address of a block. */
const inBlock = (cidr: string) => {
  const [base, bits] = ipaddr.parseCIDR(cidr)
  const bytes = base.toByteArray()
  return fc.uint8Array({ minLength: bytes.length, maxLength: bytes.length }).map((random) =>
    ipaddr.fromByteArray(
      bytes.map((byte, n) => {
        const fixed = Math.min(8, Math.max(0, bits - n * 8))
        const mask = (0xff << (8 - fixed)) & 0xff
        return (byte & mask) | ((random[n] ?? 0) & ~mask & 0xff)
      }),
    ),
  )
}

const anyV4 = inBlock('0.0.0.0/0')
const bytesOf = (address: ipaddr.IPv4 | ipaddr.IPv6) => address.toByteArray()
const hex = (bytes: readonly number[]) => bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')

t.test('no address of a special-purpose block is reached', async (t) => {
  for (const cidr of [...SPECIAL_V4, ...SPECIAL_V6]) {
    fc.assert(
      fc.property(inBlock(cidr), (address) => !mayReach(address.toString(), OUTSIDE)),
      { numRuns: 60 },
    )
  }
  t.pass('none')
})

t.test('nor an IPv4 address in IPv6 clothes, whichever it is', async (t) => {
  fc.assert(
    fc.property(anyV4, (v4) => {
      const [a = '', b = ''] = hex(bytesOf(v4)).match(/.{4}/g) ?? []
      const dotted = v4.toString()
      const forms = [
        `::ffff:${dotted}`,
        `::ffff:${a}:${b}`,
        `::${dotted}`,
        `::${a}:${b}`,
        `::ffff:0:${a}:${b}`,
        `64:ff9b::${a}:${b}`,
        `64:ff9b:1::${a}:${b}`,
        `2002:${a}:${b}::1`,
        `2001:0:${a}:${b}::1`,
        `fe80::${a}:${b}%eth0`,
      ]
      // Of 0.0.0.1 one form is IPv6's loopback itself, ::0000:0001.
      const reach = { inside: [], loopback: dotted !== '0.0.0.1' }
      return forms.every((form) => !mayReach(form, OUTSIDE) && !mayReach(form, reach))
    }),
  )
  t.pass('none')
})

t.test('of IPv6, only global unicast', async (t) => {
  fc.assert(
    fc.property(inBlock('::/0'), (address) => {
      const [first = 0] = bytesOf(address)
      return (first & 0xe0) === 0x20 || !mayReach(address.toString(), OUTSIDE)
    }),
  )
  for (const address of ['93.184.215.14', '1.1.1.1', '2606:4700::1111', '2a00:1450:4001::1']) {
    t.ok(mayReach(address, OUTSIDE), `${address} is public`)
  }
  for (const nothing of ['', 'localhost', '1.1.1.1/32', '1.1.1.1 ', '::g', 'example.com']) {
    t.notOk(mayReach(nothing, OUTSIDE), `"${nothing}" is no address`)
  }
})

t.test('what an operator opens is open, and what nobody can open is not', async (t) => {
  const reach: Reach = { inside: ['10.1.2.0/24', 'fd12:3456::/32'], loopback: false }
  t.ok(mayReach('10.1.2.3', reach))
  t.ok(mayReach('fd12:3456::9', reach))
  t.notOk(mayReach('10.1.3.3', reach))
  t.notOk(mayReach('::ffff:10.1.2.3', reach), 'in IPv4 only')
  const everything: Reach = {
    inside: ['0.0.0.0/0', '::/0', '169.254.0.0/16', 'fd00::/8', '100.64.0.0/10'],
    loopback: false,
  }
  for (const never of [
    '169.254.169.254',
    'fd00:ec2::254',
    '100.100.100.200',
    '168.63.129.16',
    'fe80::1',
    '127.0.0.1',
    '::1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::ffff:169.254.169.254',
  ]) {
    t.notOk(mayReach(never, everything), never)
  }
  checkInside(['10.1.2.0/24', '192.168.7.7/32', 'fd12::/16', '100.64.0.0/10'])
  for (const wrong of [
    '169.254.0.0/16',
    '169.254.169.254/32',
    '0.0.0.0/0',
    '10.0.0.0/7',
    '127.0.0.0/8',
    'fe80::/10',
    '::/0',
    '::ffff:10.0.0.0/104',
    '8.8.8.0/24',
    '10.1.2.3',
    'siem.internal',
    '',
  ]) {
    t.throws(() => checkInside([wrong]), { name: 'StartError', message: /WRIT_WEBHOOK_INSIDE/ }, wrong)
  }
})

t.test('however a URL spells it', async (t) => {
  const never = async (): Promise<never> => {
    throw new Error('looked up')
  }
  const spellings = [
    '127.0.0.1',
    '127.0.0.1.',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '017700000001',
    '0177.0.0.1',
    '0',
    '①②⑦.⓪.⓪.①',
    '127。0。0。1',
    '%31%32%37.0.0.1',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[0:0:0:0:0:0:0:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '169.254.169.254',
    '2852039166',
    '0xa9fea9fe',
    '10.0.0.1',
  ]
  for (const spelling of spellings) {
    const host = hostOf(new URL(`https://${spelling}/`))
    await t.rejects(reachable(host, OUTSIDE, never), { message: 'address_refused' }, spelling)
    const webhook: Webhook = {
      name: 'siem',
      url: `https://${spelling}/`,
      secretFile: '/s',
      kinds: ['*'],
      personal: false,
      local: false,
    }
    t.throws(() => checkWebhooks([webhook], { localMode: true, inside: [] }), { name: 'StartError' })
  }
})

t.test('a name with one address inside is refused whole', async (t) => {
  const to = (...addresses: string[]) => reachable('siem.example.com', OUTSIDE, async () => addresses)
  t.equal((await to('93.184.215.14', '2606:4700::1111')).length, 2)
  await t.rejects(to('93.184.215.14', '10.0.0.1'), { message: 'address_refused' })
  await t.rejects(to('::1', '93.184.215.14'), { message: 'address_refused' })
  await t.rejects(
    to('93.184.215.14', 'metadata.internal'),
    { message: 'address_refused' },
    'and what is no address',
  )
  await t.rejects(to('2130706433'), { message: 'address_refused' })
  await t.rejects(to(), { message: 'name_not_found' })
})

t.test('no connection is made to this machine, by a name or by itself', async (t) => {
  const inside = await target(t)
  const url = `https://siem.example.com:${inside.port}/`
  for (const webhook of [
    hook(t, { url, local: false }),
    hook(t, { url: inside.url, local: false }),
    hook(t, { url: inside.url.replace('http:', 'https:'), local: false }),
  ]) {
    const { webhooks, entries, row } = await stage(t, [webhook], { resolve: async () => ['127.0.0.1'] })
    await entries('policy.loaded')
    await webhooks.round()
    t.equal((await row()).last_failure, 'address_refused', webhook.url)
    t.strictSame(await webhooks.test('siem'), { delivered: false, failure: 'address_refused' })
  }
  const production = { localMode: false }
  const { webhooks, entries, row } = await stage(
    t,
    [hook(t, { url: inside.url, local: true })],
    {},
    production,
  )
  await entries('policy.loaded')
  await webhooks.round()
  t.equal((await row()).last_failure, 'address_refused', '"local" is nothing in production')
  t.equal(inside.connections, 0)
  let asked = 0
  const resolve = async () => {
    asked++
    return ['127.0.0.1']
  }
  const plain = await stage(t, [hook(t, { url: 'http://siem.example.com:8080/', local: false })], { resolve })
  await plain.entries('policy.loaded')
  await plain.webhooks.round()
  t.equal((await plain.row()).last_failure, 'address_refused', 'nothing goes over http')
  t.equal(asked, 0, 'wherever the name leads')
  t.throws(() => checkWebhooks([hook(t, { url: inside.url })], { localMode: false, inside: [] }), {
    name: 'StartError',
    message: /local mode only/,
  })
})

t.test('a name that changes its address after the check gains nothing', async (t) => {
  const siem = await target(t)
  let asked = 0
  const resolve = async () => (++asked === 1 ? ['127.0.0.1'] : ['169.254.169.254'])
  const url = `http://siem.example.com:${siem.port}/`
  const { webhooks, entries, row } = await stage(t, [hook(t, { url })], { resolve })
  await entries('policy.loaded', 3)
  await webhooks.round()
  t.equal(siem.received.length, 3)
  t.equal(asked, 1, 'what was checked is what was connected to')
  await entries('policy.loaded')
  await webhooks.round()
  t.equal((await row()).last_failure, 'address_refused', 'and each connection is checked')
  t.equal(asked, 2)
})

t.test('no proxy is asked', async (t) => {
  const [siem, proxy] = [await target(t), await target(t)]
  const names = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'HTTPS_PROXY', 'NODE_USE_ENV_PROXY']
  for (const name of names) process.env[name] = name.startsWith('NODE') ? '1' : proxy.url
  t.teardown(() => {
    for (const name of names) delete process.env[name]
  })
  const { webhooks, entries } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  await webhooks.round()
  t.strictSame([siem.received.length, proxy.connections], [1, 0])
})
