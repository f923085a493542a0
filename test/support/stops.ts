import { createPool } from '../../server/db/pool.js'
import type { Answer, DecideChange, TestBroker } from './broker.js'
import { silent, type TestDatabase } from './postgres.js'

/** Makes every engaged stop ten minutes older, so that it can be released. Only a superuser can. */
export async function ageStops({ superuserUrl }: Pick<TestDatabase, 'superuserUrl'>): Promise<void> {
  const admin = createPool({
    connectionString: superuserUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  try {
    await admin.query('SET session_replication_role = replica')
    await admin.query(
      `UPDATE writ.stop SET engaged_at = engaged_at - interval '10 minutes', cutoff = cutoff - interval '10 minutes'
       WHERE released_at IS NULL`,
    )
  } finally {
    await admin.end()
  }
}

/** Engages one, as an operator. */
export const stop = async (
  broker: TestBroker,
  kind: string,
  name: string,
  operator = 'bob',
  body: object = { reason: 'a test' },
): Promise<Answer> =>
  broker.call(
    'PUT',
    `/v1/stops/${kind}/${encodeURIComponent(name)}`,
    await broker.operatorToken(operator),
    body,
  )

/** A signed release: what the broker answers to it, or to asking for what is to be signed. */
export async function release(
  broker: TestBroker,
  id: string,
  operator: string,
  change: Pick<DecideChange, 'key' | 'token'> = {},
): Promise<Answer> {
  const key = await broker.enrol(operator)
  const token = change.token ?? (await broker.operatorToken(operator))
  const asked = await broker.call('POST', `/v1/stops/${id}/challenge`, token)
  if (asked.status !== 200) return asked
  const { challenge, webauthn } = asked.body
  const proof = key.sign(Buffer.from(webauthn.challenge, 'base64url'), change.key)
  return broker.call('POST', `/v1/stops/${id}/release`, token, { challenge, proof })
}
