import type { Answer, DecideChange, TestBroker } from './broker.js'

/** Opens one, as an operator. */
export const openIncident = async (
  broker: TestBroker,
  agent: string,
  operator = 'bob',
  reason = 'it does what it should not',
): Promise<Answer> =>
  broker.call('POST', '/v1/incidents', await broker.operatorToken(operator), { agent, reason })

/** A signed close over this evidence: what the broker answers to it, or to asking for what is to be signed. */
export async function closeIncident(
  broker: TestBroker,
  id: string,
  operator: string,
  evidence: string,
  change: Pick<DecideChange, 'key'> & { readonly token?: string } = {},
): Promise<Answer> {
  const key = await broker.enrol(operator)
  const token = change.token ?? (await broker.operatorToken(operator))
  const asked = await broker.call('POST', `/v1/incidents/${id}/challenge`, token, { evidence })
  if (asked.status !== 200) return asked
  const { challenge, webauthn } = asked.body
  const proof = key.sign(Buffer.from(webauthn.challenge, 'base64url'), change.key)
  return broker.call('POST', `/v1/incidents/${id}/close`, token, { challenge, proof })
}
