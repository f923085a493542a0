import type { RecordFacts } from './evidence.js'
import type { Ledger } from './ledger.js'

/** No grant is used more often than it says, nor after it was taken back: by the record and by what was seen. */
export function judgeGrants(ledger: Ledger, record: RecordFacts, found: (text: string) => void): void {
  const uses = new Map<string, number[]>()
  for (const { grant, use } of record.intents) {
    if (grant === undefined) continue
    const list = uses.get(grant) ?? []
    list.push(use ?? 0)
    uses.set(grant, list)
  }
  const handedOut = new Map<string, number>()
  for (const { end } of ledger.attempts)
    if (end.kind === 'answered' && !end.again && end.grant !== undefined)
      handedOut.set(end.grant, (handedOut.get(end.grant) ?? 0) + 1)

  const grants = new Map(record.grants.map((grant) => [grant.id, grant]))
  for (const [id, list] of uses) {
    const grant = grants.get(id)
    if (grant === undefined) {
      found(`grant ${id} was used and does not exist`)
      continue
    }
    const numbers = list.sort((a, b) => a - b)
    if (numbers.length > grant.maxUses)
      found(`grant ${id} was used ${numbers.length} times of ${grant.maxUses}`)
    if (numbers.some((number, n) => number !== n + 1))
      found(`uses of grant ${id} are numbered ${numbers.join(', ')}`)
    if (numbers.length !== grant.uses)
      found(`grant ${id} counts ${grant.uses} uses and has ${numbers.length}`)
  }
  for (const [id, count] of handedOut)
    if (count > (grants.get(id)?.maxUses ?? 0)) found(`${count} sessions were handed out on grant ${id}`)

  afterRevocation(ledger, record, found)
}

function afterRevocation(ledger: Ledger, record: RecordFacts, found: (text: string) => void): void {
  const revokedAt = new Map<string, number>()
  for (const { kind, grant, index } of record.entries)
    if (kind === 'grant.revoked' && grant !== undefined && !revokedAt.has(grant)) revokedAt.set(grant, index)
  for (const { kind, grant, index } of record.entries) {
    const since = grant === undefined ? undefined : revokedAt.get(grant)
    if (since === undefined || index < since) continue
    if (kind === 'issuance.intended' || kind === 'issuance.delivered')
      found(`entry ${index} uses grant ${grant} after its revocation at ${since}`)
  }
  const told = new Map<string, number>()
  for (const { grant, answeredAt } of ledger.revocations) {
    if (answeredAt === undefined) continue
    told.set(grant, Math.min(answeredAt, told.get(grant) ?? answeredAt))
    if (!revokedAt.has(grant)) found(`grant ${grant} was revoked, and the record does not say so`)
  }
  for (const { tag, sentAt, end } of ledger.attempts) {
    if (end.kind !== 'answered' || end.grant === undefined) continue
    const since = revokedAt.get(end.grant)
    if (since !== undefined && end.entry > since)
      found(`${tag} was answered with entry ${end.entry} on grant ${end.grant}, revoked at ${since}`)
    if (sentAt > (told.get(end.grant) ?? Number.POSITIVE_INFINITY))
      found(
        `${tag} was sent after the revocation of grant ${end.grant} had been answered, and was answered too`,
      )
  }
}
