import t from 'tap'
import { parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { verifyProof } from '../../server/audit/verify/proof.js'
import { asOwner } from '../../server/db/owner.js'
import { createPool } from '../../server/db/pool.js'
import { silent } from '../support/postgres.js'
import { livedBroker, startConsole } from './support.js'

t.setTimeout(110_000)

t.test('one issuance, from the wish to the last delivery', async (t) => {
  const { broker, production, development, failed } = await livedBroker(t)
  const site = await startConsole(t, broker)
  const page = async (id: string) => {
    const answer = await site.get(`/console/history/${id}`)
    t.equal(answer.status, 200)
    return await answer.text()
  }
  const kinds = (text: string) =>
    [...text.matchAll(/<span>([^<]+|<strong>[^<]+<\/strong>[^<]+)/g)].map(([, said]) => said)
  /** Past every trigger, as whoever owns the machine under the database could. */
  const tamper = async (sql: string, values: readonly unknown[]) => {
    const database = createPool({
      connectionString: broker.sql.superuserUrl,
      applicationName: 'writ test',
      log: silent,
      max: 1,
    })
    try {
      await database.transaction(async (client) => {
        await client.query('SET LOCAL session_replication_role = replica')
        await client.query(sql, values)
      })
    } finally {
      await database.end()
    }
  }

  await t.test('on a grant', async (t) => {
    const text = await page(production)
    t.match(text, /signature verified/)
    t.match(text, /Called the team: it is so/)
    t.match(text, /Repair order 4711/, 'what the grant was asked for with')
    t.match(text, /s3:PutObject<\/code>.*arn:aws:s3:::orders-production/s, 'what it could do')
    t.match(text, /ASIA[A-Z0-9]{16}/)
    // Its first in production: an alarm comes some moments after.
    const entries = [
      ...text.replace(/An alarm was raised.*?data-proof="\d+"/gs, '').matchAll(/data-proof="\d+"/g),
    ]
    t.equal(entries.length, 5, 'wish, approval, grant, intent, outcome')
    t.notMatch(text, /<img|<script>alert/)
    t.ok(kinds(text).some((said) => said?.startsWith('The broker wrote down')))
  })

  await t.test('without one', async (t) => {
    t.match(await page(development), /No human had to be asked/)
    t.match(await page(development), /Handed out again/)
    const text = await page(failed)
    t.match(text, /AWS made no session: <code>aws_refused/)
    t.match(text, /asked AWS in vain/)
  })

  await t.test('its proof, checked offline and the same as writ audit prove gets', async (t) => {
    const [, index = ''] = /data-proof="(\d+)"/.exec(await page(production)) ?? []
    await broker.publishing?.checkpointer.tick()
    const file = await site.get(`/console/log/proof/entry/${index}/file`, 'carol', '*/*')
    t.match(file.headers.get('content-disposition'), `attachment; filename="entry-${index}.tlog-proof"`)
    const bytes = Buffer.from(await file.arrayBuffer())
    const { publishing } = broker
    if (publishing === undefined) throw new Error('nothing is published')
    const verified = verifyProof(bytes, [parseVerifierKey(publishing.verifierKey)], {
      origin: publishing.origin,
    })
    t.equal(verified.index, Number(index))
    t.match(JSON.parse(verified.body.toString()), { kind: 'grant_request.opened' })
    const token = await broker.operatorToken('carol')
    const same = await broker.call('GET', `/v1/log/proof/entry/${index}`, token)
    // Checked against one checkpoint: reading the record as an operator is an entry of it too.
    const own = await site.get(`/console/log/proof/entry/${index}`, 'carol', '*/*')
    const { size, proof } = (await own.json()) as { size: number; proof: string }
    if (same.body.size === size) t.equal(same.body.proof, proof)
    const none = await site.get('/console/log/proof/entry/999999', 'carol', 'application/json')
    t.equal(none.status, 404)
    t.match(await none.json(), { code: 'entry_not_covered' })
  })

  await t.test('a signature over something else is no approval of this', async (t) => {
    const [row] = await broker.database.query<{ idx: string; body: string }>(
      `SELECT idx, convert_from(body, 'UTF8') AS body FROM writ.entry WHERE kind = 'grant_request.approved'`,
    )
    if (row === undefined) throw new Error('no approval')
    const put = (body: object) =>
      tamper(
        `UPDATE writ.entry SET body = convert_to($2, 'UTF8'), leaf_hash = sha256('\\x00'::bytea || convert_to($2, 'UTF8')) WHERE idx = $1`,
        [row.idx, JSON.stringify(body)],
      )
    const body = JSON.parse(row.body)
    const document = JSON.parse(body.proof.document)
    const text = JSON.stringify({ ...document, max_uses: 1000 })
    await put({ ...body, proof: { ...body.proof, document: text } })
    const other = await page(production)
    t.match(other, /SIGNATURE FAILED/, 'another document under the signature')
    t.notMatch(other, /It signed/, 'a signature that does not hold says nothing at all')
    await put({ ...body, operator: 'alice' })
    t.match(await page(production), /SIGNATURE FAILED.*It signed something else: approver\./s)
    await put({ ...body, proof: undefined, proof_kind: 'fresh-token' })
    t.match(await page(production), /SIGNATURE FAILED.*A signature was demanded, and there is none\./s)
    await put({ ...body, kind: 'grant_request.denied' })
    t.match(await page(production), /It signed something else: decision\./)
    await put(body)
    t.match(await page(production), /signature verified/)
  })

  await t.test('a session with other permissions than were signed', async (t) => {
    const [row] = await broker.database.query<{ idx: string; body: string }>(
      `SELECT idx, convert_from(body, 'UTF8') AS body FROM writ.entry WHERE kind = 'issuance.intended' AND issuance_id = $1`,
      [production],
    )
    const wider = row?.body.replace('s3:PutObject', 's3:Put*') ?? ''
    t.not(wider, row?.body)
    const put = (body: string | undefined) =>
      tamper(
        `UPDATE writ.entry SET body = convert_to($2, 'UTF8'), leaf_hash = sha256('\\x00'::bytea || convert_to($2, 'UTF8')) WHERE idx = $1`,
        [row?.idx, body],
      )
    await put(wider)
    t.match(await page(production), /It signed something else: permissions\./)
    await put(row?.body)
  })

  await t.test('personal data that was changed is not shown, and what is erased says so', async (t) => {
    const [row] = await broker.database.query<{ idx: string; personal: Buffer }>(
      `SELECT idx, personal FROM writ.entry WHERE kind = 'issuance.intended' AND issuance_id = $1`,
      [development],
    )
    const put = (personal: Buffer | undefined) =>
      tamper('UPDATE writ.entry SET personal = $2 WHERE idx = $1', [row?.idx, personal])
    await put(Buffer.from('{"reason": "made up", "subject": "x", "source_ip": "y"}'))
    const altered = await page(development)
    t.notMatch(altered, /made up/)
    t.match(altered, /changed it in the database after it was recorded/)
    await put(row?.personal)
    await asOwner(broker.sql.ownerUrl, silent, async (owner) => {
      await owner.query(
        'UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL WHERE issuance_id = $1',
        [failed],
      )
    })
    const erased = await page(failed)
    t.match(erased, /Erased, with all personal data/)
    t.match(erased, /The entry and its proof are as they were/)
  })

  await t.test('an issuance that there is not', async (t) => {
    t.equal((await site.get('/console/history/000000000000')).status, 404)
    t.equal((await site.get('/console/history/nonsense!')).status, 422)
  })
})
