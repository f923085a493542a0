import t from 'tap'
import { createLiveSessions, type LiveSession, sessionKey } from '../../server/issuance/live-sessions.js'
import { identity, NOW } from '../support/policy.js'

const after = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const session = (change: Partial<LiveSession> = {}): LiveSession => ({
  issuanceId: 'abcdefghjkmn',
  roleArn: 'role',
  permissionsSha256: 'sha',
  mintedAt: NOW,
  notAfter: after(900),
  assumed: {
    credentials: { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c', expiresAt: after(900) },
    assumedRoleArn: '',
    assumedRoleId: '',
  },
  ...change,
})

t.test('a session is handed out again while most of it is left, one on a grant until it ends', async (t) => {
  const live = createLiveSessions()
  live.keep('free', session())
  live.keep('granted', session({ grantId: 'grant0000001' }))
  t.ok(live.find('free', after(449)))
  t.notOk(live.find('free', after(451)))
  t.notOk(live.find('free', NOW), 'and is forgotten then')
  t.ok(live.find('granted', after(869)), 'another would be another use')
  t.notOk(live.find('granted', after(871)))
})

t.test('whatever makes another session makes another key', async (t) => {
  const request = { environment: 'e', scopes: ['a', 'b'], reason: 'r' }
  const human = (name: string) => identity({ onBehalfOf: { human: name, how: 'verified' } })
  const keys = [
    sessionKey('agent', identity(), request, '1.1.1.1'),
    sessionKey('other', identity(), request, '1.1.1.1'),
    sessionKey('agent', identity({ subject: 's' }), request, '1.1.1.1'),
    sessionKey('agent', identity({ issuer: 'i' }), request, '1.1.1.1'),
    sessionKey('agent', human('erin'), request, '1.1.1.1'),
    sessionKey('agent', human('fred'), request, '1.1.1.1'),
    sessionKey('agent', identity(), { ...request, environment: 'f' }, '1.1.1.1'),
    sessionKey('agent', identity(), { ...request, scopes: ['a b'] }, '1.1.1.1'),
    sessionKey('agent', identity(), { ...request, ttlSeconds: 60 }, '1.1.1.1'),
    sessionKey('agent', identity(), { ...request, session: '1' }, '1.1.1.1'),
    sessionKey('agent', identity(), request, '1.1.1.2'),
  ]
  t.equal(new Set(keys).size, keys.length)
  t.equal(sessionKey('agent', identity(), { ...request, reason: 'another' }, '1.1.1.1'), keys[0])
})
