import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import t from 'tap'
import { READ_STATE, until } from '../revocation/until.js'
import { startTestBroker } from '../support/broker.js'

t.test('one session is killed over HTTP, and its neighbour lives', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const wish = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }
  const [victim, neighbour] = [
    (await broker.call('POST', '/v1/credentials', agent, wish)).body,
    (await broker.call('POST', '/v1/credentials', agent, { ...wish, session: 'another' })).body,
  ]
  const alive = async ({ credentials }: typeof victim): Promise<boolean> => {
    const s3 = new S3Client({
      region: 'eu-west-1',
      endpoint: broker.localAws.url,
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: {
        accessKeyId: credentials.access_key_id,
        secretAccessKey: credentials.secret_access_key,
        sessionToken: credentials.session_token,
      },
    })
    try {
      await s3.send(new GetObjectCommand({ Bucket: 'orders-development', Key: 'README.txt' }))
      return true
    } catch (error) {
      if (error instanceof Error && error.name === 'AccessDenied') return false
      throw error
    } finally {
      s3.destroy()
    }
  }
  t.ok((await alive(victim)) && (await alive(neighbour)))

  const path = `/v1/issuances/${victim.issuance}/revoke`
  const bob = await broker.operatorToken('bob')
  t.match(await broker.call('GET', path, bob), {
    status: 200,
    body: { state: 'none', by: null, revoked_at: null },
  })
  const reason = { reason: 'it is in a chat' }
  t.match(await broker.call('POST', path, agent, reason), { status: 401 }, 'no agent kills its neighbour')
  t.match(await broker.call('POST', path, bob, {}), { status: 422 })
  t.match(await broker.call('POST', '/v1/issuances/000000000000/revoke', bob, reason), { status: 404 })
  t.match(await broker.call('GET', '/v1/issuances/000000000000/revoke', bob), { status: 404 })
  const asked = await broker.call('POST', path, bob, reason)
  t.match(asked, {
    status: 200,
    body: { issuance_id: victim.issuance, revoked_by: 'bob', by: 'issuance', problem: null },
  })
  t.match(asked.body.state, /^(asked|written)$/)
  const written = await until(() => broker.call('GET', path, bob), READ_STATE('written'))
  t.equal(Date.parse(written.body.presumed_at) - Date.parse(written.body.written_at), 60_000)
  t.strictSame([await alive(victim), await alive(neighbour)], [false, true])

  const again = (await broker.call('POST', '/v1/credentials', agent, wish)).body
  t.not(again.issuance, victim.issuance, 'it is not handed out again')
  t.equal(await alive(again), true, 'another one is another one')
  t.match(await broker.call('POST', path, bob, { reason: 'again' }), {
    status: 200,
    body: { revoked_by: 'bob' },
  })
  const events = await broker.call(
    'GET',
    `/v1/events?issuance=${victim.issuance}`,
    await broker.operatorToken('carol'),
  )
  const kinds = events.body.items.map((item: { body: { kind: string } }) => item.body.kind)
  t.strictSame(
    kinds.filter((kind: string) => /revoked|deny/.test(kind)),
    ['deny.written', 'issuance.revoked'],
  )
})

t.test('a grant that is revoked takes its session with it', async (t) => {
  const broker = await startTestBroker(t)
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }
  const granted = await broker.grant('bob', { agent: 'orders-coder', ...wish })
  const issued = await broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), wish)
  t.equal(issued.status, 200)
  const bob = await broker.operatorToken('bob')
  const revoked = await broker.call('POST', `/v1/grants/${granted.body.grant_id}/revoke`, bob, {
    reason: 'enough',
  })
  t.equal(revoked.status, 200)
  const path = `/v1/issuances/${issued.body.issuance}/revoke`
  const written = await until(() => broker.call('GET', path, bob), READ_STATE('written'))
  t.match(written.body, { by: 'issuance', revoked_by: 'bob', widened: false })
})
