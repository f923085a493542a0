import t from 'tap'
import { Scribe, type Twist, verdict, type Written, wrote } from './scribe.js'

const DAY = 86_400_000
const BROKEN = { break_glass: true }
const ALONE: Twist = {
  document: { break_glass: true, valid_seconds: 3600 },
  entry: BROKEN,
  comment: 'the shop is down',
}

function breakGlass(scribe: Scribe, operator = 'bob', asked = scribe.ask({ approvals_needed: 2 })): Written {
  scribe.approve(asked, operator, ALONE)
  return scribe.grant(asked, [operator], {
    ...BROKEN,
    expires_at: new Date(scribe.now + 1000 + 3_600_000).toISOString(),
  })
}

const review = (scribe: Scribe, grant: Written, operator: string): Written => {
  const { agent, environment, request_id, grant_id } = grant.entry
  return scribe.put('grant.reviewed', {
    agent,
    environment,
    request_id,
    grant_id,
    operator,
    verdict: 'justified',
  })
}

t.test('one human alone, for an hour, and reviewed', async (t) => {
  const log = wrote((scribe) => {
    const grant = breakGlass(scribe)
    scribe.use(grant)
    review(scribe, grant, 'ada')
    scribe.now += 2 * DAY
    breakGlass(scribe)
  })
  t.equal(verdict(log), undefined)
  t.equal(verdict(wrote((scribe) => [breakGlass(scribe), breakGlass(scribe)])), undefined, 'twice in a day')
})

t.test('what breaking the glass cannot do', async (t) => {
  const approved = (twist: Twist, asked: Record<string, unknown> = {}) =>
    verdict(
      wrote((scribe, request) => scribe.approve(request, 'bob', { ...ALONE, ...twist }), {
        approvals_needed: 2,
        ...asked,
      }),
    )
  t.equal(approved({}), undefined)
  t.equal(
    approved({ document: { ...ALONE.document, valid_seconds: 60 } }),
    undefined,
    'less than was asked for',
  )
  t.match(approved({ document: { ...ALONE.document, valid_seconds: 3601 } }), /valid_seconds/)
  t.match(approved({ document: { ...ALONE.document, valid_seconds: 59 } }), /valid_seconds/)
  t.match(approved({}, { valid_seconds: 1800 }), /valid_seconds/, 'more than was asked for')
  t.match(approved({ document: { ...ALONE.document, break_glass: false } }), /not signed so/)
  t.match(approved({ entry: {} }), /not signed so/, 'signed, and not said')
  t.match(approved({}, { destroys: true }), /what nobody may/)
  t.match(approved({}, { destroys: undefined }), /what nobody may/)
  const silent = wrote((scribe, asked) =>
    scribe.approve(asked, 'bob', { document: ALONE.document ?? {}, entry: BROKEN }),
  )
  t.match(verdict(silent), /what nobody may/, 'without a word')
  const token = new Scribe()
  const asked = token.ask({ tier: 'staging', signature_required: false })
  token.approveByToken(asked, 'bob')
  const last = token.log.pop() as Written
  token.log.push({ ...last, entry: { ...last.entry, break_glass: true } })
  t.match(verdict(token.log), /is not signed/)
})

t.test('the grant says so too, and lives no longer', async (t) => {
  const granted = (change: Record<string, unknown>, twist: Twist = ALONE) =>
    verdict(
      wrote(
        (scribe, asked) => {
          scribe.approve(asked, 'bob', twist)
          const expires_at = new Date(scribe.now + 1000 + 3_600_000).toISOString()
          scribe.grant(asked, ['bob'], { ...BROKEN, expires_at, ...change })
        },
        { approvals_needed: 2 },
      ),
    )
  t.equal(granted({}), undefined)
  t.match(granted({ break_glass: undefined }), /unlike its approval/)
  t.match(granted({}, {}), /unlike its approval/, 'an approval like any other')
  t.match(granted({ break_glass: undefined }, {}), /fewer approvals/)
  t.match(granted({ expires_at: '2026-03-01T11:30:00.000Z' }), /lives longer/)
})

t.test('somebody else looks at it within a day, or nobody breaks it again', async (t) => {
  const later = (more: (scribe: Scribe, grant: Written) => unknown) =>
    verdict(
      wrote((scribe) => {
        const grant = breakGlass(scribe)
        scribe.now += DAY
        more(scribe, grant)
      }),
    )
  t.match(
    later((scribe) => breakGlass(scribe)),
    /nobody had looked at the time before/,
  )
  t.equal(
    later((scribe, grant) => {
      review(scribe, grant, 'ada')
      breakGlass(scribe)
    }),
    undefined,
  )
  t.match(
    later((scribe, grant) => review(scribe, grant, 'bob')),
    /by who broke the glass/,
  )
  t.match(
    later((scribe, grant) => review(scribe, grant, 'BOB')),
    /by who broke the glass/,
  )
  t.match(
    later((scribe, grant) => [review(scribe, grant, 'ada'), review(scribe, grant, 'ada')]),
    /reviews no grant that waits/,
  )
  t.equal(
    later((scribe) =>
      breakGlass(scribe, 'bob', scribe.ask({ approvals_needed: 2, environment: 'production-us' })),
    ),
    undefined,
    'elsewhere',
  )
  const ordinary = wrote((scribe, asked) => {
    scribe.approve(asked, 'bob')
    review(scribe, scribe.grant(asked, ['bob']), 'ada')
  })
  t.match(verdict(ordinary), /reviews no grant that waits/)
})
