import { openCheckpoint } from '../audit/merkle/checkpoint.js'
import { parseVerifierKey } from '../audit/merkle/keys.js'
import { inclusionProof } from '../audit/merkle/proof.js'
import { tileHashes } from '../audit/merkle/tiles.js'
import type { Publishing } from '../audit/publish/publishing.js'
import { type ExportedEntry, entriesAt } from '../audit/queries.js'
import type { Database } from '../db/pool.js'
import { WritError } from '../errors.js'
import { refusedIncident } from './store.js'

/** What the entries of an incident are, and the head of the log that they are proven in. */
export interface EvidenceHead {
  readonly incident: string
  readonly agent: string
  /** ISO 8601 UTC; entries before are in it where later ones stand on them. */
  readonly since: string
  readonly origin: string
  readonly size: number
  /** A signed note. */
  readonly checkpoint: string
  readonly entries: number
}

/** An entry, exact, with its way up to the checkpoint's root (base64, RFC 9162 order). */
export interface ProvenEntry extends ExportedEntry {
  readonly path: readonly string[]
}

export interface EvidenceAsked {
  readonly incident: string
  /** ISO 8601. */
  readonly since: string
  /** Entries that the checkpoint must have at least: those written just before. */
  readonly covering: number
}

/** Above this, a report helps nobody, and neither side should hold it in memory. */
const MOST = 50_000
const PAGE = 200
/** Entries after which tiles that were read are forgotten. */
const PROOFS = 1_000

/**
 * Every entry about the agent of an incident, with what it stands on: its grants from their requests on, the keys that
 * signed them, stops that held for it, the denies. Throws `WritError` not_found, log_not_published, entry_not_covered,
 * request_invalid when there are too many.
 */
export async function evidenceEntries(
  database: Database,
  publishing: Publishing | undefined,
  { incident, since, covering }: EvidenceAsked,
): Promise<{ readonly head: EvidenceHead; readonly entries: AsyncGenerator<ProvenEntry> }> {
  if (publishing === undefined)
    throw new WritError('log_not_published', 'This replica does not publish the log.')
  const { published, origin, verifierKey } = publishing
  const note = await published.read('checkpoint')
  if (note === undefined) throw new WritError('log_not_published', 'No checkpoint is published yet.')
  const { size } = openCheckpoint(note, [parseVerifierKey(verifierKey)], origin)
  const rows = await database.query<{ agent: string; opened: string }>(
    'SELECT agent, opened_idx AS opened FROM writ.incident WHERE id = $1',
    [incident],
  )
  const [found] = rows
  if (found === undefined) throw refusedIncident('not_found')
  const needed = Math.max(covering, Number(found.opened) + 1)
  if (size < needed) {
    throw new WritError('entry_not_covered', `The newest checkpoint has ${size} entries of ${needed}.`)
  }
  const indexes = await indexesOf(database, incident, found.agent, since, size)
  if (indexes.length > MOST) {
    throw new WritError('request_invalid', `There are more than ${MOST} entries: begin later with \`since\`.`)
  }
  const head: EvidenceHead = {
    incident,
    agent: found.agent,
    since,
    origin,
    size,
    checkpoint: note.toString('utf8'),
    entries: indexes.length,
  }
  return { head, entries: proven(database, published.read, indexes, size) }
}

async function* proven(
  database: Database,
  read: Publishing['published']['read'],
  indexes: readonly number[],
  size: number,
): AsyncGenerator<ProvenEntry> {
  let hashes = tileHashes(read, size)
  for (let at = 0; at < indexes.length; at += PAGE) {
    if (at % PROOFS === 0) hashes = tileHashes(read, size)
    for (const entry of await entriesAt(database, indexes.slice(at, at + PAGE), true)) {
      const path = await inclusionProof(entry.index, size, hashes)
      yield { ...entry, path: path.map((hash) => hash.toString('base64')) }
    }
  }
}

async function indexesOf(
  database: Database,
  incident: string,
  agent: string,
  since: string,
  size: number,
): Promise<readonly number[]> {
  const rows = await database.query<{ idx: string }>(
    `WITH lo AS (
       SELECT coalesce((SELECT first_idx FROM writ.log_batch WHERE at >= $3::timestamptz ORDER BY at, first_idx LIMIT 1),
         (SELECT size FROM writ.log_head)) AS idx
     ), asked AS (
       -- Grants that could be used in the time, and sessions begun before it that were not over.
       SELECT g.request_id AS id FROM writ.grants g WHERE g.agent = $2 AND g.expires_at > $3::timestamptz
     ), began AS (
       SELECT i.issuance_id AS id FROM writ.intent i, lo
       WHERE i.agent = $2 AND i.entry_idx < lo.idx AND i.not_after > $3::timestamptz AND i.at > $3::timestamptz - interval '12 hours'
     ), stopped AS (
       SELECT s.* FROM writ.stop s JOIN writ.incident n ON n.stop_id = s.id WHERE n.id = $1
     ), signer AS (
       SELECT d.proof->>'key_id' AS id FROM writ.grant_decision d JOIN asked a ON a.id = d.request_id
       UNION SELECT c.proof->>'key_id' FROM writ.incident_close c WHERE c.incident = $1
       UNION SELECT r.proof->>'key_id' FROM writ.stop_release r JOIN stopped s ON s.id = r.stop_id
     ), held AS (
       SELECT DISTINCT k.role_arn FROM writ.kill k JOIN stopped s ON k.id = ANY (s.kills)
     )
     SELECT idx FROM (
       SELECT e.idx FROM writ.entry e, lo WHERE e.agent = $2 AND e.idx >= lo.idx
       UNION SELECT e.idx FROM writ.entry e JOIN asked a ON a.id = e.request_id
       UNION SELECT e.idx FROM writ.entry e JOIN began b ON b.id = e.issuance_id
       UNION SELECT opened_idx FROM writ.incident WHERE id = $1
       UNION SELECT idx FROM writ.incident_step WHERE incident = $1
       UNION SELECT engaged_idx FROM stopped
       UNION SELECT s.engaged_idx FROM writ.stop s WHERE s.kind IN ('environment', 'account', 'everything') AND s.engaged_at >= $3::timestamptz
       UNION SELECT e.idx FROM writ.entry e, lo WHERE e.kind IN ('stop.release_signed', 'stop.released') AND e.idx >= lo.idx
         AND e.agent IS NULL AND EXISTS (SELECT FROM writ.stop s WHERE s.id = convert_from(e.body, 'UTF8')::jsonb->>'stop'
           AND s.kind <> 'human')
       UNION SELECT e.idx FROM writ.entry e, stopped s WHERE e.kind IN ('deny.written', 'deny.failed', 'deny.removed')
         AND e.idx > s.engaged_idx AND EXISTS (SELECT FROM held h WHERE h.role_arn = convert_from(e.body, 'UTF8')::jsonb->>'role_arn')
       UNION SELECT e.idx FROM writ.entry e WHERE e.kind = 'operator.key_added'
         AND convert_from(e.body, 'UTF8')::jsonb->>'key_id' IN (SELECT id FROM signer)
     ) found WHERE idx < $4 ORDER BY idx LIMIT $5`,
    [incident, agent, since, size, MOST + 1],
  )
  return rows.map(({ idx }) => Number(idx))
}
