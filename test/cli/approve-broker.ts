import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { canonicalText, type DecisionDocument } from '../../server/audit/proofs/document.js'
import { proofProblem } from '../../server/audit/proofs/proof.js'
import type { SoftwareSk } from '../support/software-sk.js'

export const ID = '0123456789ab'
const SALT = '00112233445566778899aabbccddeeff'
const ORIGIN = 'https://writ.example.com'

/** As the broker answers it to an operator; `change` is what a test wants otherwise. */
export interface Stage {
  readonly url: string
  /** Proofs that held, and what was signed. */
  readonly decided: { challenge: string; document: DecisionDocument; comment?: string }[]
  readonly asked: object[]
  change: {
    request?: object
    document?: object
    personal?: object
    answer?: object
    keys?: readonly object[]
    refuse?: { status: number; code: string }
  }
}

const hash = (salt: string, text: string): string =>
  createHash('sha256').update(Buffer.of(3)).update(Buffer.from(salt, 'hex')).update(text).digest('hex')

const PERMISSIONS = [
  { Effect: 'Allow', Action: ['s3:PutObject'], Resource: ['arn:aws:s3:::orders-production/*'] },
] as const

const WHAT = {
  agent: 'orders-coder',
  environment: 'production',
  account: '111122223333',
  role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-write',
  scopes: ['orders:write'],
  permissions: PERMISSIONS,
  permissions_sha256: 'a'.repeat(64),
  policy_digest: `sha256:${'b'.repeat(64)}`,
  max_uses: 2,
  valid_seconds: 3600,
  max_session_seconds: 900,
  not_before: null,
  approvals_needed: 1,
} as const

export const REASON = 'correct order 7\u001b[2K\u202e and nothing else'

/**
 * The three calls of a broker that `writ approve` makes, in the shapes of /openapi.json, over one pending request. It
 * checks proofs as the broker does. A stand-in only where a test needs an answer that no honest broker gives; that
 * the shapes are right, the test on a broker shows.
 */
export async function stage(t: Test, sk: SoftwareSk): Promise<Stage> {
  const here: { -readonly [K in keyof Stage]: Stage[K] } = { url: '', decided: [], asked: [], change: {} }
  const documents = new Map<string, string>()
  let state: object = {}
  const request = () => ({
    id: ID,
    state: 'pending',
    created_at: '2026-01-01T10:00:00.000Z',
    expires_at: '2026-01-01T11:00:00.000Z',
    closed_at: null,
    ...WHAT,
    reason: REASON,
    ticket: 'T-7',
    on_behalf_of: { human: 'dana@example.com', how: 'self-claimed' },
    requested_by: 'agent:orders-coder',
    decisions: [],
    grant_id: null,
    ...state,
    ...here.change.request,
  })
  const challenge = (body: { decision: string; comment?: string; break_glass?: boolean }) => {
    const personal = JSON.stringify({
      human: 'dana@example.com',
      human_how: 'self-claimed',
      reason: REASON,
      ticket: 'T-7',
      ...here.change.personal,
    })
    const document = canonicalText({
      type: 'writ.decision.v1',
      decision: body.decision,
      approver: 'bob',
      request: ID,
      request_leaf: 'c'.repeat(64),
      personal: hash(SALT, personal),
      ...WHAT,
      tier: 'production',
      network: null,
      break_glass: body.break_glass === true,
      comment: body.comment === undefined ? null : hash(SALT, body.comment),
      origin: ORIGIN,
      rp_id: 'writ.example.com',
      nonce: randomBytes(32).toString('base64url'),
      issued_at: '2026-01-01T10:00:00.000Z',
      expires_at: '2026-01-01T10:05:00.000Z',
      ...here.change.document,
    })
    const id = String(documents.size).padStart(12, '0')
    documents.set(id, document)
    return {
      challenge: id,
      document,
      expires_at: '2026-01-01T10:05:00.000Z',
      personal: { text: personal, salt: SALT },
      comment_salt: body.comment === undefined ? null : SALT,
      keys: here.change.keys ?? [
        { id: 'AAAAAAAAAAAAAAAAAAAAAA', kind: 'passkey', transports: [] },
        { id: sk.keyId, kind: 'ssh-sk', transports: [] },
      ],
      webauthn: {},
      ...here.change.answer,
    }
  }
  const decide = (body: {
    challenge: string
    proof: { key_id: string; kind: string; signature: string }
  }) => {
    const document = documents.get(body.challenge) ?? ''
    const problem = proofProblem({ ...body.proof, document, public_key: sk.publicKey })
    if (problem !== undefined) return refusal(403, 'signature_invalid', problem)
    const signed = JSON.parse(document) as DecisionDocument
    here.decided.push({ challenge: body.challenge, document: signed })
    const granted = signed.decision === 'approve'
    state = {
      state: granted ? 'granted' : 'denied',
      grant_id: granted ? 'gggggggggggg' : null,
      decisions: [{ operator: 'bob', decision: signed.decision, at: signed.issued_at, comment: null }],
    }
    return {
      status: 200,
      body: {
        state: granted ? 'granted' : 'denied',
        grant_id: granted ? 'gggggggggggg' : null,
        approvals: granted ? 1 : 0,
      },
    }
  }
  const server = createServer(async (incoming, outgoing) => {
    const body = await bodyOf(incoming)
    const path = new URL(incoming.url ?? '', 'http://x').pathname
    here.asked.push({ path, body })
    const refuse = here.change.refuse
    const { status, body: said } =
      incoming.method === 'GET'
        ? { status: 200, body: { items: [request()], next: null } }
        : refuse !== undefined
          ? refusal(refuse.status, refuse.code, 'Refused, says the test.')
          : path.endsWith('/challenge')
            ? { status: 200, body: challenge(body) }
            : decide(body)
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  here.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return here
}

const refusal = (status: number, code: string, detail: string) => ({
  status,
  body: { type: 'about:blank', title: 'Refused', status, code, detail, next: 'Nothing.', request: 'r' },
})

// biome-ignore lint/suspicious/noExplicitAny: a test's own calls
async function bodyOf(incoming: IncomingMessage): Promise<any> {
  let text = ''
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk
  return text === '' ? undefined : JSON.parse(text)
}
